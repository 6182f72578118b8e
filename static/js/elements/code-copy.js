// Adds a copy button to every code block inside: <code-copy>…server HTML…</code-copy>
// or call `addCopyButtons(node)` after new HTML was placed.

import { $, $$, copyText, el, on } from "lib/dom";

export function addCopyButtons(root) {
  for (const block of $$(".code", root)) {
    if ($(".code__copy", block)) continue;
    block.append(el("button", {
      type: "button", class: "button button--quiet button--small code__copy",
    }, "Copy"));
  }
}

async function copyBlock(button) {
  const done = await copyText($("code", button.parentElement)?.textContent ?? "");
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

on(document, "click", ".code__copy", (event, button) => copyBlock(button));

class CodeCopy extends HTMLElement {
  connectedCallback() {
    addCopyButtons(this);
  }
}

customElements.define("code-copy", CodeCopy);
