// <time is written by the server; this keeps it current: <relative-time datetime="…">text</relative-time>

import { absoluteTime, relativeTime } from "lib/format";

class RelativeTime extends HTMLElement {
  static observedAttributes = ["datetime"];
  #timer = null;

  connectedCallback() {
    this.#show();
    this.#timer = setInterval(() => this.#show(), 30_000);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#show();
  }

  #show() {
    const date = new Date(this.getAttribute("datetime"));
    if (Number.isNaN(date.getTime())) return; // the server's text stands
    this.textContent = relativeTime(date);
    this.title = absoluteTime(date);
  }
}

customElements.define("relative-time", RelativeTime);
