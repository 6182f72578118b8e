// The field where a person writes: keeps the draft, counts, sends on Enter.

import { $, on } from "lib/dom";
import { codePoints, number } from "lib/format";

export class Composer {
  #form;
  #field;
  #count;
  #key;
  #limit;

  /** `onSend(text)` returns true when the text was taken; `onStop()` ends the answer. */
  constructor(form, { draftKey, onSend, onStop }) {
    this.#form = form;
    this.#field = $("textarea", form);
    this.#count = $(".composer__count", form);
    this.#limit = Number(form.dataset.limit);
    this.#key = draftKey;
    form.noValidate = true; // "required" is for the form without scripts
    this.#restore();
    on(form, "submit", (event) => {
      event.preventDefault();
      if (form.dataset.mode === "stop") onStop();
      else this.#submit(onSend);
    });
    on(this.#field, "input", () => this.#changed());
    on(this.#field, "keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Escape") {
        if (form.dataset.mode === "stop") return onStop();
        return this.#field.blur(); // so that the keys of the page can be used
      }
      const touch = matchMedia("(hover: none) and (pointer: coarse)").matches;
      if (event.key === "Enter" && !event.shiftKey && !touch) {
        event.preventDefault();
        if (form.dataset.mode !== "stop") this.#submit(onSend);
      }
    });
    this.#changed();
  }

  get text() {
    return this.#field.value;
  }

  /** "send" or "stop". */
  set mode(mode) {
    if (this.#form.dataset.mode === mode) return;
    this.#form.dataset.mode = mode;
    this.#changed();
  }

  /** Put words back that could not be sent; what was typed since stays in front. */
  restore(text) {
    this.#field.value = this.#field.value ? `${this.#field.value}\n\n${text}` : text;
    this.#changed();
    this.focus();
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  /** From now on the draft belongs to this conversation. */
  rename(draftKey) {
    try {
      sessionStorage.removeItem(this.#key);
    } catch { /* no storage, no draft */ }
    this.#key = draftKey;
    this.#changed();
  }

  #submit(onSend) {
    const text = this.#field.value.trim();
    if (!text || codePoints(text) > this.#limit) return;
    if (!onSend(text)) return;
    this.#field.value = "";
    this.#changed();
  }

  #changed() {
    const length = codePoints(this.#field.value.trim());
    const over = length > this.#limit;
    this.#field.setAttribute("aria-invalid", String(over));
    this.#count.hidden = length < this.#limit * 0.8;
    this.#count.textContent = `${number(length)} / ${number(this.#limit)}`;
    this.#count.classList.toggle("negative", over);
    const stop = this.#form.dataset.mode === "stop";
    const [send, stopButton] = [$("[data-send]", this.#form), $("[data-stop]", this.#form)];
    send.hidden = stop;
    stopButton.hidden = !stop;
    send.disabled = length === 0 || over;
    try {
      if (this.#field.value) sessionStorage.setItem(this.#key, this.#field.value);
      else sessionStorage.removeItem(this.#key);
    } catch { /* storage full or forbidden: the words stay in the field */ }
  }

  #restore() {
    try {
      this.#field.value ||= sessionStorage.getItem(this.#key) ?? "";
    } catch { /* no storage, no draft */ }
  }
}
