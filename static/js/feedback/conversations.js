// The list of own conversations: a column on a desk, a drawer on a phone.

import { api } from "lib/api";
import { $, $$, fill, on, toast } from "lib/dom";

const UNDO_SECONDS = 6;

export class ConversationList {
  #aside;
  #list;
  #toggle;
  #main;
  #leaving = new Map(); // conversation id -> end of its time to be taken back

  constructor(aside, { toggle, main }) {
    this.#aside = aside;
    this.#list = $("ul", aside);
    this.#toggle = toggle;
    this.#main = main;
    on(toggle, "click", () => this.#open(!aside.hasAttribute("data-open")));
    on(aside, "click", "[data-close]", () => this.#open(false));
    on(aside, "click", "[data-delete]", (event, button) => this.#delete(button.parentElement));
    on(document, "keydown", (event) => {
      if (event.key === "Escape" && aside.hasAttribute("data-open")) this.#open(false);
    });
    on($(".chat__veil"), "click", () => this.#open(false));
    on(window, "pagehide", () => this.#finishAll());
    matchMedia("(width >= 56rem)").addEventListener("change", () => {
      if (aside.hasAttribute("data-open")) this.#open(false, false);
    });
  }

  /** Show this conversation, a new one on top, as the current one; an empty title changes none. */
  show({ id, title, updated_at: updatedAt }) {
    for (const link of $$("a[aria-current]", this.#list)) link.removeAttribute("aria-current");
    let item = $(`[data-conversation="${CSS.escape(id)}"]`, this.#list);
    if (!item) {
      item = fill("conversation-template", { title: this.#aside.dataset.untitled });
      item.dataset.conversation = id;
      $("a", item).href = `/c/${id}/`;
      $("relative-time", item).setAttribute("datetime", updatedAt);
      this.#list.prepend(item);
    }
    $("a", item).setAttribute("aria-current", "page");
    if (title) $("a span", item).textContent = title;
    $(".conversations__empty", this.#aside)?.remove();
  }

  /** Take it off the list now and delete it when the time to undo has passed. */
  #delete(item) {
    const id = item.dataset.conversation;
    const next = item.nextElementSibling;
    item.remove();
    const timer = setTimeout(() => this.#finish(id), UNDO_SECONDS * 1000);
    this.#leaving.set(id, { timer, current: $("a", item).hasAttribute("aria-current") });
    (next ? $("a", next) : $(".conversations__new", this.#aside)).focus();
    toast(this.#aside.dataset.deleted, {
      seconds: UNDO_SECONDS / 2, // a line with an action stays twice as long
      action: this.#aside.dataset.undo,
      onAction: () => {
        clearTimeout(timer);
        this.#leaving.delete(id);
        this.#list.insertBefore(item, next?.isConnected ? next : null);
      },
    });
  }

  async #finish(id) {
    const { timer, current } = this.#leaving.get(id);
    clearTimeout(timer);
    this.#leaving.delete(id);
    try {
      await api.delete(`/api/conversations/${id}/`, { keepalive: true });
      if (current) location.assign("/");
    } catch (error) {
      if (error.status !== 404) toast(error.message);
    }
  }

  #finishAll() {
    for (const id of [...this.#leaving.keys()]) this.#finish(id);
  }

  #open(open, focus = true) {
    this.#aside.toggleAttribute("data-open", open);
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#main.inert = open;
    if (!focus) return;
    if (open) $("a, button", this.#aside)?.focus();
    else this.#toggle.focus();
  }
}
