"""The quality report of a project: agreement by kind, habits and reliability by annotator.

A report is made in the background (`annotation.tasks.measure`) and kept in the cache with the
stamp of the judgments it was made from; as long as nothing was judged, undone or given a gold
answer, it is not made again. Web processes only read it, so they load none of the libraries.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass

from django.core.cache import cache
from django.db.models import Count, Max
from django.utils import timezone

from annotation.models import Judgment, Project, Task
from annotation.quality import agreement, bias, gold, rankings, reliability, spans
from annotation.services import quality_rows, said_by
from config.models import User

KEEP_SECONDS = 30 * 24 * 3600
BUSY_SECONDS = 900
STAMP_SECONDS = 3
#: A report is made anew no more often than this share of the time that making it takes.
REST = 5
VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Current:
    """The newest report there is (None before the first), and whether it speaks of all that was
    said so far; if not, a new one is under way, and `progress` says how far (0 to 1)."""

    report: dict | None
    is_fresh: bool
    progress: float = 0.0

    @property
    def state(self) -> str:
        if self.is_fresh:
            return "fresh"
        return "measuring" if self.report is None else "updating"


def current(project: Project) -> Current:
    """The report of a project; asks for a new one in the background when this one is behind."""
    kept = cache.get(_key(project))
    if kept is not None and kept["stamp"] == stamp(project):
        return Current(kept["report"], True)
    rested = kept is None or time.time() - kept["made"] > REST * kept["took"]
    if rested:
        _ask(project)
    done = cache.get(f"{_key(project)}:busy")
    return Current(kept["report"] if kept else None, False, done or 0.0)


def _key(project: Project) -> str:
    return f"quality:{VERSION}:{project.pk}"


def stamp(project: Project) -> str:
    """What a report depends on, in a word: it changes with every judgment, undo and gold answer."""
    key = f"{_key(project)}:stamp"
    found = cache.get(key)
    if found is None:
        judged = Judgment.objects.filter(project=project).aggregate(
            Count("id"), Max("created_at"), Count("withdrawn_at"), Count("supersedes")
        )
        known = Task.objects.filter(project=project, gold__isnull=False).count()
        found = "/".join(str(value) for value in (*judged.values(), known))
        cache.set(key, found, STAMP_SECONDS)
    return found


def _ask(project: Project) -> None:
    """Have a report made, once at a time. Without a broker the old one stays, and says so."""
    from annotation.tasks import measure as task

    if not cache.add(f"{_key(project)}:busy", 0.0, BUSY_SECONDS):
        return
    try:
        task.delay(project.pk)
    except OSError as exc:  # kombu's OperationalError is one
        cache.delete(f"{_key(project)}:busy")
        logger.warning("The quality of %s could not be asked for: %s", project.slug, exc)


def measure(project: Project) -> dict:
    """Make the report of a project now and keep it. Takes seconds: not for a request."""
    started = time.monotonic()
    cache.delete(f"{_key(project)}:stamp")
    at = stamp(project)

    def tell(done: float) -> None:
        cache.set(f"{_key(project)}:busy", done, BUSY_SECONDS)

    try:
        made = report(project, tell)
    finally:
        cache.delete(f"{_key(project)}:busy")
    took = time.monotonic() - started
    kept = {"stamp": at, "report": made, "made": time.time(), "took": took}
    cache.set(_key(project), kept, KEEP_SECONDS)
    return made


# The report ---------------------------------------------------------------------------------


def report(project: Project, tell: Callable[[float], None] = lambda done: None) -> dict:
    """Everything the pages and the REST call show, as plain values; people by pseudonym.

    `tell` is called now and then with how much of it is done, from 0 to 1.
    """
    read = quality_rows.window(project)
    names = _Names()
    aspects = list(quality_rows.aspects(read))
    habits = _Habits()
    kinds = defaultdict(list)
    for n, aspect in enumerate(aspects):
        tell(round(0.1 + 0.5 * n / len(aspects), 2))
        kinds[aspect.kind].append(_labels(aspect, names, habits))
    tell(0.6)
    if "listwise" in project.kinds:
        _add(kinds, "listwise", _rankings(read, habits))
    if "span" in project.kinds:
        _add(kinds, "span", _marks(read, habits))
    tell(0.7)
    checks = said_by.checks(project)
    tell(0.8)
    counted = _counted(read)
    weights = _weights(aspects)
    return {
        "project": project.slug,
        "as_of": timezone.now().isoformat(timespec="seconds"),
        "judgments": sum(counted.values()),
        "shared_tasks": Task.objects.filter(project=project, done__gt=1).count(),
        "is_partial": read.since is not None,
        "kinds": [{"kind": kind, "aspects": kinds[kind]} for kind in project.kinds if kinds[kind]],
        "gold": _share_of(checks.gold_all),
        "repeats": _share_of(checks.repeat_all),
        "people": _people(read, counted, weights, checks, habits, names),
    }


def _add(kinds, kind: str, aspect: dict | None) -> None:
    if aspect is not None:
        kinds[kind].append(aspect)


class _Names:
    """Pseudonyms of people, asked for once."""

    def __init__(self):
        self.known: dict[int, str] = {}

    def __call__(self, person: int) -> str:
        if person not in self.known:
            self.known[person] = User.objects.values_list("pseudonym", flat=True).get(pk=person)
        return self.known[person]

    def load(self, people) -> None:
        self.known |= dict(User.objects.filter(pk__in=people).values_list("pk", "pseudonym"))


class _Habits:
    """How far each person agrees with the others, gathered over every kind."""

    def __init__(self):
        self.rows: list[tuple] = []

    def add(self, about: str, rows) -> None:
        self.rows += (((about, unit), a, b, value) for unit, a, b, value in rows)


def _labels(aspect: quality_rows.Aspect, names: _Names, habits: _Habits) -> dict:
    labels = aspect.labels
    names.load(labels.people)
    weights = "quadratic" if aspect.ordered else None
    couples = agreement.cohen(labels, weights=weights)
    found = [
        _measure("observed", "Pairs of labels that are equal", agreement.observed(labels)),
        _measure("alpha", "Krippendorff's alpha", agreement.alpha(labels)),
        _measure("fleiss", "Fleiss' kappa", agreement.fleiss(labels)),
        _measure("cohen", "Cohen's kappa, mean", agreement.mean_kappa(couples)),
    ]
    if aspect.ordered:
        ordinal = agreement.alpha(labels, "ordinal")
        interval = agreement.alpha(labels, "interval")
        found[1:2] = [
            _measure("alpha-ordinal", "Krippendorff's alpha, ordinal", ordinal),
            _measure("alpha-interval", "Krippendorff's alpha, interval", interval),
        ]
        found[-1]["says"] = "Cohen's kappa, quadratic, mean"
    habits.add(
        f"{aspect.kind}/{aspect.name}", agreement.pair_scores(labels, ordered=aspect.ordered)
    )
    return {
        "name": aspect.name,
        "measures": found,
        "values": dict(zip(map(str, labels.values), map(int, labels.counts().sum(0)), strict=True)),
        "couples": [
            {"first": names(c.first), "second": names(c.second), **_estimate(c.kappa)}
            for c in sorted(couples, key=lambda c: -c.kappa.units)
        ],
    }  # fmt: skip


def _rankings(read, habits: _Habits) -> dict | None:
    rows = quality_rows.rankings(read)
    if not rows:
        return None
    taus = rankings.taus(rows)
    habits.add(
        "listwise",
        ((t, a, b, (tau + 1) / 2) for t, found in taus.items() for a, b, tau in found),
    )
    found = [
        _measure("kendall-tau", "Kendall's tau-b", rankings.mean_tau(taus)),
        _measure("kendall-w", "Kendall's W", rankings.kendall_w(rows)),
    ]
    return {"name": "ranking", "measures": found, "values": {}, "couples": []}


def _marks(read, habits: _Habits) -> dict | None:
    found = quality_rows.marks(read)
    if not found.marks:
        return None
    habits.add("span", _mark_scores(found.marks))
    contents, lengths = found.contents, found.lengths
    measures = [
        _measure("span-alpha", "Krippendorff's alpha of characters",
                 spans.character_alpha(found.marks, lengths)),
        _measure("span-gamma", "Gamma, two people at a time", spans.gamma(found.marks, lengths)),
        _measure("span-f1", "F1 of characters", spans.f1(found.marks)),
        _measure("span-token-f1", "F1 of words", spans.f1(found.marks, spans.token_f1, contents)),
        _measure("span-exact-f1", "F1 of whole marks", spans.f1(found.marks, spans.exact_f1)),
    ]  # fmt: skip
    return {"name": "marks", "measures": measures, "values": {}, "couples": []}


def _mark_scores(marks):
    for text, people in marks.items():
        names = list(people)
        for n, first in enumerate(names):
            for second in names[n + 1 :]:
                shared, total = spans.character_f1(people[first], people[second])
                yield text, first, second, shared / total if total else 1.0


def _measure(name: str, says: str, estimate: agreement.Estimate) -> dict:
    return {"name": name, "says": says, **_estimate(estimate)}


def _estimate(estimate: agreement.Estimate) -> dict:
    return asdict(estimate)


def _share(found: bias.Share) -> dict | None:
    if not found.n:
        return None
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n,
            "expected": found.expected, "is_off": found.is_off}  # fmt: skip


def _share_of(scores: list[float]) -> dict | None:
    right = sum(bool(gold.is_right(value)) for value in scores)
    found = _share(bias.share(right, len(scores), expected=1.0))
    return found and {key: found[key] for key in ("value", "low", "high", "n")}


# People -------------------------------------------------------------------------------------


def _counted(read) -> dict[int, int]:
    rows = read.judgments().order_by().values_list("annotator_id").annotate(n=Count("id"))
    return dict(rows)


def _weights(aspects) -> dict[int, dict]:
    """Each person's weight over every question, by the evidence of each."""
    total: dict[int, float] = defaultdict(float)
    evidence: dict[int, float] = defaultdict(float)
    methods = set()
    for aspect in aspects:
        found = reliability.fitted(aspect.labels)
        if found.method != "majority":
            methods.add(found.method)
            for person, weight, seen in zip(
                aspect.labels.people, found.weights, found.evidence, strict=True
            ):
                total[person] += float(weight) * float(seen)
                evidence[person] += float(seen)
    method = ", ".join(sorted(methods))
    return {
        person: {"value": total[person] / seen, "n": int(seen), "method": method}
        for person, seen in evidence.items()
        if seen
    }


def _people(read, counted, weights, checks, habits, names) -> list[dict]:
    names.load(counted)
    agreeing = agreement.each_person(habits.rows)
    pace = bias.speeds(quality_rows.seconds(read))
    chosen = quality_rows.choices(read) if "pairwise" in read.project.kinds else None
    rows = []
    for person, judged in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        row = {
            "pseudonym": names(person),
            "judgments": judged,
            "weight": weights.get(person),
            "agreement": _estimate(agreeing[person]) if person in agreeing else None,
            "gold": _share_of(checks.gold.get(person, [])),
            "repeats": _share_of(checks.repeats.get(person, [])),
            "position": None,
            "length": None,
            "seconds": _pace(pace.get(person)),
        }
        if chosen is not None:
            row["position"] = _share(bias.position(chosen.first.get(person, [])))
            row["length"] = _share(_length(person, chosen.longer))
        row["remarks"] = remarks(row)
        rows.append(row)
    return rows


def _length(person: int, longer: dict) -> bias.Share:
    """Against the taste of everyone else; against a half where nobody else judged."""
    others = [pair for who, pairs in longer.items() if who != person for pair in pairs]
    told = [one > two for one, two in others if one != two]
    expected = sum(told) / len(told) if told else 0.5
    own = longer.get(person, [])
    return bias.length([one for one, _ in own], [two for _, two in own], expected)


def _pace(found: bias.Speed | None) -> dict | None:
    if found is None:
        return None
    return {"value": found.median, "low": found.low, "high": found.high, "n": found.n,
            "z": found.z, "rushed": found.rushed, "is_off": found.is_off}  # fmt: skip


def remarks(row: dict) -> list[str]:
    """What stands out about one person, by name; each only when its interval leaves no doubt."""
    found = []
    for name, low, high in (
        ("position", "second side", "first side"),
        ("length", "shorter answers", "longer answers"),
    ):
        share = row[name]
        if share and share["is_off"]:
            found.append(high if share["value"] > share["expected"] else low)
    pace = row["seconds"]
    if pace and pace["is_off"]:
        found.append("fast" if pace["z"] < 0 else "slow")
    if row["gold"] and row["gold"]["high"] < 0.7:
        found.append("gold missed")
    if row["repeats"] and row["repeats"]["high"] < 0.7:
        found.append("answers change")
    return found


def own(found: dict | None, user: User) -> dict | None:
    """One person's row of a report, and nothing of anyone else's."""
    if found is None:
        return None
    return next((row for row in found["people"] if row["pseudonym"] == user.pseudonym), None)
