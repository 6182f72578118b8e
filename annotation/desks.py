"""What a page needs to show a lease: the conversation, the answers, and the rows to answer."""

from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from annotation import desk_rows
from annotation.desk_rows import Row
from annotation.models import Assignment, Candidate, Principle
from annotation.prompts import content_text
from annotation.steps import stated_for, steps_of

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

HELP = {
    "listwise": _("Best on the left. Drag, or press a number; equal places are ties."),
    "rating": _("Rate each attribute on its own, from 0 to 4"),
    "principle": _("Answer each question; select words first to give them as evidence"),
    "span": _("Select what is wrong, then choose the fault; or add what is missing"),
    "critique": _("Say what is wrong, then mend it with as few changes as you can"),
    "step": _("Judge each step on its own. After a bad one the rest may stay open."),
}

#: Kinds whose answers stand side by side; the others in a column.
SIDE_BY_SIDE = ("pairwise", "safety", "triplet")
#: Kinds that point into the text, so that it is shown as it is, not formatted.
RAW = ("span", "principle")


@dataclass
class Shown:
    """A candidate as the page shows it: by letter and place, never by where it comes from."""

    id: int
    letter: str
    text: str
    content: object  # text, or typed parts
    is_anchor: bool = False
    rows: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)


@dataclass
class Desk:
    """The context of `annotation/desk.html`."""

    assignment: Assignment
    candidates: list[Shown]
    draft: dict
    principles: list[Principle]
    rows: list[Row] = field(default_factory=list)
    turns: list[dict] = field(default_factory=list)
    palette: dict = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.assignment.task.kind

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind, *self.assignment.task.also)

    @property
    def prompt(self) -> list[dict]:
        return self.assignment.task.prompt

    @property
    def layout(self) -> str:
        """Which arrangement of `annotation/layouts/` shows the answers."""
        if self.kind in SIDE_BY_SIDE and not set(RAW) & set(self.kinds):
            return "sides"
        return "trace" if self.kinds == ("step",) else "cards"

    @property
    def template(self) -> str:
        return f"annotation/layouts/{self.layout}.html"

    @property
    def is_raw(self) -> bool:
        return bool(set(RAW) & set(self.kinds))

    @property
    def is_ranking(self) -> bool:
        return "listwise" in self.kinds

    @property
    def places(self) -> range:
        return range(1, len(self.candidates) + 1)

    def said(self, kind: str) -> dict:
        """The part of the draft that speaks of a kind."""
        body = self.draft
        if kind != self.kind:
            also = body.get("also")
            body = also.get(kind) if isinstance(also, dict) else None
        return body if isinstance(body, dict) else {}

    @property
    def critique(self) -> dict:
        return self.said("critique")

    @property
    def earlier(self) -> list[dict]:
        """The messages before the last one."""
        return self.prompt[:-1]

    @property
    def help(self) -> str:
        """One line over the controls, where the rows do not say it themselves."""
        return str(HELP.get(self.kind, "")) if len(self.kinds) == 1 else ""


def desk(assignment: Assignment) -> Desk:
    """The desk of a claimed assignment (its task carries the project and `in_order`)."""
    task = assignment.task
    project = task.project
    draft = getattr(assignment, "draft", None)
    body = draft.body if draft else {}
    asks_principles = "principle" in (task.kind, *task.also)
    made = Desk(
        assignment=assignment,
        candidates=_shown(task.in_order, triplet="triplet" in (task.kind, *task.also)),
        draft=body if isinstance(body, dict) else {},
        principles=[p for p in project.principles.all() if p.is_active] if asks_principles else [],
    )
    for kind in made.kinds:
        said = desk_rows.said_in(kind, made.said(kind), project, made.principles)
        ROWS[kind](made, said)
    if "span" in made.kinds:
        made.palette = {
            "categories": project.categories or ["fault"],
            "missing": project.missing_categories or ["missing"],
        }
    return made


def _shown(in_order: list[Candidate], *, triplet: bool) -> list[Shown]:
    """The candidates as shown, with the anchor of a triplet between the other two."""
    anchor = min(in_order, key=lambda c: c.position) if triplet else None
    others = [c for c in in_order if c is not anchor]
    shown = [
        Shown(c.pk, LETTERS[n], c.content, c.content if c.parts is None else c.parts)
        for n, c in enumerate(others)
    ]
    if anchor is not None:
        content = anchor.content if anchor.parts is None else anchor.parts
        shown.insert(1, Shown(anchor.pk, "", anchor.content, content, is_anchor=True))
    return shown


# Where the rows of each kind stand ----------------------------------------------------------


def _compared(made: Desk) -> tuple[Shown, Shown]:
    first, second = [c for c in made.candidates if not c.is_anchor][:2]
    return first, second


def _pairwise(made: Desk, said: dict) -> None:
    names = made.assignment.task.project.dimensions
    if "safety" in made.kinds:
        names = [name for name in names if name not in desk_rows.SAFETY]
    made.rows += desk_rows.dimensions(*_compared(made), names, said)
    made.rows.append(desk_rows.scale(*_compared(made), said))


def _safety(made: Desk, said: dict) -> None:
    made.rows += desk_rows.safety(*_compared(made), said)
    for candidate in made.candidates:
        candidate.rows.append(desk_rows.harm(candidate, said))


def _triplet(made: Desk, said: dict) -> None:
    made.rows.append(desk_rows.closer(*_compared(made), said))


def _rating(made: Desk, said: dict) -> None:
    for candidate in made.candidates:
        attributes = made.assignment.task.project.attributes
        candidate.rows += desk_rows.ratings(candidate, attributes, said)


def _principle(made: Desk, said: dict) -> None:
    for candidate in made.candidates:
        candidate.rows += desk_rows.verdicts(candidate, made.principles, said)


def _listwise(made: Desk, said: dict) -> None:
    for candidate in made.candidates:
        candidate.rows.append(desk_rows.place(candidate, len(made.candidates), said))


def _step(made: Desk, said: dict) -> None:
    task = made.assignment.task
    places = {c.pk: c.position for c in task.in_order}
    for candidate in made.candidates:
        offsets = steps_of(candidate.text, stated_for(task.metadata, places[candidate.id]))
        texts = [candidate.text[start:end] for start, end in offsets]
        candidate.steps = desk_rows.steps(list(enumerate(texts)), candidate.id, said)
        if made.layout != "trace":
            candidate.rows += candidate.steps
    if made.layout == "trace":
        made.turns = _turns(made, said)


def _turns(made: Desk, said: dict) -> list[dict]:
    """Every message of the prompt; those that a model or a tool said are to be judged."""
    judged = {
        row.step: row
        for row in desk_rows.steps(
            [
                (n, content_text(message["content"]))
                for n, message in enumerate(made.prompt)
                if message["role"] in ("assistant", "tool")
            ],
            None,
            said,
        )
    }
    return [{"message": m, "row": judged.get(n)} for n, m in enumerate(made.prompt)]


def _none(made: Desk, said: dict) -> None:
    """Marks and words are no rows."""


ROWS = {
    "pairwise": _pairwise,
    "safety": _safety,
    "triplet": _triplet,
    "rating": _rating,
    "principle": _principle,
    "listwise": _listwise,
    "step": _step,
    "span": _none,
    "critique": _none,
}
