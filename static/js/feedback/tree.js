// The conversation as a tree of messages: which path is shown, what streams in, who has siblings.
// Pure data: knows neither page nor socket.

import { codePoints } from "lib/format";

export class Tree {
  #messages = new Map();
  #lengths = new Map(); // code points of the text so far, as the server counts
  leaf = null;

  load({ messages, leaf }) {
    this.#messages.clear();
    this.#lengths.clear();
    for (const message of messages) this.put(message);
    this.leaf = leaf ?? messages.at(-1)?.id ?? null;
  }

  /** Store a new or changed message. A new one becomes the end of the shown path. */
  put(message) {
    if (!this.#messages.has(message.id)) this.leaf = message.id;
    this.#messages.set(message.id, message);
    this.#lengths.set(message.id, codePoints(message.text));
    return message;
  }

  get(id) {
    return this.#messages.get(id);
  }

  /**
   * Take a piece that starts at code point `offset`. Returns the part that was new, "" when all of
   * it was known, or null when something before it is missing.
   */
  extend(id, offset, text) {
    const message = this.#messages.get(id);
    if (!message) return null;
    const known = this.#lengths.get(id);
    if (offset > known) return null;
    const fresh = offset === known ? text : [...text].slice(known - offset).join("");
    if (fresh) {
      message.text += fresh;
      message.state = "streaming";
      this.#lengths.set(id, known + codePoints(fresh));
    }
    return fresh;
  }

  /** The shown messages, oldest first; instructions to the model are not shown. */
  path() {
    const path = [];
    const seen = new Set();
    let message = this.#messages.get(this.leaf);
    while (message && !seen.has(message.id)) {
      seen.add(message.id);
      if (message.role !== "system") path.unshift(message);
      message = this.#messages.get(message.parent);
    }
    return path;
  }

  /** Ids of the versions of this message in order; the longest list known is the newest. */
  siblings(message) {
    let longest = message.siblings ?? [message.id];
    for (const other of this.#messages.values()) {
      if (other.parent === message.parent && other.role === message.role
        && (other.siblings?.length ?? 0) > longest.length) longest = other.siblings;
    }
    return longest;
  }

  /** The newest message at the end of the branch that starts at `id`; `id` itself if unknown. */
  deepest(id) {
    let current = id;
    for (;;) {
      const children = [...this.#messages.values()].filter(({ parent }) => parent === current);
      if (children.length === 0) return current;
      current = children.at(-1).id;
    }
  }

  /** The answer under way at the end of the shown path, if any. */
  get active() {
    const last = this.#messages.get(this.leaf);
    return last && (last.state === "streaming" || last.state === "queued") ? last : null;
  }
}
