// What every page has: the theme switch, live times, copy buttons, menus that close by themselves.

import "elements/relative-time";
import "elements/theme-switch";
import { addCopyButtons } from "elements/code-copy";
import { $, $$, on } from "lib/dom";

addCopyButtons(document);

on(document, "click", (event) => {
  for (const menu of $$("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
on(document, "keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = $("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  $("summary", menu)?.focus();
});
