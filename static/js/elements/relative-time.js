// The server writes the words; this keeps them current:
// <relative-time datetime="…" format="long|short|narrow">3 May 2026</relative-time>

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
    this.textContent = relativeTime(date, { style: this.getAttribute("format") ?? "long" });
    this.title = absoluteTime(date);
  }
}

customElements.define("relative-time", RelativeTime);
