// Numbers with thin spaces and their uncertainty, times relative with the absolute beside.

const THIN = "\u202f"; // narrow no-break space
const language = () => document.documentElement.lang || "en";

/** 12345.678 -> "12 345.68" */
export function number(value, { digits = 0 } = {}) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return new Intl.NumberFormat(language(), {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    signDisplay: "negative",
  })
    .formatToParts(value)
    .map((part) => (part.type === "group" ? THIN : part.type === "minusSign" ? "−" : part.value))
    .join("");
}

/** 0.1234 -> "12.3 %" */
export function percent(value, { digits = 1 } = {}) {
  return `${number(value * 100, { digits })}${THIN}%`;
}

/** interval(0.62, [0.58, 0.66]) -> "0.62 (0.58 to 0.66)"; `as: percent` for shares. */
export function interval(value, [low, high], { digits = 2, as = number } = {}) {
  return `${as(value, { digits })} (${as(low, { digits })} to ${as(high, { digits })})`;
}

/** 581 -> "9:41", 3671 -> "1:01:11" */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

const STEPS = [
  ["year", 31_557_600], ["month", 2_629_800], ["week", 604_800],
  ["day", 86_400], ["hour", 3600], ["minute", 60],
];

/** "3 minutes ago", "in 2 hours", "now"; with style "narrow": "3m ago". */
export function relativeTime(date, { now = new Date(), style = "long" } = {}) {
  const seconds = (new Date(date) - now) / 1000;
  const words = new Intl.RelativeTimeFormat(language(), { numeric: "auto", style });
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return words.format(Math.round(seconds / size), unit);
  }
  return words.format(0, "second");
}

/** The full date and time in the reader's own zone. */
export function absoluteTime(date) {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" })
    .format(new Date(date));
}

/** Count as people and as Python do: by code point. */
export const codePoints = (text) => {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
};
