// Two answers side by side: the scale, the arrows, scrolling together, A or B on a phone.

import { $, $$, on } from "lib/dom";

const MIDDLE = 3; // the tie, between three steps towards A and three towards B

export class Pairwise {
  #form;
  #steps;
  #bad;
  #answers;
  #texts;
  #words;

  constructor(form, words, { signal }) {
    this.#form = form;
    this.#words = words;
    this.#steps = $$(".scale__steps input", form);
    this.#bad = $(".step--bad input", form);
    this.#answers = $("#answers", form);
    this.#texts = $$(".answer__text", form);
    on(form, "change", () => this.#mark(), { signal });
    for (const side of $$("[data-side]", form)) {
      on(side, "click", (event) => {
        event.preventDefault();
        this.#look(Number(side.dataset.side));
      }, { signal });
    }
    on(this.#answers, "scroll", () => this.#follow(), { signal, passive: true });
    this.#scrollTogether(signal);
    this.#mark();
  }

  /** The body of the judgment, or null while nothing is chosen. */
  body() {
    const chosen = $("input[name=choice]:checked", this.#form)?.value;
    if (!chosen) return null;
    const [preferred, strength] = chosen.split(":").map(Number);
    return strength ? { outcome: "preferred", preferred, strength } : { outcome: chosen };
  }

  draft() {
    return this.body() ?? {};
  }

  /** The server has checked what the draft holds. */
  restore() {
    this.#mark();
  }

  keys(acted) {
    const words = this.#words;
    const choose = (key) => this.choose(key) && acted(true);
    const group = words.judge;
    return [
      { key: "ArrowLeft ArrowRight", label: words.move, group,
        run: (event) => this.move(event.key === "ArrowRight" ? 1 : -1) },
      { key: "1 2 3 4 5 6 7", label: words.scale, group, run: (event) => choose(event.key) },
      { key: "t", label: words.tie, group, run: () => choose("4") },
      { key: "b", label: words.bad, group, run: () => choose("b") },
    ];
  }

  focus() {
    this.#steps[MIDDLE].focus();
  }

  /** Choose by key: "1" to "7" on the scale, "b" for both bad. False when there is no such step. */
  choose(key) {
    const input = key === "b" ? this.#bad : this.#steps[Number(key) - 1];
    if (!input) return false;
    input.checked = true;
    this.#mark();
    return true;
  }

  /** One step towards A (-1) or B (+1); the first press leaves the tie. */
  move(direction) {
    const at = this.#steps.findIndex((input) => input.checked);
    const next = Math.max(0, Math.min(6, (at < 0 ? MIDDLE : at) + direction));
    this.#steps[next].checked = true;
    this.#steps[next].dispatchEvent(new Event("input", { bubbles: true }));
    this.#mark();
  }

  #mark() {
    const preferred = this.body()?.preferred;
    for (const answer of $$(".answer", this.#form)) {
      answer.toggleAttribute("data-chosen", Number(answer.dataset.candidate) === preferred);
    }
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
}
