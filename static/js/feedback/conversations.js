// The list of own conversations: a column on a desk, a drawer on a phone.

import { api } from "lib/api";
import { $, $$, el, fill, on, toast } from "lib/dom";

const UNDO_SECONDS = 6;
const TYPING_MS = 250;

export class ConversationList {
  #aside;
  #list;
  #toggle;
  #main;
  #search;
  #leaving = new Map(); // conversation id -> end of its time to be taken back
  #asked = null; // the search under way
  #typing = null;

  constructor(aside, { toggle, main }) {
    this.#aside = aside;
    this.#list = $("ul", aside);
    this.#toggle = toggle;
    this.#main = main;
    on(toggle, "click", () => this.#open(!aside.hasAttribute("data-open")));
    on(aside, "click", "[data-close]", () => this.#open(false));
    on(aside, "click", "[data-delete]", (event, button) => this.#delete(button.closest("li")));
    on(aside, "click", "[data-rename]", (event, button) => this.#rename(button.closest("li")));
    this.#search = $("[role=search]", aside);
    on(this.#search, "submit", (event) => {
      event.preventDefault();
      this.#find();
    });
    on(this.#search, "input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#find(), TYPING_MS);
    });
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
    this.#current = id;
    let item = $(`[data-conversation="${CSS.escape(id)}"]`, this.#list);
    if (!item && this.#words) return; // a search is shown; this one is not among what was found
    if (!item) {
      item = this.#item({ id, title, updated_at: updatedAt });
      this.#list.prepend(item);
    }
    $("a", item).setAttribute("aria-current", "page");
    if (title) $("a span", item).textContent = title;
    $("#none").hidden = true;
  }

  /** Put the cursor into the search field, in the drawer where the list is one. */
  search() {
    if (getComputedStyle(this.#aside).visibility === "hidden") this.#open(true, false);
    $("input", this.#search).focus();
  }

  /** Ask for a new name of the current conversation. */
  rename() {
    const item = $("a[aria-current]", this.#list)?.closest("li");
    if (item) this.#rename(item);
  }

  #current = null;

  get #words() {
    return $("input", this.#search).value.trim();
  }

  #item({ id, title, updated_at: updatedAt, place }) {
    const item = fill("conversation-template", { title: title || this.#aside.dataset.untitled });
    item.dataset.conversation = id;
    const link = $("a", item);
    link.href = `/c/${id}/`;
    if (id === this.#current) link.setAttribute("aria-current", "page");
    $("relative-time", item).setAttribute("datetime", updatedAt);
    if (place) link.append(el("span", { class: "conversations__place", dir: "auto" }, place));
    return item;
  }

  /** Ask the server, who alone knows all that was said; the newest question wins. */
  async #find() {
    clearTimeout(this.#typing);
    this.#asked?.abort();
    const { signal } = (this.#asked = new AbortController());
    const words = this.#words;
    const address = `/api/conversations/?${new URLSearchParams({ q: words })}`;
    try {
      const { results } = await api.get(address, { signal });
      const left = results.filter(({ id }) => !this.#leaving.has(id));
      this.#current ??= $("a[aria-current]", this.#list)?.closest("li").dataset.conversation;
      this.#list.replaceChildren(...left.map((one) => this.#item(one)));
      if (words) $("#none").textContent = this.#aside.dataset.none;
      $("#none").hidden = left.length > 0;
    } catch (error) {
      // A guest who has said nothing yet has no list to search.
      if (!signal.aborted && error.status !== 401 && error.status !== 403) toast(error.message);
    }
  }

  /** Write the new name in place of the old; Enter keeps it, Escape or leaving does not. */
  #rename(item) {
    const link = $("a", item);
    const before = $(".conversations__title", item).textContent;
    const field = el("input", {
      class: "input input--small conversations__rename", maxlength: 120, dir: "auto",
      "aria-label": this.#aside.dataset.newName,
    });
    field.value = before;
    link.hidden = true;
    item.prepend(field);
    field.focus();
    field.select();
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      const had = field.contains(document.activeElement);
      field.remove();
      link.hidden = false;
      if (had) link.focus();
    };
    on(field, "blur", end);
    on(field, "keydown", async (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        event.stopPropagation();
        end();
      }
      if (event.key !== "Enter") return;
      const title = field.value.trim();
      end();
      if (title && title !== before) await this.#named(item, title, before);
    });
  }

  async #named(item, title, before) {
    const line = $(".conversations__title", item);
    line.textContent = title;
    try {
      await api.patch(`/api/conversations/${item.dataset.conversation}/`, { title });
    } catch (error) {
      line.textContent = before;
      toast(error.message);
    }
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
