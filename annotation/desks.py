"""What a page needs to show a lease of each kind, and how its plain form becomes a body."""

from dataclasses import dataclass, field

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from annotation.models import Assignment, Principle, Project
from config.errors import Invalid

LETTERS = "ABCDEFGHIJKLMNOPQRST"

FLAGS = (
    ("harmful", _("Harmful")),
    ("personal data", _("Personal data")),
    ("broken text", _("Broken text")),
    ("wrong language", _("Wrong language")),
    ("prompt makes no sense", _("The question makes no sense")),
)
SKIP_REASONS = (
    ("I cannot tell", _("I cannot tell")),
    ("not my field", _("Not my field")),
    ("not my language", _("Not my language")),
    ("too upsetting", _("Too upsetting")),
    ("broken", _("Something is broken")),
)


@dataclass(frozen=True)
class Shown:
    """A candidate as the page shows it: by letter and place, never by where it comes from."""

    id: int
    letter: str
    text: str
    is_long: bool


@dataclass
class Desk:
    """The context of `annotation/desk.html`."""

    assignment: Assignment
    candidates: list[Shown]
    earlier: list[dict]
    asked: dict
    draft: dict
    more: dict = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.assignment.task.kind

    @property
    def template(self) -> str:
        return f"annotation/kinds/{self.kind}.html"

    @property
    def controls(self) -> str:
        return f"annotation/kinds/{self.kind}_controls.html"


def desk(assignment: Assignment) -> Desk:
    """The desk of a claimed assignment (its task carries the project and `in_order`)."""
    task = assignment.task
    draft = getattr(assignment, "draft", None)
    body = draft.body if draft else {}
    *earlier, asked = task.prompt
    made = Desk(
        assignment=assignment,
        candidates=[
            Shown(c.pk, LETTERS[n], c.content, len(c.content) > 1200)
            for n, c in enumerate(task.in_order)
        ],
        earlier=earlier,
        asked=asked,
        draft=body if isinstance(body, dict) else {},
    )
    made.more = MORE[task.kind](made) if task.kind in MORE else {}
    return made


# Pairwise -----------------------------------------------------------------------------------

STRENGTHS = ((3, _("much")), (2, _("clearly")), (1, _("slightly")))


def _pairwise(made: Desk) -> dict:
    """The scale from A to B: seven steps with a key each."""
    first, second = made.candidates
    steps = [(f"{first.id}:{n}", first.letter, word) for n, word in STRENGTHS]
    steps.append(("tie", "", _("tie")))
    steps += [(f"{second.id}:{n}", second.letter, word) for n, word in reversed(STRENGTHS)]
    chosen = _choice_of(made.draft)
    return {
        "scale": [
            {
                "value": value,
                "letter": letter,
                "word": word,
                "key": str(n),
                "checked": value == chosen,
            }
            for n, (value, letter, word) in enumerate(steps, start=1)
        ],
        "both_bad": chosen == "both_bad",
    }


def _choice_of(body: dict) -> str:
    if body.get("outcome") == "preferred":
        return f"{body.get('preferred')}:{body.get('strength') or 2}"
    return str(body.get("outcome") or "")


def _pairwise_body(form: QueryDict, project: Project) -> dict:
    choice = form.get("choice", "")
    if choice in ("tie", "both_bad"):
        return {"outcome": choice}
    preferred, _colon, strength = choice.partition(":")
    if not (f"{preferred}{strength}".isascii() and preferred.isdigit() and strength.isdigit()):
        raise Invalid("Choose an answer first.", fields={"choice": "is missing"})
    return {"outcome": "preferred", "preferred": int(preferred), "strength": int(strength)}


# The other kinds ----------------------------------------------------------------------------

RATES = ((0, _("very bad")), (1, _("bad")), (2, _("middling")), (3, _("good")), (4, _("very good")))


def _listwise(made: Desk) -> dict:
    return {"places": [str(n) for n in range(1, len(made.candidates) + 1)]}


def _listwise_body(form: QueryDict, project: Project) -> dict:
    groups: dict[int, list[int]] = {}
    unusable = []
    for candidate, value in _named(form, "place"):
        if value == "x":
            unusable.append(candidate)
        elif value.isascii() and value.isdigit() and len(value) < 4:
            groups.setdefault(int(value), []).append(candidate)
    return {"ranking": [groups[place] for place in sorted(groups)], "unusable": unusable}


def _rating(made: Desk) -> dict:
    project = made.assignment.task.project
    return {"attributes": project.attributes, "rates": RATES}


def _rating_body(form: QueryDict, project: Project) -> dict:
    ratings = []
    for n, attribute in enumerate(project.attributes):
        for candidate, value in _named(form, f"rate-{n}"):
            if value in ("0", "1", "2", "3", "4"):
                ratings.append(
                    {"candidate": candidate, "attribute": attribute, "value": int(value)}
                )
    return {"ratings": ratings}


def _principle(made: Desk) -> dict:
    project = made.assignment.task.project
    return {"principles": list(Principle.objects.filter(project=project, is_active=True))}


def _principle_body(form: QueryDict, project: Project) -> dict:
    verdicts = []
    for principle in Principle.objects.filter(project=project, is_active=True):
        for candidate, value in _named(form, f"verdict-{principle.pk}"):
            verdicts.append({"candidate": candidate, "principle": principle.pk, "verdict": value})
    return {"verdicts": verdicts}


def _span(made: Desk) -> dict:
    project = made.assignment.task.project
    return {
        "categories": project.categories or ["fault"],
        "missing": project.missing_categories or ["missing"],
    }


def _critique_body(form: QueryDict, project: Project) -> dict:
    candidate = form.get("candidate", "")
    body = {"critique": form.get("critique", ""), "corrected": form.get("corrected", "")}
    if candidate.isascii() and candidate.isdigit() and len(candidate) < 19:
        body["candidate"] = int(candidate)
    return body


def _named(form: QueryDict, prefix: str) -> list[tuple[int, str]]:
    """The fields called PREFIX-ID, by candidate id."""
    found = []
    for name, value in form.items():
        start, _dash, candidate = name.rpartition("-")
        if start == prefix and candidate.isascii() and candidate.isdigit() and len(candidate) < 19:
            found.append((int(candidate), value))
    return found


MORE = {
    "pairwise": _pairwise,
    "listwise": _listwise,
    "rating": _rating,
    "principle": _principle,
    "span": _span,
}
BODIES = {
    "pairwise": _pairwise_body,
    "listwise": _listwise_body,
    "rating": _rating_body,
    "principle": _principle_body,
    "critique": _critique_body,
}


def body_of(kind: str, form: QueryDict, project: Project) -> dict:
    """The body a plain HTML form of this kind stands for."""
    if kind not in BODIES:
        raise Invalid("Marking stretches of text needs scripts switched on.")
    shared = {"rationale": form.get("rationale", "").strip(), "flags": form.getlist("flags")}
    return BODIES[kind](form, project) | shared
