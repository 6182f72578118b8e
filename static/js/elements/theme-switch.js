// <theme-switch><button>…</button></theme-switch>: light, dark or as the system says.
// The choice lives in a cookie, so that the server prints it on <html> and nothing flashes.

import { announce, on } from "lib/dom";

const YEAR = 31_536_000;

class ThemeSwitch extends HTMLElement {
  #listeners = null;

  connectedCallback() {
    this.#listeners = new AbortController();
    this.hidden = false;
    on(this, "click", "button", () => this.#turn(), { signal: this.#listeners.signal });
  }

  disconnectedCallback() {
    this.#listeners.abort();
  }

  #turn() {
    const root = document.documentElement;
    const shown = root.dataset.theme
      ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const next = shown === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${next}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
    announce(next === "dark" ? this.dataset.dark : this.dataset.light);
  }
}

customElements.define("theme-switch", ThemeSwitch);
