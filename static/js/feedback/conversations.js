// The list of own conversations: a column on a desk, a drawer on a phone.

import { $, $$, el, on } from "lib/dom";

export class ConversationList {
  #aside;
  #list;
  #toggle;
  #main;

  constructor(aside, { toggle, main }) {
    this.#aside = aside;
    this.#list = $("ul", aside);
    this.#toggle = toggle;
    this.#main = main;
    on(toggle, "click", () => this.#open(!aside.hasAttribute("data-open")));
    on(aside, "click", "[data-close]", () => this.#open(false));
    on(document, "keydown", (event) => {
      if (event.key === "Escape" && aside.hasAttribute("data-open")) this.#open(false);
    });
    on($(".chat__veil"), "click", () => this.#open(false));
    matchMedia("(width >= 56rem)").addEventListener("change", () => this.#open(false, false));
  }

  /** Put this conversation on top with this title, as the current one. */
  show({ id, title, updated_at: updatedAt }) {
    for (const link of $$("a[aria-current]", this.#list)) link.removeAttribute("aria-current");
    let item = $(`[data-conversation="${CSS.escape(id)}"]`, this.#list);
    item ??= el("li", { "data-conversation": id },
      el("a", { class: "conversations__link", href: `/c/${id}/` },
        el("span", { class: "truncate", dir: "auto" }),
        el("relative-time", { class: "conversations__time", datetime: updatedAt })));
    const link = $("a", item);
    link.setAttribute("aria-current", "page");
    const name = $("span", link);
    name.textContent = title || name.textContent || this.#aside.dataset.untitled;
    if (this.#list.firstElementChild !== item && !item.isConnected) this.#list.prepend(item);
    $(".conversations__empty", this.#aside)?.remove();
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
