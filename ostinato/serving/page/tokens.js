// A sequence whose tokens are coloured by score. One tab stop: arrow keys move from token to token.

import { make, number, signed, visible } from "./elements.js";

export const NAMES = { words: "token", letters: "letter", steps: "step" }; // of one element, by layout
const FAINT = 0.04; // of the largest score: tokens below this have no colour
let made = 0; // lists so far, for ids

/**
 * The parts of a sequence: `text`, and the `score` of a token; undefined between tokens.
 * Offsets count code points, as Python does. If tokens overlap (k-mers), a letter has the mean score of its tokens.
 */
export function partsOf(input, explanation) {
  const { tokens, offsets, scores } = explanation;
  if (offsets === undefined || typeof input !== "string") {
    return tokens.flatMap((text, index) => [{ text, score: scores[index] }, { text: " " }]);
  }
  const letters = Array.from(input);
  if (offsets.some(([start], index) => index > 0 && start < offsets[index - 1][1]))
    return byLetter(letters, offsets, scores);
  const parts = [];
  let at = 0;
  offsets.forEach(([start, end], index) => {
    parts.push(
      { text: letters.slice(at, start).join("") },
      { text: letters.slice(start, end).join(""), score: scores[index] },
    );
    at = end;
  });
  return [...parts, { text: letters.slice(at).join("") }].filter((part) => part.text !== "");
}

function byLetter(letters, offsets, scores) {
  const totals = letters.map(() => ({ sum: 0, tokens: 0 }));
  offsets.forEach(([start, end], index) => {
    for (const total of totals.slice(start, end)) {
      total.sum += scores[index];
      total.tokens += 1;
    }
  });
  return letters.map((text, at) => ({
    text,
    score: totals[at].tokens ? totals[at].sum / totals[at].tokens : undefined,
  }));
}

function largest(scores) {
  return scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
}

/**
 * The coloured sequence with a line below it that names the token under the pointer or the keys.
 *
 * @param {{text: string, score?: number}[]} parts
 * @param {{layout: "words"|"letters"|"steps", unit: string, marked: Set<number>}} options - `marked`: tokens of a motif
 */
export function tokenList(parts, { layout, unit, marked }) {
  const scored = parts.filter((part) => part.score !== undefined);
  const scale = largest(scored.map((part) => part.score)) || 1;
  const id = `tokens-${(made += 1)}`;
  const names = scored.map((part, index) => describe(part, index, scored.length, layout, unit));
  let token = -1;
  const children = parts.map((part) => {
    if (part.score === undefined) return layout === "words" ? visible(part.text) : "";
    token += 1;
    return option(part, {
      id: `${id}-${token}`,
      name: names[token],
      strength: part.score / scale,
      layout,
      isMarked: marked.has(token),
    });
  });
  const list = make(
    "div",
    {
      class: `tokens ${layout}`,
      tabIndex: 0,
      role: "listbox",
      "aria-label": `Score of each ${NAMES[layout]}`,
      dir: layout === "words" ? "auto" : "ltr",
    },
    ...children,
  );
  const hint = `Point at a ${NAMES[layout]} to see its score, or focus the sequence and use the arrow keys.`;
  const readout = make("p", { class: "hint readout", "aria-hidden": "true" }, hint);
  follow(list, [...list.querySelectorAll("[role=option]")], (index) => {
    readout.textContent = names[index];
  });
  return make("div", {}, list, readout);
}

function describe(part, index, total, layout, unit) {
  const position = `${NAMES[layout]} ${index + 1} of ${total.toLocaleString("en")}`;
  return `${layout === "steps" ? "" : `“${visible(part.text)}”, `}${position}: ${signed(part.score)} ${unit}`;
}

function option(part, { id, name, strength, layout, isMarked }) {
  const element = make("span", {
    id,
    role: "option",
    "aria-label": name,
    "aria-selected": "false",
    class: tokenClass(strength, isMarked),
  });
  element.style.setProperty("--strength", Math.abs(strength).toFixed(3));
  if (layout === "letters")
    element.append(make("span", { class: "up" }), visible(part.text), make("span", { class: "down" }));
  else if (layout === "words") element.append(visible(part.text));
  return element;
}

function tokenClass(strength, isMarked) {
  const side = Math.abs(strength) <= FAINT ? "faint" : strength > 0 ? "for" : "against";
  return `token ${side}${isMarked ? " motif" : ""}`;
}

/** Calls `show` with the index of the token under the pointer, or reached by keys. */
function follow(list, options, show) {
  let at = -1;
  const go = (index) => {
    options[at]?.setAttribute("aria-selected", "false");
    at = Math.min(options.length - 1, Math.max(0, index));
    options[at]?.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", options[at].id);
    show(at);
  };
  list.addEventListener("pointerover", (event) => {
    const found = event.target.closest("[role=option]");
    if (found) go(options.indexOf(found));
  });
  list.addEventListener("focus", () => at < 0 && options.length && go(0));
  list.addEventListener("keydown", (event) => {
    const next = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + 10,
      ArrowUp: at - 10,
      Home: 0,
      End: options.length - 1,
    }[event.key];
    if (next === undefined || !options.length) return;
    event.preventDefault();
    go(next);
    options[at].scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

/** The tokens with the largest scores, as a table: what the colours show, in numbers. */
export function strongest(parts, most = 5) {
  const scored = parts.filter((part) => part.score !== undefined).map((part, index) => ({ ...part, index }));
  return scored.sort((one, other) => Math.abs(other.score) - Math.abs(one.score)).slice(0, most);
}

export function scoreTable(rows, unit, nameOf) {
  const head = make(
    "tr",
    {},
    ...["Strongest", "Position", `Score (${unit})`].map((text) => make("th", { scope: "col" }, text)),
  );
  const body = rows.map((row) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("bdi", {}, nameOf(row))),
      make("td", {}, row.position ?? number(row.index + 1)),
      make("td", {}, signed(row.score)),
    ),
  );
  return make("table", { class: "strongest" }, make("thead", {}, head), make("tbody", {}, ...body));
}
