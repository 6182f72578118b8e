// The administration pages: guidelines rendered as they are written, links copied, addresses made
// from names. Every page works without this.

import { $, $$, copyText, on, setServerHtml, toast } from "lib/dom";
import { csrfToken } from "lib/api";

const PAUSE = 250;

// Guidelines as annotators will see them ------------------------------------------------------

const text = $("[data-guidelines]");
const seen = $("#guidelines-seen");
if (text && seen) {
  let timer = null;
  let asked = null;
  const show = async () => {
    asked?.abort();
    asked = new AbortController();
    const body = new URLSearchParams({ text: text.value });
    try {
      const answer = await fetch(seen.dataset.render, {
        method: "POST", body, headers: { "X-CSRFToken": csrfToken() },
        credentials: "same-origin", signal: asked.signal,
      });
      if (answer.ok) setServerHtml(seen, (await answer.json()).html);
    } catch {
      // The next key asks again; what was shown stays.
    }
  };
  on(text, "input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, PAUSE);
  });
}

// Leaving with changes ------------------------------------------------------------------------

const settings = $(".settings");
if (settings) {
  let changed = false;
  on(settings, "input", () => {
    changed = true;
    $("#unsaved").hidden = false;
  });
  on(settings, "submit", () => (changed = false));
  on(window, "beforeunload", (event) => changed && event.preventDefault());
}

// An address follows the name until someone writes their own -----------------------------------

const name = $("#id_name");
const slug = $("#id_slug");
if (name && slug && !slug.value) {
  const follow = () => {
    slug.value = name.value.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "")
      .replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  };
  const stop = new AbortController();
  on(name, "input", follow, { signal: stop.signal });
  on(slug, "input", () => stop.abort(), { signal: stop.signal });
}

// What is shown once ----------------------------------------------------------------------------

for (const button of $$("[data-copy]")) button.hidden = false;
on(document, "click", "[data-copy]", async (_event, button) => {
  const field = document.getElementById(button.dataset.copy);
  field.select();
  if (await copyText(field.value)) toast(button.dataset.said);
});
on(document, "focusin", "[data-select]", (_event, field) => field.select());
