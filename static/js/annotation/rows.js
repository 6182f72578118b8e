// The rows of a page: groups of buttons, one of them current, answered by keys or by touch.
// The names and values are the server's (annotation/desk_rows.py).

import { $, $$, on } from "lib/dom";

export class Rows {
  rows;
  #form;
  #words;
  #at = -1;
  #onChange;

  constructor(form, words, { signal, onChange }) {
    this.#form = form;
    this.#words = words;
    this.#onChange = onChange;
    // The two questions about a pair come before what is asked of each answer.
    const late = (row) => (row.dataset.row === "harm" ? 1 : 0);
    this.rows = $$("[data-row]", form).toSorted((a, b) => late(a) - late(b));
    on(form, "focusin", "[data-row]", (_, row) => this.go(this.rows.indexOf(row), false), { signal });
    on(form, "change", "[data-row]", (_, row) => this.#changed(row), { signal });
    this.go(Math.max(0, this.#open()), false);
    this.#changed();
  }

  get current() {
    return this.rows[this.#at];
  }

  of(asks) {
    return this.rows.filter((row) => row.dataset.row === asks);
  }

  /** True when every row is answered; a step after a bad one may stay open. */
  complete() {
    return this.#open() < 0;
  }

  #open() {
    const broken = new Set(); // texts with a bad step: what follows it need not be judged
    return this.rows.findIndex((row) => {
      const value = valueOf(row);
      const text = row.dataset.row === "step" && (row.dataset.candidate ?? "turn");
      if (text && value === "-1") broken.add(text);
      return value === undefined && !(text && broken.has(text));
    });
  }

  keys(acted) {
    const group = this.#words.judge;
    const pressed = this.#presses();
    if (!this.rows.length) return [];
    const moving = this.rows.length > 1;
    return [
      moving && { key: "ArrowUp ArrowDown k j", label: this.#words.rows, group,
        run: ({ key }) => this.go(this.#at + (key === "ArrowDown" || key === "j" ? 1 : -1)) },
      { key: "ArrowLeft ArrowRight", label: this.#words.move, group,
        run: ({ key }) => this.#move(key === "ArrowRight" ? 1 : -1) },
      { key: pressed.join(" "), label: this.#words.choose_row, group,
        run: (event) => this.#press(event.key.toLowerCase(), acted) },
      this.of("step").length > 0 && { key: "c", label: this.#words.comment, group,
        run: () => $(".rows__said", this.current)?.focus() },
    ].filter(Boolean);
  }

  #presses() {
    const inputs = $$("[data-press]", this.#form);
    return [...new Set(inputs.flatMap((input) => input.dataset.press.split(" ")))];
  }

  #press(key, acted) {
    const input = $$("[data-press]", this.current)
      .find((one) => one.dataset.press.split(" ").includes(key));
    if (!input) return;
    const before = this.complete();
    input.checked = true;
    this.#changed(this.current);
    if (this.#at + 1 < this.rows.length) this.go(this.#at + 1);
    else if (!this.complete()) this.go(this.#open());
    // What was complete before is being changed, perhaps in several rows: Enter sends it.
    acted(this.complete() && (!before || this.rows.length === 1));
  }

  /** One choice to the left or right; the first press on the scale leaves the tie. */
  #move(by) {
    const inputs = $$('input:not([value="both_bad"])', this.current)
      .filter((input) => input.type === "radio");
    if (!inputs.length) return;
    const at = inputs.findIndex((input) => input.checked);
    const start = at >= 0 ? at : inputs.length === 7 ? 3 : by > 0 ? -1 : inputs.length;
    const input = inputs[Math.max(0, Math.min(inputs.length - 1, start + by))];
    input.checked = true;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    this.#changed(this.current);
  }

  go(to, scroll = true) {
    if (to < 0 || to >= this.rows.length) return;
    this.#at = to;
    this.rows.forEach((row, n) => row.toggleAttribute("data-current", n === to));
    if (scroll) {
      const row = this.rows[to];
      (row.closest(".trace__item") ?? row).scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    this.#onChange();
  }

  #changed(row) {
    this.#onChange(row);
  }

  focus() {
    this.go(Math.max(0, this.#open()));
    $("input", this.current)?.focus();
  }
}

export function valueOf(row) {
  return $("input:checked", row)?.value;
}
