// Picking a stretch of raw text: by mouse, by touch (tap a word, tap another to stretch it), or by
// keys (arrows go from word to word, Shift stretches). By sentence, all three take whole ones.

import { $, $$, on } from "lib/dom";
import { codePoints } from "lib/format";
import { offsetOf, rangeOf, selectedIn, slice } from "annotation/offsets";

export class Picker {
  raws = new Map(); // candidate id -> { node, text }
  pick = null; // { candidate, start, end }
  #form;
  #words;
  #bySentence = false;
  #anchor = null; // the unit from which Shift stretches
  #tapped = false;
  #units = new Map();
  #current;

  constructor(form, words, { signal }) {
    this.#form = form;
    this.#words = words;
    for (const answer of $$("[data-answer]", form)) {
      const node = $("[data-raw]", answer);
      if (node) this.raws.set(Number(answer.dataset.answer), { node, text: node.textContent });
    }
    this.#current = [...this.raws.keys()][0];
    on(document, "selectionchange", () => this.#onSelection(), { signal });
    on(form, "pointerup", "[data-raw]", (event, node) => this.#tap(event, node), { signal });
    on(form, "focusin", "[data-answer]", (_, answer) => {
      if (this.raws.has(Number(answer.dataset.answer))) this.#current = Number(answer.dataset.answer);
    }, { signal });
    const mode = $("#by-sentence", form);
    if (mode) {
      on(mode, "click", () => {
        this.#bySentence = !this.#bySentence;
        mode.setAttribute("aria-pressed", String(this.#bySentence));
        this.#units.clear();
        if (this.pick) this.#set(this.#snapped(this.pick));
      }, { signal });
    }
    on(signal, "abort", () => CSS.highlights?.delete("picked"));
  }

  /** The answer under the keys, for marks that have no place in the text. */
  get current() {
    return this.pick?.candidate ?? this.#current;
  }

  get quote() {
    return this.pick && slice(this.raws.get(this.pick.candidate).text, this.pick.start, this.pick.end);
  }

  /** What is picked now; the browser tells of a selection a moment later than it shows it. */
  take() {
    this.#onSelection();
    return this.pick;
  }

  clear() {
    this.pick = null;
    this.#anchor = null;
    this.#tapped = false;
    getSelection().removeAllRanges();
    this.#paint();
  }

  keys({ when }) {
    return [{ key: "ArrowLeft ArrowRight", label: this.#words.pick, group: this.#words.judge, when,
      run: (event) => this.#step(event.key === "ArrowRight" ? 1 : -1, event.shiftKey) }];
  }

  // Mouse and touch -----------------------------------------------------------------------------

  #onSelection() {
    for (const [candidate, { node }] of this.raws) {
      const found = selectedIn(node);
      if (found) {
        this.#tapped = false;
        this.#anchor = null;
        this.#set(this.#snapped({ candidate, ...found }), { paint: this.#bySentence });
        return;
      }
    }
    // A press on a button may take the browser's selection away; what was picked stays.
  }

  #tap(event, node) {
    if (!getSelection().isCollapsed) return;
    if (event.pointerType === "mouse" && !this.#bySentence) return this.clear();
    const caret = document.caretPositionFromPoint?.(event.clientX, event.clientY);
    if (!caret || !node.contains(caret.offsetNode)) return;
    const candidate = [...this.raws].find(([, raw]) => raw.node === node)[0];
    const at = offsetOf(node, caret.offsetNode, caret.offset);
    const unit = this.#unitsOf(candidate).find(({ start, end }) => at >= start && at <= end);
    if (!unit) return;
    const pick = this.pick?.candidate === candidate && this.#tapped ? this.pick : null;
    if (pick && at >= pick.start && at <= pick.end) return this.clear();
    this.#set({ candidate, start: Math.min(unit.start, pick?.start ?? unit.start),
      end: Math.max(unit.end, pick?.end ?? unit.end) });
    this.#tapped = true;
  }

  // Keys ----------------------------------------------------------------------------------------

  #step(by, stretch) {
    const candidate = this.current;
    const { node } = this.raws.get(candidate);
    const units = this.#unitsOf(candidate);
    if (!units.length) return;
    const forward = getComputedStyle(node).direction === "rtl" ? -by : by;
    if (!this.pick) {
      this.#anchor = forward > 0 ? 0 : units.length - 1;
      this.#to(candidate, units, this.#anchor);
      return;
    }
    const first = units.findIndex(({ end }) => end > this.pick.start);
    const last = units.findLastIndex(({ start }) => start < this.pick.end);
    this.#anchor ??= forward > 0 ? first : last;
    const moving = this.#anchor === first ? last : first;
    const next = Math.max(0, Math.min(units.length - 1, (stretch ? moving : forward > 0 ? last : first) + forward));
    if (!stretch) this.#anchor = next;
    this.#to(candidate, units, next);
  }

  #to(candidate, units, moving) {
    const [from, to] = [Math.min(this.#anchor, moving), Math.max(this.#anchor, moving)];
    getSelection().removeAllRanges();
    this.#set({ candidate, start: units[from].start, end: units[to].end });
    const { node } = this.raws.get(candidate);
    const box = rangeOf(node, units[moving].start, units[moving].end).getBoundingClientRect();
    const frame = node.closest(".card__text, .answer__text");
    const inside = frame.getBoundingClientRect();
    if (box.top < inside.top) frame.scrollTop -= inside.top - box.top + 24;
    if (box.bottom > inside.bottom) frame.scrollTop += box.bottom - inside.bottom + 24;
  }

  // Units ---------------------------------------------------------------------------------------

  /** Words (or sentences) of an answer as { start, end } in code points. */
  #unitsOf(candidate) {
    if (!this.#units.has(candidate)) {
      const granularity = this.#bySentence ? "sentence" : "word";
      const units = [];
      let at = 0;
      const { text } = this.raws.get(candidate);
      for (const { segment, isWordLike } of new Intl.Segmenter(undefined, { granularity }).segment(text)) {
        const length = codePoints(segment);
        const bare = segment.trimEnd();
        if (this.#bySentence ? bare : isWordLike || /\p{Extended_Pictographic}/u.test(segment)) {
          const skipped = codePoints(segment) - codePoints(segment.trimStart());
          units.push({ start: at + skipped, end: at + codePoints(bare) });
        }
        at += length;
      }
      this.#units.set(candidate, units);
    }
    return this.#units.get(candidate);
  }

  #snapped(pick) {
    if (!this.#bySentence) return pick;
    const over = this.#unitsOf(pick.candidate)
      .filter(({ start, end }) => start < pick.end && end > pick.start);
    return over.length ? { ...pick, start: over[0].start, end: over.at(-1).end } : pick;
  }

  #set(pick, { paint = true } = {}) {
    this.pick = pick;
    this.#current = pick.candidate;
    this.#paint(paint);
    const said = $("#picked", this.#form);
    if (said) said.textContent = this.quote;
  }

  #paint(paint = true) {
    if (!globalThis.Highlight) return;
    CSS.highlights.delete("picked");
    if (!this.pick || !paint) return;
    const { node } = this.raws.get(this.pick.candidate);
    CSS.highlights.set("picked", new Highlight(rangeOf(node, this.pick.start, this.pick.end)));
  }
}
