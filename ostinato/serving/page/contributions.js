// What each token contributed to the answer, and how faithful this explanation is.

import { count, fillSelect, make, makeSelect, number, percent, shorten, visible } from "./elements.js";
import { bestWindows } from "./motifs.js";
import { linePlot, roomy } from "./plot.js";
import { asSteps } from "./series.js";
import { NAMES, partsOf, scoreTable, strongest, tokenList } from "./tokens.js";

const METHOD_NOTES = {
  "integrated-gradients": "Gradients summed on the way from a neutral sequence to this one.",
  "gradient-x-input": "The gradient at each token times its vector: quick, and local.",
  occlusion: "Each token is masked in turn.",
  attention: "Where the pooling looks. States mix their context, so this is no proof of cause.",
  "in-silico-mutagenesis": "Each letter is replaced by every other letter in turn.",
};

export class Contributions {
  /** @param {object} model @param {() => void} onOptions - called when another method or label is chosen */
  constructor(model, onOptions) {
    this.model = model;
    const method = makeSelect("Method", model.explanation_methods, onOptions);
    const label = makeSelect("Explain", [], onOptions);
    const found = makeSelect("Word", [], () => this.draw());
    Object.assign(this, {
      method: method.select,
      label: label.select,
      labelField: label.element,
      found: found.select,
      foundField: found.element,
    });
    this.offer(model.labels ?? []);
    found.element.hidden = true;
    this.body = make("div", { class: "body" });
    this.element = make(
      "section",
      {},
      make("h3", {}, "Contributions"),
      make("div", { class: "fields" }, method.element, label.element, found.element),
      this.body,
    );
  }

  /** Lets the user choose among labels, or among the names of predicted numbers. */
  offer(labels) {
    this.labels = labels.map(String);
    fillSelect(this.label, [["", "the answer"], ...this.labels.map((label, index) => [index, shorten(label, 40)])]);
    this.labelField.hidden = labels.length < 2;
  }

  options() {
    const method = this.method.value;
    return this.label.value === "" ? { method } : { method, label: this.labels[Number(this.label.value)] };
  }

  /** @param input - as it was explained @param {{explanations: object[], faithfulness: object}} found */
  show(input, { explanations, faithfulness }) {
    Object.assign(this, { input, explanations, faithfulness });
    const ofTags = explanations.some((each) => each.token !== undefined);
    this.labelField.hidden = ofTags || this.labels.length < 2;
    this.foundField.hidden = !ofTags || explanations.length < 2;
    fillSelect(
      this.found,
      explanations.map((each, index) => [index, title(each)]),
    );
    this.draw();
  }

  fail(message) {
    this.body.replaceChildren(make("p", { class: "hint" }, message));
  }

  clear() {
    this.body.replaceChildren();
  }

  draw() {
    const explanation = this.explanations[Number(this.found.value) || 0];
    if (!explanation) return this.body.replaceChildren(make("p", { class: "hint" }, "There is no entity to explain."));
    const unit = unitOf(explanation);
    const parts = partsOf(this.input, explanation);
    const layout = { numeric: "steps", symbols: "letters" }[this.model.kind] ?? "words";
    const ofTag = explanation.token !== undefined;
    const scores = parts.filter((part) => part.score !== undefined).map((part) => part.score);
    const windows = layout === "letters" ? bestWindows(scores) : [];
    this.body.replaceChildren(
      lead(explanation, unit),
      layout === "steps" ? seriesPlots(this.input) : "",
      tokenList(parts, { layout, unit, marked: positions(windows) }),
      legend(unit),
      windows.length ? windowTable(windows, parts, unit) : strongestTable(parts, unit),
      faithfulnessPart(this.faithfulness, ofTag ? "other word" : NAMES[layout]),
      make("p", { class: "hint" }, METHOD_NOTES[explanation.method] ?? ""),
    );
  }
}

function title(explanation) {
  const name = visible(explanation.tag ?? explanation.label);
  return explanation.token === undefined
    ? name
    : `${name}: ${shorten(explanation.tokens[explanation.token], 30)} (word ${explanation.token + 1})`;
}

function unitOf(explanation) {
  if (explanation.method === "attention") return "attention weight";
  return explanation.probability === undefined ? "prediction" : "log-odds";
}

function lead(explanation, unit) {
  const value =
    explanation.probability === undefined ? number(explanation.prediction) : percent(explanation.probability);
  const meaning =
    unit === "attention weight" ? "The weights add up to 1." : "Positive scores raise it, negative scores lower it.";
  return make("p", {}, "Explains ", make("strong", {}, title(explanation)), ` (${value}). ${meaning}`);
}

function legend(unit) {
  if (unit === "attention weight")
    return make("p", { class: "legend" }, make("span", { class: "swatch for" }), "more attention");
  return make(
    "p",
    { class: "legend" },
    make("span", { class: "swatch for" }),
    "raises",
    make("span", { class: "swatch against" }),
    "lowers",
    ` (${unit})`,
  );
}

function seriesPlots(series) {
  const steps = asSteps(series);
  const channels = steps[0].map((_, channel) => steps.map((step) => step[channel]));
  const plots = channels.map((values, channel) =>
    make("div", { class: "channel readonly" }, linePlot([{ values, colour: channel }], roomy(values))),
  );
  return make("div", { class: "channels" }, ...plots);
}

function positions(windows) {
  return new Set(
    windows.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, offset) => start + offset)),
  );
}

function windowTable(windows, parts, unit) {
  const letters = parts.filter((part) => part.score !== undefined).map((part) => part.text);
  const rows = windows.map(({ start, end, score }) => ({
    text: letters.slice(start, end).join(""),
    position: `${start + 1}–${end}`,
    score,
  }));
  return scoreTable(rows, unit, (row) => visible(row.text));
}

function strongestTable(parts, unit) {
  return scoreTable(strongest(parts), unit, (row) => shorten(row.text, 24));
}

/** What masking the tokens does to the answer, beside masking random ones. */
function faithfulnessPart(found, name) {
  if (!found?.area) return "";
  const { value, random } = found.area;
  const own = `Masking the top-ranked ${name}s ${change(value, found.quantity)} on average`;
  const verdict = `for this sequence, the ranking is ${value > random ? "better" : "no better"} than chance`;
  const text = `${own}, masking random ones ${change(random, found.quantity)}: ${verdict}.`;
  return make(
    "div",
    { class: "group" },
    make("h4", {}, "Faithfulness"),
    make("p", {}, text),
    deletionPlot(found, name),
  );
}

function change(drop, quantity) {
  const size = quantity === "probability" ? Math.abs(drop).toFixed(3) : number(Math.abs(drop));
  if (Number(size) === 0) return `does not change the ${quantity}`;
  return `${drop < 0 ? "raises" : "lowers"} the ${quantity} by ${size}`;
}

function deletionPlot(found, name) {
  const x = found.shares.map((share) => 100 * share - 0.5);
  const average = found.shares.map(
    (_, index) => found.random_deletion.reduce((sum, curve) => sum + curve[index], 0) / found.random_deletion.length,
  );
  const lines = [
    { values: average, x, colour: 5 },
    { values: found.deletion, x, colour: 0 },
  ];
  const range = found.quantity === "probability" ? [-0.02, 1.02] : roomy(lines.flatMap((line) => line.values));
  const key = make(
    "p",
    { class: "legend" },
    make("span", { class: "swatch line-0" }),
    "this ranking",
    make("span", { class: "swatch line-5" }),
    "random ranking",
  );
  const caption = make(
    "figcaption",
    { class: "hint" },
    `The ${found.quantity} as 0% to 100% of the ${name}s are masked.`,
  );
  return make("figure", { class: "curve" }, linePlot(lines, range, 100), key, caption);
}
