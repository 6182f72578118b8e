"""Label Studio's JSON: tasks with annotations, each a list of results by control.

The controls of a project are not in the file, so results are told by their type, and by their
`from_name` where this platform's export wrote it. Ratings are stars: 1 to 5 become 0 to 4.
"""

from annotation.formats import sides
from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest
from annotation.formats.pairs import named, named_id
from annotation.formats.preferendum import moment

STEPS = {"good": 1, "neutral": 0, "bad": -1}
HARM = ("none", "minor", "moderate", "severe")
VERDICTS = ("yes", "no", "na")
PRIORITY = ("pairwise", "safety", "listwise", "span", "step", "principle", "rating", "triplet",
            "critique")  # fmt: skip
_COMMON = ("rationale", "flags", "strength", "severity", "comment")
_USED = ("id", "data", "annotations", "predictions", "drafts", "meta", "completions")


def label_studio(record: dict, kind: str = "") -> TaskIn:
    """One task. Cancelled annotations and predictions are kept in the metadata, not as judgments;
    an annotation marked as ground truth becomes the gold answer."""
    data = record.get("data")
    if not isinstance(data, dict):
        raise Refused("data must be an object")
    meta = record.get("meta") if isinstance(record.get("meta"), dict) else {}
    own = meta.get("preferendum") if isinstance(meta.get("preferendum"), dict) else {}
    fields, candidates = _candidates(data, own)
    given = record.get("annotations") or record.get("completions") or []
    if not isinstance(given, list) or not all(isinstance(a, dict) for a in given):
        raise Refused("annotations must be a list of objects")
    readers = []
    cancelled = 0
    for n, annotation in enumerate(given):
        if annotation.get("was_cancelled"):
            cancelled += 1
            continue
        results = annotation.get("result") or []
        if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
            raise Refused(f"annotations[{n}].result must be a list of objects")
        readers.append((annotation, _Results(results, fields, candidates, f"annotations[{n}]")))
    kinds = _kinds(readers, own, kind, len(candidates))
    judgments, gold = [], None
    for annotation, reader in readers:
        body = reader.body(kinds)
        if annotation.get("ground_truth") is True:
            gold = {k: v for k, v in body.items() if k not in ("seconds",)}
        else:
            judgments.append(_judgment(annotation, body, own))
    metadata = own.get("metadata") if isinstance(own.get("metadata"), dict) else {}
    extra = {k: v for k, v in data.items() if k not in (*fields, "messages", "prompt")}
    left = {"cancelled": cancelled, "predictions": record.get("predictions") or None}
    return TaskIn(
        kind=kinds[0],
        also=kinds[1:],
        prompt=_prompt(data, given),
        candidates=candidates,
        judgments=judgments,
        gold=gold,
        overlap=own.get("overlap"),
        external_id=named_id(own, "external_id") if own else named_id(record),
        metadata={
            **metadata,
            **extra,
            **rest(meta, "preferendum"),
            **rest(record, *_USED, *_BOOKKEEPING),
            **{key: value for key, value in left.items() if value},
        },
    )


_BOOKKEEPING = (
    "created_at", "updated_at", "inner_id", "total_annotations", "cancelled_annotations",
    "total_predictions", "comment_count", "unresolved_comment_count", "last_comment_updated_at",
    "project", "updated_by", "comment_authors", "allow_skip", "precomputed_agreement",
)  # fmt: skip


def _candidates(data: dict, own: dict) -> tuple[list[str], list[CandidateIn]]:
    """The fields (or the ids of a list's items) that answers stand in, and the answers."""
    models = own.get("models") if isinstance(own.get("models"), list) else []
    fields = sides.answer_fields([k for k, v in data.items() if isinstance(v, str)])
    if len(fields) < 2:
        for value in data.values():
            if isinstance(value, list) and value and not sides.is_chat(value):
                listed = [i for i in value if isinstance(i, dict) and "id" in i]
                if len(listed) == len(value) > 1:
                    texts = [_item_text(i) for i in listed]
                    return [str(i["id"]) for i in listed], [CandidateIn(t) for t in texts]
    if not fields:
        raise Refused(
            "no field looks like an answer; name them, as in map=answer_1:FIELD,answer_2:FIELD"
        )
    models = [m if isinstance(m, str) else "" for m in models] + [""] * len(fields)
    return fields, [CandidateIn(data[f], model=m) for f, m in zip(fields, models, strict=False)]


def _item_text(item: dict) -> str:
    for name in ("content", "body", "text", "html", "title"):
        if isinstance(item.get(name), str):
            return item[name]
    raise Refused(f"the item {item.get('id')!r} has no text")


def _prompt(data: dict, annotations: list[dict]) -> object:
    try:
        return sides.prompt_of(data)
    except Refused:
        for annotation in annotations:
            chat = [
                {"role": m["role"], "content": m["content"]}
                for r in annotation.get("result") or []
                if r.get("type") == "chatmessage"
                and sides.is_chat([m := (r.get("value") or {}).get("chatmessage")])
            ]
            if chat:
                return chat
        raise


def _kinds(readers: list, own: dict, kind: str, candidates: int) -> list[str]:
    if kind:
        return [kind]
    if isinstance(own.get("kind"), str):
        also = own.get("also")
        return [own["kind"], *(also if isinstance(also, list) else [])]
    found = [reader.kinds() for _, reader in readers]
    if not found:
        if candidates < 2:
            raise Refused("without annotations the kind must be given")
        return ["pairwise" if candidates == 2 else "listwise"]
    if any(k != found[0] for k in found) or not found[0]:
        raise Refused("its annotations answer different things; give the kind to take")
    return found[0]


def _judgment(annotation: dict, body: dict, own: dict) -> JudgmentIn:
    by = annotation.get("completed_by")
    by = by.get("email") or by.get("id") if isinstance(by, dict) else by
    names = own.get("annotators") if isinstance(own.get("annotators"), dict) else {}
    shown = own.get("shown") if isinstance(own.get("shown"), dict) else {}
    pseudonym = names.get(str(by))
    order = shown.get(str(annotation.get("id")))
    lead = annotation.get("lead_time")
    if isinstance(lead, int | float) and not isinstance(lead, bool):
        body["seconds"] = lead
    return JudgmentIn(
        body=body,
        annotator=pseudonym if isinstance(pseudonym, str) else str(by or ""),
        pseudonymous=isinstance(pseudonym, str),
        shown=order if isinstance(order, list) else None,
        created_at=moment(annotation, "created_at", "annotation"),
        source="review" if own and annotation.get("id") == own.get("verdict", "") else "import",
    )


class _Results:
    """The results of one annotation, read kind by kind."""

    def __init__(self, results: list[dict], fields: list[str], candidates: list, where: str):
        self.results, self.fields, self.candidates = results, fields, candidates
        self.where = where

    def kinds(self) -> list[str]:
        """What this annotation answers, by the types of its results."""
        found = set()
        for r in self.results:
            name, sort = named(r, "from_name"), r.get("type")
            if sort == "pairwise" or name == "outcome":
                found.add("pairwise")
            elif sort == "ranker":
                found.add("listwise")
            elif sort in ("labels", "hypertextlabels", "paragraphlabels") or name == "missing":
                found.add("span")
            elif name in ("helpful", "safer", "harm"):
                found.add("safety")
            elif name == "closer":
                found.add("triplet")
            elif name == "step":
                found.add("step")
            elif sort == "rating" and name not in _COMMON:
                found.add("rating")
            elif name in ("critique", "corrected"):
                found.add("critique")
            elif sort == "choices" and self._choice(r) in VERDICTS:
                found.add("principle")
        if not found and any(r.get("type") == "textarea" for r in self.results):
            found.add("critique")
        return [kind for kind in PRIORITY if kind in found]

    def body(self, kinds: list[str]) -> dict:
        """The judgment's body; kinds after the first stand under `also`."""
        body = getattr(self, f"_{kinds[0]}")()
        if len(kinds) > 1:
            body["also"] = {kind: getattr(self, f"_{kind}")() for kind in kinds[1:]}
        says = " ".join(self._texts("rationale"))
        if says:
            body["rationale"] = says
        flags = [f for r in self._of("flags") for f in self._list(r, "choices")]
        return body | ({"flags": flags} if flags else {})

    # Finding -----------------------------------------------------------------------------

    def _of(self, name: str) -> list[dict]:
        return [r for r in self.results if r.get("from_name") == name]

    def _value(self, result: dict) -> dict:
        value = result.get("value")
        if not isinstance(value, dict):
            raise Refused(f"{self.where}: a result has no value")
        return value

    def _list(self, result: dict, name: str) -> list:
        value = self._value(result).get(name)
        return value if isinstance(value, list) else [value] if isinstance(value, str) else []

    def _choice(self, result: dict) -> str:
        return next((str(c).lower() for c in self._list(result, "choices")), "")

    def _texts(self, name: str, region: object = None) -> list[str]:
        return [
            t
            for r in self._of(name)
            if region is None or r.get("id") == region
            for t in self._list(r, "text")
            if isinstance(t, str)
        ]

    def _place(self, name: object) -> int:
        """The place of the candidate that an object of the labelling page shows."""
        name = str(name)
        if name in self.fields:
            return self.fields.index(name)
        if len(self.fields) == 1:
            return 0
        tail = name[-1:].lower()
        ends = [n for n, field in enumerate(self.fields) if field[-1:].lower() == tail]
        if len(ends) == 1:
            return ends[0]
        raise Refused(f"{self.where}: '{name}' is not one of {', '.join(self.fields)}")

    def _chosen(self, word: str) -> dict:
        if word in ("tie", "both_bad"):
            return {"outcome": word}
        place = {"left": 0, "right": 1}.get(word)
        return {"outcome": "preferred", "preferred": self._place(word) if place is None else place}

    def _stars(self, result: dict, least: int = 1) -> int:
        value = self._value(result).get("rating")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise Refused(f"{self.where}: rating must be a whole number of stars from 1")
        return value - least

    def _one(self, name: str, what: str) -> dict:
        found = self._of(name)
        if not found:
            raise Refused(f"{self.where} has no {what}")
        return found[-1]

    # One a kind --------------------------------------------------------------------------

    def _pairwise(self) -> dict:
        picked = [r for r in self.results if r.get("type") == "pairwise"] or self._of("outcome")
        if not picked:
            raise Refused(f"{self.where} has no pairwise result")
        word = self._value(picked[-1]).get("selected") or self._choice(picked[-1])
        body = self._chosen(str(word))
        for r in self._of("strength"):
            body["strength"] = self._stars(r, least=0)
        dimensions = [
            {"dimension": named(r, "from_name")[10:], **self._chosen(self._choice(r))}
            for r in self.results
            if named(r, "from_name").startswith("dimension:")
        ]
        return body | ({"dimensions": dimensions} if dimensions else {})

    def _listwise(self) -> dict:
        ranker = [r for r in self.results if r.get("type") == "ranker"]
        if not ranker:
            raise Refused(f"{self.where} has no ranker result")
        given = self._value(ranker[-1]).get("ranker")
        if isinstance(given, list):
            return {"ranking": [[self._place(i)] for i in given], "unusable": []}
        if not isinstance(given, dict) or not all(isinstance(v, list) for v in given.values()):
            raise Refused(f"{self.where}: ranker must be a list of ids, or buckets of them")
        bad = [self._place(i) for i in given.get("unusable", [])]
        # Buckets are in the order of the page: best first.
        groups = [[self._place(i) for i in v] for k, v in given.items() if k != "unusable" and v]
        return {"ranking": groups, "unusable": bad}

    def _span(self) -> dict:
        spans, missing = [], []
        for n, r in enumerate(self.results):
            if r.get("type") in ("labels", "hypertextlabels", "paragraphlabels"):
                value, region = self._value(r), r.get("id") or object()
                place = self._place(r.get("to_name"))
                start, end = value.get("start"), value.get("end")
                offsets = value.get("globalOffsets")
                if isinstance(offsets, dict):
                    start, end = offsets.get("start"), offsets.get("end")
                text = self.candidates[place].content
                where = f"{self.where}.result[{n}]"
                start, end = sides.offsets(text, start, end, value.get("text"), where)
                stars = [s for s in self._of("severity") if s.get("id") == region]
                labels = value.get(r["type"]) or value.get("labels") or ["unlabelled"]
                spans += [
                    {
                        "candidate": place,
                        "start": start,
                        "end": end,
                        "category": label,
                        "severity": self._stars(stars[-1], least=0) if stars else 1,
                        "comment": " ".join(self._texts("comment", region)),
                    }
                    for label in labels
                ]
            elif r.get("from_name") == "missing":
                missing += [
                    {
                        "candidate": self._place(r.get("to_name")),
                        "category": category,
                        "comment": " ".join(self._texts("comment", r.get("id") or object())),
                    }
                    for category in self._list(r, "choices")
                ]
        return {"spans": spans, "missing": missing}

    def _principle(self) -> dict:
        verdicts = []
        for n, r in enumerate(self.results):
            name, said = named(r, "from_name"), self._choice(r)
            if r.get("type") != "choices" or said not in VERDICTS:
                continue
            place, value = self._place(r.get("to_name")), self._value(r)
            verdict = {
                "candidate": place,
                "principle": name.removeprefix("principle:"),
                "verdict": said,
            }
            if "start" in value:
                text, where = self.candidates[place].content, f"{self.where}.result[{n}]"
                start, end = sides.offsets(
                    text, value["start"], value.get("end"), value.get("text"), where
                )
                verdict["evidence"] = {"start": start, "end": end}
            verdicts.append(verdict)
        return {"verdicts": verdicts}

    def _rating(self) -> dict:
        return {
            "ratings": [
                {
                    "candidate": self._place(r.get("to_name")),
                    "attribute": named(r, "from_name"),
                    "value": self._stars(r),
                }
                for r in self.results
                if r.get("type") == "rating" and r.get("from_name") not in _COMMON
            ]
        }

    def _critique(self) -> dict:
        known = [r for r in self.results if r.get("from_name") in ("critique", "corrected")]
        free = [r for r in self.results if r.get("type") == "textarea"]
        about = (known or free or [{}])[0]
        said = (
            self._texts("critique") if known else [t for r in free for t in self._list(r, "text")]
        )
        return {
            "candidate": self._place(about.get("to_name")),
            "critique": " ".join(said),
            "corrected": " ".join(self._texts("corrected")),
        }

    def _safety(self) -> dict:
        body: dict = {n: self._chosen(self._choice(self._one(n, n))) for n in ("helpful", "safer")}
        body["harm"] = [
            {"candidate": self._place(r.get("to_name")), "level": self._level(self._choice(r))}
            for r in self._of("harm")
        ]
        return body

    def _level(self, word: str) -> int:
        if word not in HARM:
            raise Refused(f"{self.where}: harm must be one of {', '.join(HARM)}")
        return HARM.index(word)

    def _step(self) -> dict:
        steps = []
        for r in self._of("step"):
            about = r.get("meta") if isinstance(r.get("meta"), dict) else {}
            if self._choice(r) not in STEPS:
                raise Refused(f"{self.where}: a step must be one of {', '.join(STEPS)}")
            turn = r.get("to_name") == "prompt"
            steps.append(
                {
                    "candidate": None if turn else self._place(r.get("to_name")),
                    "step": about.get("step"),
                    "value": STEPS[self._choice(r)],
                    "comment": " ".join(self._texts("comment", r.get("id") or object())),
                }
            )
        return {"steps": steps}

    def _triplet(self) -> dict:
        said = self._choice(self._one("closer", "choice of the closer one"))
        return {"anchor": 0, "closer": None if said == "equal" else self._place(said)}
