// After a negative reaction: what was wrong? Chips that can be ignored, and a line to say more.

import { $, $$, el, fill, on } from "lib/dom";

export const NEGATIVE = new Set(["dislike", "sad"]);

/** Show the chips under a message; `send(reasons, comment)` hears each change, once it rests. */
export function askWhy(article, { given, send }) {
  closeWhy(article);
  const box = fill("reasons-template");
  const chosen = new Set(given);
  let timer = null;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(now, 700);
  };
  const now = () => {
    clearTimeout(timer);
    timer = null;
    send([...chosen], $("input", box).value.trim());
  };
  on(box, "click", ".chip", (event, chip) => {
    const pressed = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(pressed));
    if (pressed) chosen.add(chip.dataset.reason);
    else chosen.delete(chip.dataset.reason);
    later();
  });
  on(box, "submit", (event) => {
    event.preventDefault();
    now();
    box.replaceChildren(el("span", { class: "status", "data-tone": "positive" }, box.dataset.thanks));
    setTimeout(() => box.remove(), 2500);
  });
  on(box, "click", "[data-close]", () => {
    if (timer) now();
    box.remove();
  });
  for (const chip of $$(".chip", box)) {
    chip.setAttribute("aria-pressed", String(chosen.has(chip.dataset.reason)));
  }
  article.append(box);
  box.scrollIntoView({ block: "nearest" });
  return box;
}

export function closeWhy(article) {
  $(".reasons", article)?.remove();
}
