// Offsets in the raw text of an answer, counted in code points as the server counts them.

import { codePoints } from "lib/format";

/** The selection inside `raw` as { start, end } in code points, or null when there is none. */
export function selectedIn(raw) {
  const selection = getSelection();
  if (!raw || !selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!raw.contains(range.commonAncestorContainer)) return null;
  const start = offsetOf(raw, range.startContainer, range.startOffset);
  const length = codePoints(range.toString());
  return length ? { start, end: start + length } : null;
}

/** How many code points of `raw` stand before a point of the document. */
export function offsetOf(raw, node, offset) {
  const before = document.createRange();
  before.selectNodeContents(raw);
  before.setEnd(node, offset);
  return codePoints(before.toString());
}

/** The stretch of `raw` between two code points, as a range of the document. */
export function rangeOf(raw, start, end) {
  const range = document.createRange();
  const walker = document.createTreeWalker(raw, NodeFilter.SHOW_TEXT);
  let at = 0;
  range.selectNodeContents(raw);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const next = at + codePoints(node.data);
    if (start >= at && start < next) range.setStart(node, units(node.data, start - at));
    if (end > at && end <= next) {
      range.setEnd(node, units(node.data, end - at));
      break;
    }
    at = next;
  }
  return range;
}

/** UTF-16 units of the first `count` code points. */
function units(text, count) {
  return [...text].slice(0, count).join("").length;
}

/** The part of a text between two code points. */
export function slice(text, start, end) {
  return [...text].slice(start, end).join("");
}
