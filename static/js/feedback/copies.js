// Answers, or parts of them, that were taken along: by our buttons or by selecting.

import { on } from "lib/dom";

export class Copies {
  #signals;

  constructor(thread, signals) {
    this.#signals = signals;
    on(thread, "click", ".code__copy", (event, button) => this.note(button, ["code"]));
    on(document, "copy", () => {
      const { anchorNode, isCollapsed } = getSelection();
      const inside = anchorNode instanceof Element ? anchorNode : anchorNode?.parentElement;
      if (!isCollapsed && inside?.closest(".message__body")) this.note(inside, ["selection"]);
    });
  }

  /** `node` is in a message; only answers count. */
  note(node, reasons = []) {
    const article = node.closest('.message[data-role="assistant"]');
    if (article) this.#signals.add("copy", article.dataset.message, { reasons });
  }
}
