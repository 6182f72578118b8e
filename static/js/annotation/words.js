// Two texts compared word by word.

const LONGEST = 4000; // words; beyond it the comparison would hold the page

/** Words and the white space between them. */
export const wordsOf = (text) => text.match(/\s+|\S+/g) ?? [];

/**
 * Runs of ["same" | "del" | "ins", words] by the longest common subsequence; null when a text is
 * too long to compare.
 */
export function changes(before, after) {
  if (before.length > LONGEST || after.length > LONGEST) return null;
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let tail = 0;
  while (tail < before.length - start && tail < after.length - start
    && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const a = before.slice(start, before.length - tail);
  const b = after.slice(start, after.length - tail);
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
        : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const runs = [];
  const add = (kind, word) => {
    if (runs.at(-1)?.[0] === kind) runs.at(-1)[1].push(word);
    else runs.push([kind, [word]]);
  };
  before.slice(0, start).forEach((word) => add("same", word));
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add("same", a[i]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      add("del", a[i]);
      i += 1;
    } else {
      add("ins", b[j]);
      j += 1;
    }
  }
  before.slice(before.length - tail).forEach((word) => add("same", word));
  return runs;
}
