"""What people said, read for the statistics of `annotation.quality`: one reader a kind.

Only judgments that count are read, of one project, newest MOST at most; verdicts of reviewers,
tasks asked again of the same person and exercises of newcomers are left out.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, Q
from django.db.models.functions import Length

from annotation.bodies.kinds import SAFETY
from annotation.models import (
    Candidate,
    DimensionChoice,
    HarmMark,
    Judgment,
    PairwiseJudgment,
    PrincipleVerdict,
    Project,
    RankingPlace,
    Rating,
    SpanMark,
    StepMark,
    TripletChoice,
)
from annotation.quality.labels import Labels, labels_of

MOST = 200_000
PLACES = ("first", "second")


@dataclass
class Window:
    """Which judgments are read: those of a project that count, from `since` on."""

    project: Project
    since: datetime | None = None

    def judgments(self):
        rows = Judgment.objects.standing().filter(
            project=self.project, task__repeat_of=None, task__is_calibration=False
        )
        rows = rows.exclude(source=Judgment.Source.REVIEW)
        return rows if self.since is None else rows.filter(created_at__gte=self.since)

    def parts(self, model):
        """Typed rows of these judgments, with the task and the person they belong to."""
        wanted = Q(
            judgment__project=self.project,
            judgment__withdrawn_at=None,
            judgment__surplus=False,
            judgment__superseded_by=None,
            judgment__task__repeat_of=None,
            judgment__task__is_calibration=False,
        ) & ~Q(judgment__source=Judgment.Source.REVIEW)
        if self.since is not None:
            wanted &= Q(judgment__created_at__gte=self.since)
        return model.objects.filter(wanted).annotate(
            task=F("judgment__task_id"), who=F("judgment__annotator_id")
        )


def window(project: Project) -> Window:
    """The judgments to be read; of more than MOST the newest."""
    newest = Window(project).judgments().order_by("-created_at")
    return Window(project, newest.values_list("created_at", flat=True)[MOST:].first())


@dataclass
class Aspect:
    """One question asked of a kind, with its labels; `ordered` ones have a scale."""

    kind: str
    name: str
    labels: Labels
    ordered: bool = False


@dataclass
class Choices:
    """Pairwise judgments that prefer one answer, for the habits of people: by person, whether
    the one shown first was preferred, and how long it and the other are (code points)."""

    first: dict[int, list[bool]] = field(default_factory=lambda: defaultdict(list))
    longer: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))


def aspects(read: Window) -> Iterator[Aspect]:
    """Every question with labels in this project, a kind at a time."""
    kinds = read.project.kinds
    for kind in kinds:
        if kind in READERS:
            for aspect in READERS[kind](read):
                if len(aspect.labels):
                    yield aspect


def _choice(outcome: str, position: int | None) -> str:
    return PLACES[position] if outcome == "preferred" and position in (0, 1) else outcome


def _pairwise(read: Window) -> Iterator[Aspect]:
    rows = list(
        read.parts(PairwiseJudgment)
        .values_list("task", "who", "outcome", "preferred__position", "strength")
        .order_by("judgment__created_at", "judgment_id")
    )
    yield Aspect("pairwise", "choice", labels_of((t, w, _choice(o, p)) for t, w, o, p, _ in rows))
    scale = [
        (t, w, 0 if o == "tie" else (s or 1) * (1 if p == 0 else -1))
        for t, w, o, p, s in rows
        if o != "both_bad"
    ]
    if any(s is not None for *_, s in rows):
        yield Aspect("pairwise", "strength", labels_of(scale), ordered=True)
    yield from _dimensions(read, "pairwise", without=SAFETY)


def _dimensions(read: Window, kind: str, *, only=(), without=()) -> Iterator[Aspect]:
    rows = read.parts(DimensionChoice)
    rows = rows.filter(dimension__in=only) if only else rows.exclude(dimension__in=without)
    found = defaultdict(list)
    for name, task, who, outcome, position in rows.values_list(
        "dimension", "task", "who", "outcome", "preferred__position"
    ).order_by("judgment__created_at", "id"):
        found[name].append((task, who, _choice(outcome, position)))
    for name in sorted(found):
        yield Aspect(kind, name, labels_of(found[name]))


def _safety(read: Window) -> Iterator[Aspect]:
    yield from _dimensions(read, "safety", only=SAFETY)
    rows = read.parts(HarmMark).values_list("task", "candidate_id", "who", "level")
    labels = labels_of(((t, c), w, v) for t, c, w, v in rows.order_by("judgment__created_at", "id"))
    yield Aspect("safety", "harm", labels, ordered=True)


def _principle(read: Window) -> Iterator[Aspect]:
    rows = (
        read.parts(PrincipleVerdict)
        .values_list("principle__key", "task", "candidate_id", "who", "verdict")
        .order_by("judgment__created_at", "id")
    )
    found = defaultdict(list)
    for key, task, candidate, who, verdict in rows:
        found[key].append(((task, candidate), who, verdict))
    for key in sorted(found):
        yield Aspect("principle", key, labels_of(found[key]))


def _rating(read: Window) -> Iterator[Aspect]:
    rows = (
        read.parts(Rating)
        .values_list("attribute", "task", "candidate_id", "who", "value")
        .order_by("judgment__created_at", "id")
    )
    found = defaultdict(list)
    for attribute, task, candidate, who, value in rows:
        found[attribute].append(((task, candidate), who, value))
    for attribute in sorted(found):
        yield Aspect("rating", attribute, labels_of(found[attribute]), ordered=True)


def _step(read: Window) -> Iterator[Aspect]:
    rows = (
        read.parts(StepMark)
        .values_list("task", "candidate_id", "step", "who", "value")
        .order_by("judgment__created_at", "id")
    )
    labels = labels_of(((t, c, s), w, v) for t, c, s, w, v in rows)
    yield Aspect("step", "step", labels, ordered=True)


def _triplet(read: Window) -> Iterator[Aspect]:
    rows = (
        read.parts(TripletChoice)
        .values_list("task", "who", "closer__position")
        .order_by("judgment__created_at", "judgment_id")
    )
    said = ((t, w, "equal" if p is None else str(p)) for t, w, p in rows)
    yield Aspect("triplet", "closer", labels_of(said))


READERS = {
    "pairwise": _pairwise,
    "safety": _safety,
    "principle": _principle,
    "rating": _rating,
    "step": _step,
    "triplet": _triplet,
}


# What is not labels -------------------------------------------------------------------------


def rankings(read: Window) -> dict[int, dict[int, list[int]]]:
    """Of each task with two people or more: the places each gave its candidates, in one order;
    unusable ones share the place after the last."""
    rows = (
        read.parts(RankingPlace)
        .values_list("task", "who", "candidate_id", "place")
        .order_by("judgment__created_at", "id")
    )
    found: dict = defaultdict(lambda: defaultdict(dict))
    for task, who, candidate, place in rows:
        found[task][who][candidate] = place
    ready = {}
    for task, people in found.items():
        if len(people) < 2:
            continue
        places = {}
        for who, given in people.items():
            last = max((p for p in given.values() if p is not None), default=0) + 1
            places[who] = [last if given[c] is None else given[c] for c in sorted(given)]
        if len({len(p) for p in places.values()}) == 1:
            ready[task] = places
    return ready


@dataclass
class Marked:
    """Marks of each (task, candidate) that two people or more read, by person; and its text."""

    marks: dict
    contents: dict[tuple[int, int], str]

    @property
    def lengths(self) -> dict:
        return {key: len(text) for key, text in self.contents.items()}


def marks(read: Window, most: int = 3000) -> Marked:
    """Whoever judged the task read all of it: no mark is an answer too. At most `most` texts."""
    readers = defaultdict(list)
    rows = read.judgments().filter(Q(kind="span") | Q(task__also__contains=["span"]))
    for task, who in rows.values_list("task_id", "annotator_id").order_by("-created_at", "id"):
        readers[task].append(who)
    shared = [task for task, people in readers.items() if len(people) > 1][:most]
    texts = {
        (task, pk): content
        for task, pk, content in Candidate.objects.filter(task__in=shared)
        .order_by("task_id", "position")
        .values_list("task_id", "pk", "content")[:most]
    }
    found = {key: {who: [] for who in readers[key[0]]} for key in texts}
    spans = read.parts(SpanMark).filter(judgment__task__in=shared)
    for task, candidate, who, start, end, category in spans.values_list(
        "task", "candidate_id", "who", "start", "end", "category"
    ).order_by("id"):
        if (task, candidate) in found and who in found[(task, candidate)]:
            found[(task, candidate)][who].append((start, end, category))
    return Marked(found, texts)


def choices(read: Window) -> Choices:
    """See `Choices`."""
    found = Choices()
    rows = (
        read.parts(PairwiseJudgment)
        .filter(outcome="preferred")
        .values_list("who", "task", "preferred_id", "judgment__shown")
    )
    rows = list(rows)
    lengths: dict[int, dict[int, int]] = defaultdict(dict)
    wanted = read.parts(PairwiseJudgment).filter(outcome="preferred").values("judgment__task_id")
    for task, pk, size in (
        Candidate.objects.filter(task__in=wanted)
        .values_list("task_id", "pk", Length("content"))
        .iterator(chunk_size=5000)
    ):
        lengths[task][pk] = size
    for who, task, preferred, shown in rows:
        sizes = lengths.get(task, {})
        if shown:
            found.first[who].append(shown[0] == preferred)
        if len(sizes) == 2 and preferred in sizes:
            other = next(size for pk, size in sizes.items() if pk != preferred)
            found.longer[who].append((sizes[preferred], other))
    return found


def seconds(read: Window) -> dict[int, list[float]]:
    """How long each person took, over their judgments that were timed."""
    found = defaultdict(list)
    rows = read.judgments().exclude(seconds=None).values_list("annotator_id", "seconds")
    for who, took in rows.iterator(chunk_size=5000):
        found[who].append(took)
    return dict(found)
