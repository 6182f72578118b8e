// A file in: a look at its beginning, fields named, errors by line, then the whole of it with its
// progress. A file out: what the format would leave out, counted. The server reads and renders;
// nothing of the file is interpreted here.

import { $, announce, el, on, readWords, setServerHtml } from "lib/dom";
import { api, csrfToken } from "lib/api";
import { number, percent } from "lib/format";

const SAMPLE = 1024 * 1024;
const ANSWERS = 8;
const words = readWords("words");
const say = (word, values = {}) =>
  Object.entries(values).reduce((text, [key, value]) => text.replace(`%${key}`, value), words[word]);

class Import {
  #form = $("#import");
  #file = null;
  #asked = { format: "", kind: "", map: "" };
  #looking = null;
  #sending = null;

  constructor() {
    this.#form.hidden = false;
    on($("#file"), "change", () => this.#take($("#file").files[0]));
    const drop = $("#drop");
    for (const type of ["dragenter", "dragover"]) {
      on(drop, type, (event) => { event.preventDefault(); drop.dataset.over = ""; });
    }
    on(drop, "dragleave", () => delete drop.dataset.over);
    on(drop, "drop", (event) => {
      event.preventDefault();
      delete drop.dataset.over;
      this.#take(event.dataTransfer.files[0]);
    });
    // A file dropped beside the frame would replace the page.
    for (const type of ["dragover", "drop"]) on(window, type, (event) => event.preventDefault());
    on($("#other"), "click", () => this.#reset());
    on($("#format"), "change", () => this.#look({ format: $("#format").value, map: "" }));
    on($("#as"), "change", () => this.#look({ kind: $("#as").value }));
    on($("#fields"), "change", () => this.#look({ map: this.#mapping() }));
    on($("#stop"), "click", () => this.#sending?.abort());
    on(this.#form, "submit", (event) => { event.preventDefault(); this.#send(); });
    on(window, "beforeunload", (event) => this.#sending && event.preventDefault());
  }

  #take(file) {
    if (!file || this.#sending) return;
    this.#reset();
    this.#file = file;
    $("#file-name").textContent = file.name;
    $("#file-size").textContent = size(file.size);
    $("#drop").hidden = true;
    this.#look({});
  }

  #reset() {
    this.#looking?.abort();
    this.#file = null;
    this.#asked = { format: "", kind: "", map: "" };
    $("#file").value = "";
    $("#as").value = "";
    $("#partial").checked = false;
    $("#fields").replaceChildren();
    $("#drop").hidden = false;
    for (const id of ["look", "sending", "done", "trouble"]) $(`#${id}`).hidden = true;
  }

  // A look at the beginning ---------------------------------------------------------------------

  async #look(changes) {
    Object.assign(this.#asked, changes);
    this.#looking?.abort();
    this.#looking = new AbortController();
    const { signal } = this.#looking;
    $("#look").hidden = false;
    $("#trouble").hidden = true;
    $("#send").disabled = true;
    this.#verdict("busy", words.looking);
    const query = new URLSearchParams({ ...this.#asked, size: this.#file.size });
    let answer;
    try {
      answer = await fetch(`${this.#form.dataset.preview}?${query}`, {
        method: "POST", body: this.#file.slice(0, SAMPLE), credentials: "same-origin", signal,
        headers: { "X-CSRFToken": csrfToken(), "Content-Type": "application/octet-stream" },
      });
      const found = await answer.json();
      if (signal.aborted) return;
      const suggested = pairs(found.suggested ?? {});
      // Records of no known format: what the fields seem to be is tried before anyone is asked.
      if (answer.ok && !found.good && suggested && !this.#asked.map && found.format === "records") {
        return this.#look({ format: found.format, map: suggested });
      }
      if (answer.ok) this.#show(found);
      else this.#refuse(found.detail);
    } catch {
      if (!signal.aborted) this.#refuse(words.offline);
    }
  }

  #refuse(detail) {
    $("#trouble span").textContent = detail;
    $("#trouble").hidden = false;
    $("#verdict").textContent = "";
    $("#tasks").replaceChildren();
    $("#errors").replaceChildren();
  }

  #show(found) {
    this.#asked.format = found.format;
    $("#format").replaceChildren(...found.formats.map(({ name, says }) =>
      el("option", { value: name, selected: name === found.format }, `${name} – ${says}`)));
    $("#guessed").hidden = !found.guessed;
    this.#fields(found);
    const { good, records: n, refused } = found;
    if (!good) this.#verdict("negative", say("none", { n: number(n) }));
    else if (found.complete && !refused) this.#verdict("positive", say("all", { n: number(n) }));
    else this.#verdict(refused ? "caution" : "positive", say("good", { g: number(good), n: number(n) }));
    const shown = [...found.tasks.map(task), ...found.prompts.map((prompt) =>
      el("article", { class: "surface" }, prompt.map(message)))];
    $("#tasks").replaceChildren(...(shown.length
      ? [el("h3", { class: "field__label" }, words.first), ...shown] : []));
    $("#errors").replaceChildren(...errors(found.errors, refused));
    $("#send").disabled = !good && found.complete;
  }

  #verdict(tone, text) {
    $("#verdict").dataset.tone = tone;
    $("#verdict").textContent = text;
  }

  /** One choice of a field for the prompt and for each answer. */
  #fields({ fields, suggested, map, format }) {
    const using = Object.keys(map).length ? map : suggested;
    const answers = Object.keys(using).filter((name) => name.startsWith("answer_")).length;
    const targets = ["prompt", ...Array.from(
      { length: Math.min(Math.max(answers + 1, 2), ANSWERS) }, (_, n) => `answer_${n + 1}`)];
    $("#fields").replaceChildren(...targets.map((target) => {
      const [what, place] = target.split("_");
      const id = `map-${target}`;
      return el("div", { class: "field" },
        el("label", { class: "field__label", for: id }, place ? `${words.answer} ${place}` : words[what]),
        el("select", { class: "input", id, "data-target": target },
          el("option", { value: "" }, words.nothing),
          fields.map(({ name, example }) => el("option", { value: name, selected: using[target] === name },
            example ? `${name}: ${example.slice(0, 40)}` : name))));
    }));
    if (format === "records" || Object.keys(map).length) $("#mapping").open = true;
  }

  #mapping() {
    const chosen = [...$("#fields").querySelectorAll("select")];
    return pairs(Object.fromEntries(chosen.map(({ dataset, value }) => [dataset.target, value])));
  }

  // The whole of it -----------------------------------------------------------------------------

  async #send() {
    if (!this.#file || this.#sending) return;
    const query = new URLSearchParams({ ...this.#asked, ...($("#partial").checked && { partial: 1 }) });
    $("#look").hidden = true;
    $("#sending").hidden = false;
    this.#how(0);
    let answer;
    try {
      answer = await this.#upload(`${this.#form.dataset.import}?${query}`);
    } catch (error) {
      $("#sending").hidden = true;
      $("#look").hidden = false;
      $("#trouble span").textContent = error.message;
      $("#trouble").hidden = false;
      return;
    } finally {
      this.#sending = null;
    }
    $("#sending").hidden = true;
    this.#report(answer);
  }

  /** XMLHttpRequest, because fetch does not tell how much was sent. */
  #upload(address) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.#sending = request;
      request.open("POST", address);
      request.setRequestHeader("X-CSRFToken", csrfToken());
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = ({ loaded, total }) => this.#how(total ? loaded / total : 0);
      request.upload.onload = () => this.#how(1);
      request.onabort = () => reject(new Error(words.stopped));
      request.onerror = () => reject(new Error(words.offline));
      request.onload = () => {
        try {
          const data = JSON.parse(request.responseText);
          if ("refused" in data) resolve(data);
          else reject(new Error(data.detail));
        } catch {
          reject(new Error(words.offline));
        }
      };
      request.send(this.#file);
    });
  }

  #how(share) {
    const bar = $("#bar");
    if (share >= 1) bar.removeAttribute("value");
    else bar.value = share;
    $("#how-far").textContent = share >= 1 ? words.reading : say("sent", { p: percent(share, { digits: 0 }) });
  }

  #report(answer) {
    const kept = answer.tasks + answer.prompts + answer.skipped > 0;
    const tone = !kept ? "negative" : answer.refused ? "caution" : "positive";
    const title = !kept ? words.refused : answer.refused ? words.partly : words.kept;
    const counts = [["tasks", answer.tasks], ["prompts", answer.prompts], ["judgments", answer.judgments],
      ["skipped", answer.skipped], ["refusals", answer.refused]].filter(([, n]) => n);
    const notes = Object.entries(answer.notes ?? {}).map(([text, n]) => el("li", {}, `${number(n)}: ${text}`));
    const again = el("button", { type: "button", class: "button", onClick: () => this.#reset() }, words.again);
    $("#done").replaceChildren(
      el("p", { class: "notice", "data-tone": tone }, el("span", {}, el("strong", {}, title), " ",
        counts.map(([name, n]) => `${number(n)} ${words[name]}`).join(" · "))),
      ...(notes.length ? [el("ul", { class: "small muted" }, notes)] : []),
      ...errors(answer.errors, answer.refused),
      el("div", { class: "row" }, kept && el("a", { class: "button button--primary", href: words["tasks-address"] }, words.see), again),
    );
    $("#done").hidden = false;
    $("#done").focus();
    announce(title);
  }
}

/** A mapping as the door reads it; names that its spelling cannot hold are left out. */
function pairs(map) {
  return Object.entries(map).filter(([, field]) => field && !/[,:]/.test(field))
    .map(([target, field]) => `${target}:${field}`).join(",");
}

function size(bytes) {
  const [unit, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([of]) => bytes >= of) ?? [1, "B"];
  return `${number(bytes / unit, { digits: unit > 1 && bytes / unit < 10 ? 1 : 0 })} ${name}`;
}

function message({ role, html }) {
  const said = el("div", { class: "prose prose--small", dir: "auto" });
  setServerHtml(said, html);
  return el("div", { class: "turn", "data-role": role }, el("p", { class: "small muted" }, role), said);
}

function task(shown) {
  const about = [shown.kind, ...shown.also.map((kind) => `+ ${kind}`), shown.external_id,
    shown.gold && words.gold, shown.judgments && say("labelled", { n: number(shown.judgments) })];
  return el("article", { class: "surface stack stack--tight sample" },
    el("p", { class: "small muted" }, about.filter(Boolean).join(" · ")),
    shown.prompt.map(message),
    el("div", { class: "grid" }, shown.candidates.map(({ html, model }, n) => {
      const said = el("div", { class: "prose prose--small", dir: "auto" });
      setServerHtml(said, html);
      return el("div", { class: "sample__answer" },
        el("p", { class: "small muted" }, el("strong", {}, String.fromCharCode(65 + n)), model ? ` · ${model}` : ""), said);
    })));
}

function errors(rows, count) {
  if (!rows.length) return [];
  return [el("div", { class: "table-frame errors", tabindex: "0" }, el("table", { class: "table table--dense" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "number" }, words.line), el("th", { scope: "col" }, words.reason))),
    el("tbody", {}, rows.map(({ line, reason }) => el("tr", {},
      el("th", { scope: "row", class: "number" }, number(line)), el("td", { class: "text" }, reason)))))),
    ...(count > rows.length ? [el("p", { class: "small muted" }, say("more", { n: number(count - rows.length) }))] : [])];
}

// Exports -----------------------------------------------------------------------------------------

function countLoss() {
  const button = $("#count-loss");
  const form = $("#export");
  if (!button) return;
  button.hidden = false;
  on(form, "change", () => ($("#loss").hidden = true));
  on(button, "click", async () => {
    const format = new FormData(form).get("format");
    const into = $("#loss");
    button.disabled = true;
    into.hidden = false;
    try {
      const found = await api.get(`${form.getAttribute("action")}?format=${encodeURIComponent(format)}&report=1`,
        { timeout: 300_000 });
      const rows = Object.entries(found.left_out);
      into.replaceChildren(el("p", { class: "small" }, `${number(found.records)} ${words.records}. `,
        rows.length ? words.loses : words.lossless),
      el("ul", { class: "small" }, rows.map(([reason, n]) => el("li", {}, `${number(n)}: ${reason}`))));
    } catch (error) {
      into.replaceChildren(el("p", { class: "field__error" }, error.message));
    } finally {
      button.disabled = false;
    }
  });
}

new Import();
countLoss();
