// Review: the filter applies itself, and the list and the verdict work by keys.

import { $, on } from "lib/dom";
import { Keys } from "lib/keys";

const filters = $("#filters");
if (filters) on(filters, "change", () => filters.requestSubmit());

const links = [...document.querySelectorAll(".waiting__link")];

function move(step) {
  const at = links.indexOf(document.activeElement);
  links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
}

new Keys(links.length ? [
  { key: "j", label: document.title, run: () => move(1) },
  { key: "k", label: document.title, run: () => move(-1) },
] : [], { signal: new AbortController().signal });
