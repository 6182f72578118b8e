// A list of answers, a place for each. What is sent is read from the buttons that are seen pressed.

import { $, $$, on } from "lib/dom";

export class Listwise {
  missing = "incomplete";
  #form;
  #words;
  #cards;
  #at = 0;
  #last = "1"; // the place given last, for a tie by one key

  constructor(form, words, { signal }) {
    this.#form = form;
    this.#words = words;
    this.#cards = $$(".card", form);
    on(form, "change", (event) => {
      const card = event.target.closest(".card");
      if (!card) return;
      this.#at = this.#cards.indexOf(card);
      if (event.target.value !== "x") this.#last = event.target.value;
      this.#show();
    }, { signal });
    on(form, "focusin", (event) => {
      const card = event.target.closest(".card");
      if (card) this.#go(this.#cards.indexOf(card), false);
    }, { signal });
    this.#go(0, false);
    this.#show();
  }

  /** Groups best first and the unusable ones, or null while an answer has no place. */
  body() {
    const read = this.#read();
    return read.unplaced.length ? null : { ranking: read.ranking, unusable: read.unusable };
  }

  draft() {
    const { ranking, unusable } = this.#read();
    return { ranking, unusable };
  }

  restore({ ranking = [], unusable = [] }) {
    ranking.forEach((group, n) => group.forEach((id) => this.#place(this.#card(id), String(n + 1))));
    unusable.forEach((id) => this.#place(this.#card(id), "x"));
    this.#show();
  }

  keys(acted) {
    const group = this.#words.judge;
    const give = (value) => {
      this.#place(this.#cards[this.#at], value);
      if (value !== "x") this.#last = value;
      this.#show();
      this.#go(Math.min(this.#at + 1, this.#cards.length - 1));
      acted(false);
    };
    const places = this.#cards.map((_, n) => String(n + 1)).slice(0, 9);
    return [
      { key: "ArrowUp ArrowDown k j", label: this.#words.answers, group,
        run: ({ key }) => this.#go(this.#at + (key === "ArrowDown" || key === "j" ? 1 : -1)) },
      { key: places.join(" "), label: this.#words.place, group, run: ({ key }) => give(key) },
      { key: "=", label: this.#words.same, group, run: () => give(this.#last) },
      { key: "x", label: this.#words.unusable, group, run: () => give("x") },
    ];
  }

  focus() {
    const card = this.#card(this.#read().unplaced[0]);
    this.#go(this.#cards.indexOf(card));
    $("input", card).focus();
  }

  #card(id) {
    return this.#cards.find((card) => Number(card.dataset.candidate) === Number(id));
  }

  #place(card, value) {
    const input = card && $(`input[value="${CSS.escape(value)}"]`, card);
    if (input) input.checked = true;
  }

  #go(to, scroll = true) {
    if (to < 0 || to >= this.#cards.length) return;
    this.#at = to;
    this.#cards.forEach((card, n) => card.toggleAttribute("data-current", n === to));
    if (scroll) this.#cards[to].scrollIntoView({ block: "nearest" });
  }

  #read() {
    const groups = new Map();
    const unusable = [];
    const unplaced = [];
    for (const card of this.#cards) {
      const id = Number(card.dataset.candidate);
      const value = $("input:checked", card)?.value;
      if (value === undefined) unplaced.push(id);
      else if (value === "x") unusable.push(id);
      else groups.set(Number(value), [...(groups.get(Number(value)) ?? []), id]);
    }
    const places = [...groups.keys()].sort((a, b) => a - b);
    return { ranking: places.map((place) => groups.get(place)), unusable, unplaced };
  }

  /** The order in words: "B › A = C   ✕ D". */
  #show() {
    const { ranking, unusable } = this.#read();
    const letter = (id) => this.#card(id).dataset.letter;
    const order = ranking.map((group) => group.map(letter).join(" = ")).join(" › ");
    const out = unusable.length ? `✕ ${unusable.map(letter).join(" ")}` : "";
    $("#ranked", this.#form).textContent = [order, out].filter(Boolean).join("   ") || "–";
  }
}
