// Two answers to one input, compared in a sentence.

import { confidence, headline } from "./answer.js";
import { count, number, visible } from "./elements.js";

/** How two answers differ. Each side has a `model` and its `answer`; null if one is missing. */
export function comparison(one, other) {
  if (!one.answer || !other.answer) return null;
  if ("tags" in one.answer && "tags" in other.answer) return tagDifference(one.answer.tags, other.answer.tags);
  const [first, second] = [headline(one.answer), headline(other.answer)];
  if ("prediction" in one.answer && "prediction" in other.answer) {
    const difference = Math.abs(one.answer.prediction - other.answer.prediction);
    return `The predictions differ by ${number(difference)}: ${first} and ${second}.`;
  }
  const says = (side, words) => [visible(side.model.name), "says", words, sure(side.answer)].filter(Boolean).join(" ");
  if (first === second) return `Both answer ${first}${both(one.answer, other.answer)}.`;
  return `The models disagree: ${says(one, first)}; ${says(other, second)}.`;
}

function both(one, other) {
  const found = [confidence(one), confidence(other)];
  return found.includes(null) ? "" : `, at ${found[0]} and ${found[1]}`;
}

function sure(answer) {
  const found = confidence(answer);
  return found === null ? null : `(${found})`;
}

function tagDifference(one, other) {
  if (one.length !== other.length)
    return `The models split the text differently: into ${count(one.length, "word")} and ${other.length}.`;
  const different = one.filter((tag, index) => tag !== other[index]).length;
  return different === 0
    ? "Both find the same tags."
    : `The tags differ at ${different} of ${count(one.length, "word")}.`;
}
