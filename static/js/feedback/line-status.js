// One line of words about the connection, when there is something to say about it.

import { $, announce, on } from "lib/dom";

const SLOW = 1200; // a quick connection needs no words

export class LineStatus {
  #box;
  #words;
  #slow = null;

  constructor(box, words, retry) {
    this.#box = box;
    this.#words = words;
    on(box, "click", "button", retry);
  }

  /** `state` as LiveSocket says it. */
  show(state) {
    const words = { waiting: this.#words.waiting, offline: this.#words.offline,
      refused: this.#words.refused };
    clearTimeout(this.#slow);
    if (state === "connecting") {
      this.#slow = setTimeout(() => this.#say(this.#words.connecting), SLOW);
    } else if (words[state]) this.#say(words[state], state === "waiting");
  }

  hide() {
    clearTimeout(this.#slow);
    this.#box.hidden = true;
  }

  #say(text, retry = false) {
    $("span", this.#box).textContent = text;
    $("button", this.#box).hidden = !retry;
    if (this.#box.hidden) announce(text);
    this.#box.hidden = false;
  }
}
