// Rows of buttons beside an answer: attribute ratings, and principles with evidence.

import { $, $$, el, on } from "lib/dom";
import { selectedIn } from "annotation/offsets";

class Rows {
  missing = "incomplete";
  form;
  words;
  rows;
  #at = 0;

  constructor(form, words, { signal }) {
    this.form = form;
    this.words = words;
    this.rows = $$("[data-row]", form);
    on(form, "focusin", (event) => {
      const row = event.target.closest("[data-row]");
      if (row) this.go(this.rows.indexOf(row), false);
    }, { signal });
    on(form, "change", () => this.changed(), { signal });
    this.go(0, false);
  }

  get current() {
    return this.rows[this.#at];
  }

  value(row) {
    return $("input:checked", row)?.value;
  }

  set(row, value) {
    const input = row && $(`input[value="${CSS.escape(String(value))}"]`, row);
    if (input) input.checked = true;
  }

  find(candidate, name, value) {
    return this.rows.find((row) => row.dataset[name] === String(value)
      && this.candidate(row) === Number(candidate));
  }

  candidate(row) {
    return Number(row.closest("[data-candidate]").dataset.candidate);
  }

  /** True when the row under the keys was the last one without an answer. */
  give(value) {
    const row = this.current;
    this.set(row, value);
    this.changed(row);
    const open = this.rows.findIndex((other) => this.value(other) === undefined);
    if (open >= 0) this.go(this.#at + 1 < this.rows.length && this.value(this.rows[this.#at + 1]) === undefined
      ? this.#at + 1 : open);
    return open < 0;
  }

  go(to, scroll = true) {
    if (to < 0 || to >= this.rows.length) return;
    this.#at = to;
    this.rows.forEach((row, n) => row.toggleAttribute("data-current", n === to));
    if (scroll) this.rows[to].scrollIntoView({ block: "nearest" });
    this.changed();
  }

  step(key) {
    this.go(this.#at + (key === "ArrowDown" || key === "j" ? 1 : -1));
  }

  changed() {}

  focus() {
    const row = this.rows.find((one) => this.value(one) === undefined) ?? this.rows[0];
    this.go(this.rows.indexOf(row));
    $("input", row)?.focus();
  }

  complete() {
    return this.rows.every((row) => this.value(row) !== undefined);
  }

  moving() {
    return { key: "ArrowUp ArrowDown k j", label: this.words.rows, group: this.words.judge,
      run: ({ key }) => this.step(key) };
  }
}

export class Rating extends Rows {
  body() {
    return this.complete() ? this.draft() : null;
  }

  draft() {
    return {
      ratings: this.rows.filter((row) => this.value(row) !== undefined).map((row) => ({
        candidate: this.candidate(row), attribute: row.dataset.attribute,
        value: Number(this.value(row)),
      })),
    };
  }

  restore({ ratings = [] }) {
    for (const { candidate, attribute, value } of ratings) {
      this.set(this.find(candidate, "attribute", attribute), value);
    }
    this.go(Math.max(0, this.rows.findIndex((row) => this.value(row) === undefined)), false);
  }

  keys(acted) {
    return [this.moving(), { key: "0 1 2 3 4", label: this.words.rate, group: this.words.judge,
      run: ({ key }) => acted(this.give(key)) }];
  }
}

export class Principle extends Rows {
  #evidence = new Map(); // row -> { start, end, quote }

  body() {
    return this.complete() ? this.draft() : null;
  }

  draft() {
    return {
      verdicts: this.rows.filter((row) => this.value(row) !== undefined).map((row) => {
        const verdict = { candidate: this.candidate(row), principle: Number(row.dataset.principle),
          verdict: this.value(row) };
        const found = this.#evidence.get(row);
        if (found) verdict.evidence = { start: found.start, end: found.end };
        return verdict;
      }),
    };
  }

  restore({ verdicts = [] }) {
    for (const { candidate, principle, verdict, evidence } of verdicts) {
      const row = this.find(candidate, "principle", principle);
      this.set(row, verdict);
      if (row && evidence) this.#keep(row, evidence);
    }
    this.go(Math.max(0, this.rows.findIndex((row) => this.value(row) === undefined)), false);
  }

  keys(acted) {
    const group = this.words.judge;
    const say = (verdict) => {
      this.#take(this.current);
      acted(this.give(verdict));
    };
    return [
      { key: "y", label: this.words.yes, group, run: () => say("yes") },
      { key: "n", label: this.words.no, group, run: () => say("no") },
      { key: "a", label: this.words.na, group, run: () => say("na") },
      this.moving(),
    ];
  }

  changed() {
    const dots = $("#dots", this.form);
    dots?.replaceChildren(...this.rows.map((row) => el("span", {
      "data-done": this.value(row) !== undefined, "aria-current": row.hasAttribute("data-current"),
    })));
    // A choice by mouse takes the selection as its evidence, too.
    const row = document.activeElement?.closest?.("[data-row]");
    if (row) this.#take(row);
  }

  #take(row) {
    const raw = $("[data-raw]", row.closest("[data-candidate]"));
    const found = selectedIn(raw);
    if (!found) return;
    this.#keep(row, found);
    getSelection().removeAllRanges();
  }

  #keep(row, { start, end }) {
    const raw = $("[data-raw]", row.closest("[data-candidate]"));
    const quote = [...raw.textContent].slice(start, end).join("");
    this.#evidence.set(row, { start, end });
    const line = $("[data-evidence]", row);
    line.hidden = false;
    line.textContent = `${this.words.evidence} “${quote}”`;
  }
}
