// Requests to the service that this page comes from. Addresses are relative, so the page works behind a path prefix.

let token = null; // in memory only: a reload forgets it
let login = null; // the promise of the open dialog, shared by requests that fail together

/** The service answered with an error: its message, and the HTTP status. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The service did not answer. */
export class Unreachable extends Error {}

export async function getModels() {
  return (await request("models")).models;
}

export async function predict(model, input, signal) {
  return (await request("predict", { model, input }, signal)).answer;
}

/** Explanations (of a tagger, one for each entity; otherwise one), and the faithfulness of all of them. */
export async function explain(model, input, options, signal) {
  const { explanation, others, faithfulness } = await request("explain", { model, input, ...options }, signal);
  return { explanations: explanation === null ? [] : [explanation, ...others], faithfulness };
}

export async function trace(model, input, options, signal) {
  return request("trace", { model, input, ...options }, signal);
}

async function request(path, body, signal) {
  const used = token;
  const response = await send(path, body, signal);
  if (response.status === 401) {
    if (token === used) await askForToken(used !== null);
    signal?.throwIfAborted();
    return request(path, body, signal);
  }
  const content = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {}; // a proxy's error page
  });
  if (!response.ok) throw new Refused(messageOf(content, response), response.status);
  return content;
}

async function send(path, body, signal) {
  const headers = { Accept: "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: encode(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
}

/** JSON without halves of surrogate pairs, which are not text; each becomes the replacement character. */
function encode(body) {
  if (body === undefined) return undefined;
  return JSON.stringify(body, (_, value) => (typeof value === "string" ? wellFormed(value) : value));
}

function wellFormed(text) {
  return text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (found) =>
    found.length > 1 ? found : "\uFFFD",
  );
}

function messageOf(content, response) {
  if (typeof content.error === "string") return content.error;
  return `The service answered with status ${response.status}.`;
}

function askForToken(wasWrong) {
  login ??= new Promise((resolve) => {
    const dialog = document.getElementById("login");
    const field = document.getElementById("token");
    document.getElementById("login-title").textContent = wasWrong
      ? "The service did not accept this token"
      : "This service requires a token";
    field.value = "";
    dialog.addEventListener("cancel", (event) => event.preventDefault(), { once: true });
    dialog.addEventListener(
      "close",
      () => {
        token = field.value.trim();
        login = null;
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
  });
  return login;
}
