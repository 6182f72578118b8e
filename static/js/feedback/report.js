// Report an answer to the reviewers: a small dialog for the reason.

import { $, $$, on, toast } from "lib/dom";

export class Report {
  #dialog = $("#report-dialog");
  #form = $("form", this.#dialog);
  #message = null;

  /** `send(message, { reasons, comment })` hears what was chosen. */
  constructor(send) {
    on($("[data-cancel]", this.#dialog), "click", () => this.#dialog.close());
    on(this.#form, "submit", (event) => {
      event.preventDefault();
      const reasons = $$("input:checked", this.#form).map((box) => box.value);
      const comment = this.#form.elements.comment.value.trim();
      const empty = reasons.length === 0 && !comment;
      $(".field__error", this.#form).hidden = !empty;
      if (empty) return;
      send(this.#message, { reasons, comment });
      this.#dialog.close();
      toast(this.#dialog.dataset.sent);
    });
  }

  open(message) {
    this.#message = message;
    this.#form.reset();
    $(".field__error", this.#form).hidden = true;
    this.#dialog.showModal();
  }
}
