// The chat page: one conversation over one socket. The server's snapshot is the truth; what the
// person asks for is shown at once, kept in the outbox, and confirmed by what comes back.

import { Attachments } from "feedback/attachments";
import { Composer } from "feedback/composer";
import { Copies } from "feedback/copies";
import { ConversationList } from "feedback/conversations";
import { Exposure } from "feedback/exposure";
import { askHindsight } from "feedback/hindsight";
import { LineStatus } from "feedback/line-status";
import { Outbox } from "feedback/outbox";
import { offerErasing } from "feedback/own-data";
import { NEGATIVE, askWhy, closeWhy } from "feedback/reasons";
import { Report } from "feedback/report";
import { Scroller } from "feedback/scroller";
import { Share } from "feedback/share";
import { bindKeys } from "feedback/shortcuts";
import { Signals } from "feedback/signals";
import { Thread } from "feedback/thread";
import { Tree } from "feedback/tree";
import { api, newId } from "lib/api";
import { $, announce, copyText, everyFrame, on, readWords, toast } from "lib/dom";
import { LiveSocket } from "lib/socket";

class Chat {
  #root = $("#chat");
  #words = readWords("chat-words");
  #tree = new Tree();
  #id = this.#root.dataset.conversation || null;
  #outbox = this.#id ? new Outbox(this.#id) : null;
  #socket = null;
  #ready = false; // a snapshot has come over the present connection
  #opening = false;
  #asked = -Infinity;
  #busy = new Map(); // message id -> the server's words about being busy
  #thread = new Thread($("#thread"), this.#words);
  #scroller = new Scroller($("#scroll"), $("#jump"));
  #list = new ConversationList($("#conversations"), { toggle: $("#show-list"), main: $("#talk") });
  #status = new LineStatus($("#status"), this.#words, () => this.#socket?.retryNow());
  #signals = new Signals();
  #exposure = new Exposure($("#scroll"), this.#signals);
  #copies = new Copies($("#thread"), this.#signals);
  #share = new Share();
  #report = new Report((message, more) => this.#signals.add("report", message, more));
  #draw = everyFrame(() => this.#render());
  #drawPieces = everyFrame(() => this.#thread.drawPieces());
  #attachments = new Attachments($("#composer"), this.#words);
  #composer = new Composer($("#composer"), {
    draftKey: `draft:${this.#id ?? "new"}`,
    onSend: (text) => this.#send(text),
    onStop: () => this.#stop(),
  });

  start() {
    on($("#thread"), "click", "[data-action]", (event, button) => this.#act(button));
    on($("#thread"), "click", "[data-reaction]", (event, button) => this.#react(button));
    on($("#thread"), "click", "[data-target]", (event, button) => this.#select(button.dataset.target));
    on($("#thread"), "submit", ".editor", (event, form) => this.#submitEdit(event, form));
    on(this.#root, "click", "[data-suggestion]", (event, button) => this.#send(button.textContent.trim()));
    on($("#consent"), "change", (event) => this.#consent(event.target.checked));
    on($("#share"), "click", () => this.#openShare());
    this.#signals.beforeLeaving(() => this.#handOver());
    askHindsight($("#hindsight"), this.#signals);
    offerErasing($("[data-erase]"));
    bindKeys(this.#words, {
      write: () => this.#composer.focus(),
      search: () => this.#list.search(),
      share: () => this.#openShare(),
      stop: () => this.#stop(),
      rename: () => this.#list.rename(),
    });
    if (this.#id) this.#connect();
    else this.#composer.focus();
  }

  // The line -------------------------------------------------------------------------------

  #connect() {
    this.#socket = new LiveSocket(`/ws/chat/${this.#id}/`, {
      onMessage: (frame) => this.#receive(frame),
      onState: (state) => this.#line(state),
    });
  }

  #line(state) {
    this.#ready = false;
    this.#status.show(state);
    this.#draw();
  }

  #request(asked) {
    const frame = { ...asked, id: newId(), client_time: new Date().toISOString() };
    this.#outbox.add(frame);
    if (this.#ready && this.#socket.send(frame)) this.#outbox.find(frame.id).tries = 1;
    this.#draw();
  }

  #receive(frame) {
    switch (frame.type) {
      case "snapshot": return this.#snapshot(frame);
      case "message": return this.#message(frame.message, frame.request);
      case "done": return this.#done(frame.message, frame.request);
      case "delta": return this.#delta(frame);
      case "blocks": return this.#blocks(frame);
      case "busy": return this.#isBusy(frame);
      case "reaction": return this.#reaction(frame);
      case "title": return this.#title(frame.title);
      case "error": return this.#error(frame);
      default: return undefined; // a newer server may say more
    }
  }

  #snapshot({ conversation, messages, leaf }) {
    this.#status.hide();
    this.#ready = true;
    this.#tree.load({ messages, leaf });
    for (const message of messages) this.#outbox.confirm(message);
    $("#consent").checked = conversation.consent;
    this.#title(conversation.title);
    this.#outbox.flush((frame) => this.#socket.send(frame));
    this.#draw();
  }

  #message(message, request) {
    const before = this.#tree.get(message.id);
    this.#outbox.confirm(message, request);
    this.#confirmRegenerate(message);
    // A late copy of a message that already grew here must not cut it short.
    if (before && before.state === "streaming" && message.state === "streaming"
      && before.text.length > message.text.length) return;
    this.#busy.delete(message.id);
    // Reactions are personal: only snapshots and reaction frames tell them.
    if (before) message.reactions = before.reactions;
    this.#tree.put(message);
    if (!before && message.role === "assistant") announce(this.#words.answering);
    this.#draw();
  }

  #done(message, request) {
    this.#message(message, request);
    const ends = { complete: "answered", stopped: "stopped", failed: "failed" };
    announce(this.#words[ends[message.state]] ?? this.#words.answered);
  }

  #confirmRegenerate(message) {
    if (message.role !== "assistant") return;
    for (const { frame } of this.#outbox.entries) {
      if (frame.type === "regenerate" && message.siblings?.includes(frame.message)
        && message.id !== frame.message) this.#outbox.remove(frame.id);
    }
  }

  #delta({ message, offset, text }) {
    const wasWaiting = this.#tree.get(message)?.state !== "streaming" || offset === 0;
    const fresh = this.#tree.extend(message, offset, text);
    if (fresh === null) return this.#resume();
    if (!fresh) return undefined;
    if (wasWaiting) return this.#draw();
    this.#thread.push(message, fresh);
    return this.#drawPieces();
  }

  #blocks(frame) {
    const message = this.#tree.get(frame.message);
    if (message?.state !== "streaming") return;
    this.#render(); // the view may be new
    this.#thread.blocks(message, frame);
  }

  #resume() {
    if (performance.now() - this.#asked < 1000) return; // an answer is under way
    this.#asked = performance.now();
    this.#socket.send({ type: "resume" });
  }

  #isBusy({ message, detail, retry_after: retryAfter, request }) {
    const text = detail || this.#words.busy;
    if (message) {
      this.#busy.set(message, text);
      const answer = this.#tree.get(message);
      if (answer && !answer.text) answer.state = "failed";
    } else {
      const waiting = request ?? this.#outbox.entries.find(({ frame }) => frame.type !== "react")?.frame.id;
      if (waiting) this.#outbox.hold(waiting, text);
    }
    announce(retryAfter ? `${text} ${this.#words.retryIn.replace("%s", Math.ceil(retryAfter))}` : text);
    this.#draw();
  }

  #error({ detail, request }) {
    const frame = request ? this.#outbox.remove(request) : null;
    if (frame?.type === "send" || frame?.type === "edit") this.#restore(frame);
    toast(detail || this.#words.error, { seconds: 8 });
    if (frame?.type === "react") this.#resume();
    this.#draw();
  }

  #restore({ text, images }) {
    this.#composer.restore(text);
    this.#attachments.restore(images);
  }

  #title(title) {
    this.#list.show({ id: this.#id, title, updated_at: new Date().toISOString() });
    if (!title) return;
    $("#title").textContent = title;
    $("#heading").textContent = title;
    document.title = `${title} · Preferendum`;
  }

  // What the person does -------------------------------------------------------------------

  #send(text) {
    if (this.#opening) return false;
    if (this.#tree.active) {
      toast(this.#words.wait);
      return false;
    }
    if (this.#attachments.busy) {
      toast(this.#words.uploading);
      return false;
    }
    if (!this.#id) return this.#open(text);
    this.#ask(text, this.#tree.leaf);
    this.#scroller.toEnd();
    return true;
  }

  #ask(text, parent) {
    const images = this.#attachments.ids;
    this.#request({ type: "send", text, parent, ...(images.length ? { images } : {}) });
    this.#attachments.clear();
  }

  /** The first message makes the conversation; until it exists the words stay in the field. */
  #open(text) {
    this.#opening = true;
    this.#root.dataset.opening = "";
    this.#create ??= newId();
    api.post("/api/conversations/", { consent: $("#consent").checked }, { key: this.#create })
      .then(({ id }) => {
        this.#id = id;
        this.#outbox = new Outbox(id);
        this.#root.dataset.conversation = id;
        history.replaceState(null, "", `/c/${id}/`);
        this.#composer.rename(`draft:${id}`);
        this.#connect();
        this.#ask(text, null);
      })
      .catch((error) => {
        this.#composer.restore(text);
        toast(error.message, { action: this.#words.retry, onAction: () => this.#retryOpen() });
      })
      .finally(() => {
        this.#opening = false;
        delete this.#root.dataset.opening;
      });
    return true;
  }

  #create = null;

  #retryOpen() {
    $("#composer").requestSubmit();
  }

  #stop() {
    const active = this.#tree.active;
    const now = new Date().toISOString();
    if (active) this.#socket.send({ type: "stop", message: active.id, client_time: now });
  }

  #select(id) {
    if (!id) return;
    this.#tree.leaf = this.#tree.deepest(id);
    this.#socket?.send({ type: "select", message: this.#tree.leaf });
    if (this.#tree.get(id)) this.#draw();
    const { place } = this.#placeOf(id);
    if (place) announce(place);
  }

  #placeOf(id) {
    const message = this.#tree.get(id);
    if (!message) return {};
    const all = this.#tree.siblings(message);
    return { place: this.#words.versions.replace("%n", all.indexOf(id) + 1).replace("%m", all.length) };
  }

  async #act(button) {
    const article = button.closest("[data-message], [data-pending]");
    const { message: id, pending } = article.dataset;
    switch (button.dataset.action) {
      case "copy": {
        const done = await copyText(this.#tree.get(id).text);
        this.#acknowledge(article, done ? this.#words.copied : this.#words.notCopied);
        if (done) this.#copies.note(article);
        break;
      }
      case "report": this.#report.open(id); break;
      case "regenerate":
        this.#busy.delete(id);
        this.#request({ type: "regenerate", message: id });
        this.#scroller.toEnd();
        break;
      case "edit": this.#thread.edit(article, this.#tree.get(id).text); break;
      case "cancel-edit": this.#thread.endEdit(article); break;
      case "resend":
        this.#outbox.release(pending);
        this.#outbox.flush((frame) => this.#ready && this.#socket.send(frame));
        this.#draw();
        break;
      case "withdraw": {
        const frame = this.#outbox.remove(pending);
        if (frame) this.#restore(frame);
        this.#draw();
        break;
      }
      default:
    }
  }

  /** Reactions the socket has not confirmed go on by the other door, under the same ids. */
  #handOver() {
    for (const { frame } of this.#outbox?.entries ?? []) {
      if (frame.type !== "react") continue;
      const { id, message, reaction, reasons, comment, client_time: time } = frame;
      const kind = frame.on ? "reaction" : "retraction";
      this.#signals.keep({ id, kind, message, reaction, reasons, comment, client_time: time });
    }
  }

  #openShare() {
    if (this.#id && this.#tree.leaf && !this.#tree.active) this.#share.open(this.#id, this.#tree.leaf);
  }

  #submitEdit(event, form) {
    event.preventDefault();
    const article = form.closest("[data-message]");
    const text = $("textarea", form).value.trim();
    const { id, text: before } = this.#tree.get(article.dataset.message);
    if (!text || this.#tree.active) return;
    this.#thread.endEdit(article);
    if (text === before.trim()) return;
    this.#request({ type: "edit", message: id, text });
  }

  #react(button) {
    const article = button.closest("[data-message]");
    const message = this.#tree.get(article.dataset.message);
    const { reaction } = button.dataset;
    const turnOn = !message.reactions.includes(reaction);
    message.reactions = turnOn
      ? [...message.reactions, reaction]
      : message.reactions.filter((given) => given !== reaction);
    this.#sendReaction(message, reaction, turnOn);
    button.closest("details.menu")?.removeAttribute("open");
    this.#acknowledge(article, turnOn ? this.#words.noted : this.#words.takenBack);
    if (turnOn && NEGATIVE.has(reaction)) {
      askWhy(article, {
        given: [],
        send: (reasons, comment) => this.#sendReaction(message, reaction, true, reasons, comment),
      });
    } else if (NEGATIVE.has(reaction)) closeWhy(article);
  }

  #sendReaction(message, reaction, turnOn, reasons = [], comment = "") {
    this.#request({
      type: "react", message: message.id, reaction, on: turnOn, reasons, comment,
    });
  }

  #reaction({ message: id, reactions }) {
    this.#outbox.confirmReaction(id);
    const message = this.#tree.get(id);
    if (!message) return;
    message.reactions = reactions;
    this.#draw();
  }

  #acknowledge(article, text) {
    const line = $(".message__said", article);
    line.textContent = text;
    announce(text);
    clearTimeout(line.timer);
    line.timer = setTimeout(() => (line.textContent = ""), 2000);
  }

  async #consent(consent) {
    if (!this.#id) return;
    try {
      await api.patch(`/api/conversations/${this.#id}/`, { consent });
      toast(consent ? this.#words.consentOn : this.#words.consentOff);
    } catch (error) {
      $("#consent").checked = !consent;
      toast(error.message);
    }
  }

  // The page -------------------------------------------------------------------------------

  #render() {
    const path = this.#tree.path();
    const pending = (this.#outbox?.entries ?? []).filter(({ frame }) =>
      frame.type === "send" || frame.type === "edit");
    if (this.#ready || pending.length) {
      this.#thread.show({
        path, pending, tree: this.#tree, busy: this.#busy,
        idle: !this.#tree.active, online: this.#ready,
      });
    }
    if (this.#ready) this.#exposure.watch($("#thread"));
    $("#share").hidden = path.length === 0;
    $("#empty").hidden = path.length > 0 || pending.length > 0 || (Boolean(this.#id) && !this.#ready);
    this.#composer.mode = this.#tree.active && this.#ready ? "stop" : "send";
    this.#scroller.settle();
  }
}

new Chat().start();
