// Marks on the raw text: select, choose the fault, edit in the list. Overlaps stay readable because
// the text is drawn in pieces, each carrying all marks that cover it.

import { $, $$, announce, el, fill, on, toast } from "lib/dom";
import { selectedIn, slice } from "annotation/offsets";

export class Span {
  #form;
  #words;
  #raw = new Map(); // candidate id -> { node, text }
  #spans = [];
  #missing = [];
  #current;
  #series = {};

  constructor(form, words, { signal }) {
    this.#form = form;
    this.#words = words;
    for (const card of $$("[data-candidate]", form)) {
      const node = $("[data-raw]", card);
      this.#raw.set(Number(card.dataset.candidate), { node, text: node.textContent, list: $("[data-marks]", card) });
    }
    this.#current = [...this.#raw.keys()][0];
    for (const button of $$("[data-category]", form)) this.#series[button.dataset.category] = button.dataset.series;
    // The selection must outlive the press of the button.
    on(form, "pointerdown", "[data-category], [data-missing]", (event) => event.preventDefault(), { signal });
    on(form, "click", "[data-category]", (_, button) => this.#mark(button.dataset.category), { signal });
    on(form, "click", "[data-missing]", (_, button) => this.#lack(button.dataset.missing), { signal });
    on(form, "click", "[data-remove]", (_, button) => this.#remove(button.closest("li")), { signal });
    on(form, "input", "[data-severity], [data-comment]", (_, field) => this.#edit(field), { signal });
    on(form, "focusin", (event) => {
      const card = event.target.closest("[data-candidate]");
      if (card) this.#current = Number(card.dataset.candidate);
    }, { signal });
    this.#draw();
  }

  /** Nothing marked is an answer, too. */
  body() {
    return this.draft();
  }

  draft() {
    return { spans: this.#spans.map((span) => ({ ...span })), missing: this.#missing.map((one) => ({ ...one })) };
  }

  restore({ spans = [], missing = [] }) {
    this.#spans = spans;
    this.#missing = missing;
    this.#draw();
  }

  keys(acted) {
    const categories = $$("[data-category]", this.#form).slice(0, 9).map((one) => one.dataset.category);
    return [{ key: categories.map((_, n) => String(n + 1)).join(" "), label: this.#words.fault,
      group: this.#words.judge, run: ({ key }) => {
        this.#mark(categories[Number(key) - 1]);
        acted(false);
      } }];
  }

  focus() {
    $(".card__text", this.#form).focus();
  }

  #mark(category) {
    for (const [candidate, { node, text }] of this.#raw) {
      const found = selectedIn(node);
      if (!found) continue;
      this.#spans.push({ candidate, ...found, category, severity: 1, comment: "",
        quote: slice(text, found.start, found.end) });
      getSelection().removeAllRanges();
      this.#draw();
      announce(`${category}: ${slice(text, found.start, found.end)}`);
      return this.#changed();
    }
    return toast(this.#words.select);
  }

  #lack(category) {
    this.#missing.push({ candidate: this.#current, category, comment: "" });
    this.#draw();
    this.#changed();
    $$("[data-comment]", this.#raw.get(this.#current).list).at(-1)?.focus();
  }

  #of(item) {
    const list = item.dataset.list === "missing" ? this.#missing : this.#spans;
    return [list, Number(item.dataset.at)];
  }

  #remove(item) {
    const [list, at] = this.#of(item);
    list.splice(at, 1);
    this.#draw();
    this.#changed();
  }

  #edit(field) {
    const [list, at] = this.#of(field.closest("li"));
    if (field.hasAttribute("data-severity")) list[at].severity = Number(field.value);
    else list[at].comment = field.value;
  }

  #changed() {
    this.#form.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #draw() {
    for (const [candidate, { node, text, list }] of this.#raw) {
      const own = this.#spans.filter((span) => span.candidate === candidate);
      const points = [...text];
      const cuts = [...new Set([0, points.length, ...own.flatMap(({ start, end }) => [start, end])])]
        .sort((a, b) => a - b);
      node.replaceChildren(...cuts.slice(0, -1).map((start, n) => {
        const end = cuts[n + 1];
        const piece = points.slice(start, end).join("");
        const over = own.filter((span) => span.start <= start && span.end >= end);
        if (!over.length) return piece;
        const series = this.#series[over.at(-1).category] ?? "1";
        return el("mark", { class: "span", "data-series": series, "data-depth": Math.min(over.length, 3),
          title: over.map((span) => span.category).join(", ") }, piece);
      }));
      const items = [
        ...this.#spans.map((span, at) => [span, at, "spans"]),
        ...this.#missing.map((one, at) => [one, at, "missing"]),
      ].filter(([{ candidate: whose }]) => whose === candidate);
      list.replaceChildren(...items.map(([one, at, name]) => this.#item(one, at, name)));
    }
  }

  #item(one, at, name) {
    const missing = name === "missing";
    const item = fill("mark", {
      category: missing ? `+ ${one.category}` : one.category,
      quote: missing ? "" : one.quote ?? slice(this.#raw.get(one.candidate).text, one.start, one.end),
    });
    item.dataset.list = name;
    item.dataset.at = at;
    item.dataset.series = this.#series[one.category] ?? "";
    $("[data-comment]", item).value = one.comment ?? "";
    if (missing) {
      $("[data-severity]", item).remove();
      $("q", item).remove();
    } else $("[data-severity]", item).value = String(one.severity ?? 1);
    return item;
  }
}
