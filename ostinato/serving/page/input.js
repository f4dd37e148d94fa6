// The input: text or a series, with examples that fill it in by one click.

import { count, make, shorten } from "./elements.js";
import { asSteps, SeriesEditor } from "./series.js";

const HINTS = {
  text: "Type or paste a text.",
  symbols: "Type or paste letters.",
  events: "Type events, separated by spaces.",
  features: 'Write JSON: a list for each word, as in [["Ada", "NNP"], ["left", "VBD"]].',
  numeric: "",
};

/** Models with equal keys read the same kind of input. */
export function inputKey(model) {
  if (model.kind === "numeric") return `numeric ${model.channels}`;
  return model.examples.some(hasFeatures) ? "features" : model.kind;
}

export class Input {
  /** @param {() => void} onChange - called after each change by the user */
  constructor(onChange) {
    this.onChange = onChange;
    this.text = document.getElementById("text");
    this.typed = document.getElementById("typed");
    this.series = document.getElementById("series");
    this.hint = document.getElementById("hint");
    this.examples = document.getElementById("examples");
    this.left = new Map(); // what was typed when a model of another kind was chosen, by input key
    this.editor = new SeriesEditor(this.series, onChange);
    this.text.addEventListener("input", onChange);
  }

  /** Prepares the input for a model. What the user typed stays if the model can read it. */
  prepare(model) {
    const [before, content] = [this.model, this.content()];
    const isOwn = before !== undefined && !isExample(before, content);
    const isSame = before !== undefined && inputKey(before) === inputKey(model);
    if (isOwn) this.left.set(inputKey(before), content);
    this.model = model;
    this.arrange();
    if (isSame && (isOwn || isExample(model, content))) return;
    const kept = isSame ? undefined : this.left.get(inputKey(model));
    this.fill(kept ?? model.examples[0] ?? (this.isSeries ? blank(model.channels) : ""));
  }

  arrange() {
    this.isSeries = this.model.kind === "numeric";
    this.typed.hidden = this.isSeries;
    this.series.hidden = !this.isSeries;
    this.text.classList.toggle("letters", this.model.kind === "symbols");
    this.hint.textContent = HINTS[inputKey(this.model)] ?? HINTS[this.model.kind] ?? HINTS.text;
    this.examples.replaceChildren(...this.model.examples.map((example, index) => this.button(example, index)));
  }

  fill(example) {
    if (this.isSeries) this.editor.show(example, this.model.channels);
    else this.text.value = asText(example);
  }

  /** What is in the input, as typed or drawn. */
  content() {
    return this.isSeries ? structuredClone(this.editor.value()) : this.text.value;
  }

  /** What the service reads. Throws a SyntaxError if words with features are not JSON. */
  value() {
    const content = this.content();
    const isShown = (example) => Array.isArray(example) && asText(example) === content;
    if (this.isSeries) return content;
    return this.model.examples.find(isShown) ?? (inputKey(this.model) === "features" ? JSON.parse(content) : content);
  }

  isEmpty() {
    return this.isSeries ? this.editor.steps.length === 0 : this.text.value.trim() === "";
  }

  button(example, index) {
    const name = this.isSeries
      ? `Example ${index + 1}: ${count(asSteps(example).length, "step")}`
      : shorten(asText(example), 44);
    const use = () => {
      this.fill(example);
      this.onChange();
    };
    return make("button", { type: "button", class: "example", on: { click: use } }, make("bdi", {}, name));
  }
}

/** Whether each token is a list: a word and its features. */
function hasFeatures(example) {
  return Array.isArray(example) && Array.isArray(example[0]);
}

function isExample(model, content) {
  return model.examples.some((example) => asText(example) === asText(content));
}

function asText(example) {
  if (hasFeatures(example)) return JSON.stringify(example);
  return Array.isArray(example) ? example.join(" ") : String(example);
}

function blank(channels) {
  return Array.from({ length: 40 }, () => Array(channels).fill(0));
}
