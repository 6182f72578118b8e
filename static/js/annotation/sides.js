// Answers side by side: scrolling together, one at a time on a phone, differences on a key.

import { $, $$, on } from "lib/dom";
import { changes } from "annotation/words";

export class Sides {
  #form;
  #answers;
  #texts;
  #differing = false;

  constructor(form, { signal }) {
    this.#form = form;
    this.#answers = $("#answers", form);
    this.#texts = $$(".answer__text", form);
    for (const side of $$("[data-side]", form)) {
      on(side, "click", (event) => {
        event.preventDefault();
        this.#look(Number(side.dataset.side));
      }, { signal });
    }
    on(this.#answers, "scroll", () => this.#follow(), { signal, passive: true });
    on(signal, "abort", () => CSS.highlights?.delete("differs"));
    const button = $("#differences");
    button.setAttribute("aria-pressed", "false");
    on(button, "click", () => this.#toggle(button), { signal });
    this.#scrollTogether(signal);
    this.mark();
  }

  get canCompare() {
    return Boolean(globalThis.Highlight && CSS.highlights) && this.#texts.length === 2;
  }

  /** Tick the answer that is preferred. */
  mark() {
    const chosen = $("[name=choice]:checked", this.#form)?.value.split(":")[0]
      ?? $("[name=closer]:checked", this.#form)?.value;
    for (const answer of $$(".answer", this.#form)) {
      answer.toggleAttribute("data-chosen", answer.dataset.answer === chosen);
    }
  }

  /** Bring an answer on a phone's screen when a row about it becomes current. */
  show(candidate) {
    const at = $$(".answer", this.#form).findIndex((one) => one.dataset.answer === candidate);
    if (at >= 0 && this.#answers.scrollWidth > this.#answers.clientWidth) this.#look(at);
  }

  #look(side) {
    const width = this.#answers.clientWidth;
    const sign = getComputedStyle(this.#answers).direction === "rtl" ? -1 : 1;
    this.#answers.scrollTo({ left: sign * side * width });
  }

  #follow() {
    const side = Math.round(Math.abs(this.#answers.scrollLeft) / (this.#answers.clientWidth || 1));
    for (const link of $$("[data-side]", this.#form)) {
      if (Number(link.dataset.side) === side) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  /** Long answers move together, each by its own share, so that their ends meet. */
  #scrollTogether(signal) {
    let led = null;
    for (const leader of this.#texts) {
      const lead = () => (led = leader);
      for (const type of ["wheel", "pointerdown", "touchstart", "focusin", "keydown"]) {
        on(leader, type, lead, { signal, passive: true });
      }
      on(leader, "scroll", () => {
        if (led && led !== leader) return;
        const room = leader.scrollHeight - leader.clientHeight;
        const share = room > 0 ? leader.scrollTop / room : 0;
        for (const other of this.#texts) {
          if (other !== leader) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
        }
      }, { signal, passive: true });
    }
  }

  // Differences -------------------------------------------------------------------------------

  #toggle(button) {
    this.#differing = !this.#differing;
    button.setAttribute("aria-pressed", String(this.#differing));
    CSS.highlights.delete("differs");
    if (!this.#differing) return;
    // The page's own text is left as it is: the browser paints the words that differ.
    const [a, b] = this.#texts.map(wordsIn);
    const runs = changes(a.map(([word]) => word), b.map(([word]) => word));
    if (!runs) return;
    const ranges = [];
    const at = { del: 0, ins: 0 };
    for (const [kind, words] of runs) {
      if (kind === "same") {
        at.del += words.length;
        at.ins += words.length;
        continue;
      }
      const source = (kind === "del" ? a : b).slice(at[kind], at[kind] + words.length);
      for (const [, found] of source) {
        const last = ranges.at(-1);
        // Neighbours in one piece of text are painted as one.
        if (last?.node === found.node && last.next === found.at) Object.assign(last, found, { from: last.from });
        else ranges.push({ ...found });
      }
      at[kind] += words.length;
    }
    CSS.highlights.set("differs", new Highlight(...ranges.map(({ node, from, to }) =>
      new StaticRange({ startContainer: node, startOffset: from, endContainer: node, endOffset: to }))));
  }
}

/** The words of an element's text, each with where it stands and where the next one may begin. */
function wordsIn(root) {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest(".code__copy")) continue;
    for (const match of node.data.matchAll(/(\S+)\s*/g)) {
      const to = match.index + match[1].length;
      found.push([match[1], { node, at: match.index, from: match.index, to, next: match.index + match[0].length }]);
    }
  }
  return found;
}
