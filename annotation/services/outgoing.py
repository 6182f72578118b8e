"""How a stored task is written in each format. Tasks come from `annotation.services.loaded`."""

from collections import Counter
from collections.abc import Iterator

from annotation.services.loaded import LoadedCandidate as Candidate
from annotation.services.loaded import LoadedJudgment as Judgment
from annotation.services.loaded import LoadedTask as Task
from annotation.services.parts import answer_of
from annotation.steps import stated_for, steps_of

#: What the trainers' flat forms cannot hold.
FLAT = (
    "who judged, when, in which order the answers were shown, and how long it took",
    "rationale, flags and strength",
    "model versions, sampling parameters and log-probabilities",
    "gold answers, priorities and metadata",
)


def preferendum(task: Task, lost: Counter) -> Iterator[dict]:
    """The task with every judgment, undone and surplus ones too. Keys that are empty are left out
    of candidates and judgments, and never of the task."""
    yield {
        "id": task.pk,
        "external_id": task.external_id,
        "kind": task.kind,
        **({"also": task.also} if task.also else {}),
        "prompt": task.prompt,
        "candidates": [_candidate(c) for c in in_order(task)],
        "overlap": task.overlap,
        "priority": task.priority,
        "gold": task.gold,
        **({"gold_note": task.gold_note} if task.gold_note else {}),
        **({"is_calibration": True} if task.is_calibration else {}),
        **({"skills": task.skills} if task.skills else {}),
        "state": task.state,
        "source": task.source,
        **_decided(task),
        "judgments": [_judgment(j) for j in task.judgments],
        "metadata": task.metadata,
        "created_at": task.created_at.isoformat(),
    }


def _decided(task: Task) -> dict:
    verdict = verdict_of(task)
    return {"verdict": str(verdict.pk)} if verdict is not None else {}


def in_order(task: Task) -> list[Candidate]:
    """The candidates as imported."""
    return task.candidates  # read in this order


def _candidate(row: Candidate) -> dict:
    shown = {"id": row.pk, "content": row.content, "model": row.model}
    extra = {
        "parts": row.parts,
        "model_version": row.model_version.name if row.model_version else None,
        "sampling": row.sampling or None,
        "logprob": row.logprob,
    }
    return shown | {key: value for key, value in extra.items() if value is not None}


def _judgment(row: Judgment) -> dict:
    shown = {
        "id": str(row.pk),
        "annotator": row.annotator.pseudonym,
        "kind": row.kind,
        **answer_of(row),
        "shown": row.shown,
        "rationale": row.rationale,
        "flags": row.flags,
        "seconds": row.seconds,
        "source": row.source,
        "created_at": row.created_at.isoformat(),
    }
    extra = {
        "surplus": row.surplus or None,
        "withdrawn_at": row.withdrawn_at.isoformat() if row.withdrawn_at else None,
        "supersedes": str(row.supersedes_id) if row.supersedes_id else None,
    }
    return shown | {key: value for key, value in extra.items() if value is not None}


def standing(task: Task, lost: Counter) -> Iterator[Judgment]:
    """Judgments that count; the others are added to what was lost."""
    rows = task.judgments
    superseded = {row.supersedes_id for row in rows if row.supersedes_id}
    for row in rows:
        if row.withdrawn_at is not None or row.pk in superseded:
            lost["judgments undone or decided anew"] += 1
        elif row.surplus:
            lost["surplus judgments"] += 1
        else:
            yield row


def verdict_of(task: Task) -> Judgment | None:
    """What a reviewer decided, if one did: the last word on the task."""
    found = [row for row in standing(task, Counter()) if row.source == "review"]
    return found[-1] if found else None


def final(task: Task, lost: Counter) -> Iterator[Judgment]:
    """What the task comes to: the verdict alone where there is one, else every judgment that
    counts. The judgments that a verdict speaks for are added to what was lost."""
    verdict = verdict_of(task)
    for row in standing(task, lost):
        if verdict is None or row is verdict:
            yield row
        else:
            lost["judgments of tasks that a reviewer decided"] += 1


def _answers(task: Task, kind: str, lost: Counter, rows=final) -> Iterator[tuple[Judgment, dict]]:
    """What judgments that count say in one kind, their own or a further one."""
    for row in rows(task, lost):
        if row.kind == kind:
            yield row, answer_of(row)
        elif kind in task.also:
            yield row, answer_of(row)["also"][kind]
        else:
            lost[f"judgments of the kind {row.kind}"] += 1


def _said(row: Candidate) -> list[dict]:
    return [{"role": "assistant", "content": row.content}]


def trl_preference(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, chosen, rejected` in chat form, one record a judgment."""
    by_id = {c.pk: c for c in in_order(task)}
    for _, answer in _answers(task, "pairwise", lost):
        if answer["outcome"] != "preferred":
            lost["ties" if answer["outcome"] == "tie" else "judgments that both are bad"] += 1
            continue
        chosen = by_id[answer["preferred"]]
        rejected = next(c for pk, c in by_id.items() if pk != chosen.pk)
        yield {"prompt": task.prompt, "chosen": _said(chosen), "rejected": _said(rejected)}


def trl_unpaired(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, completion, label`: the preferred answer true, the other false; both bad, false."""
    for _, answer in _answers(task, "pairwise", lost):
        if answer["outcome"] == "tie":
            lost["ties"] += 1
            continue
        for candidate in in_order(task):
            yield {
                "prompt": task.prompt,
                "completion": _said(candidate),
                "label": candidate.pk == answer["preferred"],
            }


def ranking(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, responses, ranks` (1 best, equal numbers ties, null unusable), one a judgment."""
    candidates = in_order(task)
    if "pairwise" in (task.kind, *task.also):
        for _, answer in _answers(task, "pairwise", lost):
            ranks = [1 if answer["preferred"] in (None, c.pk) else 2 for c in candidates]
            if answer["outcome"] == "both_bad":
                ranks = [None] * len(candidates)
            yield _ranked(task, candidates, ranks)
        return
    for _, answer in _answers(task, "listwise", lost):
        places = {
            pk: place for place, group in enumerate(answer["ranking"], start=1) for pk in group
        }
        yield _ranked(task, candidates, [places.get(c.pk) for c in candidates])


def _ranked(task: Task, candidates: list[Candidate], ranks: list[int | None]) -> dict:
    return {
        "prompt": task.prompt,
        "responses": [c.content for c in candidates],
        "ranks": ranks,
    }


def _each(task: Task, kind: str, lost: Counter) -> Iterator[tuple[Candidate, dict, dict]]:
    """Each candidate with each standing judgment of a kind: who gave it, and whether it is the
    last word: of a task with a verdict the verdict alone is."""
    verdict = verdict_of(task)
    for judgment, answer in _answers(task, kind, lost, standing):
        said = {
            "annotator": judgment.annotator.pseudonym,
            "final": verdict is None or judgment is verdict,
        }
        for candidate in in_order(task):
            yield candidate, said, answer


def _about(answer: dict, name: str, candidate: Candidate) -> list[dict]:
    return [
        {key: value for key, value in item.items() if key != "candidate"}
        for item in answer[name]
        if item["candidate"] == candidate.pk
    ]


def spans(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, response, annotator, final, spans, missing`; offsets are code points."""
    for candidate, said, answer in _each(task, "span", lost):
        yield {
            "prompt": task.prompt,
            "response": candidate.content,
            **said,
            "spans": _about(answer, "spans", candidate),
            "missing": _about(answer, "missing", candidate),
        }


def principles(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, response, annotator, final, verdicts`."""
    for candidate, said, answer in _each(task, "principle", lost):
        yield {
            "prompt": task.prompt,
            "response": candidate.content,
            **said,
            "verdicts": _about(answer, "verdicts", candidate),
        }


def ratings(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, response, annotator, final, ratings: {attribute: value}`."""
    for candidate, said, answer in _each(task, "rating", lost):
        values = {r["attribute"]: r["value"] for r in _about(answer, "ratings", candidate)}
        yield {
            "prompt": task.prompt,
            "response": candidate.content,
            **said,
            "ratings": values,
        }


def trl_stepwise(task: Task, lost: Counter) -> Iterator[dict]:
    """`prompt, completions, labels` of TRL's process reward trainer: true for a good step.

    A trace ends at its last judged step; one with a gap, or with turns alone, is left out.
    """
    for _, answer in _answers(task, "step", lost):
        for place, candidate in enumerate(in_order(task)):
            values = {s["step"]: s["value"] for s in answer["steps"]
                      if s["candidate"] == candidate.pk}  # fmt: skip
            if not values:
                continue
            if sorted(values) != list(range(len(values))):
                lost["traces with steps nobody judged in between"] += 1
                continue
            lost["neutral steps, written as not good"] += sum(v == 0 for v in values.values())
            spans = steps_of(candidate.content, stated_for(task.metadata, place))
            yield {
                "prompt": task.prompt,
                "completions": [candidate.content[a:b] for a, b in spans[: len(values)]],
                "labels": [values[n] > 0 for n in range(len(values))],
            }
        lost["judgments of turns"] += sum(s["candidate"] is None for s in answer["steps"])
