// Links to a conversation: made on demand, listed, taken back.

import { api } from "lib/api";
import { $, copyText, fill, on, toast } from "lib/dom";

export class Share {
  #dialog = $("#share-dialog");
  #links = $(".share__links", this.#dialog);
  #conversation = null;
  #leaf = null;

  constructor() {
    on($("[data-make]", this.#dialog), "click", (event) => this.#make(event.currentTarget));
    on(this.#links, "click", "[data-copy]", (event, button) => this.#copy(button.closest("li")));
    on(this.#links, "click", "[data-revoke]", (event, button) => this.#revoke(button));
    on(this.#links, "focusin", "input", (event, field) => field.select());
  }

  async open(conversation, leaf) {
    this.#conversation = conversation;
    this.#leaf = leaf;
    this.#links.replaceChildren();
    this.#dialog.showModal();
    await this.#try(async () => {
      const { results } = await api.get(`/api/conversations/${conversation}/shares/`);
      for (const link of results) this.#show(link);
    });
  }

  async #make(button) {
    button.disabled = true;
    await this.#try(async () => {
      const link = await api.post(`/api/conversations/${this.#conversation}/shares/`,
        { leaf: this.#leaf });
      await this.#copy(this.#show(link));
    });
    button.disabled = false;
  }

  #show(link) {
    const known = $(`[data-link="${CSS.escape(link.id)}"]`, this.#links);
    if (known) return known;
    const item = fill("share-link");
    item.dataset.link = link.id;
    $("input", item).value = link.url;
    this.#links.prepend(item);
    return item;
  }

  async #copy(item) {
    const done = await copyText($("input", item).value);
    toast(done ? this.#dialog.dataset.copied : this.#dialog.dataset.notCopied);
    if (!done) $("input", item).select();
  }

  async #revoke(button) {
    const item = button.closest("li");
    button.disabled = true;
    await this.#try(async () => {
      await api.delete(`/api/shares/${item.dataset.link}/`);
      item.remove();
      toast(this.#dialog.dataset.revoked);
    });
    button.disabled = false;
  }

  async #try(work) {
    try {
      await work();
    } catch (error) {
      toast(error.message, { seconds: 8 });
    }
  }
}
