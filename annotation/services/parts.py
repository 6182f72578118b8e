"""Between a checked body and the typed rows of its kind, both ways."""

from collections import defaultdict
from collections.abc import Iterable

from django.db import models

from annotation.bodies import Body
from annotation.bodies.kinds import SAFETY
from annotation.models import (
    Critique,
    DimensionChoice,
    HarmMark,
    Judgment,
    MissingMark,
    PairwiseJudgment,
    PrincipleVerdict,
    RankingPlace,
    Rating,
    SpanMark,
    StepMark,
    TripletChoice,
)

#: What to prefetch, by kind, so that `answer_of` asks the database nothing more.
PREFETCH = {
    "pairwise": ("pairwise", "dimensions"),
    "listwise": ("places",),
    "span": ("spans", "missing"),
    "principle": ("verdicts__principle",),
    "rating": ("ratings",),
    "critique": ("critiques",),
    "safety": ("dimensions", "harms"),
    "step": ("steps",),
    "triplet": ("triplet",),
}


def rows(judgment: Judgment, body: Body) -> list[models.Model]:
    """The typed rows of a judgment, not saved yet. The judgment needs its id, not its row."""
    made = _rows_of(body.kind, judgment, body.answer)
    for kind, answer in body.also.items():
        made += _rows_of(kind, judgment, answer)
    return made


def _rows_of(kind: str, judgment: Judgment, answer: dict) -> list[models.Model]:
    own = {"judgment_id": judgment.pk}
    made: list[models.Model] = []
    match kind:
        case "pairwise":
            made.append(
                PairwiseJudgment(
                    judgment=judgment,  # the row, so that it knows its answer without a query
                    outcome=answer["outcome"],
                    preferred_id=answer["preferred"],
                    strength=answer["strength"],
                )
            )
            made += [_dimension(own, d["dimension"], d) for d in answer["dimensions"]]
        case "listwise":
            made += [
                RankingPlace(**own, candidate_id=candidate, place=place)
                for place, group in enumerate(answer["ranking"], start=1)
                for candidate in group
            ]
            made += [RankingPlace(**own, candidate_id=c) for c in answer["unusable"]]
        case "span":
            made += [
                SpanMark(**own, candidate_id=s["candidate"], **_without(s, "candidate"))
                for s in answer["spans"]
            ]
            made += [
                MissingMark(**own, candidate_id=m["candidate"], **_without(m, "candidate"))
                for m in answer["missing"]
            ]
        case "principle":
            for v in answer["verdicts"]:
                start, end = v["evidence"] or (None, None)
                made.append(
                    PrincipleVerdict(
                        **own,
                        candidate_id=v["candidate"],
                        principle_id=v["principle"],
                        verdict=v["verdict"],
                        evidence_start=start,
                        evidence_end=end,
                    )
                )
        case "rating":
            made += [
                Rating(
                    **own, candidate_id=r["candidate"], attribute=r["attribute"], value=r["value"]
                )
                for r in answer["ratings"]
            ]
        case "critique":
            made.append(
                Critique(**own, candidate_id=answer["candidate"], **_without(answer, "candidate"))
            )
        case "safety":
            made += [_dimension(own, name, answer[name]) for name in SAFETY]
            made += [
                HarmMark(**own, candidate_id=h["candidate"], level=h["level"])
                for h in answer["harm"]
            ]
        case "step":
            made += [
                StepMark(**own, candidate_id=s["candidate"], **_without(s, "candidate"))
                for s in answer["steps"]
            ]
        case "triplet":
            made.append(
                TripletChoice(
                    judgment=judgment, anchor_id=answer["anchor"], closer_id=answer["closer"]
                )
            )
    return made


def _dimension(own: dict, name: str, choice: dict) -> DimensionChoice:
    return DimensionChoice(
        **own, dimension=name, outcome=choice["outcome"], preferred_id=choice["preferred"]
    )


def _without(item: dict, *names: str) -> dict:
    return {key: value for key, value in item.items() if key not in names}


def save(made: Iterable[models.Model]) -> None:
    """Insert rows of any kinds, one statement a kind."""
    by_type: dict[type, list] = defaultdict(list)
    for row in made:
        by_type[type(row)].append(row)
    for kind, several in by_type.items():
        kind.objects.bulk_create(several, batch_size=2000)


def answer_of(judgment: Judgment) -> dict:
    """The body as it would be sent again: the same fields, candidates by id.

    Further kinds of the task stand under `also`.
    """
    also = judgment.task.also
    answer = answer_in(judgment.kind, judgment, asked=(judgment.kind, *also))
    if also:
        answer["also"] = {
            kind: answer_in(kind, judgment, asked=(judgment.kind, *also)) for kind in also
        }
    return answer


def answer_in(kind: str, judgment: Judgment, *, asked: tuple[str, ...]) -> dict:
    """What a judgment says in one of the kinds it answers; `asked` are all of them."""
    match kind:
        case "pairwise":
            row = judgment.pairwise
            answer = {
                "outcome": row.outcome,
                "preferred": row.preferred_id,
                "strength": row.strength,
            }
            dimensions = [
                {"dimension": d.dimension, "outcome": d.outcome, "preferred": d.preferred_id}
                for d in _in_order(judgment.dimensions)
                if not ("safety" in asked and d.dimension in SAFETY)
            ]
            return answer | ({"dimensions": dimensions} if dimensions else {})
        case "listwise":
            groups: dict[int, list[int]] = defaultdict(list)
            unusable = []
            for row in _in_order(judgment.places):
                if row.place is None:
                    unusable.append(row.candidate_id)
                else:
                    groups[row.place].append(row.candidate_id)
            return {"ranking": [groups[place] for place in sorted(groups)], "unusable": unusable}
        case "span":
            return {
                "spans": [
                    {
                        "candidate": s.candidate_id,
                        "start": s.start,
                        "end": s.end,
                        "quote": s.quote,
                        "category": s.category,
                        "severity": s.severity,
                        "comment": s.comment,
                    }
                    for s in _in_order(judgment.spans)
                ],
                "missing": [
                    {"candidate": m.candidate_id, "category": m.category, "comment": m.comment}
                    for m in _in_order(judgment.missing)
                ],
            }
        case "principle":
            return {
                "verdicts": [
                    {
                        "candidate": v.candidate_id,
                        "principle": v.principle.key,
                        "verdict": v.verdict,
                    }
                    | (
                        {"evidence": {"start": v.evidence_start, "end": v.evidence_end}}
                        if v.evidence_start is not None
                        else {}
                    )
                    for v in _in_order(judgment.verdicts)
                ]
            }
        case "rating":
            return {
                "ratings": [
                    {"candidate": r.candidate_id, "attribute": r.attribute, "value": r.value}
                    for r in _in_order(judgment.ratings)
                ]
            }
        case "critique":
            row = _in_order(judgment.critiques)[0]
            return {
                "candidate": row.candidate_id,
                "critique": row.critique,
                "corrected": row.corrected,
            }
        case "safety":
            chosen = {d.dimension: d for d in judgment.dimensions.all() if d.dimension in SAFETY}
            return {
                name: {"outcome": row.outcome, "preferred": row.preferred_id}
                for name, row in sorted(chosen.items())
            } | {
                "harm": [
                    {"candidate": h.candidate_id, "level": h.level}
                    for h in _in_order(judgment.harms)
                ]
            }
        case "step":
            return {
                "steps": [
                    {
                        "candidate": s.candidate_id,
                        "step": s.step,
                        "value": s.value,
                        "comment": s.comment,
                    }
                    for s in _in_order(judgment.steps)
                ]
            }
        case "triplet":
            row = judgment.triplet
            return {"anchor": row.anchor_id, "closer": row.closer_id}
    raise ValueError(kind)


def _in_order(manager) -> list:
    # Sorted here, not in SQL, so that prefetched rows are used.
    return sorted(manager.all(), key=lambda row: row.pk)
