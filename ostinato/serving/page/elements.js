// Elements made from data. Text from users and from the service becomes text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Properties: `class`, `on` (listeners by event), DOM properties, and attributes with a dash. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name === "on")
      Object.entries(value).forEach(([event, listener]) => element.addEventListener(event, listener));
    else if (name === "role" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A labelled `<select>`; `options` are values, or pairs of a value and its text. */
export function makeSelect(label, options, onChange) {
  const select = make("select", { on: { change: () => onChange(select.value) } });
  fillSelect(select, options);
  return { element: make("label", { class: "field" }, label, select), select };
}

/** Replaces the options; the selected value stays if it is still there. */
export function fillSelect(select, options) {
  const before = select.value;
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value, textContent: visible(text) })));
  if (pairs.some(([value]) => String(value) === before)) select.value = before;
}

// C0 and C1 controls, line separators, marks that change the direction of text, and halves of surrogate pairs
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udfff]/gu;

/** Text in which control characters are visible escapes, as in Ostinato's terminal output. */
export function visible(text) {
  return String(text).replace(CONTROLS, (found) => {
    const code = found.codePointAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

export function shorten(text, longest) {
  const letters = Array.from(visible(text));
  return letters.length <= longest ? letters.join("") : `${letters.slice(0, longest - 1).join("")}…`;
}

/** A probability in percent; never 0% or 100%, which only rounding makes of it. */
export function percent(probability) {
  if (probability < 0.0005) return "<0.1%";
  if (probability > 0.9995) return ">99.9%";
  return `${(100 * probability).toFixed(1)}%`;
}

/** Four digits, with a real minus sign. */
export function number(value) {
  const shown =
    Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-4)
      ? value.toExponential(2)
      : Number(value.toPrecision(4)).toString();
  return shown.replaceAll("-", "−");
}

export function signed(value) {
  return value > 0 ? `+${number(value)}` : number(value);
}

export function count(amount, noun) {
  return `${amount.toLocaleString("en")} ${noun}${amount === 1 ? "" : "s"}`;
}
