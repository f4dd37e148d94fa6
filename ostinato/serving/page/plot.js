// Line plots: channels of a series, running answers, curves. Drawn in a stretched SVG; words around it are HTML.

import { makeSvg } from "./elements.js";

export const COLOURS = 6; // line classes in style.css: line-0 …

/**
 * A plot of lines over shared steps.
 *
 * @param {{values: number[], x?: number[], colour: number}[]} lines - y values, by default at 0, 1, 2, …
 * @param {[number, number]} range - the lowest and highest y
 * @param {number} [width] - the number of steps; each has its width, and its point lies in the middle
 */
export function linePlot(lines, range, width) {
  const steps = width ?? Math.max(...lines.map((line) => line.values.length));
  const svg = makeSvg("svg", {
    class: "plot",
    viewBox: `0 0 ${steps} 100`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  if (range[0] < 0 && range[1] > 0) svg.append(zero(range, steps));
  for (const line of lines)
    svg.append(makeSvg("polyline", { class: `line line-${line.colour % COLOURS}`, points: points(line, range) }));
  return svg;
}

export function points({ values, x }, [low, high]) {
  const height = (value) => (100 * (high - value)) / (high - low);
  const ends =
    values.length === 1
      ? [
          [-0.4, values[0]],
          [0.4, values[0]],
        ]
      : values.map((value, index) => [x ? x[index] : index, value]);
  return ends.map(([step, value]) => `${(step + 0.5).toFixed(2)},${height(value).toFixed(2)}`).join(" ");
}

/** The range of values with some room above and below. */
export function roomy(values, share = 0.1) {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  if (!Number.isFinite(low)) return [-1, 1];
  const room = high > low ? (high - low) * share : Math.abs(high) || 1;
  return [low - room, high + room];
}

function zero(range, steps) {
  const y = (100 * range[1]) / (range[1] - range[0]);
  return makeSvg("line", { class: "zero", x1: 0, x2: steps, y1: y, y2: y });
}
