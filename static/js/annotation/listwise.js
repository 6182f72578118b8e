// The board of places: best on the left, ties together, the bin at the end. What is sent is read
// from the board itself, so what is saved is what is seen.

import { $, $$, el, on } from "lib/dom";
import { valueOf } from "annotation/rows";

const NEARLY = 5; // pixels a finger may move before a press becomes a drag
const EDGE = 0.3; // share of a full place in which a drop goes before it

export class Listwise {
  #form;
  #words;
  #rows;
  #board;
  #chips = new Map(); // row -> chip
  #last = "1"; // the place given last, for a tie by one key
  #drag = null;

  constructor(form, words, rows, { signal }) {
    this.#form = form;
    this.#words = words;
    this.#rows = rows;
    this.#board = $("#board", form);
    this.#board.hidden = false;
    for (const row of rows.of("place")) {
      const letter = row.closest("[data-letter]").dataset.letter;
      const chip = el("button", { type: "button", class: "board__chip",
        "data-chip": row.dataset.candidate }, letter);
      this.#chips.set(row, chip);
    }
    on(this.#board, "pointerdown", "[data-chip]", (event, chip) => this.#lift(event, chip), { signal });
    on(this.#board, "pointermove", (event) => this.#carry(event), { signal });
    on(this.#board, "pointerup", (event) => this.#drop(event), { signal });
    on(this.#board, "pointercancel", () => this.#put(), { signal });
    on(this.#board, "click", "[data-chip]", (_, chip) => rows.go(rows.rows.indexOf(this.#rowOf(chip))), { signal });
    this.changed();
  }

  /** Groups best first and the unusable ones, as the board shows them. */
  answer() {
    const chips = (slot) => $$("[data-chip]", slot).map((chip) => Number(chip.dataset.chip));
    const slots = $$(".board__places > [data-place]", this.#board);
    return {
      ranking: slots.filter((slot) => slot.dataset.place !== "x").map(chips).filter((group) => group.length),
      unusable: chips(slots.at(-1)),
    };
  }

  keys(acted) {
    const group = this.#words.judge;
    const place = (value) => {
      if (this.#rows.current?.dataset.row !== "place" || value === undefined) return;
      this.#give(this.#rows.current, value);
      acted(false);
    };
    const by = (step) => {
      const at = Number(valueOf(this.#rows.current));
      const next = at + step;
      return at && next >= 1 && next <= this.#chips.size ? String(next) : undefined;
    };
    return [
      { key: "=", label: this.#words.same, group, run: () => {
        place(this.#last);
        this.#rows.go(this.#rows.rows.indexOf(this.#rows.current) + 1);
      } },
      { key: "[", label: this.#words.better, group, run: () => place(by(-1)) },
      { key: "]", label: this.#words.worse, group, run: () => place(by(1)) },
    ];
  }

  /** Lay every chip where its answer's buttons say. */
  changed(row) {
    const value = row?.dataset.row === "place" && valueOf(row);
    if (value && value !== "x") this.#last = value;
    for (const [one, chip] of this.#chips) {
      $(`[data-place="${valueOf(one) ?? ""}"]`, this.#board).append(chip);
      chip.toggleAttribute("data-current", one === this.#rows.current);
    }
    const letters = (ids) => ids.map((id) => this.#letter(id));
    const { ranking, unusable } = this.answer();
    const order = ranking.map((group) => letters(group).join(" = ")).join(" › ");
    const out = unusable.length ? `✕ ${letters(unusable).join(" ")}` : "";
    $("#ranked", this.#form).textContent = [order, out].filter(Boolean).join("   ") || "–";
  }

  #letter(id) {
    return $(`[data-chip="${id}"]`, this.#board).textContent;
  }

  #rowOf(chip) {
    return [...this.#chips].find(([, one]) => one === chip)[0];
  }

  #give(row, value) {
    const input = $(`input[value="${value}"]`, row);
    input.checked = true;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    this.changed(row);
  }

  // Dragging ------------------------------------------------------------------------------------

  #lift(event, chip) {
    if (event.button !== 0) return;
    chip.setPointerCapture(event.pointerId);
    this.#drag = { chip, x: event.clientX, y: event.clientY, moved: false };
  }

  #carry(event) {
    const drag = this.#drag;
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < NEARLY) return;
    drag.moved = true;
    drag.chip.dataset.dragged = "";
    drag.chip.style.transform = `translate(${dx}px, ${dy}px)`;
    this.#aim(event);
  }

  /** The place under the pointer, and whether a drop goes before what lies there. */
  #aim({ clientX, clientY }) {
    const slots = $$("[data-place]", this.#board);
    const over = slots.find((slot) => {
      const box = slot.getBoundingClientRect();
      return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
    });
    for (const slot of slots) delete slot.dataset.aim;
    if (!over) return null;
    const others = $$("[data-chip]", over).filter((chip) => chip !== this.#drag.chip);
    const box = over.getBoundingClientRect();
    const rtl = getComputedStyle(this.#board).direction === "rtl";
    const share = (rtl ? box.right - clientX : clientX - box.left) / box.width;
    const before = Number(over.dataset.place) > 0 && others.length > 0 && share < EDGE;
    over.dataset.aim = before ? "before" : "into";
    return { place: over.dataset.place, before };
  }

  #drop(event) {
    const { chip, moved } = this.#drag ?? {};
    const aim = moved && this.#aim(event);
    this.#put();
    if (!aim || aim.place === "") return;
    const row = this.#rowOf(chip);
    this.#give(row, aim.before ? this.#makeRoom(row, Number(aim.place)) : aim.place);
    this.#rows.go(this.#rows.rows.indexOf(row));
  }

  #put() {
    if (!this.#drag) return;
    this.#drag.chip.style.transform = "";
    delete this.#drag.chip.dataset.dragged;
    for (const slot of $$("[data-place]", this.#board)) delete slot.dataset.aim;
    this.#drag = null;
  }

  /** Move the others one place towards the nearest empty one; returns the place that is free. */
  #makeRoom(row, place) {
    const at = new Map([...this.#chips.keys()].filter((one) => one !== row)
      .map((one) => [one, Number(valueOf(one))]).filter(([, value]) => value > 0));
    const taken = new Set(at.values());
    let empty = place;
    while (taken.has(empty)) empty += 1;
    const down = empty <= this.#chips.size;
    if (!down) for (empty = place; taken.has(empty);) empty -= 1;
    for (const [one, value] of at) {
      if (down && value >= place && value < empty) $(`input[value="${value + 1}"]`, one).checked = true;
      if (!down && value > empty && value < place) $(`input[value="${value - 1}"]`, one).checked = true;
    }
    return String(down ? place : place - 1);
  }
}
