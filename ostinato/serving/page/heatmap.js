// Units × steps as a picture, one pixel each; the page's style stretches it.

/** Draws values[step][unit] onto a canvas. Signed values run from blue to orange, others from background to accent. */
export function drawHeatmap(canvas, values, isSigned) {
  const units = values[0].length;
  canvas.width = values.length;
  canvas.height = units;
  const colours = palette(canvas);
  const high = isSigned
    ? values.reduce((most, step) => step.reduce((top, value) => Math.max(top, Math.abs(value)), most), 0) || 1
    : 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(values.length, units);
  values.forEach((step, x) =>
    step.forEach((value, y) => {
      const top = value >= 0 ? (isSigned ? colours.for : colours.accent) : colours.against;
      const share = Math.min(1, Math.abs(value) / high);
      const at = 4 * (y * values.length + x);
      for (let part = 0; part < 3; part += 1)
        image.data[at + part] = colours.ground[part] + share * (top[part] - colours.ground[part]);
      image.data[at + 3] = 255;
    }),
  );
  context.putImageData(image, 0, 0);
}

/** The colours of the current scheme, from the style sheet. */
function palette(element) {
  const style = getComputedStyle(element.isConnected ? element : document.documentElement);
  const colour = (name) => parse(style.getPropertyValue(name).trim());
  return {
    ground: colour("--surface"),
    accent: colour("--accent"),
    for: colour("--for"),
    against: colour("--against"),
  };
}

/** [red, green, blue] of a colour written as #rrggbb. */
function parse(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
