// What the person's browser tells about answers: kept until the server has it, each event under
// its own id, so that telling it twice is harmless. It outlives the page and works offline.

import { api, newId } from "lib/api";
import { on } from "lib/dom";

const PREFIX = "signal:";
const TOGETHER = 2_000;
const LONGEST_PAUSE = 60_000;
const BATCH = 100; // small enough for a request that outlives its page
const KEPT_MS = 7 * 24 * 3600 * 1000;

export class Signals {
  #memory = new Map(); // where storage is full or forbidden
  #timer = null;
  #pause = 0;
  #sending = false;
  #before = []; // called before the page is hidden, to tell what is still counted

  constructor() {
    on(document, "visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#leave();
    });
    on(window, "pagehide", () => this.#leave());
    on(window, "online", () => this.flush());
    if (this.#stored().length) this.#later(TOGETHER);
  }

  /** Tell an event about an answer; `more` has reaction, reasons, comment, duration_ms, share_seen. */
  add(kind, message, more = {}) {
    this.keep({ id: newId(), kind, message, client_time: new Date().toISOString(), ...more });
    this.#later(TOGETHER);
  }

  /** Keep an event that has an id already, so that it is told when the page comes back. */
  keep(event) {
    try {
      localStorage.setItem(PREFIX + event.id, JSON.stringify(event));
    } catch {
      this.#memory.set(event.id, event);
    }
  }

  beforeLeaving(work) {
    this.#before.push(work);
  }

  async flush({ keepalive = false } = {}) {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#sending && !keepalive) return;
    const events = [...this.#stored(), ...this.#memory.values()].slice(0, BATCH);
    if (!events.length || navigator.onLine === false) return;
    this.#sending = true;
    try {
      await api.post("/api/events/", { events }, { keepalive });
      this.#pause = 0;
      this.#forget(events);
      if (this.#stored().length) this.#later(TOGETHER);
    } catch (error) {
      // A batch that was refused whole would be refused again; any other is tried again later.
      if (error.status === 400 || error.status === 413) this.#forget(events);
      else this.#later((this.#pause = Math.min(LONGEST_PAUSE, 2 * this.#pause || 4_000)));
    } finally {
      this.#sending = false;
    }
  }

  #leave() {
    for (const work of this.#before) work();
    this.flush({ keepalive: true });
  }

  #later(pause) {
    this.#timer ??= setTimeout(() => this.flush(), pause);
  }

  #forget(events) {
    for (const { id } of events) {
      this.#memory.delete(id);
      try {
        localStorage.removeItem(PREFIX + id);
      } catch { /* nothing is stored there */ }
    }
  }

  #stored() {
    const found = [];
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(PREFIX)) continue;
        const event = read(key);
        if (event) found.push(event);
        else localStorage.removeItem(key);
      }
    } catch { /* no storage: what is in memory is all there is */ }
    return found;
  }
}

function read(key) {
  try {
    const event = JSON.parse(localStorage.getItem(key));
    return event?.id && Date.now() - Date.parse(event.client_time) < KEPT_MS ? event : null;
  } catch {
    return null;
  }
}
