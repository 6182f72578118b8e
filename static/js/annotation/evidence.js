// Words selected before an answer to a principle become its evidence.

import { $, el, on } from "lib/dom";
import { slice } from "annotation/offsets";
import { valueOf } from "annotation/rows";

export class Evidence {
  #form;
  #rows;
  #picker;
  #kept = new Map(); // row -> { start, end }

  constructor(form, rows, picker, { signal, said }) {
    this.#form = form;
    this.#rows = rows;
    this.#picker = picker;
    for (const { candidate, principle, evidence } of said.verdicts ?? []) {
      const row = rows.of("principle").find((one) => Number(one.dataset.candidate) === candidate
        && [one.dataset.name, one.dataset.keyName].includes(String(principle)));
      if (row && evidence) this.#keep(row, evidence);
    }
    // The selection must outlive the press of the button.
    on(form, "pointerdown", '[data-row="principle"] label', (event) => event.preventDefault(), { signal });
    on(form, "click", "[data-drop]", (_, button) => this.#drop(button.closest("[data-row]")), { signal });
    this.changed();
  }

  answer() {
    return { verdicts: this.#rows.of("principle").filter((row) => valueOf(row) !== undefined)
      .map((row) => ({ candidate: Number(row.dataset.candidate), principle: Number(row.dataset.name),
        verdict: valueOf(row), ...(this.#kept.has(row) ? { evidence: this.#kept.get(row) } : {}) })) };
  }

  /** The dots show how far one is; a row that was just answered takes the selection. */
  changed(row) {
    if (row?.dataset.row === "principle") this.#take(row);
    $("#dots", this.#form)?.replaceChildren(...this.#rows.of("principle").map((one) => el("span", {
      "data-done": valueOf(one) !== undefined, "aria-current": one.hasAttribute("data-current"),
    })));
  }

  #take(row) {
    const pick = this.#picker.take();
    if (pick?.candidate !== Number(row.dataset.candidate)) return;
    this.#keep(row, pick);
    this.#picker.clear();
  }

  #keep(row, { start, end }) {
    this.#kept.set(row, { start, end });
    const { text } = this.#picker.raws.get(Number(row.dataset.candidate));
    $("[data-slot=quote]", row).textContent = slice(text, start, end);
    $("[data-evidence]", row).hidden = false;
  }

  #drop(row) {
    this.#kept.delete(row);
    $("[data-evidence]", row).hidden = true;
    this.#form.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
