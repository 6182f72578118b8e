// From the rows on the screen to the body of a judgment, kind by kind; null while one is open.

import { $ } from "lib/dom";
import { valueOf } from "annotation/rows";

const answered = (rows) => rows.filter((row) => valueOf(row) !== undefined);

function either(value) {
  if (value === "tie" || value === "both_bad") return { outcome: value };
  return { outcome: "preferred", preferred: Number(value) };
}

/** The readers give what is answered so far; `work` asks the rows whether that is all. */
export const ANSWERS = {
  pairwise(rows) {
    const dimensions = answered(rows.of("dimension"))
      .map((row) => ({ dimension: row.dataset.name, ...either(valueOf(row)) }));
    const [choice] = rows.of("choice");
    const [preferred, strength] = (valueOf(choice) ?? "").split(":");
    const answer = strength ? { outcome: "preferred", preferred: Number(preferred),
      strength: Number(strength) } : preferred ? { outcome: preferred } : {};
    return dimensions.length ? { ...answer, dimensions } : answer;
  },
  safety(rows) {
    const answer = {};
    for (const name of ["helpful", "safer"]) {
      const [row] = answered(rows.of(name));
      if (row) answer[name] = either(valueOf(row));
    }
    return { ...answer, harm: answered(rows.of("harm")).map((row) => (
      { candidate: Number(row.dataset.candidate), level: Number(valueOf(row)) })) };
  },
  triplet(rows, form) {
    const [row] = answered(rows.of("closer"));
    const anchor = Number($("[name=anchor]", form).value);
    if (!row) return { anchor };
    return { anchor, closer: valueOf(row) === "neither" ? null : Number(valueOf(row)) };
  },
  rating: (rows) => ({
    ratings: answered(rows.of("rating")).map((row) => ({ candidate: Number(row.dataset.candidate),
      attribute: row.dataset.name, value: Number(valueOf(row)) })),
  }),
  step: (rows) => ({
    steps: answered(rows.of("step")).map((row) => ({
      candidate: row.dataset.candidate ? Number(row.dataset.candidate) : null,
      step: Number(row.dataset.step), value: Number(valueOf(row)),
      comment: $(".rows__said", row).value.trim(),
    })),
  }),
};
