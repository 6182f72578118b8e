// The console while a round runs: progress at once, the rest by fetching the server's own fragment.

import { $, $$, announce, setServerHtml } from "lib/dom";
import { number } from "lib/format";
import { LiveSocket } from "lib/socket";

const FRESH_EVERY = 1500;

/** One open page of a project's console. */
class Console {
  #live = $("[data-live]");
  #project = document.body.dataset.project;
  #wanted = false;
  #timer = null;
  #running = null;

  constructor() {
    this.#running = this.#live?.hasAttribute("data-running") ?? false;
    new LiveSocket(`/ws/console/?project=${encodeURIComponent(this.#project)}`, {
      onMessage: (message) => this.#hear(message),
    });
  }

  #hear(message) {
    if (message.type === "run") this.#showRun(message.run);
    if (message.type === "counts") this.#showCounts(message.counts);
    if (message.type === "snapshot") {
      message.runs.forEach((run) => this.#showRun(run));
      this.#showCounts(message.counts);
      this.#showRound(message.round);
    }
    if (message.type === "round") this.#showRound(message.round);
    if (message.type === "log") this.#showLog(message);
  }

  #showLog({ run, text }) {
    const log = $(`[data-log="${CSS.escape(run)}"]`);
    if (!log) return;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.textContent = text;
    log.closest("section").hidden = false;
    if (atEnd) log.scrollTop = log.scrollHeight; // whoever scrolled up reads on undisturbed
  }

  #showCounts(counts) {
    for (const node of $$("[data-count]")) {
      const value = counts[node.dataset.count];
      if (value !== undefined) node.textContent = number(value);
    }
  }

  #showRun(run) {
    const place = $(`[data-run="${CSS.escape(run.id)}"]`);
    const ended = run.state !== "queued" && run.state !== "running";
    if (place && "reload" in place.dataset && ended) return location.reload();
    if (!place) {
      const followed = this.#live && (run.round || "anyRun" in this.#live.dataset);
      return followed ? this.#refresh() : undefined;
    }
    $("[data-phase]", place).textContent = run.phase || run.state;
    const bar = $("progress", place);
    if (run.total) Object.assign(bar, { max: run.total, value: run.step });
    else bar.removeAttribute("value");
    this.#refresh();
  }

  #showRound(turn) {
    if (!this.#live || !turn || "anyRun" in this.#live.dataset) return;
    const shown = $("[data-round]", this.#live)?.dataset.round;
    if (shown && shown !== turn.id && this.#live.dataset.live.includes("/rounds/")) return;
    const active = turn.state === "queued" || turn.state === "running";
    if (this.#running && !active) return this.#finish(turn);
    this.#running = active;
    if (active) this.#refresh();
  }

  /** The round has ended: the whole page has news (the verdict, the tables), so it is loaded again. */
  #finish(turn) {
    this.#running = false;
    announce(`Round ${turn.number}: ${turn.state}`);
    location.reload();
  }

  /** Fetch the fragment, at most once in FRESH_EVERY milliseconds. */
  #refresh() {
    if (!this.#live) return;
    this.#wanted = true;
    this.#timer ??= setTimeout(async () => {
      this.#wanted = false;
      await this.#fetch();
      this.#timer = null;
      if (this.#wanted) this.#refresh();
    }, FRESH_EVERY);
  }

  async #fetch() {
    try {
      const response = await fetch(this.#live.dataset.live, { credentials: "same-origin" });
      if (!response.ok || response.redirected) return;
      const html = await response.text();
      if (this.#live.contains(document.activeElement)) return; // not under a reader's hands
      setServerHtml(this.#live, html);
    } catch {
      // offline: the socket says so, and the next change fetches again
    }
  }
}

if (document.body.dataset.project) new Console();
