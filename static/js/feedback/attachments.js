// Pictures that go with the next message: chosen, pasted or dropped; sent up at once, shown small.
// The button is only on the page where the model takes pictures.

import { csrfToken } from "lib/api";
import { $, el, fill, on, toast } from "lib/dom";

export class Attachments {
  #form;
  #list;
  #words;
  #items = new Map(); // id -> element
  #under = 0;

  constructor(form, words) {
    this.#form = form;
    this.#words = words;
    this.#list = $(".composer__images", form);
    const field = $("[data-attach] input", form);
    if (!field) return;
    on(field, "change", () => {
      this.#addAll(field.files);
      field.value = "";
    });
    on(form, "paste", (event) => this.#taken(event, event.clipboardData));
    on(form, "dragover", (event) => event.preventDefault());
    on(form, "drop", (event) => this.#taken(event, event.dataTransfer));
    on(this.#list, "click", "[data-remove]", (event, button) => this.#remove(button.closest("li")));
  }

  get ids() {
    return [...this.#items.keys()];
  }

  get busy() {
    return this.#under > 0;
  }

  /** They were sent: the row is empty again. */
  clear() {
    for (const item of this.#items.values()) item.remove();
    this.#items.clear();
    this.#list.hidden = true;
  }

  /** They could not be sent: show them again. */
  restore(ids) {
    for (const id of ids ?? []) this.#show({ id, url: `/api/images/${id}/` });
  }

  #taken(event, data) {
    const files = [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    this.#addAll(files);
  }

  async #addAll(files) {
    for (const file of files) {
      this.#under += 1;
      this.#form.setAttribute("aria-busy", "true");
      try {
        this.#show(await upload(file));
      } catch (error) {
        toast(error.message || this.#words.error, { seconds: 8 });
      } finally {
        this.#under -= 1;
        if (!this.#under) this.#form.removeAttribute("aria-busy");
      }
    }
  }

  #show({ id, url }) {
    const item = fill("attachment-template");
    item.prepend(el("img", { src: url, alt: "" }));
    item.dataset.image = id;
    this.#items.set(id, item);
    this.#list.append(item);
    this.#list.hidden = false;
  }

  #remove(item) {
    this.#items.delete(item.dataset.image);
    item.remove();
    this.#list.hidden = this.#items.size === 0;
  }
}

async function upload(file) {
  const response = await fetch("/api/images/", {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream", "X-CSRFToken": csrfToken(),
      Accept: "application/json" },
    body: file,
    credentials: "same-origin",
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? "");
  return answer;
}
