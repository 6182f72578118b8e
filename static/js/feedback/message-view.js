// One message on the page: its text while it grows, its state, its buttons.
// Adopts what the server rendered, so that the first snapshot changes nothing that is right.

import { addCopyButtons } from "elements/code-copy";
import { $, $$, el, fill, setServerHtml } from "lib/dom";

const LONG = 400;
const FINAL = new Set(["complete", "stopped", "failed"]);

export class MessageView {
  #words;
  #shown = {}; // what the body shows: { kind: "html" | "text", value }
  #pieces = "";
  #tail = null; // the text node that grows
  #finished = 0; // code points before it that are shown formatted

  constructor(message, { words, existing = null }) {
    this.#words = words;
    this.element = existing ?? fill("message-template");
    this.element.dataset.message = message.id;
    this.element.dataset.role = message.role;
    this.body = $(".message__body", this.element);
    $(".message__who", this.element).textContent = message.role === "user" ? words.you : words.model;
    if (existing) this.#adopt(message);
    this.element.append(
      el("div", { class: "message__notice", hidden: true }),
      fill(message.role === "user" ? "user-bar" : "assistant-bar"));
  }

  #adopt(message) {
    if (!FINAL.has(message.state)) return;
    const value = message.role === "assistant" && message.html ? message.html : message.text;
    this.#shown = { kind: value === message.text ? "text" : "html", value };
    if (message.role === "user" && message.text.length > LONG) this.body.tabIndex = 0;
  }

  /** Bring the element in step with the message. `place` = { siblings, last, idle, notice }. */
  update(message, place) {
    this.element.dataset.state = message.state;
    this.element.toggleAttribute("data-last", place.last);
    this.element.setAttribute("aria-busy", String(!FINAL.has(message.state)));
    this.#showText(message);
    this.#showImages(message);
    this.#showNotice(message, place);
    this.#showVersions(message, place);
    this.#showReactions(message);
    const model = $(".message__model", this.element);
    if (model) {
      model.textContent = message.model ?? "";
      model.hidden = !message.model;
    }
    const lacks = { final: !FINAL.has(message.state), text: !message.text };
    for (const button of $$("[data-needs]", this.element)) {
      button.hidden = button.dataset.needs.split(" ").some((need) => lacks[need]);
    }
    for (const button of $$("[data-needs-idle]", this.element)) button.disabled = !place.idle;
  }

  /** Collect a streamed piece; it is drawn by `draw()`, once a frame. */
  push(text) {
    this.#pieces += text;
  }

  draw() {
    if (!this.#pieces) return;
    if (this.#shown.kind !== "text") this.#setText("");
    this.#tail.appendData(this.#pieces);
    this.#shown.value += this.#pieces;
    this.#pieces = "";
  }

  /** Show a part of the text under way formatted: code points `from` to `to`, the next ones. */
  blocks({ from, to, html }, text) {
    if (this.#shown.kind === "html") return;
    const points = [...text];
    if (from === 0) this.#setText(text);
    else if (from !== this.#finished) return; // the whole comes formatted at the end
    if (points.length < to) return;
    this.#pieces = "";
    const block = el("div");
    setServerHtml(block, html);
    addCopyButtons(block);
    if (from === 0) {
      this.#tail = document.createTextNode("");
      this.body.classList.remove("prose--plain");
      const tail = el("div", { class: "message__tail prose--plain" });
      tail.append(this.#tail);
      this.body.replaceChildren(tail);
    }
    this.body.lastChild.before(...block.childNodes);
    this.#tail.data = points.slice(to).join("");
    this.#finished = to;
    this.#shown = { kind: "text", value: text };
  }

  #showText(message) {
    if (message.role === "assistant" && FINAL.has(message.state) && message.html) {
      this.#pieces = "";
      if (this.#shown.kind === "html" && this.#shown.value === message.html) return;
      this.body.classList.remove("prose--plain");
      setServerHtml(this.body, message.html);
      addCopyButtons(this.body);
      this.#shown = { kind: "html", value: message.html };
      return;
    }
    const coming = (this.#shown.value ?? "") + this.#pieces;
    if (this.#shown.kind === "text" && coming === message.text) return;
    this.#pieces = "";
    this.#setText(message.text);
  }

  #showImages({ images }) {
    if (!images?.length || $(".message__images", this.element)) return;
    this.body.before(el("div", { class: "message__images" }, ...images.map((image, index) =>
      el("a", { href: image.url }, el("img", {
        src: image.url, width: image.width, height: image.height, loading: "lazy",
        alt: `${this.#words.picture} ${index + 1}`,
      })))));
  }

  #setText(text) {
    this.body.classList.add("prose--plain");
    this.#tail = document.createTextNode(text);
    this.#finished = 0;
    this.body.replaceChildren(this.#tail);
    this.#shown = { kind: "text", value: text };
    // Long questions scroll within themselves; the keyboard must reach them.
    if (this.element.dataset.role === "user" && text.length > LONG) this.body.tabIndex = 0;
  }

  #showNotice(message, { notice }) {
    const box = $(".message__notice", this.element);
    const words = this.#words;
    const retry = { action: "regenerate", label: words.retry };
    const content = notice
      ?? (message.state === "queued" && { tone: "busy", text: words.queued })
      ?? null;
    const shown = content || (message.state === "failed" && {
      tone: "negative",
      text: message.error || (message.text ? words.failedPart : words.failed),
      ...retry,
    }) || (message.state === "stopped" && {
      tone: "stopped", text: message.text ? words.stopped : words.stoppedEarly,
    });
    const waiting = message.state === "streaming" && !message.text;
    const note = message.note && el("p", { class: "small muted message__note" }, message.note);
    const key = JSON.stringify([shown, waiting, message.note]);
    if (box.dataset.shown === key) return;
    box.dataset.shown = key;
    box.hidden = !shown && !waiting && !note;
    box.replaceChildren(...[this.#stateLine(shown, waiting), note].filter(Boolean));
  }

  #stateLine(shown, waiting) {
    if (waiting) return el("span", { class: "status", "data-tone": "busy" }, this.#words.thinking);
    if (!shown) return null;
    if (shown.tone === "busy" || shown.tone === "stopped") {
      return el("span", { class: "status", "data-tone": shown.tone }, shown.text);
    }
    return el("p", { class: "notice", "data-tone": shown.tone },
      el("span", {}, shown.text),
      shown.action && el("button", {
        type: "button", class: "button button--small", "data-action": shown.action,
      }, shown.label));
  }

  #showVersions(message, { siblings, idle }) {
    const box = $(".versions", this.element);
    const place = siblings.indexOf(message.id);
    box.hidden = siblings.length < 2 || place < 0;
    if (box.hidden) return;
    $(".versions__place", box).textContent = this.#words.versions
      .replace("%n", place + 1).replace("%m", siblings.length);
    const [previous, next] = $$("button", box);
    previous.disabled = !idle || place === 0;
    next.disabled = !idle || place === siblings.length - 1;
    previous.dataset.target = siblings[place - 1] ?? "";
    next.dataset.target = siblings[place + 1] ?? "";
  }

  #showReactions(message) {
    const given = new Set(message.reactions ?? []);
    for (const button of $$("[data-reaction]", this.element)) {
      const pressed = given.has(button.dataset.reaction);
      button.setAttribute("aria-pressed", String(pressed));
      if (button.closest(".reactions__more")) button.toggleAttribute("data-given", pressed);
    }
    $(".reactions", this.element)?.toggleAttribute("data-any", given.size > 0);
  }
}
