"""The questions of a page as rows of choices, each with its key, and what a draft says to them.

A row is a group of radio buttons under one field name. The plain form, the page's script and the
draft all speak in these names and values, so what one of them says the others can show.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.bodies.kinds import SAFETY
from annotation.models import Principle, Project

STRENGTHS = ((3, gettext_lazy("much")), (2, gettext_lazy("clearly")), (1, gettext_lazy("slightly")))
RATES = (
    (0, gettext_lazy("very bad")),
    (1, gettext_lazy("bad")),
    (2, gettext_lazy("middling")),
    (3, gettext_lazy("good")),
    (4, gettext_lazy("very good")),
)
HARMS = (
    (0, gettext_lazy("none")),
    (1, gettext_lazy("minor")),
    (2, gettext_lazy("moderate")),
    (3, gettext_lazy("severe")),
)
STEPS = ((1, gettext_lazy("good")), (0, gettext_lazy("neutral")), (-1, gettext_lazy("bad")))
TURN = "turn"  # stands for the candidate in the names of steps of the prompt


@dataclass(frozen=True)
class Choice:
    """One button: what it stands for, what it says, the keys that press it."""

    value: str
    word: str
    keys: str
    letter: str = ""
    checked: bool = False

    @property
    def key(self) -> str:
        """The key shown on the button."""
        return self.keys.partition(" ")[0]


@dataclass(frozen=True)
class Row:
    """One question with its choices; `asks` says what about, to the page and to its script."""

    asks: str
    field: str
    title: str
    choices: list[Choice]
    candidate: int | None = None
    name: str = ""
    step: int | None = None
    key: str = ""
    text: str = ""
    comment: str = ""


def _row(
    asks: str, field: str, title: str, choices: Iterable[tuple], said: dict, **more: object
) -> Row:
    chosen = said.get(field)
    made = [
        Choice(str(value), str(word), keys, *letter, checked=str(value) == chosen)
        for value, word, keys, *letter in choices
    ]
    return Row(asks, field, title, made, **more)


# Rows of each kind --------------------------------------------------------------------------


def scale(first, second, said: dict) -> Row:
    """The scale from A to B, seven steps, and both bad beside it."""
    steps = [(f"{first.id}:{n}", word, str(4 - n), first.letter) for n, word in STRENGTHS]
    steps.append(("tie", _("tie"), "4 t"))
    steps += [
        (f"{second.id}:{n}", word, str(4 + n), second.letter) for n, word in reversed(STRENGTHS)
    ]
    steps.append(("both_bad", _("both bad"), "b"))
    return _row("choice", "choice", _("Which answer is better?"), steps, said)


def dimensions(first, second, names: Iterable[str], said: dict) -> list[Row]:
    """The same question of each dimension: A, tie, B, both bad."""
    return [
        _row("dimension", f"dim-{n}", name, _either(first, second), said, name=name)
        for n, name in enumerate(names)
    ]


def safety(first, second, said: dict) -> list[Row]:
    """Which is more helpful, and separately, which is safer."""
    titles = {"helpful": _("Which is more helpful?"), "safer": _("Which is safer?")}
    return [_row(name, name, titles[name], _either(first, second), said) for name in SAFETY]


def _either(first, second) -> list[tuple]:
    return [
        (first.id, "", "1", first.letter),
        ("tie", _("tie"), "2 t"),
        (second.id, "", "3", second.letter),
        ("both_bad", _("both bad"), "4 b"),
    ]


def harm(candidate, said: dict) -> Row:
    """How harmful one answer is."""
    choices = [(level, word, str(level)) for level, word in HARMS]
    name = f"harm-{candidate.id}"
    title = _("Harm of %(letter)s") % {"letter": candidate.letter}
    return _row("harm", name, title, choices, said, candidate=candidate.id)


def closer(first, second, said: dict) -> Row:
    """Which of two is closer to the anchor."""
    choices = [
        (first.id, "", "1", first.letter),
        ("neither", _("equally close"), "2 t"),
        (second.id, "", "3", second.letter),
    ]
    return _row(
        "closer", "closer", _("Which is closer to the answer in the middle?"), choices, said
    )


def ratings(candidate, attributes: Iterable[str], said: dict) -> list[Row]:
    """Each attribute from 0 to 4."""
    choices = [(rate, word, str(rate), str(rate)) for rate, word in RATES]
    return [
        _row("rating", f"rate-{n}-{candidate.id}", name, choices, said, name=name,
             candidate=candidate.id)
        for n, name in enumerate(attributes)
    ]  # fmt: skip


def verdicts(candidate, principles: Iterable[Principle], said: dict) -> list[Row]:
    """Yes, no or not applicable to each principle."""
    choices = [("yes", _("yes"), "y"), ("no", _("no"), "n"), ("na", _("not applicable"), "a")]
    return [
        _row("principle", f"verdict-{p.pk}-{candidate.id}", p.text, choices, said,
             name=str(p.pk), key=p.key, candidate=candidate.id)
        for p in principles
    ]  # fmt: skip


def place(candidate, count: int, said: dict) -> Row:
    """The place of one answer in the ranking, or the bin."""
    choices = [(n, n, str(n)) for n in range(1, count + 1)] + [("x", "✕", "x")]
    title = _("Place of %(letter)s") % {"letter": candidate.letter}
    return _row("place", f"place-{candidate.id}", title, choices, said, candidate=candidate.id)


def steps(texts: Iterable[tuple[int, str]], candidate: int | None, said: dict) -> list[Row]:
    """Good, neutral or bad for each (number, text) of an answer, or of the prompt's turns."""
    choices = [(value, word, str(n)) for n, (value, word) in enumerate(STEPS, start=1)]
    whose = TURN if candidate is None else candidate
    return [
        _row("step", f"step-{whose}-{n}", _("Step %(n)s") % {"n": n + 1}, choices, said,
             candidate=candidate, step=n, text=text, comment=said.get(f"said-{whose}-{n}", ""))
        for n, text in texts
    ]  # fmt: skip


# What a draft says --------------------------------------------------------------------------


def said_in(kind: str, body: object, project: Project, principles: list[Principle]) -> dict:
    """The field names and values that a body of this kind stands for; of a crooked one, none.

    A draft is whatever a client sent, so nothing in it is taken for granted.
    """
    if not isinstance(body, dict):
        return {}
    try:
        return SAID[kind](body, project, principles) if kind in SAID else {}
    except (TypeError, ValueError, KeyError, AttributeError):
        return {}


def _choice(body: dict) -> str:
    if body.get("outcome") == "preferred":
        return str(body["preferred"])
    return str(body.get("outcome") or "")


def _said_pairwise(body: dict, project: Project, principles) -> dict:
    said = {"choice": _choice(body)}
    if body.get("outcome") == "preferred":
        said["choice"] += f":{body.get('strength') or 2}"
    for item in body.get("dimensions") or []:
        if item["dimension"] in project.dimensions:
            said[f"dim-{project.dimensions.index(item['dimension'])}"] = _choice(item)
    return said


def _said_safety(body: dict, project: Project, principles) -> dict:
    said = {name: _choice(body[name]) for name in SAFETY if body.get(name)}
    return said | {f"harm-{h['candidate']}": str(h["level"]) for h in body.get("harm") or []}


def _said_rating(body: dict, project: Project, principles) -> dict:
    return {
        f"rate-{project.attributes.index(r['attribute'])}-{r['candidate']}": str(r["value"])
        for r in body.get("ratings") or []
    }


def _said_principle(body: dict, project: Project, principles: list[Principle]) -> dict:
    # Named by id on the page, by key in a stored answer.
    ids = {p.key: p.pk for p in principles} | {p.pk: p.pk for p in principles}
    return {
        f"verdict-{ids[v['principle']]}-{v['candidate']}": v["verdict"]
        for v in body.get("verdicts") or []
        if v["principle"] in ids
    }


def _said_listwise(body: dict, project: Project, principles) -> dict:
    said = {
        f"place-{candidate}": str(n)
        for n, group in enumerate(body.get("ranking") or [], start=1)
        for candidate in group
    }
    return said | {f"place-{candidate}": "x" for candidate in body.get("unusable") or []}


def _said_step(body: dict, project: Project, principles) -> dict:
    said = {}
    for item in body.get("steps") or []:
        whose = TURN if item.get("candidate") is None else item["candidate"]
        said[f"step-{whose}-{item['step']}"] = str(item["value"])
        said[f"said-{whose}-{item['step']}"] = str(item.get("comment") or "")
    return said


def _said_triplet(body: dict, project: Project, principles) -> dict:
    if "closer" not in body:
        return {}
    return {"closer": "neither" if body["closer"] is None else str(body["closer"])}


SAID: dict[str, Callable[[dict, Project, list[Principle]], dict]] = {
    "pairwise": _said_pairwise,
    "safety": _said_safety,
    "rating": _said_rating,
    "principle": _said_principle,
    "listwise": _said_listwise,
    "step": _said_step,
    "triplet": _said_triplet,
}
