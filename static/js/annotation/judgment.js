// One judgment on the desk: the parts of all kinds that the task asks, and the body they make.

import { ANSWERS } from "annotation/answers";
import { Critique } from "annotation/critique";
import { Evidence } from "annotation/evidence";
import { Listwise } from "annotation/listwise";
import { Picker } from "annotation/picker";
import { Rows } from "annotation/rows";
import { Sides } from "annotation/sides";
import { Span } from "annotation/span";
import { $ } from "lib/dom";

//: Kinds that the last key sends; the others wait for Enter, because one may want to add to them.
const SENT_BY_KEY = new Set(["pairwise", "safety", "triplet", "rating", "principle"]);

export class Judgment {
  #form;
  #kinds;
  #rows;
  #picker = null;
  #sides = null;
  #parts = {}; // kind -> what answers it, where rows alone do not

  constructor(form, words, { signal, said }) {
    this.#form = form;
    this.#kinds = form.dataset.kinds.split(" ");
    const saidIn = (kind) => (kind === this.#kinds[0] ? said : said.also?.[kind]) ?? {};
    const asks = (kind) => this.#kinds.includes(kind);
    this.#rows = new Rows(form, words, { signal, onChange: (row) => this.#changed(row) });
    if ($(".answers", form)) this.#sides = new Sides(form, { signal });
    if (asks("span") || asks("principle")) this.#picker = new Picker(form, words, { signal });
    if (asks("listwise")) this.#parts.listwise = new Listwise(form, words, this.#rows, { signal });
    if (asks("critique")) this.#parts.critique = new Critique(form, words, { signal });
    if (asks("principle")) {
      this.#parts.principle = new Evidence(form, this.#rows, this.#picker,
        { signal, said: saidIn("principle") });
    }
    if (asks("span")) {
      this.#parts.span = new Span(form, words, this.#picker, { signal, said: saidIn("span") });
    }
  }

  get canCompare() {
    return Boolean(this.#sides?.canCompare);
  }

  /** The body so far: the first kind's fields, those of each other kind under `also`. */
  answer() {
    const [first, ...rest] = this.#kinds;
    const of = (kind) => this.#parts[kind]?.answer() ?? ANSWERS[kind](this.#rows, this.#form);
    if (!rest.length) return of(first);
    return { ...of(first), also: Object.fromEntries(rest.map((kind) => [kind, of(kind)])) };
  }

  /** What is still to be answered, with a word about it and a way to go there; null when nothing. */
  open() {
    if (!this.#rows.complete()) {
      return { says: this.#rows.rows.length > 1 ? "incomplete" : "choose", focus: () => this.#rows.focus() };
    }
    const critique = this.#parts.critique;
    return critique && !critique.complete() ? { says: "write", focus: () => critique.focus() } : null;
  }

  /** `acted(complete)` is called after a key changed something. */
  keys(acted) {
    const alone = this.#rows.rows.length === 0;
    const sends = this.#kinds.every((kind) => SENT_BY_KEY.has(kind));
    const inText = () => Boolean(document.activeElement?.closest(".card__text"));
    const pointsOnly = this.#kinds.every((kind) => kind === "span" || kind === "principle");
    return [
      ...(this.#picker?.keys({ when: () => pointsOnly || inText() }) ?? []),
      ...(this.#parts.span?.keys(acted, { alone }) ?? []),
      ...(this.#parts.listwise?.keys(acted) ?? []),
      ...this.#rows.keys((complete) => acted(complete && sends)),
      ...(this.#parts.critique?.keys() ?? []),
    ];
  }

  #changed(row) {
    this.#sides?.mark();
    this.#parts.principle?.changed(row);
    this.#parts.listwise?.changed(row);
    const candidate = this.#rows?.current?.dataset.candidate;
    if (candidate) this.#sides?.show(candidate);
  }
}
