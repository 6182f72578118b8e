// One-key shortcuts that never fire while typing, and the map of them behind "?".

import { $, $$, el, isTyping, on } from "lib/dom";

const NAMES = {
  ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Enter: "Enter",
  Escape: "Esc",
};

/**
 * Keys of one page. `new Keys([{ key: "s", label: "Skip", run, group, when }], { signal })`.
 *
 * Any `[data-key]` element also counts: its key clicks it, its label is `data-key-label`,
 * `aria-label` or its text. `key` is the value of KeyboardEvent.key (letters in lower case,
 * "Space" for the space bar); several keys: "j ArrowDown". `when()` false leaves the key alone. A `<kbd>` on the button
 * shows the key; `aria-keyshortcuts` is set here.
 */
export class Keys {
  #bindings;
  #root;
  #dialog = null;

  constructor(bindings = [], { root = document, signal } = {}) {
    this.#bindings = bindings;
    this.#root = root;
    for (const node of $$("[data-key]", root)) node.setAttribute("aria-keyshortcuts", node.dataset.key);
    on(document, "keydown", (event) => this.#press(event), { signal });
    signal?.addEventListener("abort", () => this.#dialog?.remove());
  }

  #press(event) {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    // Enter and Space on a focused control belong to that control.
    const control = event.target instanceof Element
      && event.target.closest("button, a[href], summary, input, label");
    if (control && (event.key === "Enter" || event.key === " ")) return;
    const pressed = event.key === " " ? "Space"
      : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (pressed === "?") {
      event.preventDefault();
      return this.showMap();
    }
    const binding = this.#bindings.find(({ key, when }) =>
      key.split(" ").includes(pressed) && (!when || when()));
    if (binding) {
      event.preventDefault();
      return binding.run(event);
    }
    const node = $$("[data-key]", this.#root).find((candidate) =>
      candidate.dataset.key.split(" ").includes(pressed) && !candidate.disabled
        && candidate.checkVisibility?.() !== false);
    if (node) {
      event.preventDefault();
      node.click();
      // The toggle event of a menu comes later than the next key of a quick hand.
      const menu = node.closest("summary")?.parentElement;
      if (menu?.open) $("button, input, a[href]", menu.lastElementChild)?.focus();
    }
  }

  /** Open the map of all keys; the same dialog each time, filled afresh. */
  showMap() {
    this.#dialog ??= document.body.appendChild(
      el("dialog", { class: "dialog", "aria-labelledby": "keys-title" }));
    const list = el("dl", { class: "keys" });
    const groups = Map.groupBy(this.#all(), (entry) => entry.group ?? "");
    for (const [group, entries] of groups) {
      if (group) list.append(el("h3", {}, group));
      for (const { key, label } of entries) {
        const caps = key.split(" ").map((one) => el("kbd", {}, NAMES[one] ?? one));
        list.append(el("dt", {}, ...caps), el("dd", {}, label));
      }
    }
    this.#dialog.replaceChildren(
      el("div", { class: "dialog__head" }, el("h2", { id: "keys-title" }, "Keys"),
        el("form", { method: "dialog" },
          el("button", { class: "button button--quiet button--small" }, "Close"))),
      el("div", { class: "dialog__body" }, list));
    this.#dialog.showModal();
  }

  #all() {
    const marked = $$("[data-key]", this.#root).map((node) => ({
      key: node.dataset.key,
      label: node.dataset.keyLabel ?? node.getAttribute("aria-label") ?? node.textContent.trim(),
      group: node.dataset.keyGroup,
    }));
    return [...this.#bindings.filter(({ label }) => label), ...marked,
      { key: "?", label: "Show this map", group: marked.at(-1)?.group }];
  }
}
