// Long sequences: the answer is for all of them, contributions and steps for the beginning.

export const MOST_TOKENS = 2000; // that the service explains or traces
const TOKENS = /[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]/gu; // at least as many as any tokenizer of words finds

/** The beginning of an input as far as the service explains it; the input itself if it is short enough. */
export function beginning(model, input) {
  if (typeof input !== "string") return input.length > MOST_TOKENS ? input.slice(0, MOST_TOKENS) : input;
  if (model.kind === "symbols") return cutLetters(input);
  const next = [...input.matchAll(TOKENS)][MOST_TOKENS];
  return next === undefined ? input : input.slice(0, next.index);
}

/** Letters are code points; an emoji must not be cut in half. */
function cutLetters(text) {
  const letters = Array.from(text);
  return letters.length > MOST_TOKENS ? letters.slice(0, MOST_TOKENS).join("") : text;
}
