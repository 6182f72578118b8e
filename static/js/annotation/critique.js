// Critique and correction, with the changes shown word by word.

import { $, $$, el, on } from "lib/dom";
import { changes, wordsOf } from "annotation/words";

export class Critique {
  #form;
  #words;
  #corrected;

  constructor(form, words, { signal }) {
    this.#form = form;
    this.#words = words;
    this.#corrected = $("[name=corrected]", form);
    const start = $("#start-from", form);
    start.hidden = false;
    on(start, "click", () => {
      this.#corrected.value = this.#original;
      this.#corrected.dispatchEvent(new Event("input", { bubbles: true }));
      this.#corrected.focus();
    }, { signal });
    on(this.#corrected, "input", () => this.#diff(), { signal });
    on(form, "change", "[name=candidate]", () => this.#diff(), { signal });
    this.#diff();
  }

  answer() {
    const data = new FormData(this.#form);
    return { candidate: Number(data.get("candidate")), critique: data.get("critique"),
      corrected: data.get("corrected") };
  }

  complete() {
    const { critique, corrected } = this.answer();
    return Boolean(critique.trim() || corrected.trim());
  }

  keys() {
    const group = this.#words.judge;
    return [
      { key: "c", label: this.#words.critique, group, run: () => this.focus() },
      { key: "e", label: this.#words.correct, group, run: () => this.#corrected.focus() },
    ];
  }

  focus() {
    $("[name=critique]", this.#form).focus();
  }

  get #original() {
    const chosen = new FormData(this.#form).get("candidate");
    return $$("[data-original]", this.#form)
      .find((one) => one.dataset.original === chosen)?.content.textContent ?? "";
  }

  #diff() {
    const after = wordsOf(this.#corrected.value);
    const runs = after.length ? changes(wordsOf(this.#original), after) : null;
    $("#diff", this.#form).replaceChildren(...(runs ?? []).map(([kind, words]) =>
      kind === "same" ? words.join("") : el(kind, {}, words.join(""))));
  }
}
