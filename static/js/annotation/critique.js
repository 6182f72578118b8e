// Critique and correction, with the changes shown word by word.

import { $, el, on } from "lib/dom";

const LONGEST = 4000; // words; beyond it the comparison would hold the page

export class Critique {
  missing = "write";
  #form;
  #corrected;

  constructor(form, _words, { signal }) {
    this.#form = form;
    this.#corrected = $("[name=corrected]", form);
    const start = $("#start-from", form);
    start.hidden = false;
    on(start, "click", () => {
      this.#corrected.value = this.#corrected.dataset.original;
      this.#corrected.dispatchEvent(new Event("input", { bubbles: true }));
      this.#corrected.focus();
    }, { signal });
    on(this.#corrected, "input", () => this.#diff(), { signal });
    this.#diff();
  }

  body() {
    const { critique, corrected } = this.draft();
    return critique.trim() || corrected.trim() ? this.draft() : null;
  }

  draft() {
    const data = new FormData(this.#form);
    return { candidate: Number(data.get("candidate")), critique: data.get("critique"),
      corrected: data.get("corrected") };
  }

  restore() {}

  keys() {
    return [];
  }

  focus() {
    $("[name=critique]", this.#form).focus();
  }

  #diff() {
    const node = $("#diff", this.#form);
    const before = this.#corrected.dataset.original.match(/\s+|\S+/g) ?? [];
    const after = this.#corrected.value.match(/\s+|\S+/g) ?? [];
    if (!after.length || before.length > LONGEST || after.length > LONGEST) return node.replaceChildren();
    return node.replaceChildren(...changes(before, after).map(([kind, words]) =>
      kind === "same" ? words.join("") : el(kind, {}, words.join(""))));
  }
}

/** Longest common subsequence of words as runs of ["same" | "del" | "ins", words]. */
function changes(before, after) {
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
