// The recurrence step by step: state, gates and running answer, with a slider through time.

import { probabilityBars } from "./answer.js";
import { make, makeSelect, number, percent, shorten, visible } from "./elements.js";
import { drawHeatmap } from "./heatmap.js";
import { linePlot, roomy } from "./plot.js";

const SIGNED = new Set(["h", "g", "n"]); // by tanh, in -1 … 1; the other gates are in 0 … 1
const GATES = {
  h: "state",
  i: "input",
  f: "forget",
  g: "candidate",
  o: "output",
  r: "reset",
  z: "update",
  n: "candidate",
};
const STEP_MS = 250;
const LONGEST_PLAY_MS = 20_000;
const MOST_LINES = 5; // labels with a line in the running answer

export class Recurrence {
  /**
   * @param {object} model
   * @param {() => void} onOptions - called when another layer or direction is chosen
   * @param {(step: number, length: number) => void} onStep - called when the user moves through time
   */
  constructor(model, onOptions, onStep) {
    this.model = model;
    this.onStep = onStep;
    const layer = makeSelect(
      "Layer",
      Array.from({ length: model.num_layers }, (_, index) => index + 1),
      onOptions,
    );
    const direction = makeSelect(
      "Direction",
      model.bidirectional ? ["forwards", "backwards"] : ["forwards"],
      onOptions,
    );
    Object.assign(this, { layer: layer.select, direction: direction.select });
    this.layer.value = String(model.num_layers);
    layer.element.hidden = model.num_layers < 2;
    direction.element.hidden = !model.bidirectional;
    this.body = make("div", { class: "body" });
    this.element = make(
      "section",
      { class: "steps-section" },
      make("h3", {}, "Step by step"),
      make("div", { class: "fields" }, layer.element, direction.element),
      this.body,
    );
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.trace && this.paint());
  }

  options() {
    return { layer: Number(this.layer.value), direction: this.direction.value };
  }

  fail(message) {
    this.stop();
    this.trace = null;
    this.body.replaceChildren(make("p", { class: "hint" }, message));
  }

  clear() {
    this.fail("");
  }

  show(trace) {
    this.stop();
    this.trace = trace;
    this.length = trace.tokens.length;
    const layer = trace.layers[0];
    this.maps = Object.entries({ h: layer.hidden, ...layer.gates }).map(([name, values]) => ({ name, values }));
    this.buildControls();
    this.buildPlots();
    this.running = make("div", {});
    this.means = make("p", { class: "means" });
    this.units = make("table", {});
    this.all = make(
      "details",
      { open: this.all?.open ?? false, on: { toggle: () => this.fillUnits() } },
      make("summary", {}, "Every unit at this step"),
      make("div", { class: "scroll units" }, this.units),
    );
    const answer = make("div", { class: "group" }, make("h4", {}, "Answer if the sequence ended here"), this.running);
    const means = make("div", { class: "group" }, make("h4", {}, "Mean over the units"), this.means, this.all);
    this.body.replaceChildren(this.decision(), this.controls, this.position, this.plots, answer, means);
    this.paint();
    this.goTo(this.length - 1);
  }

  decision() {
    const { decided, label, labels, quantity, running, steps, tokens } = this.trace;
    if (quantity === "probability") {
      const stays = `from there on, the answer stays ${visible(label)}.`;
      return make("p", {}, `Decided at step ${decided + 1} of ${tokens.length}: ${stays}`);
    }
    const [first, last] = [running[0], running.at(-1)].map((values) => number(values[labels.indexOf(label)]));
    const moves = `moves from ${first} after step 1 to ${last} after step ${steps.at(-1) + 1}.`;
    return make("p", {}, `The prediction of ${visible(label)} ${moves}`);
  }

  buildControls() {
    this.play = make(
      "button",
      { type: "button", class: "play", on: { click: () => (this.timer ? this.stop() : this.start()) } },
      "Play",
    );
    this.slider = make("input", {
      type: "range",
      min: "0",
      max: String(this.length - 1),
      step: "1",
      "aria-label": "Step",
      on: { input: () => this.move(Number(this.slider.value)) },
    });
    this.controls = make("div", { class: "controls" }, this.play, this.slider);
    this.position = make("p", { class: "position" });
  }

  buildPlots() {
    this.cursor = make("span", { class: "cursor" });
    const rows = [this.row(this.model.quantity ?? "answer", this.runningPlot())];
    for (const map of this.maps) {
      map.canvas = make("canvas", { role: "img", "aria-label": `${GATES[map.name] ?? map.name}: units by steps` });
      rows.push(this.row(map.name, map.canvas));
    }
    const area = make(
      "div",
      { class: "time" },
      ...rows,
      make("div", { class: "over", "aria-hidden": "true" }, this.cursor),
    );
    area.addEventListener("pointerdown", (event) => this.moveTo(event));
    area.addEventListener("pointermove", (event) => event.buttons === 1 && this.moveTo(event));
    this.plots = area;
    this.over = area.lastChild;
  }

  row(name, picture) {
    const label = make(
      "span",
      { class: "map-name" },
      GATES[name] ? make("b", {}, name) : name,
      GATES[name] ? ` ${GATES[name]}` : "",
    );
    return make("div", { class: "map" }, label, picture);
  }

  runningPlot() {
    const { steps, running, labels, label, quantity } = this.trace;
    const others = labels.filter((other) => other !== label);
    const chosen = labels.length <= MOST_LINES ? [label, ...others] : [label];
    this.colours = new Map(chosen.map((each, index) => [String(each), index]));
    const lines = chosen.map((each, colour) => ({
      values: steps.map((_, at) => running[at][labels.indexOf(each)]),
      x: steps,
      colour,
    }));
    const range = quantity === "probability" ? [-0.03, 1.03] : roomy(lines.flatMap((line) => line.values));
    return linePlot(lines, range, this.length);
  }

  paint() {
    for (const { canvas, name, values } of this.maps) drawHeatmap(canvas, values, SIGNED.has(name));
  }

  /** Moves because the user asked for it; others may follow. */
  move(step) {
    this.goTo(step);
    this.onStep(this.step, this.trace.tokens.length);
  }

  moveTo(event) {
    const box = this.over.getBoundingClientRect();
    const step = Math.floor((this.length * (event.clientX - box.left)) / box.width);
    if (event.clientX >= box.left) this.move(Math.min(this.length - 1, Math.max(0, step)));
  }

  goTo(step) {
    const { trace } = this;
    this.step = step;
    this.slider.value = String(step);
    const token = shorten(trace.tokens[step], 40);
    const at = trace.steps.findLastIndex((tested) => tested <= step);
    const answers = Object.fromEntries(trace.labels.map((label, index) => [label, trace.running[at][index]]));
    this.position.replaceChildren(
      `Step ${step + 1} of ${trace.tokens.length}: `,
      make("strong", {}, make("bdi", {}, token)),
      trace.steps[at] === step ? "" : ` (answer after step ${trace.steps[at] + 1})`,
    );
    this.running.replaceChildren(this.runningAnswer(answers));
    this.cursor.style.insetInlineStart = `${(100 * (step + 0.5)) / this.length}%`;
    this.means.replaceChildren(...this.meansAt(step));
    this.slider.setAttribute("aria-valuetext", `step ${step + 1}, ${token}: ${this.inWords(answers)}`);
    this.fillUnits();
  }

  runningAnswer(answers) {
    if (this.trace.quantity === "probability")
      return probabilityBars(answers, { colours: this.colours, most: MOST_LINES });
    return make("p", { class: "sure" }, this.inWords(answers));
  }

  inWords(answers) {
    if (this.trace.quantity !== "probability")
      return Object.entries(answers)
        .map(([name, value]) => `${visible(name)} ${number(value)}`)
        .join(", ");
    const [label, probability] = Object.entries(answers).sort((one, other) => other[1] - one[1])[0];
    return `${visible(label)} ${percent(probability)}`;
  }

  meansAt(step) {
    return Object.entries(this.trace.layers[0].means).map(([name, values]) =>
      make("span", {}, make("b", {}, name), ` ${number(values[step])}`),
    );
  }

  /** The table of all units, only while it is open: a large model has thousands of numbers. */
  fillUnits() {
    if (!this.all.open) return;
    const head = make(
      "tr",
      {},
      ...["unit", ...this.maps.map((map) => map.name)].map((name) => make("th", { scope: "col" }, name)),
    );
    const rows = this.maps[0].values[this.step].map((_, unit) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, String(unit + 1)),
        ...this.maps.map((map) => make("td", {}, number(map.values[this.step][unit]))),
      ),
    );
    this.units.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  start() {
    if (this.step === this.length - 1) this.move(0);
    this.play.textContent = "Pause";
    const wait = Math.min(STEP_MS, LONGEST_PLAY_MS / this.length);
    const stride = Math.max(1, Math.round(40 / wait)); // several steps at a time if 25 a second are too few
    this.timer = setInterval(
      () => {
        this.move(Math.min(this.length - 1, this.step + stride));
        if (this.step === this.length - 1) this.stop();
      },
      Math.max(40, wait),
    );
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.play) this.play.textContent = "Play";
  }
}
