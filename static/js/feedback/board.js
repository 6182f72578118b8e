// The live board: panels drawn by the server, put in place as they change.

import { $, setServerHtml } from "lib/dom";
import { LiveSocket } from "lib/socket";

const TONES = { open: "positive", connecting: "busy", lost: "caution", offline: "caution", refused: "negative", stale: "caution" };
const STATES = { waiting: "lost", closed: "refused" };

/** One open board. */
class Board {
  #line = $("[data-line]");
  #at = $("[data-at]");
  #told = null;
  #stream = null;
  #late = new Map();
  #socket;

  constructor({ project, window: span, door, language }) {
    const query = new URLSearchParams({ project, window: span, door, language });
    this.#socket = new LiveSocket(`/ws/console/board/?${query}`, {
      onMessage: (message) => this.#hear(message),
      onState: (state) => this.#show(STATES[state] ?? state),
    });
    // What was not put under somebody's hands is put there when they leave.
    for (const type of ["focusout", "pointerout"]) {
      document.addEventListener(type, () => queueMicrotask(() => this.#catchUp()));
    }
  }

  #hear({ type, stream, from, seq, stale, panels }) {
    if (type === "change" && (stream !== this.#stream || from !== this.#told)) {
      this.#socket.send({ type: "resume" }); // something was missed: everything once more
      return;
    }
    if (type !== "snapshot" && type !== "change") return;
    this.#stream = stream;
    this.#told = seq;
    for (const [name, html] of Object.entries(panels)) this.#late.set(name, html);
    this.#catchUp();
    this.#show(stale ? "stale" : "open");
    if (!stale) this.#at.textContent = new Date().toISOString().slice(11, 19);
  }

  #catchUp() {
    for (const [name, html] of this.#late) {
      const panel = $(`[data-panel="${CSS.escape(name)}"]`);
      if (!panel) this.#late.delete(name);
      if (!panel || panel.matches(":focus-within") || panel.querySelector("svg:hover")) continue;
      const open = panel.querySelector("details")?.open;
      setServerHtml(panel, html);
      const details = panel.querySelector("details");
      if (details && open !== undefined) details.open = open;
      this.#late.delete(name);
    }
  }

  #show(state) {
    if (state === "open" && this.#told === null) state = "connecting";
    if (state === "lost" || state === "offline") this.#told = null;
    this.#line.dataset.tone = TONES[state] ?? "caution";
    this.#line.textContent = this.#line.dataset[state] ?? state;
  }
}

new Board(document.body.dataset);
