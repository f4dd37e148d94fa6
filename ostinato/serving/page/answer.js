// One answer, by its shape: a label, several labels, predicted numbers, or tags.

import { count, make, number, percent, visible } from "./elements.js";

const BARS = 8; // labels shown before "more"

/** The answer in a few words, for headings, comparisons and screen readers. */
export function headline(answer) {
  if ("tags" in answer)
    return "spans" in answer
      ? count(answer.spans.length, "entity").replace("entitys", "entities")
      : count(answer.tags.length, "tag");
  if ("labels" in answer) return answer.labels.length ? answer.labels.map(visible).join(", ") : "no label";
  if ("label" in answer) return visible(answer.label);
  if ("predictions" in answer)
    return Object.entries(answer.predictions)
      .map(([name, value]) => `${visible(name)} ${number(value)}`)
      .join(", ");
  return number(answer.prediction);
}

/** The probability of the predicted label as text; null for other answers. */
export function confidence(answer) {
  return "label" in answer ? percent(answer.probabilities[answer.label]) : null;
}

export function answerParts(model, answer) {
  const title = make("p", { class: "headline" }, make("strong", {}, headline(answer)));
  const sure = confidence(answer);
  if (sure !== null) title.append(make("span", { class: "sure" }, sure));
  const warning = answer.warning ? make("p", { class: "refused" }, `Careful: ${answer.warning}.`) : null;
  return [title, warning, ...body(model, answer)].filter(Boolean);
}

function body(model, answer) {
  if ("tags" in answer) return tagged(answer);
  if ("probabilities" in answer) {
    const predicted = new Set("labels" in answer ? answer.labels.map(String) : [String(answer.label)]);
    return [probabilityBars(answer.probabilities, { predicted }), make("p", { class: "hint" }, calibrationNote(model))];
  }
  return predictedNumbers(answer);
}

function calibrationNote(model) {
  return model.calibrated
    ? "Calibrated on validation data: of similar answers at 80%, about 80% are correct."
    : "Not calibrated: read these as scores, not as frequencies.";
}

/**
 * Bars of probabilities, the largest first.
 *
 * @param {Object<string, number>} probabilities - by label
 * @param {{predicted?: Set<string>, colours?: Map<string, number>, most?: number}} options - `predicted` labels are
 *   marked; with few enough `colours`, those of lines, the labels keep their order
 */
export function probabilityBars(probabilities, { predicted = new Set(), colours, most = BARS }) {
  const isFixed = colours !== undefined && colours.size === Object.keys(probabilities).length;
  const entries = Object.entries(probabilities);
  const sorted = isFixed
    ? [...colours.keys()].map((label) => [label, probabilities[label]])
    : entries.sort((one, other) => other[1] - one[1]);
  const rows = sorted.map(([label, probability]) => bar(label, probability, predicted.has(label), colours?.get(label)));
  const list = make("ul", { class: "bars" }, ...rows.slice(0, most));
  if (rows.length <= most) return list;
  const rest = make("ul", { class: "bars" }, ...rows.slice(most));
  return make("div", {}, list, make("details", {}, make("summary", {}, `${rows.length - most} more`), rest));
}

function bar(label, probability, isPredicted, colour) {
  const fill = make("span", { class: colour === undefined ? "fill" : `fill line-${colour}` });
  fill.style.inlineSize = `${100 * probability}%`;
  const name = make(
    "span",
    { class: "name" },
    make("bdi", {}, visible(label)),
    isPredicted ? make("span", { class: "unseen" }, " (predicted)") : null,
  );
  const row = make(
    "li",
    { class: isPredicted ? "predicted" : "" },
    name,
    make("span", { class: "track", "aria-hidden": "true" }, fill),
  );
  row.append(make("span", { class: "value" }, percent(probability)));
  return row;
}

function predictedNumbers(answer) {
  if ("prediction" in answer) return [interval(answer.interval), quantiles(answer.quantiles)].filter(Boolean);
  const rows = Object.entries(answer.predictions).map(([name, value]) => {
    const range = answer.intervals?.[name];
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, visible(name)),
      make("td", {}, number(value)),
      make("td", {}, range ? between(range) : "–"),
    );
  });
  const head = make(
    "tr",
    {},
    ...["Target", "Prediction", "Interval"].map((text) => make("th", { scope: "col" }, text)),
  );
  return [make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)))];
}

function between([low, high]) {
  return `${number(low)} to ${number(high)}`;
}

function interval(ends) {
  return ends
    ? make("p", { class: "hint" }, `Between ${number(ends[0])} and ${number(ends[1])} (outermost quantiles).`)
    : null;
}

function quantiles(found) {
  if (!found) return null;
  const levels = Object.entries(found);
  const head = make("tr", {}, ...levels.map(([level]) => make("th", { scope: "col" }, percent(Number(level)))));
  const row = make("tr", {}, ...levels.map(([, value]) => make("td", {}, number(value))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, row)));
}

const SHOWN = 2000; // words of a tagged text

function tagged(answer) {
  const marks = answer.spans
    ? entityMarks(answer)
    : answer.tokens.slice(0, SHOWN).flatMap((word, at) => [mark(word, answer.tags[at], answer.probabilities[at]), " "]);
  const text = make("p", { class: "tagged", dir: "auto" }, ...marks);
  const words = answer.tokens.length.toLocaleString("en");
  const cut =
    answer.tokens.length > SHOWN ? make("p", { class: "hint" }, `Showing the beginning of ${words} words.`) : null;
  const note = make("p", { class: "hint" }, "The number of an entity is the probability of its least certain word.");
  return [text, cut, answer.spans?.length ? note : null].filter(Boolean);
}

/** The text with its entities as marks. Spans of a text count characters (code points), and other spans count words. */
function entityMarks(answer) {
  const pieces = answer.text === undefined ? answer.tokens.map((word) => `${word} `) : Array.from(answer.text);
  const end = answer.tokens.length <= SHOWN ? pieces.length : SHOWN * (answer.text === undefined ? 1 : 5);
  const parts = [];
  let at = 0;
  for (const span of answer.spans) {
    const [first, last] = answer.text === undefined ? [span.first_token, span.end_token] : [span.start, span.end];
    if (last > end) break;
    parts.push(
      visible(pieces.slice(at, first).join("")),
      mark(pieces.slice(first, last).join("").trim(), span.label, span.probability),
    );
    parts.push(answer.text === undefined ? " " : "");
    at = last;
  }
  return [...parts, visible(pieces.slice(at, end).join(""))];
}

function mark(text, label, probability) {
  const chip = make("span", { class: "chip" }, `${visible(label)} ${percent(probability)}`);
  return make("mark", {}, make("bdi", {}, visible(text)), " ", chip);
}
