"""What a live comparison of two policies says so far: go on, promote, roll back, or halt.

A pure rule from counts to an action, every measure with its confidence sequence and a sentence.
The unit is the conversation, which is what is dealt to the arms at random: each measure is a
yes or no of a conversation within a fixed time of its beginning, so that its units are
independent and never change again. All intervals hold at all times and for all measures at once
with probability at least 1 - alpha (Bonferroni over the measures).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .sequential import Tally, difference_sequence, log_evidence_of_mismatch, rate_sequence

#: Measures of a conversation; True where more of it is better.
MEASURES = {"loved": True, "complained": False, "slow": False, "failed": False}
WORDS = {
    "loved": "Conversations with a love",
    "complained": "Conversations with a complaint",
    "slow": "Conversations that waited too long",
    "failed": "Conversations with a failed answer",
}
ACTIONS = ("wait", "promote", "rollback", "halt", "undecided")


@dataclass(frozen=True)
class Rules:
    """When a live comparison ends, and how. Rates and margins are shares of conversations."""

    alpha: float = 0.05
    min_conversations: int = 100
    max_conversations: int = 20_000
    promote: str = "better"
    tolerance: float = 0.02
    loved_margin: float = 0.0
    complained_margin: float = 0.0
    slow_margin: float = 0.05
    failed_margin: float = 0.02
    mismatch_alpha: float = 0.001

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Rules:
        """Rules by name; `ValueError` naming the unknown key or the wrong value."""
        known = {field.name: field for field in fields(cls)}
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"{key}: is not a rule; known: {', '.join(known)}")
            if key == "promote":
                if value not in ("better", "not_worse", "never"):
                    raise ValueError(f"promote: must be better, not_worse or never, got {value!r}")
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{key}: must be a number, got {value!r}")
            whole = known[key].default.__class__ is int
            low, high = (1, 10**9) if whole else (0, 1)
            if not low <= value <= high or (whole and value != int(value)):
                raise ValueError(f"{key}: must lie from {low} to {high}, got {value!r}")
            if key.endswith("alpha") and not 0 < value < 1:
                raise ValueError(f"{key}: must lie between 0 and 1, got {value!r}")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to be stored."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What to do now, why, and the measures as plain values."""

    action: str
    reason: str
    measures: dict[str, dict[str, Any]]
    mismatch: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a record."""
        return asdict(self)


def judge(counts: Mapping[str, Any], rules: Rules | None = None) -> Outcome:
    """The state of a comparison.

    `counts`: control and candidate, each {"n", "loved", "complained", "slow", "failed"} over
    settled conversations, and "answered" where the last two are known of more of them; dealt,
    {"control", "candidate"} conversations dealt; share, the candidate's chance among the two;
    votes, {"wins", "losses", "ties"} of side-by-side votes between the two, seen from the
    candidate.
    """
    rules = rules or Rules()
    level = rules.alpha / (len(MEASURES) + 1)
    control, candidate = counts["control"], counts["candidate"]
    measures: dict[str, dict[str, Any]] = {}
    for name in MEASURES:
        arms = _arm(control, name), _arm(candidate, name)
        low, high = difference_sequence(*arms, level)
        measures[name] = {
            "control": arms[0].rate,
            "candidate": arms[1].rate,
            "difference": None if None in (arms[0].rate, arms[1].rate) else _gap(arms),
            "low": low,
            "high": high,
        }
    votes = counts.get("votes") or {"wins": 0, "losses": 0, "ties": 0}
    cast = Tally(votes["wins"] + votes["losses"], votes["wins"])
    low, high = rate_sequence(cast, level)
    measures["votes"] = {**votes, "candidate": cast.rate, "low": low, "high": high}
    mismatch = _mismatch(counts, rules)
    action, reason = _decide(measures, mismatch, counts, rules)
    return Outcome(action, reason, measures, mismatch)


def _arm(counts: Mapping[str, int], name: str) -> Tally:
    quick = name in ("slow", "failed")
    return Tally(counts.get("answered", counts["n"]) if quick else counts["n"], counts[name])


def _gap(arms: tuple[Tally, Tally]) -> float:
    return (arms[1].rate or 0.0) - (arms[0].rate or 0.0)


def _mismatch(counts: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    dealt, share = counts["dealt"], counts["share"]
    evidence = log_evidence_of_mismatch(dealt["candidate"], dealt["control"], share)
    total = dealt["candidate"] + dealt["control"]
    return {
        "expected": share,
        "found": dealt["candidate"] / total if total else None,
        "n": total,
        "p": min(1.0, math.exp(-min(evidence, 700.0))),
        "detected": evidence >= -math.log(rules.mismatch_alpha),
    }


def _decide(
    measures: Mapping[str, Any],
    mismatch: Mapping[str, Any],
    counts: Mapping[str, Any],
    rules: Rules,
) -> tuple[str, str]:
    for name, better in MEASURES.items():
        one, margin = measures[name], getattr(rules, f"{name}_margin")
        worse = one["high"] < -margin if better else one["low"] > margin
        if worse:
            return "rollback", f"{WORDS[name]}: {_rates(one)}; the candidate is worse."
    votes = measures["votes"]
    if votes["high"] < 0.5:
        return "rollback", f"It wins {votes['candidate']:.3g} of the votes; the candidate is worse."
    if mismatch["detected"]:
        return "halt", (
            f"{mismatch['found']:.3g} of {mismatch['n']} conversations went to the candidate and "
            f"{mismatch['expected']:.3g} were meant to: something besides chance deals them, so "
            "the arms cannot be compared."
        )
    settled = min(counts["control"]["n"], counts["candidate"]["n"])
    loved = measures["loved"]
    if settled >= rules.min_conversations and rules.promote != "never":
        if loved["low"] > 0:
            return "promote", f"{WORDS['loved']}: {_rates(loved)}; the candidate is better."
        if votes["low"] > 0.5:
            return "promote", f"It wins {votes['candidate']:.3g} of the votes: it is better."
        if rules.promote == "not_worse" and loved["low"] > -rules.tolerance:
            return "promote", (
                f"{WORDS['loved']}: {_rates(loved)}; worse by no more than {rules.tolerance:g}."
            )
    if counts["control"]["n"] + counts["candidate"]["n"] >= rules.max_conversations:
        return "undecided", f"No difference was found. {WORDS['loved']}: {_rates(loved)}."
    return "wait", f"Not decided yet after {settled} conversations of the smaller arm."


def _rates(one: Mapping[str, Any]) -> str:
    if one["difference"] is None:
        return "none yet"
    return (
        f"{one['candidate']:.3g} against {one['control']:.3g}, a difference of "
        f"{one['difference']:.3g} ({one['low']:.3g} to {one['high']:.3g})"
    )
