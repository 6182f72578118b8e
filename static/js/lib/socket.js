// A WebSocket that comes back: exponential pauses with jitter, aware of on- and offline.
// The server sends a snapshot after every connect, so nothing is replayed from here.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
const STEADY_AFTER = 5_000;

/**
 * `new LiveSocket("/ws/chat/ID/", { onMessage, onState, signal })`
 *
 * States: `connecting`, `open`, `waiting` (the next try is planned), `offline` (the browser says
 * so), `refused` (closed by the server with 4xxx: no further tries), `closed` (by `close()`).
 * `onState(state, { code, reason, retryIn })` hears each change; `onMessage(object)` each frame.
 */
export class LiveSocket {
  #url;
  #onMessage;
  #onState;
  #socket = null;
  #timer = null;
  #steady = null;
  #failures = 0;
  #listeners = new AbortController();
  state = "closed";

  constructor(path, { onMessage, onState = () => {}, signal } = {}) {
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.#url = url.href;
    this.#onMessage = onMessage;
    this.#onState = onState;
    const options = { signal: this.#listeners.signal };
    window.addEventListener("online", () => this.retryNow(), options);
    window.addEventListener("offline", () => this.#drop("offline"), options);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retryNow();
    }, options);
    window.addEventListener("pageshow", (event) => event.persisted && this.retryNow(), options);
    signal?.addEventListener("abort", () => this.close());
    if (navigator.onLine === false) this.#change("offline");
    else this.#connect();
  }

  /** Send an object; false when the line is down (the caller keeps what it wanted to say). */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Try at once instead of waiting for the planned moment. */
  retryNow() {
    if (this.state === "waiting" || this.state === "offline") this.#connect();
  }

  close() {
    this.#drop("closed");
    this.#listeners.abort();
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#change("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      // A line that breaks at once is not a success: the pauses go on growing.
      this.#steady = setTimeout(() => (this.#failures = 0), STEADY_AFTER);
      this.#change("open");
    });
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#receive(event.data);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) this.#lost(event);
    });
  }

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not ours
    }
    this.#onMessage(message);
  }

  #lost({ code, reason }) {
    this.#socket = null;
    clearTimeout(this.#steady);
    if (code >= 4000 && code < 5000) return this.#change("refused", { code, reason });
    if (navigator.onLine === false) return this.#change("offline");
    const ceiling = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures++);
    const retryIn = ceiling / 2 + Math.random() * (ceiling / 2);
    this.#timer = setTimeout(() => this.#connect(), retryIn);
    this.#change("waiting", { code, reason, retryIn });
  }

  #drop(state) {
    clearTimeout(this.#timer);
    clearTimeout(this.#steady);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#change(state);
  }

  #change(state, detail = {}) {
    this.state = state;
    this.#onState(state, detail);
  }
}
