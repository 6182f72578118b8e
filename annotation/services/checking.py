"""From what a file says to what can be stored: every rule of a task and its judgments."""

import math
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from annotation import bodies
from annotation.formats.items import CandidateIn, JudgmentIn, PromptIn, TaskIn
from annotation.models import Project, PromptItem, Task
from annotation.prompts import normalise, prompt_hash
from annotation.services.questions import principle_names, question
from config.errors import Invalid

CANDIDATES = {"pairwise": (2, 2), "listwise": (2, 20), "safety": (2, 2), "triplet": (3, 3)}
STATES = tuple(Task.State.values)


@dataclass(slots=True)
class Ready:
    """A checked task with everything needed to write its rows; `pk` comes with the writing."""

    external_id: str | None
    kind: str
    also: list[str]
    prompt: list[dict]
    prompt_hash: str
    overlap: int
    standing: int
    priority: float
    state: str
    gold: dict | None
    gold_note: str
    is_calibration: bool
    skills: list[str]
    source: str
    metadata: dict
    created_at: datetime | None
    candidates: list[CandidateIn]
    judgments: list[tuple[JudgmentIn, bodies.Body]]
    adjudicated_at: datetime | None = None
    pk: int = 0
    ids: list[int] = field(default_factory=list)


class Checker:
    """Checks items against a project. Raises Invalid for the first rule that one breaks."""

    def __init__(self, project: Project, source: str):
        self.project, self.source = project, source
        self._principles: dict[str, int] | None = None

    @property
    def principles(self) -> dict[str, int]:
        if self._principles is None:
            self._principles = principle_names(self.project)
        return self._principles

    def prompt(self, item: PromptIn) -> PromptItem:
        prompt = normalise(item.prompt)
        return PromptItem(
            project=self.project,
            external_id=item.external_id,
            prompt=prompt,
            prompt_hash=prompt_hash(prompt),
            group=str(item.group)[:60],
            split=str(item.split)[:20],
            metadata=item.metadata,
        )

    def task(self, item: TaskIn) -> Ready:
        project = self.project
        if item.kind not in project.kinds:
            raise Invalid(
                f"kind '{item.kind}' is not asked in this project ({', '.join(project.kinds)})."
            )
        also = _also(item, project)
        for kind in (item.kind, *also):
            low, high = CANDIDATES.get(kind, (1, 20))
            if not low <= len(item.candidates) <= high:
                wanted = f"{low}" if low == high else f"{low} to {high}"
                raise Invalid(
                    f"a {kind} task has {wanted} candidates, this one {len(item.candidates)}."
                )
        prompt = normalise(item.prompt)
        judgments: list[tuple[JudgmentIn, bodies.Body]] = []
        if item.gold is not None or item.judgments:
            judgments = self._judged(item, also, prompt)
        elif item.is_calibration:
            raise Invalid("is_calibration needs a gold answer.")
        if any(len(skill) > 40 for skill in item.skills):
            raise Invalid("skills must be names of at most 40 characters.")
        standing = _standing(item.judgments)
        overlap = _overlap(item.overlap, standing, project.overlap)
        if item.state not in (None, *STATES):
            raise Invalid(f"state must be one of {', '.join(STATES)}.")
        state = item.state or ("done" if standing >= overlap else "open")
        return Ready(
            external_id=item.external_id,
            kind=item.kind,
            also=also,
            prompt=prompt,
            prompt_hash=prompt_hash(prompt),
            overlap=overlap,
            standing=standing,
            priority=_priority(item.priority),
            state=state,
            gold=item.gold,
            gold_note=item.gold_note,
            is_calibration=item.is_calibration,
            skills=item.skills,
            source=(item.source or self.source)[:20],
            metadata=item.metadata,
            created_at=item.created_at,
            candidates=item.candidates,
            judgments=judgments,
            adjudicated_at=_decided_at(item.judgments),
        )

    def _judged(
        self, item: TaskIn, also: list[str], prompt: list[dict]
    ) -> list[tuple[JudgmentIn, bodies.Body]]:
        """The judgments, checked; gold is checked along with them."""
        asked = question(
            kind=item.kind,
            project=self.project,
            candidates=tuple(range(len(item.candidates))),
            text=lambda place: item.candidates[place].content,
            principles=self.principles if "principle" in (item.kind, *also) else {},
            also=also,
            prompt=prompt,
            metadata=item.metadata,
        )
        if item.gold is not None:
            bodies.read(asked, item.gold)
        elif item.is_calibration:
            raise Invalid("is_calibration needs a gold answer.")
        _once_a_person(item.judgments)
        return [(judgment, _body(asked, judgment, n)) for n, judgment in enumerate(item.judgments)]


def _standing(judgments: list[JudgmentIn]) -> int:
    """How many fill a place: a reviewer's verdict fills none."""
    superseded = {j.supersedes for j in judgments if j.supersedes is not None}
    return sum(
        1
        for j in judgments
        if j.withdrawn_at is None
        and not j.surplus
        and j.source != "review"
        and (j.ref is None or j.ref not in superseded)
    )


def _decided_at(judgments: list[JudgmentIn]) -> datetime | None:
    """When a reviewer gave the verdict that stands, if one did."""
    verdicts = [j for j in judgments if j.source == "review" and j.withdrawn_at is None]
    return (verdicts[-1].created_at or timezone.now()) if verdicts else None


def _once_a_person(judgments: list[JudgmentIn]) -> None:
    people = [(j.pseudonymous, j.annotator) for j in judgments if j.withdrawn_at is None]
    if len(set(people)) < len(people):
        raise Invalid("two standing judgments are by the same annotator.")


def _body(asked: bodies.Question, judgment: JudgmentIn, n: int) -> bodies.Body:
    try:
        return bodies.read(asked, judgment.body)
    except Invalid as exc:
        raise Invalid(f"judgments[{n}].{exc.detail}") from None


def _also(item: TaskIn, project: Project) -> list[str]:
    """The further kinds of a task: asked in its project, each once, none of them its first."""
    strange = [kind for kind in item.also if kind not in project.kinds]
    if strange:
        raise Invalid(
            f"also: kind '{strange[0]}' is not asked in this project ({', '.join(project.kinds)})."
        )
    return [kind for kind in dict.fromkeys(item.also) if kind != item.kind]


def _overlap(given: object, standing: int, default: int) -> int:
    if given is None:
        return standing or default
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 100:
        raise Invalid("overlap must be a whole number from 1 to 100.")
    return max(given, standing)


def _priority(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise Invalid("priority must be a number.")
    return float(given)
