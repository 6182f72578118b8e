// What the person asked for and the server has not confirmed. It survives a reload, and each entry
// carries the id that makes sending it twice harmless.

const MOST_TRIES = 5;

export class Outbox {
  #key;
  #entries;

  constructor(conversation) {
    this.#key = `outbox:${conversation}`;
    try {
      this.#entries = JSON.parse(sessionStorage.getItem(this.#key)) ?? [];
    } catch {
      this.#entries = [];
    }
  }

  get entries() {
    return this.#entries;
  }

  add(frame) {
    this.#entries.push({ frame, tries: 0 });
    this.#save();
    return frame;
  }

  find(id) {
    return this.#entries.find(({ frame }) => frame.id === id);
  }

  remove(id) {
    const entry = this.find(id);
    if (!entry) return null;
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#save();
    return entry.frame;
  }

  /** Send what is still open; an entry that was tried often enough waits for the person. */
  flush(send) {
    for (const entry of this.#entries) {
      if (entry.tries >= MOST_TRIES || entry.held) continue;
      if (send(entry.frame)) entry.tries += 1;
    }
    this.#save();
  }

  /** Keep an entry back until `release`: the server said that it is busy. */
  hold(id, detail) {
    const entry = this.find(id);
    if (entry) entry.held = detail;
    this.#save();
  }

  release(id) {
    const entry = this.find(id);
    if (!entry) return;
    entry.tries = 0;
    delete entry.held;
    this.#save();
  }

  /** Drop what this message shows to have arrived; true when something was dropped. */
  confirm(message, request) {
    const before = this.#entries.length;
    this.#entries = this.#entries.filter(({ frame }) => !answers(frame, message, request));
    if (this.#entries.length !== before) this.#save();
    return this.#entries.length !== before;
  }

  /** Drop reactions to this message: the server has told where they stand. */
  confirmReaction(messageId) {
    this.#entries = this.#entries.filter(({ frame }) =>
      frame.type !== "react" || frame.message !== messageId);
    this.#save();
  }

  #save() {
    try {
      if (this.#entries.length) sessionStorage.setItem(this.#key, JSON.stringify(this.#entries));
      else sessionStorage.removeItem(this.#key);
    } catch {
      // Storage full or forbidden: the entries still live in this page.
    }
  }
}

function answers(frame, message, request) {
  if (frame.type === "react") return false;
  if (request === frame.id || message.request === frame.id || message.id === frame.id) return true;
  if (message.role !== "user" || message.text !== frame.text) return false;
  if (frame.type === "edit") {
    return message.id !== frame.message && Boolean(message.siblings?.includes(frame.message));
  }
  return frame.type === "send" && message.parent === frame.parent;
}
