// Marks on the raw text: pick, choose the fault, edit in the list. Overlaps stay readable because
// each mark is drawn in a lane of its own under the words it covers.

import { $, $$, announce, el, fill, on, toast } from "lib/dom";
import { slice } from "annotation/offsets";

const LANE = 3; // pixels

export class Span {
  #form;
  #words;
  #picker;
  #spans = [];
  #missing = [];
  #at = null; // the mark under the keys
  #series = {};

  constructor(form, words, picker, { signal, said }) {
    this.#form = form;
    this.#words = words;
    this.#picker = picker;
    for (const button of $$("[data-category]", form)) {
      this.#series[button.dataset.category] = (Number(button.dataset.series) - 1) % 6 + 1;
    }
    // What was picked must outlive the press of the button.
    on(form, "pointerdown", "[data-category], [data-missing]", (event) => event.preventDefault(), { signal });
    on(form, "click", "[data-category]", (_, button) => this.#mark(button.dataset.category), { signal });
    on(form, "click", "[data-missing]", (_, button) => this.#lack(button.dataset.missing), { signal });
    on(form, "click", "[data-remove]", (_, button) => this.#remove(this.#markOf(button)), { signal });
    on(form, "click", "mark", (_, node) => this.#point(node), { signal });
    on(form, "focusin", "[data-marks] > li", (_, item) => this.#go(this.#markOf(item)), { signal });
    on(form, "input", "[data-severity], [data-comment]", (_, field) => this.#edit(field), { signal });
    const known = (one) => picker.raws.has(one.candidate);
    this.#spans = (said.spans ?? []).filter(known);
    this.#missing = (said.missing ?? []).filter(known);
    this.#draw();
  }

  answer() {
    return { spans: this.#spans.map((span) => ({ ...span })), missing: this.#missing.map((one) => ({ ...one })) };
  }

  /** Nothing marked is an answer, too. */
  complete() {
    return true;
  }

  keys(acted, { alone }) {
    const group = this.#words.judge;
    const categories = $$("[data-category]", this.#form).slice(0, 9).map((one) => one.dataset.category);
    const marked = () => this.#at !== null;
    return [
      { key: categories.map((_, n) => String(n + 1)).join(" "), label: this.#words.fault, group,
        when: () => alone || this.#picker.take() !== null, run: ({ key }) => {
          this.#mark(categories[Number(key) - 1]);
          acted(false);
        } },
      alone && { key: "ArrowUp ArrowDown k j", label: this.#words.marks, group,
        run: ({ key }) => this.#next(key === "ArrowDown" || key === "j" ? 1 : -1) },
      { key: "v", label: this.#words.severity, group, when: marked, run: () => this.#worse() },
      { key: "c", label: this.#words.comment, group, when: marked,
        run: () => $("[data-comment]", this.#itemOf(this.#at))?.focus() },
      { key: "x Backspace Delete", label: this.#words.unmark, group, when: marked,
        run: () => this.#remove(this.#at) },
      { key: "m", label: this.#words.lack, group, run: () => $("[data-missing]", this.#form).focus() },
    ].filter(Boolean);
  }

  focus() {
    $(".card__text", this.#form).focus();
  }

  get #all() {
    return [...this.#spans, ...this.#missing];
  }

  #markOf(node) {
    return this.#all[Number(node.closest("li").dataset.at)];
  }

  #itemOf(mark) {
    return $(`[data-marks] > [data-at="${this.#all.indexOf(mark)}"]`, this.#form);
  }

  // Making and changing marks -------------------------------------------------------------------

  #mark(category) {
    const pick = this.#picker.take();
    const { quote } = this.#picker;
    if (!pick) return toast(this.#words.select);
    const span = { ...pick, category, severity: 1, comment: "", quote };
    this.#spans.push(span);
    this.#at = span;
    this.#picker.clear();
    this.#draw();
    announce(`${category}: ${quote}`);
    return this.#changed();
  }

  #lack(category) {
    const missing = { candidate: this.#picker.current, category, comment: "" };
    this.#missing.push(missing);
    this.#at = missing;
    this.#draw();
    this.#changed();
    $("[data-comment]", this.#itemOf(missing))?.focus();
  }

  #remove(mark) {
    const list = this.#spans.includes(mark) ? this.#spans : this.#missing;
    list.splice(list.indexOf(mark), 1);
    this.#at = null;
    this.#draw();
    this.#changed();
  }

  #edit(field) {
    const mark = this.#markOf(field);
    if (field.hasAttribute("data-severity")) mark.severity = Number(field.value);
    else mark.comment = field.value;
  }

  #worse() {
    if (this.#at.severity === undefined) return;
    this.#at.severity = this.#at.severity % 3 + 1;
    const field = $("[data-severity]", this.#itemOf(this.#at));
    field.value = String(this.#at.severity);
    announce(field.selectedOptions[0].textContent);
    this.#changed();
  }

  #changed() {
    this.#form.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Going from mark to mark ---------------------------------------------------------------------

  #next(by) {
    const marks = this.#all;
    if (!marks.length) return;
    const at = marks.indexOf(this.#at);
    this.#go(marks[Math.max(0, Math.min(marks.length - 1, at < 0 ? 0 : at + by))]);
    this.#itemOf(this.#at).scrollIntoView({ block: "nearest" });
  }

  #point(node) {
    const over = node.dataset.over.split(" ").map((n) => this.#spans[Number(n)]);
    this.#go(over.at(over.indexOf(this.#at) - 1)); // a second press takes the one below
    this.#itemOf(this.#at).scrollIntoView({ block: "nearest" });
  }

  #go(mark) {
    this.#at = mark;
    const at = this.#all.indexOf(mark);
    for (const item of $$("[data-marks] > li", this.#form)) {
      item.toggleAttribute("data-current", Number(item.dataset.at) === at);
    }
    for (const node of $$("mark", this.#form)) {
      node.toggleAttribute("data-current", node.dataset.over.split(" ").includes(String(at)));
    }
  }

  // Drawing -------------------------------------------------------------------------------------

  #draw() {
    for (const [candidate, { node, text }] of this.#picker.raws) {
      const own = this.#spans.filter((span) => span.candidate === candidate);
      const lanes = lanesOf(own);
      node.style.setProperty("--lanes", String(Math.max(1, ...[...lanes.values()].map((lane) => lane + 1))));
      const points = [...text];
      const cuts = [...new Set([0, points.length, ...own.flatMap(({ start, end }) => [start, end])])]
        .sort((a, b) => a - b);
      node.replaceChildren(...cuts.slice(0, -1).map((start, n) => {
        const piece = points.slice(start, cuts[n + 1]).join("");
        const over = own.filter((span) => span.start <= start && span.end >= cuts[n + 1]);
        return over.length ? this.#piece(piece, over, lanes) : piece;
      }));
      const list = $("[data-marks]", node.closest("[data-answer]"));
      list.replaceChildren(...this.#all.map((mark, at) => [mark, at])
        .filter(([mark]) => mark.candidate === candidate).map(([mark, at]) => this.#item(mark, at)));
    }
    this.#go(this.#at);
  }

  #piece(text, over, lanes) {
    const node = el("mark", { class: "span", "data-over": over.map((span) => this.#spans.indexOf(span)).join(" "),
      title: over.map((span) => span.category).join(", ") }, text);
    const tone = (span) => `var(--series-${this.#series[span.category] ?? 1})`;
    node.style.backgroundImage = over.map((span) => `linear-gradient(${tone(span)} 0 0)`).join(", ");
    node.style.backgroundPosition = over
      .map((span) => `0 calc(100% - ${lanes.get(span) * LANE}px)`).join(", ");
    node.style.setProperty("--tone", tone(over.at(-1)));
    return node;
  }

  #item(mark, at) {
    const missing = this.#missing.includes(mark);
    const item = fill("mark", {
      category: missing ? `+ ${mark.category}` : mark.category,
      quote: missing ? "" : slice(this.#picker.raws.get(mark.candidate).text, mark.start, mark.end),
    });
    item.dataset.at = at;
    item.dataset.series = this.#series[mark.category] ?? "";
    $("[data-comment]", item).value = mark.comment ?? "";
    if (missing) {
      $("[data-severity]", item).remove();
      $("q", item).remove();
    } else $("[data-severity]", item).value = String(mark.severity ?? 1);
    return item;
  }
}

/** The first lane that is free where each mark begins. */
function lanesOf(spans) {
  const lanes = new Map();
  const ends = [];
  for (const span of spans.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    let lane = ends.findIndex((end) => end <= span.start);
    if (lane < 0) lane = ends.length;
    ends[lane] = span.end;
    lanes.set(span, lane);
  }
  return lanes;
}
