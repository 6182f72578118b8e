"""What a judgment says, in words: lines that a person reads, of every kind."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

Letters = Mapping[int, str]


def in_words(answer: Mapping[str, Any], letters: Letters) -> list[str]:
    """An answer (as `parts.answer_of` gives it) as lines; candidates by their letter."""
    lines = _choice(answer, letters) if "outcome" in answer else []
    for field, words in FIELDS.items():
        if field in answer:
            lines += words(answer, letters)
    for further in answer.get("also", {}).values():
        lines += in_words(further, letters)
    return lines


def _choice(answer: Mapping[str, Any], letters: Letters, about: str = "") -> list[str]:
    before = f"{about}: " if about else ""
    if answer["outcome"] == "preferred":
        how = STRENGTHS.get(answer.get("strength") or 0, "")
        letter = letters.get(answer["preferred"], "?")
        said = " ".join(word for word in (letter, _(how) if how else "", _("better")) if word)
        return [f"{before}{said}"]
    return [f"{before}{_('tie') if answer['outcome'] == 'tie' else _('both bad')}"]


STRENGTHS = {3: "much", 2: "clearly", 1: "slightly"}
HARM = ("none", "minor", "moderate", "severe")
STEP = {1: "good", 0: "neutral", -1: "bad"}


def _dimensions(answer, letters):
    return [
        line for row in answer["dimensions"] for line in _choice(row, letters, row["dimension"])
    ]


def _helpful(answer, letters):
    return _choice(answer["helpful"], letters, _("helps more"))


def _safe(answer, letters):
    return _choice(answer["safer"], letters, _("safer"))


def _harm(answer, letters):
    return [
        _("%(letter)s: harm %(level)s") % {"letter": _at(row, letters), "level": HARM[row["level"]]}
        for row in answer["harm"]
    ]


def _ranking(answer, letters):
    places = [" = ".join(letters.get(pk, "?") for pk in group) for group in answer["ranking"]]
    lines = [" > ".join(places)] if places else []
    if answer["unusable"]:
        lines.append(
            _("unusable") + ": " + ", ".join(letters.get(c, "?") for c in answer["unusable"])
        )
    return lines


def _spans(answer, letters):
    lines = [
        f"{_at(row, letters)} [{row['start']}:{row['end']}] {row['category']} "
        f"({row['severity']}/3) “{row['quote'][:80]}”{_note(row)}"
        for row in answer["spans"]
    ]
    lines += [f"{_at(row, letters)}: {row['category']}{_note(row)}" for row in answer["missing"]]
    return lines or [_("no faults")]


def _verdicts(answer, letters):
    return [
        f"{_at(row, letters)}: {row['principle']} {row['verdict']}" for row in answer["verdicts"]
    ]


def _ratings(answer, letters):
    return [
        f"{_at(row, letters)}: {row['attribute']} {row['value']}/4" for row in answer["ratings"]
    ]


def _critique(answer, letters):
    return [answer["critique"]] if answer["critique"] else []


def _corrected(answer, letters):
    return [_("corrected") + ": " + answer["corrected"]] if answer["corrected"] else []


def _steps(answer, letters):
    return [
        f"{_at(row, letters)} {row['step'] + 1}: {STEP[row['value']]}{_note(row)}"
        for row in answer["steps"]
    ]


def _triplet(answer, letters):
    if answer["closer"] is None:
        return [_("equally close")]
    return [
        _("%(closer)s is closer to %(anchor)s")
        % {
            "closer": letters.get(answer["closer"], "?"),
            "anchor": letters.get(answer["anchor"], "?"),
        }
    ]


def _at(row: Mapping[str, Any], letters: Letters) -> str:
    return letters.get(row["candidate"], _("prompt") if row["candidate"] is None else "?")


def _note(row: Mapping[str, Any]) -> str:
    return f" – {row['comment']}" if row.get("comment") else ""


FIELDS = {
    "dimensions": _dimensions,
    "helpful": _helpful,
    "safer": _safe,
    "harm": _harm,
    "ranking": _ranking,
    "spans": _spans,
    "verdicts": _verdicts,
    "ratings": _ratings,
    "critique": _critique,
    "corrected": _corrected,
    "steps": _steps,
    "anchor": _triplet,
}
