// The windows of letters (DNA, protein) with the highest contribution.

const WIDTH = 8; // letters; most binding sites and motifs have 6 to 12
const MOST = 3; // windows
const WORTH = 0.5; // of the best window's score: weaker windows are not shown

/**
 * Windows that do not overlap, the best first, as `{start, end, score}`; `end` is exclusive, and the score is the sum.
 * A sequence that is hardly longer than a window has none.
 */
export function bestWindows(scores, width = WIDTH) {
  if (scores.length < 2 * width) return [];
  const sums = [];
  let sum = scores.slice(0, width).reduce((total, score) => total + score, 0);
  for (let start = 0; start + width <= scores.length; start += 1) {
    sums.push({ start, end: start + width, score: sum });
    sum += (scores[start + width] ?? 0) - scores[start];
  }
  sums.sort((one, other) => other.score - one.score || one.start - other.start);
  const found = [];
  for (const window of sums) {
    if (found.length === MOST || window.score <= 0 || window.score < WORTH * sums[0].score) break;
    if (found.every((other) => window.end <= other.start || window.start >= other.end)) found.push(window);
  }
  return found;
}
