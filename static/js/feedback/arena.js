// Side by side: ask both, let the answers arrive together, vote, then show the names.

import { addCopyButtons } from "elements/code-copy";
import { $, $$, announce, everyFrame, fill, on, readWords, setServerHtml, toast } from "lib/dom";
import { api, newId } from "lib/api";
import { Keys } from "lib/keys";
import { LiveSocket } from "lib/socket";

const FINAL = new Set(["complete", "stopped", "failed"]);
const words = readWords("arena-words");
const root = $("#arena");
const ask = $("#ask");
const problem = $("#problem");

let socket = null;
let begun = null; // the request under way, so that a retry asks the same thing once
const answers = new Map(); // message id -> { battle, text, pieces, state }

class Battle {
  #votedWith = newId();
  #readyAt = 0;

  constructor(element, told) {
    this.element = element;
    this.form = $("form", element);
    on(this.form, "submit", (event) => {
      event.preventDefault();
      if (event.submitter?.value) this.vote(event.submitter.value);
    });
    if (told) this.show(told);
    else this.#adopt();
  }

  get state() {
    return this.element.dataset.state;
  }

  /** Take over what the server drew. */
  #adopt() {
    for (const side of $$("[data-side]", this.element)) {
      this.#listen(side.dataset.message);
      addCopyButtons($(".answer__text", side));
    }
    if (this.state === "open") this.#readyAt = performance.now();
  }

  #listen(id) {
    if (!answers.has(id)) answers.set(id, { battle: this, text: "", pieces: "", state: "queued" });
  }

  /** Bring the element in step with the battle as REST tells it. */
  show(told) {
    this.id = told.id;
    this.element.dataset.battle = told.id;
    $("[data-slot=question]", this.element).textContent = told.question.text;
    for (const name of ["left", "right"]) {
      const side = $(`[data-side="${name}"]`, this.element);
      side.dataset.message = told[name].id;
      this.#listen(told[name].id);
      if (FINAL.has(told[name].state)) this.#end(side, told[name]);
      else $(".answer__text", side).setAttribute("aria-busy", "true");
      $("[data-name]", side).textContent = told.models?.[name] ?? "";
    }
    this.#enter(told.state, told.vote?.outcome);
  }

  #enter(state, outcome) {
    const before = this.state;
    this.element.dataset.state = state;
    const says = state === "voted" ? words.voted.replace("%s", words[outcome])
      : words[state === "writing" ? "waiting" : state];
    $("[data-slot=says]", this.element).textContent = says;
    $(".battle__choices", this.element).hidden = state === "voted" || state === "void";
    for (const button of $$(".battle__choices button", this.element)) button.disabled = state !== "open";
    if (state === "open" && before !== "open") {
      this.#readyAt = performance.now();
      announce(words.ready);
    }
    if (outcome) this.element.dataset.chosen = outcome;
  }

  side(id) {
    return $(`[data-message="${CSS.escape(id)}"]`, this.element);
  }

  draw(id, text) {
    const body = $(".answer__text", this.side(id));
    body.classList.add("prose--plain");
    body.setAttribute("aria-busy", "true");
    body.textContent = text;
  }

  ended(message) {
    this.#end(this.side(message.id), message);
    const states = $$("[data-side]", this.element).map((side) => answers.get(side.dataset.message));
    if (this.state === "voted" || !states.every((one) => FINAL.has(one.state))) return;
    const missing = states.some((one) => one.state === "failed" || !one.text.trim());
    this.#enter(missing ? "void" : "open");
    refreshAsk();
  }

  #end(side, message) {
    const body = $(".answer__text", side);
    const known = answers.get(message.id);
    Object.assign(known, { text: message.text, pieces: "", state: message.state });
    body.setAttribute("aria-busy", "false");
    if (message.html) {
      body.classList.remove("prose--plain");
      setServerHtml(body, message.html);
      addCopyButtons(body);
    } else body.textContent = message.text;
    const error = $("[data-error]", side);
    error.hidden = !message.error;
    error.textContent = message.error ?? "";
  }

  async vote(outcome) {
    if (this.state !== "open") return;
    const buttons = $$(".battle__choices button", this.element);
    for (const button of buttons) button.disabled = true;
    const seconds = this.#readyAt ? (performance.now() - this.#readyAt) / 1000 : null;
    try {
      const id = this.element.dataset.battle;
      const told = await api.post(`/api/arena/battles/${id}/vote/`, { outcome, seconds }, { key: this.#votedWith });
      this.show(told);
      announce($("[data-slot=says]", this.element).textContent);
      refreshAsk();
      $("#words")?.focus({ preventScroll: true });
    } catch (error) {
      for (const button of buttons) button.disabled = false;
      toast(error.message || words.error);
    }
  }
}

const battles = $$("[data-battle]", root).map((element) => new Battle(element));

const drawPieces = everyFrame(() => {
  for (const [id, one] of answers) {
    if (!one.pieces) continue;
    one.text += one.pieces;
    one.pieces = "";
    one.battle.draw(id, one.text);
  }
});

function receive(frame) {
  if (frame.type === "snapshot") {
    for (const message of frame.messages) takeIn(message);
  } else if (frame.type === "delta") {
    const one = answers.get(frame.message);
    if (!one || FINAL.has(one.state)) return;
    one.pieces += frame.text;
    drawPieces();
  } else if (frame.type === "done") takeIn(frame.message);
}

function takeIn(message) {
  const one = answers.get(message.id);
  if (!one) return;
  one.state = message.state;
  if (FINAL.has(message.state)) one.battle.ended(message);
  else {
    one.text = message.text;
    one.pieces = "";
    one.battle.draw(message.id, message.text);
  }
}

function connect() {
  if (socket || !root.dataset.conversation) return;
  socket = new LiveSocket(`/ws/chat/${root.dataset.conversation}/`, {
    onMessage: receive,
    onState: (state) => say(state === "waiting" || state === "offline" ? words.lost : ""),
  });
}

function say(text) {
  $("span", problem).textContent = text;
  problem.hidden = !text;
}

/** A new question waits for the vote on the last one. */
function refreshAsk() {
  if (!ask) return;
  const last = battles.at(-1);
  const waits = Boolean(last) && (last.state === "writing" || last.state === "open");
  $("[data-ask]", ask).disabled = waits || Boolean(begun?.running);
}

async function send() {
  const field = $("#words");
  const text = field.value.trim();
  if (!text || begun?.running) return;
  if (!begun || begun.text !== text) begun = { text, id: newId() };
  begun.running = true;
  refreshAsk();
  say("");
  try {
    if (!root.dataset.conversation) {
      const consent = $("#consent")?.checked ?? true;
      const conversation = await api.post("/api/arena/", { consent });
      root.dataset.conversation = conversation.id;
      history.replaceState(null, "", `/arena/c/${conversation.id}/`);
    }
    const path = `/api/arena/${root.dataset.conversation}/battles/`;
    const told = await api.post(path, { text, id: begun.id, wait: false });
    if (!battles.some((one) => one.id === told.id)) {
      const element = fill("battle-template");
      $("#battles").append(element);
      battles.push(new Battle(element, told));
      element.scrollIntoView({ block: "nearest" });
    }
    field.value = "";
    begun = null;
    if (socket) socket.send({ type: "resume" });
    else connect();
  } catch (error) {
    begun.running = false;
    say(error.message || words.error);
  }
  refreshAsk();
}

if (ask) {
  on(ask, "submit", (event) => {
    event.preventDefault();
    send();
  });
  on($("#words"), "keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask.requestSubmit();
  });
}
new Keys([]);
refreshAsk();
if (battles.at(-1)?.state === "writing") connect();
