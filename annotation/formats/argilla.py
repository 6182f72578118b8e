"""Argilla records as Hugging Face holds them: flat columns, a list of responses a question.

`<question>.responses`, `.responses.users` and `.responses.status` stand side by side. Questions
are told by the shape of their answers, and by their names where this platform's export wrote
them (`helpfulness_answer_2` rates `answer_2`). Ratings stand as they are, from 0 to 4.
"""

import json
import re

from annotation.formats import sides
from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn
from annotation.formats.label_studio import HARM, PRIORITY, STEPS, VERDICTS
from annotation.formats.pairs import named_id

_PARTS = (".responses", ".responses.users", ".responses.status", ".suggestion",
          ".suggestion.score", ".suggestion.agent")  # fmt: skip
_ABOUT = re.compile(r"^(.+)_((?:answer|response|completion|output)[_-]?(?:[0-9]{1,2}|[a-h]))$")
_OWN = ("preferendum.kind", "preferendum.task")
_BESIDE = {"rationale", "flags", "strength", "unusable"}


def argilla(record: dict, kind: str = "") -> TaskIn:
    """One record with the submitted responses; drafts and discarded ones are counted in the
    metadata, suggestions of models are kept there."""
    questions = [k.removesuffix(".responses") for k in record if k.endswith(".responses")]
    about = {name + part for name in questions for part in _PARTS}
    data = {k: v for k, v in record.items() if k not in about and not _suggests(k)}
    own = _own(data)
    fields = sides.answer_fields([k for k, v in data.items() if isinstance(v, str)])
    if not fields:
        raise Refused(
            "no field looks like an answer; name them, as in map=answer_1:FIELD,answer_2:FIELD"
        )
    models = own.get("models") if isinstance(own.get("models"), list) else []
    models = [m if isinstance(m, str) else "" for m in models] + [""] * len(fields)
    candidates = [CandidateIn(data[f], model=m) for f, m in zip(fields, models, strict=False)]
    people, left_out = _people(record, questions)
    readers = {who: _Answers(said, fields, candidates, who) for who, said in people.items()}
    kinds = _kinds(list(readers.values()), own, kind, len(candidates))
    pseudonyms = own.get("annotators") if isinstance(own.get("annotators"), dict) else {}
    judgments = [
        JudgmentIn(
            body=reader.body(kinds),
            annotator=pseudonyms.get(who, who),
            pseudonymous=who in pseudonyms,
            source="review" if who == own.get("verdict") else "import",
        )
        for who, reader in readers.items()
    ]
    prompt = data.get("messages") if sides.is_chat(data.get("messages")) else sides.prompt_of(data)
    metadata = own.get("metadata") if isinstance(own.get("metadata"), dict) else {}
    used = {
        *fields,
        "messages",
        sides.prompt_field(list(data)),
        "id",
        "status",
        "_server_id",
        *_OWN,
    }
    return TaskIn(
        kind=kinds[0],
        also=kinds[1:],
        prompt=prompt,
        candidates=candidates,
        judgments=judgments,
        external_id=named_id(own, "external_id") if own else named_id(record),
        overlap=own.get("overlap"),
        metadata={
            **metadata,
            **{k: v for k, v in data.items() if k not in used and v is not None},
            **{k: v for k, v in record.items() if _suggests(k) and v is not None},
            **({"responses left out": left_out} if left_out else {}),
        },
    )


def _suggests(name: str) -> bool:
    return name.endswith((".suggestion", ".suggestion.score", ".suggestion.agent"))


def _own(data: dict) -> dict:
    """What this platform's export says of the task, besides what Argilla's columns hold."""
    raw = data.get("preferendum.task")
    try:
        said = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _people(record: dict, questions: list[str]) -> tuple[dict[str, dict], int]:
    """What each person submitted, by question; and how many responses were not submitted."""
    people: dict[str, dict] = {}
    left_out = 0
    for name in questions:
        said = record.get(f"{name}.responses")
        if said is None:
            continue
        users = record.get(f"{name}.responses.users") or []
        states = record.get(f"{name}.responses.status") or []
        if not isinstance(said, list) or len(users) not in (0, len(said)):
            raise Refused(f"{name}.responses and its users must be lists of one length")
        for n, value in enumerate(said):
            state = states[n] if n < len(states) else "submitted"
            if state != "submitted":
                left_out += 1
            elif value is not None:
                who = str(users[n]) if users else f"annotator{n + 1}"
                people.setdefault(who, {})[name] = value
    return people, left_out


def _kinds(readers: list["_Answers"], own: dict, kind: str, candidates: int) -> list[str]:
    if kind:
        return [kind]
    if isinstance(own.get("kind"), str):
        also = own.get("also")
        return [own["kind"], *(also if isinstance(also, list) else [])]
    found = [reader.kinds() for reader in readers]
    if not found:
        if candidates < 2:
            raise Refused("without responses the kind must be given")
        return ["pairwise" if candidates == 2 else "listwise"]
    if any(k != found[0] for k in found) or not found[0]:
        raise Refused("its responses answer different things; give the kind to take")
    return found[0]


def _is_list(value: object, *keys: str) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(i, dict) and all(k in i for k in keys) for i in value)
    )


class _Answers:
    """What one person submitted, read kind by kind."""

    def __init__(self, said: dict, fields: list[str], candidates: list[CandidateIn], who: str):
        self.said, self.fields, self.candidates, self.who = said, fields, candidates, who

    def kinds(self) -> list[str]:
        found = set()
        for name, value in self.said.items():
            stem, _ = self._about(name)
            if name in _BESIDE:
                continue
            if stem == "steps":
                found.add("step")
            elif stem in ("spans", "missing") or _is_list(value, "start", "end"):
                found.add("span")
            elif _is_list(value, "value", "rank"):
                found.add("listwise")
            elif stem in ("helpful", "safer", "harm"):
                found.add("safety")
            elif name == "closer":
                found.add("triplet")
            elif stem in ("critique", "corrected"):
                found.add("critique")
            elif isinstance(value, str) and self._word(value) is not None:
                found.add("pairwise")
            elif isinstance(value, str) and value.lower() in VERDICTS:
                found.add("principle")
            elif isinstance(value, int) and not isinstance(value, bool):
                found.add("rating")
        return [kind for kind in PRIORITY if kind in found]

    def body(self, kinds: list[str]) -> dict:
        body = getattr(self, f"_{kinds[0]}")()
        if len(kinds) > 1:
            body["also"] = {kind: getattr(self, f"_{kind}")() for kind in kinds[1:]}
        if isinstance(self.said.get("rationale"), str):
            body["rationale"] = self.said["rationale"]
        flags = self.said.get("flags")
        if isinstance(flags, str) and flags:
            body["flags"] = flags.split("\n")
        return body

    # Finding -----------------------------------------------------------------------------

    def _about(self, name: str) -> tuple[str, int]:
        """A question's name without the field it is about, and that field's place."""
        found = _ABOUT.match(name)
        if found and found[2] in self.fields:
            return found[1], self.fields.index(found[2])
        return name, 0

    def _place(self, name: object) -> int:
        word = self._word(str(name))
        if not isinstance(word, int):
            raise Refused(f"'{name}' is not one of {', '.join(self.fields)}")
        return word

    def _word(self, value: str) -> int | str | None:
        """The place of a candidate that a label names, or tie, or both_bad; None for others."""
        low = value.lower().replace(" ", "_")
        if low in ("tie", "both_bad"):
            return low
        if value in self.fields:
            return self.fields.index(value)
        ends = [n for n, f in enumerate(self.fields) if f[-1].lower() == low[-1:]]
        short = re.fullmatch(
            r"(?:answer|response|completion|output|model|option)?[_-]?[0-9a-h]", low
        )
        return ends[0] if short and len(ends) == 1 else None

    def _chosen(self, value: object) -> dict:
        word = self._word(value) if isinstance(value, str) else None
        if word is None:
            raise Refused(f"'{value}' is neither an answer's field, nor tie, nor both_bad")
        if isinstance(word, str):
            return {"outcome": word}
        return {"outcome": "preferred", "preferred": word}

    def _each(self, stem: str) -> list[tuple[int, object]]:
        return [
            (place, value)
            for name, value in self.said.items()
            for found, place in [self._about(name)]
            if found == stem
        ]

    # One a kind --------------------------------------------------------------------------

    def _pairwise(self) -> dict:
        dimensions, body = [], {}
        for name, value in self.said.items():
            if name.startswith("dimension_"):
                dimensions.append({"dimension": name[10:], **self._chosen(value)})
            elif name in ("helpful", "safer", "closer", *_BESIDE):
                continue
            elif not body and isinstance(value, str) and self._word(value) is not None:
                body = self._chosen(value)
        if not body:
            raise Refused("no response says which answer is better")
        if "strength" in self.said:
            body["strength"] = self.said["strength"]
        return body | ({"dimensions": dimensions} if dimensions else {})

    def _listwise(self) -> dict:
        bad = [self._place(v) for v in self.said.get("unusable") or []]
        for value in self.said.values():
            if _is_list(value, "value", "rank"):
                ranked = [(i["rank"], self._place(i["value"])) for i in value]
                ranked = [(rank, place) for rank, place in ranked if place not in bad]
                places = sorted({rank for rank, _ in ranked})
                groups = [[c for rank, c in ranked if rank == place] for place in places]
                return {"ranking": groups, "unusable": bad}
        if bad:
            return {"ranking": [], "unusable": bad}
        raise Refused("no response is a ranking")

    def _span(self) -> dict:
        spans, missing = [], []
        for name, value in self.said.items():
            stem, place = self._about(name)
            if stem == "missing":
                missing += [{"candidate": place, "category": c} for c in value]
            elif stem != "steps" and (_is_list(value, "start", "end") or stem == "spans"):
                text = self.candidates[place].content
                for n, i in enumerate(value):
                    where = f"{name}[{n}]"
                    start, end = sides.offsets(text, i["start"], i["end"], i.get("text"), where)
                    spans.append(
                        {
                            "candidate": place,
                            "start": start,
                            "end": end,
                            "category": i.get("label"),
                        }
                    )
        return {"spans": spans, "missing": missing}

    def _principle(self) -> dict:
        found = [(self._about(n), v) for n, v in self.said.items() if n not in _BESIDE]
        return {
            "verdicts": [
                {"candidate": place, "principle": stem, "verdict": value.lower()}
                for (stem, place), value in found
                if isinstance(value, str) and value.lower() in VERDICTS
            ]
        }

    def _rating(self) -> dict:
        found = [(self._about(n), v) for n, v in self.said.items() if n not in _BESIDE]
        return {
            "ratings": [
                {"candidate": place, "attribute": stem, "value": value}
                for (stem, place), value in found
                if isinstance(value, int) and not isinstance(value, bool)
            ]
        }

    def _critique(self) -> dict:
        said = [(place, v) for place, v in self._each("critique") if isinstance(v, str)]
        mended = [(place, v) for place, v in self._each("corrected") if isinstance(v, str)]
        place = (said or mended or [(0, "")])[0][0]
        return {
            "candidate": place,
            "critique": said[0][1] if said else "",
            "corrected": mended[0][1] if mended else "",
        }

    def _safety(self) -> dict:
        body: dict = {n: self._chosen(self.said.get(n)) for n in ("helpful", "safer")}
        harm = self._each("harm")
        if any(level not in HARM for _, level in harm):
            raise Refused(f"harm must be one of {', '.join(HARM)}")
        body["harm"] = [{"candidate": p, "level": HARM.index(level)} for p, level in harm]
        return body

    def _step(self) -> dict:
        """Steps are marked as spans from step to step; they are counted in their order."""
        steps = []
        for place, value in self._each("steps"):
            for i in value:
                label, _, number = str(i.get("label")).partition(" ")
                if label not in STEPS or not number.isdigit():
                    raise Refused("a step must be labelled good, neutral or bad, and its number")
                steps.append({"candidate": place, "step": int(number), "value": STEPS[label]})
        return {"steps": steps}

    def _triplet(self) -> dict:
        said = self.said.get("closer")
        return {"anchor": 0, "closer": None if said == "equal" else self._place(said)}
