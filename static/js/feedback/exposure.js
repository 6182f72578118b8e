// Which answers were on screen, how much of them and for how long: what was not seen was not
// judged. An answer counts as on screen while half of it, or half of the window, shows it.

import { $, $$ } from "lib/dom";

const SEEN_AFTER = 1_000;
const STEPS = Array.from({ length: 21 }, (_, step) => step / 20);

export class Exposure {
  #signals;
  #observer;
  #seen = new Map(); // message id -> { since, untold, total, from, to, told }
  #watched = new Map(); // element -> message id
  #beat = null;

  constructor(root, signals) {
    this.#signals = signals;
    this.#observer = new IntersectionObserver((entries) => entries.forEach((one) => this.#look(one)),
      { root, threshold: STEPS });
    signals.beforeLeaving(() => this.#tellAll());
    document.addEventListener("visibilitychange", () => this.#count());
  }

  /** Watch the finished answers that are on the page now, and no others. */
  watch(thread) {
    const shown = new Set($$('.message[data-role="assistant"]', thread)
      .filter((article) => ["complete", "stopped", "failed"].includes(article.dataset.state))
      .map((article) => $(".message__body", article)));
    for (const body of this.#watched.keys()) {
      if (!shown.has(body)) this.#drop(body);
    }
    for (const body of shown) {
      if (this.#watched.has(body)) continue;
      this.#watched.set(body, body.closest("[data-message]").dataset.message);
      this.#observer.observe(body);
    }
  }

  #drop(body) {
    const id = this.#watched.get(body);
    this.#observer.unobserve(body);
    this.#watched.delete(body);
    const state = this.#seen.get(id);
    if (!state) return;
    this.#settle(state);
    state.since = null;
    state.on = false; // else the next count would take it for still on screen
    this.#tell(id, state);
  }

  #look({ target, isIntersecting, intersectionRatio, intersectionRect, boundingClientRect, rootBounds }) {
    const id = this.#watched.get(target);
    if (!id) return;
    const state = this.#stateOf(id);
    this.#settle(state);
    const height = boundingClientRect.height || 1;
    const enough = isIntersecting && (intersectionRatio >= 0.5
      || intersectionRect.height >= (rootBounds?.height ?? innerHeight) / 2);
    state.on = enough;
    state.since = enough && document.visibilityState === "visible" ? performance.now() : null;
    if (enough) {
      state.from = Math.min(state.from, (intersectionRect.top - boundingClientRect.top) / height);
      state.to = Math.max(state.to, (intersectionRect.bottom - boundingClientRect.top) / height);
      this.#beat ??= setInterval(() => this.#count(), SEEN_AFTER);
    }
  }

  #stateOf(id) {
    if (!this.#seen.has(id)) {
      this.#seen.set(id, { since: null, on: false, untold: 0, total: 0, from: 1, to: 0, told: false });
    }
    return this.#seen.get(id);
  }

  /** Once a second while something is on screen: what has been there long enough was seen. */
  #count() {
    let any = false;
    for (const [id, state] of this.#seen) {
      this.#settle(state);
      state.since = state.on && document.visibilityState === "visible" ? performance.now() : null;
      any ||= state.since !== null;
      if (state.told || state.total < SEEN_AFTER) continue;
      state.told = true;
      this.#signals.add("exposure", id, { share_seen: share(state) });
    }
    if (any) this.#beat ??= setInterval(() => this.#count(), SEEN_AFTER);
    else {
      clearInterval(this.#beat);
      this.#beat = null;
    }
  }

  #settle(state) {
    if (state.since === null) return;
    const now = performance.now();
    state.untold += now - state.since;
    state.total += now - state.since;
    state.since = now;
  }

  #tellAll() {
    for (const [id, state] of this.#seen) {
      this.#settle(state);
      this.#tell(id, state);
    }
  }

  #tell(id, state) {
    if (state.untold < SEEN_AFTER) return;
    const whole = Math.round(state.untold);
    state.untold = 0;
    this.#signals.add("dwell", id, { duration_ms: whole, share_seen: share(state) });
  }
}

function share({ from, to }) {
  return Math.round(1000 * Math.min(1, Math.max(0, to - from))) / 1000;
}
