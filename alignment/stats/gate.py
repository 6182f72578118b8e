"""The release gate: a pure rule from numbers to a verdict, every criterion with its number and a
sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Gate:
    """Thresholds of a release; None switches a criterion off."""

    rm_accuracy: float | None = 0.55
    rm_accuracy_low: float | None = 0.5
    rm_drop: float | None = 0.03
    win_rate_low: float | None = 0.5
    kl_budget: float | None = 30.0
    length_ratio_low: float | None = 0.5
    length_ratio_high: float | None = 2.0
    diversity_share: float | None = 0.5
    worst_group_low: float | None = 0.4
    min_prompts: int | None = 20

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Gate:
        """Thresholds by name; `ValueError` naming the unknown key or the wrong value."""
        known = cls.__dataclass_fields__
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"gate.{key}: is not a criterion; known: {', '.join(known)}")
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise ValueError(f"gate.{key}: must be a number or null, got {value!r}")
        return cls(**values)


@dataclass(frozen=True)
class Criterion:
    """One line of a verdict. `value` None means the number was not measured, which fails the
    criterion.
    """

    name: str
    value: float | None
    threshold: float
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """Whether to release, with every criterion that was asked."""

    passed: bool
    criteria: tuple[Criterion, ...] = field(default_factory=tuple)

    @property
    def failures(self) -> list[str]:
        """Sentences of the criteria that failed."""
        return [c.sentence for c in self.criteria if not c.passed]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {"passed": self.passed, "criteria": [asdict(c) for c in self.criteria]}


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def decide(metrics: Mapping[str, Any], gate: Gate | None = None) -> Verdict:
    """The verdict of `gate` on `metrics`, a mapping with the keys of an `evaluate` report.

    Read: rm_accuracy and rm_accuracy_ci (best over all pairs, each by a model that did not see its
    prompt), rm_accuracy_last (of the model before, for `rm_drop`), win_rate_ci, kl, length_ratio,
    distinct_2, baseline_distinct_2, n_prompts, and by_group (mapping to {"win_rate", "n"}). A
    number that a criterion asks for and the metrics lack fails that criterion: nothing is released
    on what was not measured. `rm_drop` alone is passed over without a model before.
    """
    gate = gate or Gate()
    out: list[Criterion] = []

    def ask(name: str, value: Any, threshold: float | None, at_least: bool, what: str) -> None:
        if threshold is None:
            return
        number = _number(value)
        if number is None:
            sentence = f"{what} was not measured; {threshold:g} was asked for."
            out.append(Criterion(name, None, threshold, False, sentence))
            return
        passed = number >= threshold if at_least else number <= threshold
        relation = "at least" if at_least else "at most"
        word = "is" if passed else "is not"
        sentence = f"{what} is {number:.3g}, which {word} {relation} {threshold:.3g}."
        out.append(Criterion(name, number, threshold, passed, sentence))

    ask(
        "prompts",
        metrics.get("n_prompts"),
        gate.min_prompts,
        True,
        "The number of held-out prompts",
    )
    accuracy, last = metrics.get("rm_accuracy"), _number(metrics.get("rm_accuracy_last"))
    ask(
        "rm_accuracy",
        accuracy,
        gate.rm_accuracy,
        True,
        "Accuracy of the reward model on unseen prompts",
    )
    interval = metrics.get("rm_accuracy_ci") or (None, None)
    ask(
        "rm_accuracy_low",
        interval[0],
        gate.rm_accuracy_low,
        True,
        "The lower bound of that accuracy",
    )
    if gate.rm_drop is not None and last is not None:
        ask(
            "rm_drop",
            accuracy,
            last - gate.rm_drop,
            True,
            f"Accuracy of the reward model, after {last:.3g} last time,",
        )
    interval = metrics.get("win_rate_ci") or (None, None)
    ask("win_rate", interval[0], gate.win_rate_low, True, "The lower bound of the win rate")
    ask("kl", metrics.get("kl"), gate.kl_budget, False, "KL to the reference, nats an answer,")
    ratio = metrics.get("length_ratio")
    ask("length_low", ratio, gate.length_ratio_low, True, "Mean length over the baseline's")
    ask("length_high", ratio, gate.length_ratio_high, False, "Mean length over the baseline's")
    if gate.diversity_share is not None:
        new, old = _number(metrics.get("distinct_2")), _number(metrics.get("baseline_distinct_2"))
        share = None if new is None or old is None else (new / old if old > 0 else 1.0)
        ask(
            "diversity",
            share,
            gate.diversity_share,
            True,
            "Distinct word pairs over the baseline's",
        )
    groups = metrics.get("by_group") or {}
    if gate.worst_group_low is not None and groups:
        worst = min(groups, key=lambda g: groups[g]["win_rate"])
        ask(
            "worst_group",
            groups[worst]["win_rate"],
            gate.worst_group_low,
            True,
            f"The win rate in the weakest group ({worst})",
        )
    return Verdict(all(c.passed for c in out), tuple(out))
