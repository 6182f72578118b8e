"""Tasks as other annotation tools hold them: Label Studio's JSON and Argilla's records.

Answers stand in the fields answer_1, answer_2 ...; what the tool has no place for and this
platform needs to read the file back (kind, annotators' pseudonyms, external id) goes along in a
field of its own. `annotation.formats.label_studio` and `.argilla` read both back.
"""

import json
from collections import Counter
from collections.abc import Iterator

from annotation.formats.label_studio import HARM, STEPS
from annotation.formats.sides import in_units
from annotation.prompts import prompt_text
from annotation.services.loaded import LoadedJudgment, LoadedTask
from annotation.services.outgoing import in_order, standing, verdict_of
from annotation.services.parts import answer_of
from annotation.steps import stated_for, steps_of

_STEP_WORDS = {value: word for word, value in STEPS.items()}

LOSES = (
    "judgments undone, decided anew or surplus",
    "model versions, sampling parameters and log-probabilities",
    "priorities, skills, notes on gold answers and how a judgment came in",
)


def _field(place: int) -> str:
    return f"answer_{place + 1}"


class _Answer:
    """A judgment's answer with candidates by field name, kind by kind."""

    def __init__(self, task: LoadedTask, judgment: LoadedJudgment | None, body: dict):
        self.task, self.judgment = task, judgment
        candidates = in_order(task)
        by_place = judgment is None  # gold answers name candidates by place
        self.places = {n if by_place else c.pk: n for n, c in enumerate(candidates)}
        self.texts = [c.content for c in candidates]
        self.body = body

    def of(self, kind: str) -> dict:
        return self.body if kind == self.task.kind else self.body.get("also", {}).get(kind, {})

    def field(self, candidate: object) -> str:
        return _field(self.places[candidate])

    def text(self, candidate: object) -> str:
        return self.texts[self.places[candidate]]

    def chosen(self, choice: dict) -> str:
        picked = choice["outcome"] == "preferred"
        return self.field(choice["preferred"]) if picked else choice["outcome"]

    def steps(self, candidate: object) -> list[tuple[int, int]]:
        place = self.places[candidate]
        return steps_of(self.texts[place], stated_for(self.task.metadata, place))


def _extra(task: LoadedTask) -> dict:
    """What a task needs to come back, besides what the tool's own fields hold."""
    return {
        "kind": task.kind,
        "also": task.also,
        "external_id": task.external_id,
        "overlap": task.overlap,
        "metadata": task.metadata,
        "models": [c.model for c in in_order(task)],
    }


def _fields(task: LoadedTask) -> dict:
    data: dict = {"prompt": prompt_text(task.prompt)}
    if len(task.prompt) > 1 or task.prompt[0] != {"role": "user", "content": data["prompt"]}:
        data["messages"] = task.prompt
    return data | {_field(n): c.content for n, c in enumerate(in_order(task))}


# Label Studio -------------------------------------------------------------------------------


def label_studio(task: LoadedTask, lost: Counter) -> Iterator[dict]:
    """One task; `completed_by` is a number, as Label Studio wants it, named in `meta`, where
    `verdict` is the annotation in which a reviewer decided."""
    annotations, people, shown, decided = [], {}, {}, {}
    verdict = verdict_of(task)
    places = {c.pk: n for n, c in enumerate(in_order(task))}
    for n, judgment in enumerate(standing(task, lost), start=1):
        at = judgment.created_at.isoformat()
        annotations.append(
            {
                "id": n,
                "result": _results(_Answer(task, judgment, answer_of(judgment)), judgment),
                "was_cancelled": False,
                "ground_truth": False,
                "lead_time": judgment.seconds,
                "completed_by": judgment.annotator_id,
                "created_at": at,
                "updated_at": at,
            }
        )
        people[str(judgment.annotator_id)] = judgment.annotator.pseudonym
        if judgment is verdict:
            decided = {"verdict": n}
        shown[str(n)] = [places[pk] for pk in judgment.shown if pk in places]
    if task.gold is not None:
        gold = _results(_Answer(task, None, task.gold), None)
        annotations.append({"id": 0, "result": gold, "was_cancelled": False, "ground_truth": True})
    own = _extra(task) | {"annotators": people, "shown": shown} | decided
    yield {
        "id": task.pk,
        "data": _fields(task),
        "meta": {"preferendum": own},
        "annotations": annotations,
        "predictions": [],
    }


def _results(answer: _Answer, judgment: LoadedJudgment | None) -> list[dict]:
    made: list[dict] = []

    def add(name: str, to: str, sort: str, value: dict, **more) -> None:
        key = more.pop("region", None) or f"r{len(made) + 1}"
        made.append({"id": key, "from_name": name, "to_name": to, "type": sort, "value": value,
                     **more})  # fmt: skip

    def choose(name: str, to: str, word: str, **more) -> None:
        add(name, to, "choices", {"choices": [word], **more.pop("where", {})}, **more)

    def say(name: str, to: str, words: str, **more) -> None:
        if words:
            add(name, to, "textarea", {"text": [words]}, **more)

    def stretch(candidate: object, start: int, end: int) -> dict:
        text = answer.text(candidate)
        return {"start": in_units(text, start), "end": in_units(text, end),
                "text": text[start:end]}  # fmt: skip

    every = ",".join(_field(n) for n in range(len(answer.texts)))
    for kind in (answer.task.kind, *answer.task.also):
        said = answer.of(kind)
        match kind:
            case "pairwise":
                word = answer.chosen(said)
                side = {"answer_1": "left", "answer_2": "right"}.get(word)
                if side:
                    add("preference", every, "pairwise", {"selected": side})
                else:
                    choose("outcome", "prompt", word)
                if said.get("strength"):
                    add("strength", "prompt", "rating", {"rating": said["strength"]})
                for d in said.get("dimensions", []):
                    choose(f"dimension:{d['dimension']}", "prompt", answer.chosen(d))
            case "listwise":
                buckets = {str(n): [answer.field(c) for c in group]
                           for n, group in enumerate(said["ranking"], start=1)}  # fmt: skip
                bad = [answer.field(c) for c in said.get("unusable", [])]
                add("ranking", "answers", "ranker",
                    {"ranker": buckets | ({"unusable": bad} if bad else {})})  # fmt: skip
            case "span":
                for n, s in enumerate(said["spans"]):
                    to, region = answer.field(s["candidate"]), f"span{n}"
                    where = stretch(s["candidate"], s["start"], s["end"])
                    add("spans", to, "labels", where | {"labels": [s["category"]]}, region=region)
                    add("severity", to, "rating", {"rating": s.get("severity", 1)}, region=region)
                    say("comment", to, s.get("comment", ""), region=region)
                for n, m in enumerate(said.get("missing", [])):
                    to, region = answer.field(m["candidate"]), f"missing{n}"
                    choose("missing", to, m["category"], region=region)
                    say("comment", to, m.get("comment", ""), region=region)
            case "principle":
                for v in said["verdicts"]:
                    spot = v.get("evidence")
                    where = stretch(v["candidate"], spot["start"], spot["end"]) if spot else {}
                    choose(f"principle:{v['principle']}", answer.field(v["candidate"]),
                           v["verdict"], where=where)  # fmt: skip
            case "rating":
                for r in said["ratings"]:
                    add(r["attribute"], answer.field(r["candidate"]), "rating",
                        {"rating": r["value"] + 1})  # fmt: skip
            case "critique":
                to = answer.field(said["candidate"]) if "candidate" in said else "answer_1"
                say("critique", to, said.get("critique", ""))
                say("corrected", to, said.get("corrected", ""))
            case "safety":
                for name in ("helpful", "safer"):
                    choose(name, "prompt", answer.chosen(said[name]))
                for h in said["harm"]:
                    choose("harm", answer.field(h["candidate"]), HARM[h["level"]])
            case "step":
                for n, s in enumerate(said["steps"]):
                    to = "prompt" if s.get("candidate") is None else answer.field(s["candidate"])
                    choose("step", to, _STEP_WORDS[s["value"]], region=f"step{n}",
                           meta={"step": s["step"]})  # fmt: skip
                    say("comment", to, s.get("comment", ""), region=f"step{n}")
            case "triplet":
                closer = said.get("closer")
                choose("closer", "answer_1", "equal" if closer is None else answer.field(closer))
    if judgment is not None:
        say("rationale", "prompt", judgment.rationale)
        if judgment.flags:
            add("flags", "prompt", "choices", {"choices": judgment.flags})
    return made


# Argilla ------------------------------------------------------------------------------------

ARGILLA_LOSES = (
    *LOSES,
    "times, the order shown and how long it took",
    "gold answers",
    "severity and comments of spans, comments of steps and of what is missing",
    "evidence of verdicts, and judgments of the prompt's turns",
)


def argilla(task: LoadedTask, lost: Counter) -> Iterator[dict]:
    """One record as the Hub holds it: a column a field, three columns a question."""
    columns: dict[str, list[tuple[str, object]]] = {}
    people = {}
    verdict = verdict_of(task)
    decided = {"verdict": verdict.annotator.pseudonym} if verdict is not None else {}
    for judgment in standing(task, lost):
        who = judgment.annotator.pseudonym
        people[who] = who
        for question, value in _responses(task, judgment, lost):
            columns.setdefault(question, []).append((who, value))
    if task.gold is not None:
        lost["gold answers"] += 1
    record: dict = {
        "id": str(task.pk),
        "status": "completed" if task.state == "done" else "pending",
        "_server_id": None,
        **_fields(task),
        "preferendum.kind": task.kind,
        "preferendum.task": json.dumps(
            _extra(task) | {"annotators": people} | decided, ensure_ascii=False, sort_keys=True
        ),
    }
    for question, said in columns.items():
        record |= {
            f"{question}.responses": [value for _, value in said],
            f"{question}.responses.users": [who for who, _ in said],
            f"{question}.responses.status": ["submitted"] * len(said),
        }
    yield record


def _responses(
    task: LoadedTask, judgment: LoadedJudgment, lost: Counter
) -> Iterator[tuple[str, object]]:
    answer = _Answer(task, judgment, answer_of(judgment))
    for kind in (task.kind, *task.also):
        yield from _response(kind, answer, lost)
    if judgment.rationale:
        yield "rationale", judgment.rationale
    if judgment.flags:
        yield "flags", "\n".join(judgment.flags)


def _response(kind: str, answer: _Answer, lost: Counter) -> Iterator[tuple[str, object]]:
    said = answer.of(kind)
    fields = [_field(n) for n in range(len(answer.texts))]
    match kind:
        case "pairwise":
            yield "preference", answer.chosen(said)
            if said.get("strength"):
                yield "strength", said["strength"]
            for d in said.get("dimensions", []):
                yield f"dimension_{d['dimension']}", answer.chosen(d)
        case "listwise":
            groups = [*said["ranking"], *([said["unusable"]] if said["unusable"] else [])]
            yield (
                "ranking",
                [
                    {"value": answer.field(c), "rank": rank}
                    for rank, group in enumerate(groups, start=1)
                    for c in group
                ],
            )
            if said["unusable"]:
                yield "unusable", [answer.field(c) for c in said["unusable"]]
        case "span":
            for field in fields:
                marks = [s for s in said["spans"] if answer.field(s["candidate"]) == field]
                gaps = [m for m in said["missing"] if answer.field(m["candidate"]) == field]
                lost["comments"] += sum(bool(m["comment"]) for m in (*marks, *gaps))
                yield (
                    f"spans_{field}",
                    [{"start": s["start"], "end": s["end"], "label": s["category"]} for s in marks],
                )
                if gaps:
                    yield f"missing_{field}", [m["category"] for m in gaps]
        case "principle":
            for v in said["verdicts"]:
                lost["evidence of verdicts"] += "evidence" in v
                yield f"{v['principle']}_{answer.field(v['candidate'])}", v["verdict"]
        case "rating":
            for r in said["ratings"]:
                yield f"{r['attribute']}_{answer.field(r['candidate'])}", r["value"]
        case "critique":
            field = answer.field(said["candidate"])
            yield f"critique_{field}", said["critique"]
            yield f"corrected_{field}", said["corrected"]
        case "safety":
            for name in ("helpful", "safer"):
                yield name, answer.chosen(said[name])
            for h in said["harm"]:
                yield f"harm_{answer.field(h['candidate'])}", HARM[h["level"]]
        case "step":
            lost["judgments of turns"] += sum(s["candidate"] is None for s in said["steps"])
            lost["comments"] += sum(bool(s["comment"]) for s in said["steps"])
            for candidate, place in answer.places.items():
                bounds = answer.steps(candidate)
                own = [s for s in said["steps"] if s["candidate"] == candidate]
                if own:
                    yield (
                        f"steps_{_field(place)}",
                        [
                            {
                                "start": bounds[s["step"]][0],
                                "end": bounds[s["step"]][1],
                                "label": f"{_STEP_WORDS[s['value']]} {s['step']}",
                            }
                            for s in own
                        ],
                    )
        case "triplet":
            closer = said["closer"]
            yield "closer", "equal" if closer is None else answer.field(closer)
