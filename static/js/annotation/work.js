// The desk: one request a judgment. The server renders the next task into the answer; this module
// sends, keeps drafts, watches the lease, and keeps work that could not be sent yet.

import { Judgment } from "annotation/judgment";
import { $, announce, el, on, readJson, readWords, setServerHtml, toast } from "lib/dom";
import { addCopyButtons } from "elements/code-copy";
import { api, newId } from "lib/api";
import { clock, number } from "lib/format";
import { Keys } from "lib/keys";

const DRAFT_PAUSE = 700;
const RETRY_PAUSES = [1000, 2000, 4000, 8000, 15_000];
const HEARTBEAT_EVERY = 60_000;

class Work {
  #root = $("#work");
  #desk = $("#desk");
  #words = readWords("words");
  #form = null;
  #judgment = null;
  #keys = null;
  #task = new AbortController(); // listeners of the task on the desk
  #page = new AbortController();
  #draftTimer = null;
  #draftSending = Promise.resolve();
  #retryTimer = null;
  #pending = null;
  #busy = false;
  #mountedAt = 0;
  #deadline = 0;
  #active = false;
  #lastBeat = 0;

  constructor() {
    const { signal } = this.#page;
    for (const id of ["show-guidelines", "show-keys", "saved"]) $(`#${id}`).hidden = false;
    on($("#show-guidelines"), "click", () => $("#guidelines").showModal(), { signal });
    on($("#show-keys"), "click", () => this.#keys.showMap(), { signal });
    on(window, "online", () => this.#retry(), { signal });
    on(document, "visibilitychange", () => document.visibilityState === "hidden" && this.#saveDraft(true), { signal });
    on(window, "pagehide", () => this.#saveDraft(true), { signal });
    for (const type of ["keydown", "pointerdown", "wheel"]) {
      on(document, type, () => (this.#active = true), { signal, passive: true });
    }
    setInterval(() => this.#tick(), 1000);
    this.#mount();
    this.#resend();
  }

  // The task on the desk ----------------------------------------------------------------------

  #mount() {
    this.#task.abort();
    this.#task = new AbortController();
    const { signal } = this.#task;
    this.#form = $("#form", this.#desk);
    this.#judgment = this.#form?.dataset.kinds
      ? new Judgment(this.#form, this.#words, { signal, said: readJson("draft") ?? {} }) : null;
    $("#differences").hidden = !this.#judgment?.canCompare;
    this.#keys = new Keys([
      ...(this.#judgment?.keys((complete) => this.#oneKey(complete)) ?? []),
      { key: "Enter", label: this.#words.send, group: this.#words.judge,
        when: () => this.#judgment, run: () => this.#submit() },
    ], { signal });
    this.#mountedAt = performance.now();
    this.#lastBeat = performance.now();
    this.#active = false;
    addCopyButtons(this.#desk);
    const left = Number(this.#form?.dataset.secondsLeft);
    this.#deadline = left ? performance.now() + left * 1000 : 0;
    this.#tick();
    this.#say("positive", "saved");
    if (!this.#form) return;
    this.#form.noValidate = true; // what is open is said in words, and steps may stay open
    on(this.#form, "submit", (event) => this.#onSubmit(event), { signal });
    on(this.#form, "input", () => this.#planDraft(), { signal });
    on(this.#form, "keydown", "textarea, input.input", (event, field) => {
      const send = event.key === "Enter" && (event.ctrlKey || event.metaKey);
      if (send) this.#submit();
      if (event.key === "Escape" || (event.key === "Enter" && field.matches("input"))) field.blur();
      else if (!send) return;
      event.preventDefault();
    }, { signal });
    on(this.#form, "toggle", "details.menu", (event, menu) => {
      if (menu.open) $("button, input", $(".menu__panel", menu))?.focus();
    }, { signal, capture: true });
  }

  #onSubmit(event) {
    event.preventDefault();
    const { name, value } = event.submitter ?? {};
    if (name === "undo") this.#step({ do: "undo", judgment: value }, { word: "undone" });
    else if (name === "skip") this.#step({ do: "skip", assignment: this.#id, reason: value }, { word: "skipped" });
    else this.#submit();
  }

  get #id() {
    return this.#form.dataset.assignment;
  }

  /** A judgment that a key completed is sent at once: it can be undone. */
  #oneKey(complete) {
    if (complete) this.#submit();
    else this.#planDraft();
  }

  #submit() {
    if (!this.#judgment || this.#busy) return;
    const open = this.#judgment.open();
    if (open) {
      toast(this.#words[open.says]);
      open.focus();
      return;
    }
    const body = this.#judgment.answer();
    this.#step({
      do: "submit",
      assignment: this.#id,
      key: this.#form.dataset.keyOfSend || newId(),
      body: { ...body, ...this.#shared(), seconds: this.#seconds(), token: this.#form.dataset.token },
    });
  }

  #shared() {
    const data = new FormData(this.#form);
    return { rationale: (data.get("rationale") ?? "").trim(), flags: data.getAll("flags") };
  }

  #seconds() {
    return Math.round((performance.now() - this.#mountedAt) / 100) / 10;
  }

  // Sending -----------------------------------------------------------------------------------

  async #step(step, { word } = {}) {
    if (this.#busy) return;
    this.#lock(true);
    clearTimeout(this.#draftTimer);
    this.#say("busy", "saving");
    this.#remember(step);
    await this.#draftSending; // a draft that arrives after the judgment would be refused
    await this.#send(step, 0, word);
  }

  async #send(step, attempt, word) {
    let answer;
    try {
      answer = await api.post(this.#root.dataset.step, step);
    } catch (error) {
      if (error.isTransient) return this.#wait(step, attempt, word);
      this.#forget();
      this.#lock(false);
      this.#say("negative", "refused");
      return toast(error.message, {
        seconds: 10,
        action: error.status === 409 ? this.#words.retry : undefined,
        onAction: () => location.reload(),
      });
    }
    this.#forget();
    setServerHtml(this.#desk, answer.html);
    this.#lock(false);
    $("#today").textContent = answer.today;
    $("#given").textContent = number(answer.given);
    this.#mount();
    if (word) announce(this.#words[word]);
    if (answer.surplus) toast(this.#words.surplus, { seconds: 8 });
    $(".answer__text, .asked__text", this.#desk)?.scrollTo?.(0, 0);
  }

  #wait(step, attempt, word) {
    this.#say("caution", "offline");
    this.#pending = () => this.#send(step, attempt + 1, word);
    const pause = RETRY_PAUSES[Math.min(attempt, RETRY_PAUSES.length - 1)];
    this.#retryTimer = setTimeout(() => this.#retry(), pause);
  }

  #retry() {
    const pending = this.#pending;
    this.#pending = null;
    clearTimeout(this.#retryTimer);
    pending?.();
  }

  #lock(busy) {
    this.#busy = busy;
    this.#form?.setAttribute("aria-busy", String(busy));
    for (const button of this.#form?.querySelectorAll("button") ?? []) button.disabled = busy;
  }

  // What could not be sent survives a closed tab; the key makes sending it twice harmless.
  get #outbox() {
    return `preferendum.outbox.${this.#root.dataset.project}`;
  }

  #remember(step) {
    if (step.do !== "submit") return;
    try {
      localStorage.setItem(this.#outbox, JSON.stringify(step));
    } catch {
      // No room or no storage: the request itself is still on its way.
    }
  }

  #forget() {
    try {
      localStorage.removeItem(this.#outbox);
    } catch {
      // See above.
    }
  }

  #resend() {
    let step = null;
    try {
      step = JSON.parse(localStorage.getItem(this.#outbox));
    } catch {
      this.#forget();
    }
    if (step?.do === "submit" && step.assignment === this.#form?.dataset.assignment) this.#step(step);
    else this.#forget();
  }

  // Drafts, lease, state ----------------------------------------------------------------------

  #planDraft() {
    if (this.#busy) return;
    this.#say("busy", "unsaved");
    clearTimeout(this.#draftTimer);
    this.#draftTimer = setTimeout(() => this.#saveDraft(), DRAFT_PAUSE);
  }

  #saveDraft(leaving = false) {
    if (leaving && !this.#draftTimer) return;
    clearTimeout(this.#draftTimer);
    this.#draftTimer = null;
    if (!this.#judgment || this.#busy) return;
    const body = { ...this.#judgment.answer(), ...this.#shared() };
    const id = this.#id;
    this.#say("busy", "saving");
    this.#draftSending = api.put(`/api/assignments/${id}/draft/`, body, { keepalive: leaving })
      .then(() => { if (!this.#busy && id === this.#form?.dataset.assignment) this.#say("positive", "saved"); })
      .catch((error) => {
        if (this.#busy) return;
        this.#say(error.isTransient ? "caution" : "negative", error.isTransient ? "offline" : "refused");
        if (error.isTransient) this.#draftTimer = setTimeout(() => this.#saveDraft(), 5000);
      });
  }

  #say(tone, word) {
    const node = $("#saved");
    node.dataset.tone = tone;
    node.textContent = this.#words[word];
  }

  #tick() {
    const node = $("#lease");
    node.hidden = !this.#deadline;
    if (!this.#deadline) return;
    const left = (this.#deadline - performance.now()) / 1000;
    node.replaceChildren(clock(Math.max(0, left)),
      el("span", { class: "wide-only" }, this.#words.left));
    node.title = left > 0 ? this.#words.lease : this.#words.late;
    if (left < 60) node.dataset.tone = "caution";
    else delete node.dataset.tone;
    if (this.#active && performance.now() - this.#lastBeat > HEARTBEAT_EVERY) this.#beat();
  }

  /** Someone is at work here: the lease runs on. A refusal changes nothing; late work is kept. */
  #beat() {
    this.#lastBeat = performance.now();
    this.#active = false;
    const id = this.#id;
    api.post(`/api/assignments/${id}/heartbeat/`).then(() => {
      if (id !== this.#form?.dataset.assignment) return;
      this.#deadline = performance.now() + Number(this.#form.dataset.lease) * 1000;
    }, () => {});
  }
}

new Work();
