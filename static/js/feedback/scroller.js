// Stay at the newest line only when the reader is there already.

import { on } from "lib/dom";

const NEAR = 64;

export class Scroller {
  #box;
  #jump;
  #following = true;

  constructor(box, jump) {
    this.#box = box;
    this.#jump = jump;
    on(box, "scroll", () => this.#look(), { passive: true });
    on(jump, "click", () => this.toEnd());
    new ResizeObserver(() => this.settle()).observe(box.firstElementChild);
    new ResizeObserver(() => this.settle()).observe(box);
  }

  /** Call after the content changed. */
  settle() {
    if (this.#following) this.#box.scrollTop = this.#box.scrollHeight;
    this.#look();
  }

  toEnd() {
    this.#following = true;
    this.settle();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#box;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR;
    this.#jump.hidden = this.#following;
  }
}
