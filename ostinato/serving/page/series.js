// A numeric series as plots that can be drawn on, one for each channel, and as text with one step per line.

import { count, make, number } from "./elements.js";
import { linePlot, points, roomy } from "./plot.js";

const LONGEST = 5000; // steps; longer series come from programs
const KEYS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
  PageUp: [0, 10],
  PageDown: [0, -10],
};

/** The steps of a series, each a list of numbers. */
export function asSteps(series) {
  return series.map((step) => (Array.isArray(step) ? step.map(Number) : [Number(step)]));
}

/** Steps of numbers from text. Throws an Error that names the line. */
export function parseSteps(text, channels) {
  const lines = text.split("\n").map((line) => line.trim());
  const steps = lines.flatMap((line, index) => (line === "" ? [] : [parseLine(line, index + 1, channels)]));
  if (steps.length > LONGEST)
    throw new Error(
      `${count(steps.length, "step")} are too many to draw. Use at most ${LONGEST.toLocaleString("en")}.`,
    );
  return steps;
}

function parseLine(line, row, channels) {
  const parts = line.split(/[\s,;]+/).filter(Boolean);
  const wrong = parts.find((part) => !Number.isFinite(Number(part)));
  if (wrong !== undefined) throw new Error(`Line ${row}: “${wrong.slice(0, 40)}” is not a number.`);
  if (parts.length !== channels)
    throw new Error(`Line ${row} has ${count(parts.length, "number")}. Write ${channels} in each line.`);
  return parts.map(Number);
}

export class SeriesEditor {
  /** @param {HTMLElement} container @param {() => void} onChange - called after each change by the user */
  constructor(container, onChange) {
    this.container = container;
    this.onChange = onChange;
    this.steps = [];
  }

  /** Shows a series: the plots, the length, and the numbers. */
  show(series, channels) {
    this.steps = asSteps(series);
    this.channels = channels;
    this.ranges = Array.from({ length: channels }, (_, channel) => roomy(this.values(channel), 0.25));
    this.plots = this.ranges.map((_, channel) => this.makePlot(channel));
    this.readout = make(
      "p",
      { class: "hint readout" },
      "Draw with the pointer, or focus a plot: ← → move, ↑ ↓ change the value. Or edit the numbers.",
    );
    this.container.replaceChildren(
      make("div", { class: "channels" }, ...this.plots.map((plot) => plot.element)),
      this.readout,
      this.makeNumbers(),
    );
  }

  values(channel) {
    return this.steps.map((step) => step[channel]);
  }

  value() {
    return this.channels === 1 ? this.steps.map(([value]) => value) : this.steps;
  }

  makePlot(channel) {
    const svg = linePlot([{ values: this.values(channel), colour: channel }], this.ranges[channel]);
    const cursor = make("span", { class: "cursor", hidden: true });
    const surface = make(
      "div",
      {
        class: "surface",
        tabIndex: 0,
        role: "application",
        "aria-roledescription": "drawable plot",
        "aria-label": `Channel ${channel + 1}: left and right arrows move, up and down arrows change the value`,
      },
      svg,
      cursor,
    );
    const plot = { channel, at: 0, last: null, svg, cursor, surface };
    surface.addEventListener("pointerdown", (event) => this.startDrawing(plot, event));
    surface.addEventListener("pointermove", (event) => plot.last !== null && this.draw(plot, event));
    for (const end of ["pointerup", "pointercancel"])
      surface.addEventListener(end, () => {
        plot.last = null;
      });
    surface.addEventListener("keydown", (event) => this.press(plot, event));
    const [low, high] = this.ranges[channel];
    const scale = make(
      "span",
      { class: "scale", "aria-hidden": "true" },
      make("span", {}, number(high)),
      make("span", {}, number(low)),
    );
    plot.element = make(
      "div",
      { class: "channel" },
      make("span", { class: "channel-name" }, `Channel ${channel + 1}`),
      scale,
      surface,
    );
    return plot;
  }

  startDrawing(plot, event) {
    if (event.button !== 0 || !this.steps.length) return;
    event.preventDefault();
    plot.surface.focus({ preventScroll: true });
    plot.surface.setPointerCapture(event.pointerId);
    this.draw(plot, event);
  }

  /** Sets the step under the pointer, and those that a fast pointer skipped. */
  draw(plot, event) {
    const box = plot.surface.getBoundingClientRect();
    const [low, high] = this.ranges[plot.channel];
    const share = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    const point = {
      step: this.limit(Math.floor((this.steps.length * (event.clientX - box.left)) / box.width)),
      value: rounded(high - share * (high - low)),
    };
    const from = plot.last ?? point;
    const distance = Math.abs(point.step - from.step);
    for (let moved = 0; moved <= distance; moved += 1) {
      const part = distance ? moved / distance : 1;
      this.steps[Math.round(from.step + part * (point.step - from.step))][plot.channel] = rounded(
        from.value + part * (point.value - from.value),
      );
    }
    plot.last = point;
    plot.at = point.step;
    this.changed(plot);
  }

  press(plot, event) {
    const move = KEYS[event.key];
    const end = { Home: 0, End: this.steps.length - 1 }[event.key];
    if ((!move && end === undefined) || !this.steps.length) return;
    event.preventDefault();
    plot.at = this.limit(end ?? plot.at + move[0]);
    if (!move?.[1]) return this.point(plot);
    const [low, high] = this.ranges[plot.channel];
    const value = this.steps[plot.at][plot.channel] + (move[1] * (high - low)) / 40;
    this.steps[plot.at][plot.channel] = rounded(Math.min(high, Math.max(low, value)));
    this.changed(plot);
  }

  limit(step) {
    return Math.min(this.steps.length - 1, Math.max(0, step));
  }

  changed(plot) {
    plot.svg
      .querySelector("polyline")
      .setAttribute("points", points({ values: this.values(plot.channel) }, this.ranges[plot.channel]));
    this.point(plot);
    this.numbers.value = this.text();
    this.onChange();
  }

  point(plot) {
    plot.cursor.hidden = false;
    plot.cursor.style.insetInlineStart = `${(100 * (plot.at + 0.5)) / this.steps.length}%`;
    const value = number(this.steps[plot.at][plot.channel]);
    this.readout.textContent = `Channel ${plot.channel + 1}, step ${plot.at + 1} of ${this.steps.length}: ${value}`;
    this.readout.setAttribute("aria-live", "polite");
  }

  text() {
    return this.steps.map((step) => step.join(", ")).join("\n");
  }

  makeNumbers() {
    this.numbers = make("textarea", {
      rows: 6,
      spellcheck: false,
      value: this.text(),
      class: "letters",
      on: { input: () => this.read() },
    });
    this.wrong = make("p", { class: "refused", role: "alert", hidden: true });
    const label = make(
      "label",
      { class: "field" },
      "One step per line, its channels separated by commas",
      this.numbers,
    );
    return make("details", {}, make("summary", {}, "Numbers"), label, this.wrong);
  }

  /** Takes over the numbers as typed; the plots are drawn again, and the text field stays. */
  read() {
    try {
      this.steps = parseSteps(this.numbers.value, this.channels);
    } catch (error) {
      this.wrong.textContent = error.message;
      this.wrong.hidden = false;
      return;
    }
    this.wrong.hidden = true;
    this.ranges = this.ranges.map((_, channel) => roomy(this.values(channel), 0.25));
    this.plots = this.ranges.map((_, channel) => this.makePlot(channel));
    this.container.querySelector(".channels").replaceChildren(...this.plots.map((plot) => plot.element));
    this.onChange();
  }
}

function rounded(value) {
  return Number(value.toPrecision(4));
}
