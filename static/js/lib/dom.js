// Small tools for the page: find, build, listen, announce. No page state lives here.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/**
 * Listen, with delegation when `selector` is given: `on(list, "click", "button", (e, button) => …)`.
 * Pass `{ signal }` of one AbortController so that all listeners of a page or element go together.
 */
export function on(target, type, ...rest) {
  const options = typeof rest.at(-1) === "object" ? rest.pop() : {};
  const [selector, handler] = rest.length > 1 ? rest : [null, rest[0]];
  if (!selector) return target.addEventListener(type, handler, options);
  target.addEventListener(type, (event) => {
    const match = event.target instanceof Element && event.target.closest(selector);
    if (match && (target === document || target.contains(match))) handler(event, match);
  }, options);
}

/** Build an element. Strings become text nodes, never HTML. `dataset` and `on…` are understood. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "class") node.className = value;
    else if (name.startsWith("on") && typeof value === "function") {
      node.addEventListener(name.slice(2).toLowerCase(), value);
    } else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child || child === 0 || child === ""));
  return node;
}

/** Copy the first element of a `<template>` and fill `[data-slot=name]` with text. */
export function fill(template, slots = {}) {
  const source = typeof template === "string" ? document.getElementById(template) : template;
  const node = source.content.firstElementChild.cloneNode(true);
  for (const [name, text] of Object.entries(slots)) {
    const slot = node.matches(`[data-slot="${name}"]`) ? node : $(`[data-slot="${name}"]`, node);
    if (slot) slot.textContent = text ?? "";
  }
  return node;
}

/** The only door for HTML: text that config/markdown.py sanitised on the server. */
export function setServerHtml(node, html) {
  node.innerHTML = html;
}

/** Read the translated words that a template wrote: `<template id="…"><span data-word="sent">…`. */
export function readWords(id) {
  const nodes = document.getElementById(id).content.querySelectorAll("[data-word]");
  return Object.fromEntries([...nodes].map((node) => [node.dataset.word, node.textContent.trim()]));
}

/** Read what Django's `json_script` wrote. */
export function readJson(id) {
  const node = document.getElementById(id);
  return node ? JSON.parse(node.textContent) : null;
}

/** Say something to screen readers through the live regions of base.html. */
export function announce(text, { assertive = false } = {}) {
  const region = document.getElementById(assertive ? "announce-now" : "announce");
  if (!region) return;
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}

/** One quiet line at the foot of the window; `action` adds a button such as Undo or Retry. */
export function toast(text, { action, onAction, seconds = 5 } = {}) {
  const region = document.getElementById("toasts");
  if (!region) return;
  const line = el("div", { class: "toast" }, el("span", {}, text));
  const remove = () => line.remove();
  if (action) {
    line.append(el("button", { class: "button button--small", type: "button",
      onClick: () => { remove(); onAction(); } }, action));
  }
  region.replaceChildren(line);
  announce(text);
  setTimeout(remove, (action ? seconds * 2 : seconds) * 1000);
  return remove;
}

/** Run `work` at most once per animation frame (or within 250 ms in a hidden tab). */
export function everyFrame(work) {
  let planned = false;
  const run = () => {
    if (!planned) return;
    planned = false;
    work();
  };
  return () => {
    if (planned) return;
    planned = true;
    if (document.visibilityState === "hidden") setTimeout(run, 250);
    else requestAnimationFrame(run);
  };
}

/** Copy text; falls back where the clipboard API needs a secure context. Resolves to success. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function isTyping(target) {
  return target instanceof Element
    && Boolean(target.closest('input:not([type="checkbox"], [type="radio"], [type="range"],'
      + '[type="button"], [type="submit"]), textarea, select, [contenteditable=""],'
      + '[contenteditable="true"]'));
}
