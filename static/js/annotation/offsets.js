// Offsets in the raw text of an answer, counted in code points as the server counts them.

import { codePoints } from "lib/format";

/** The selection inside `raw` as { start, end } in code points, or null when there is none. */
export function selectedIn(raw) {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!raw.contains(range.commonAncestorContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(raw);
  before.setEnd(range.startContainer, range.startOffset);
  const start = codePoints(before.toString());
  const length = codePoints(range.toString());
  return length ? { start, end: start + length } : null;
}

/** The part of a text between two code points. */
export function slice(text, start, end) {
  return [...text].slice(start, end).join("");
}
