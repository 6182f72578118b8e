// The shown path as elements: kept in order, reused, and what is not confirmed yet below it.

import { MessageView } from "feedback/message-view";
import { $, $$, fill, on } from "lib/dom";

export class Thread {
  #box;
  #words;
  #views = new Map();
  #existing = new Map();
  #pending = new Map();

  constructor(box, words) {
    this.#box = box;
    this.#words = words;
    for (const article of $$("[data-message]", box)) {
      this.#existing.set(article.dataset.message, article);
    }
    on(box, "keydown", ".editor textarea", (event, field) => {
      if (event.isComposing) return;
      if (event.key === "Escape") this.endEdit(field.closest("[data-message]"));
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        field.form.requestSubmit();
      }
    });
  }

  /** Bring the page in step with the path and with what waits to be confirmed. */
  show({ path, pending, tree, busy, idle, online }) {
    const order = [];
    path.forEach((message, index) => {
      const view = this.#viewOf(message);
      const detail = busy.get(message.id);
      view.update(message, {
        siblings: tree.siblings(message),
        last: index === path.length - 1 && pending.length === 0,
        idle: idle && online,
        notice: detail && {
          tone: "caution", text: detail, action: "regenerate", label: this.#words.retry,
        },
      });
      order.push(view.element);
    });
    const edits = new Set(pending.filter(({ frame }) => frame.type === "edit").map(({ frame }) => frame.message));
    for (const view of this.#views.values()) {
      view.element.toggleAttribute("data-replaced", edits.has(view.element.dataset.message));
    }
    for (const entry of pending) order.push(this.#pendingView(entry, online));
    for (const id of this.#pending.keys()) {
      if (!pending.some(({ frame }) => frame.id === id)) this.#pending.delete(id);
    }
    this.#place(order);
  }

  push(id, text) {
    this.#views.get(id)?.push(text);
  }

  /** A finished part of an answer under way, formatted. */
  blocks(message, frame) {
    this.#views.get(message.id)?.blocks(frame, message.text);
  }

  drawPieces() {
    for (const view of this.#views.values()) view.draw();
  }

  edit(article, text) {
    if ($(".editor", article)) return;
    const form = fill("editor-template");
    article.toggleAttribute("data-editing", true);
    $(".message__body", article).after(form);
    const field = $("textarea", form);
    field.value = text;
    field.focus();
    field.setSelectionRange(text.length, text.length);
  }

  endEdit(article) {
    $(".editor", article)?.remove();
    article.toggleAttribute("data-editing", false);
    $('[data-action="edit"]', article)?.focus();
  }

  #viewOf(message) {
    let view = this.#views.get(message.id);
    if (!view) {
      const existing = this.#existing.get(message.id);
      view = new MessageView(message, { words: this.#words, existing });
      this.#views.set(message.id, view);
    }
    return view;
  }

  #pendingView({ frame, held, tries }, online) {
    let node = this.#pending.get(frame.id);
    if (!node) {
      node = fill("pending-template", { text: frame.text });
      node.dataset.pending = frame.id;
      this.#pending.set(frame.id, node);
    }
    const stuck = held || tries >= 5;
    const state = held || (stuck ? this.#words.notSent : online ? this.#words.sending : this.#words.willSend);
    const line = $("[data-slot=state]", node);
    if (line.textContent !== state) line.textContent = state;
    line.dataset.tone = stuck ? "caution" : "busy";
    for (const button of $$("button", node)) button.hidden = !stuck;
    return node;
  }

  #place(order) {
    const wanted = new Set(order);
    for (const child of [...this.#box.children]) {
      if (!wanted.has(child)) child.remove();
    }
    order.forEach((node, index) => {
      if (this.#box.children[index] !== node) {
        this.#box.insertBefore(node, this.#box.children[index] ?? null);
      }
    });
  }
}
