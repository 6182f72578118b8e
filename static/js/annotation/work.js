// The desk: one request a judgment. The server renders tasks; the next one is here before it is
// wanted, so it is on screen at once, and the answer to what was sent brings the one after it. This
// module sends, keeps drafts, watches the lease, and keeps work that could not be sent yet.

import { Judgment } from "annotation/judgment";
import { $, $$, announce, el, on, readJson, readWords, setServerHtml, toast } from "lib/dom";
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
  #ahead = null; // the desk that comes next, as a fragment
  #sending = null; // a step on its way while the next task is on screen
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
    if (this.#preloads && this.#form?.dataset.assignment) {
      (window.requestIdleCallback ?? setTimeout)(() => this.#askAhead());
    }
  }

  // The next task, before it is wanted ----------------------------------------------------------

  get #preloads() {
    return "preload" in this.#root.dataset;
  }

  async #askAhead() {
    const now = this.#form;
    const answer = await api.post(this.#root.dataset.step, { do: "ahead" }).catch(() => null);
    if (now === this.#form && !this.#busy) this.#stash(answer?.ahead);
  }

  #stash(html) {
    this.#ahead = null;
    if (!html) return;
    const template = el("template");
    setServerHtml(template, html);
    this.#ahead = template.content;
    for (const { src } of $$("img", template.content)) new Image().src = src;
  }

  /** Put the next task on the desk if it is here; whether it was. */
  #showAhead() {
    if (!this.#ahead) return false;
    this.#lock(false);
    this.#desk.replaceChildren(this.#ahead);
    this.#ahead = null;
    this.#mount();
    this.#toTop();
    return true;
  }

  #toTop() {
    $(".answer__text, .asked__text", this.#desk)?.scrollTo?.(0, 0);
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
    const form = this.#form;
    if (step.do === "undo" && this.#draftTimer) this.#saveDraft(); // kept, as it comes back
    this.#lock(true);
    clearTimeout(this.#draftTimer);
    this.#draftTimer = null;
    this.#remember(step);
    await this.#sending; // one step at a time: its answer brings what this one shows next
    if (form !== this.#form) return this.#sendLate(step); // and may have brought another desk
    this.#lock(true);
    const drafted = this.#draftSending; // a draft that arrives after the judgment would be refused
    const isShown = step.do !== "undo" && this.#showAhead();
    if (this.#preloads) step.ahead = isShown ? this.#id : "";
    this.#say("busy", "saving");
    this.#sending = drafted.then(() => this.#send(step, 0, word));
    await this.#sending;
  }

  async #send(step, attempt, word) {
    let answer;
    try {
      answer = await api.post(this.#root.dataset.step, step);
    } catch (error) {
      if (error.isTransient) return this.#wait(step, attempt, word);
      this.#forget(step);
      if (step.ahead) this.#keep(step);
      this.#lock(false);
      this.#say("negative", "refused");
      return toast(error.message, {
        seconds: 10,
        action: error.status === 409 ? this.#words.retry : undefined,
        onAction: () => location.reload(),
      });
    }
    this.#forget(step);
    $("#today").textContent = answer.today;
    $("#given").textContent = number(answer.given);
    if (step.ahead && answer.html === null) {
      this.#confirm(answer);
    } else {
      if (step.ahead && this.#draftTimer) this.#saveDraft(); // of a desk not to be next
      setServerHtml(this.#desk, answer.html);
      this.#lock(false);
      this.#mount();
      this.#toTop();
    }
    this.#stash(answer.ahead);
    if (word) announce(this.#words[word]);
    if (answer.surplus) toast(this.#words.surplus, { seconds: 8 });
  }

  /** What was to be sent is not on the desk any more: kept as a draft, it comes back in its turn. */
  #keep(step) {
    if (!step.body) return;
    api.put(`/api/assignments/${step.assignment}/draft/`, step.body).catch(() => {});
  }

  /** The task on the desk is the right one; its time begins, and what came before can be undone. */
  #confirm({ seconds_left: left, undo }) {
    this.#deadline = performance.now() + left * 1000;
    this.#tick();
    const template = el("template");
    setServerHtml(template, undo);
    $(".desk__acts", this.#form)?.append(template.content);
    if (!this.#busy && !this.#draftTimer) this.#say("positive", "saved");
  }

  #wait(step, attempt, word) {
    this.#say("caution", "offline");
    const pause = RETRY_PAUSES[Math.min(attempt, RETRY_PAUSES.length - 1)];
    return new Promise((done) => {
      this.#pending = () => done(this.#send(step, attempt + 1, word));
      this.#retryTimer = setTimeout(() => this.#retry(), pause);
    });
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

  /** Steps not acknowledged yet, oldest first; none where the store is shut or not ours. */
  #unsent() {
    try {
      const steps = JSON.parse(localStorage.getItem(this.#outbox));
      return Array.isArray(steps) ? steps.filter((step) => step?.do === "submit" && step.body) : [];
    } catch {
      return [];
    }
  }

  #store(steps) {
    try {
      if (steps.length) localStorage.setItem(this.#outbox, JSON.stringify(steps));
      else localStorage.removeItem(this.#outbox);
    } catch {
      // No room or no storage: the request itself is still on its way.
    }
  }

  #remember(step) {
    if (step.do === "submit") this.#store([...this.#unsent().filter((one) => one.key !== step.key), step]);
  }

  #forget(step) {
    if (step.do === "submit") this.#store(this.#unsent().filter((one) => one.key !== step.key));
  }

  #resend() {
    for (const step of this.#unsent()) {
      if (step.assignment === this.#form?.dataset.assignment) this.#step(step);
      else this.#sendLate(step);
    }
  }

  /** Send what is not on the desk any more: the server takes late work too, and takes it once. */
  async #sendLate(step) {
    const { assignment, body, key } = step;
    if (step.do !== "submit") return;
    try {
      await api.post(`/api/assignments/${assignment}/judgment/`, body, { key });
    } catch (error) {
      if (error.isTransient) return; // it stays in the outbox until the next visit
      toast(error.message, { seconds: 10 });
    }
    this.#forget(step);
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
