// The question about an earlier answer, on the page of a new chat: one press, or ignored.

import { announce, el, on } from "lib/dom";

export function askHindsight(form, signals) {
  if (!form) return;
  form.hidden = false;
  on(form, "submit", (event) => event.preventDefault());
  on(form, "click", "[data-verdict]", (event, button) => {
    const { verdict } = button.dataset;
    signals.add("hindsight", form.dataset.message, { reaction: verdict });
    if (verdict === "passed") return form.remove();
    announce(form.dataset.thanks);
    form.replaceChildren(
      el("span", { class: "status", "data-tone": "positive" }, form.dataset.thanks));
    return setTimeout(() => form.remove(), 2500);
  });
}
