"""Judgments of single steps: PRM800K, BIG-Bench Mistake."""

from collections.abc import Iterator
from datetime import UTC, datetime

from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest
from annotation.formats.pairs import named


def prm800k(record: dict, kind: str = "") -> Iterator[TaskIn]:
    """PRM800K: the solution as it was chosen step by step, then each step that was passed over.

    A task a branch: the steps chosen so far and one completion. The first task carries the marks
    of the chosen steps, every other one the mark of its last step. `total_time` is milliseconds.
    """
    question, label = record.get("question"), record.get("label")
    if not isinstance(question, dict) or not isinstance(label, dict):
        raise Refused("question and label must be objects")
    steps = label.get("steps")
    if not isinstance(steps, list) or not steps:
        raise Refused("label.steps must be a list with at least one step")
    problem = question.get("problem")
    if not isinstance(problem, str):
        raise Refused("question.problem is missing")
    chosen: list[str] = []
    marks: list[dict] = []
    branches: list[tuple[list[str], list[dict]]] = []
    flagged = False
    for at, step in enumerate(steps):
        if not isinstance(step, dict):
            raise Refused(f"label.steps[{at}] must be an object")
        completions = step.get("completions") or []
        picked = step.get("chosen_completion")
        taken: tuple[str, object] | None = None
        for n, completion in enumerate(completions):
            text, rating = _completion(completion, at, n)
            flagged = flagged or completion.get("flagged") is True
            if n == picked or (picked is None and len(completions) == 1):
                taken = (text, rating)
            else:
                branches.append(([*chosen, text], _mark(len(chosen), rating)))
        human = step.get("human_completion")
        if taken is None and isinstance(human, dict) and isinstance(human.get("text"), str):
            taken = (human["text"], None)
        if taken is None:
            break
        marks += _mark(len(chosen), taken[1])
        chosen.append(taken[0])
    if chosen:
        branches.insert(0, (chosen, marks))
    about = {
        **rest(question, "problem"),
        **rest(record, "question", "label", "labeler", "timestamp"),
        "finish_reason": label.get("finish_reason"),
    }
    person = {
        "annotator": named(record, "labeler"),
        "created_at": _time(record.get("timestamp")),
    }
    time = label.get("total_time")
    took = time / 1000 if isinstance(time, int | float) and not isinstance(time, bool) else None
    for n, (texts, said) in enumerate(branches):
        content, where = _joined(texts)
        more = {"seconds": took} if took is not None and n == 0 else {}
        more |= {"flags": ["flagged by the labeler"]} if flagged and n == 0 else {}
        yield TaskIn(
            kind="step",
            prompt=problem,
            candidates=[CandidateIn(content, model="generator")],
            judgments=[JudgmentIn(body={"steps": said, **more}, **person)] if said else [],
            metadata={**about, "steps": [where], "branch": n},
        )


def _completion(value: object, at: int, n: int) -> tuple[str, object]:
    where = f"label.steps[{at}].completions[{n}]"
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise Refused(f"{where} has no text")
    rating = value.get("rating")
    if rating is not None and (isinstance(rating, bool) or rating not in (-1, 0, 1)):
        raise Refused(f"{where}.rating must be -1, 0, 1 or null")
    return value["text"], rating


def _mark(step: int, rating: object) -> list[dict]:
    return [] if rating is None else [{"candidate": 0, "step": step, "value": int(rating)}]


def _joined(texts: list[str]) -> tuple[str, list[list[int]]]:
    """Steps a line each, with the [start, end] of each; an empty step takes one dash."""
    where, at = [], 0
    texts = [text or "-" for text in texts]
    for text in texts:
        where.append([at, at + len(text)])
        at += len(text) + 1
    return "\n".join(texts), where


def _time(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def bigbench_mistake(record: dict, kind: str = "") -> TaskIn:
    """BIG-Bench Mistake: steps of a chain, and the first one that is wrong (null: none is)."""
    steps, wrong = record.get("steps"), record.get("mistake_index")
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) for s in steps):
        raise Refused("steps must be a list of texts")
    if wrong is not None and not (isinstance(wrong, int) and 0 <= wrong < len(steps)):
        raise Refused("mistake_index must be the index of a step, or null")
    good = len(steps) if wrong is None else wrong
    said = [{"candidate": 0, "step": n, "value": 1} for n in range(good)]
    if wrong is not None:
        said.append({"candidate": 0, "step": wrong, "value": -1})
    content, where = _joined(steps)
    return TaskIn(
        kind="step",
        prompt=named(record, "input") or "-",
        candidates=[CandidateIn(content)],
        judgments=[JudgmentIn(body={"steps": said})],
        metadata={**rest(record, "input", "steps"), "steps": [where]},
    )
