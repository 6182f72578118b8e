"""The lossless form: one task a line, with every judgment, the order shown and the times.

Candidates are named by their `id` where the file gives ids, else by their place from 0; `gold`
always names them by place.
"""

from datetime import UTC, datetime

from annotation.bodies import COMMON, READERS
from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest, text

TASK_FIELDS = (
    "id", "external_id", "kind", "also", "prompt", "candidates", "overlap", "priority", "gold",
    "gold_note", "is_calibration", "skills", "judgments", "metadata", "state", "source",
    "created_at", "verdict",
)  # fmt: skip
_PLAIN = {"content", "model"}
CANDIDATE_FIELDS = ("id", "content", "parts", "model", "model_version", "sampling", "logprob")


def parse(record: dict, kind: str = "") -> TaskIn:
    """One line of the format `preferendum`. Fields it does not know are kept as metadata."""
    raw = record.get("candidates")
    if not isinstance(raw, list) or not raw:
        raise Refused("candidates must be a list of objects with content")
    candidates = [_candidate(item, n) for n, item in enumerate(raw)]
    refs = _refs(candidates)
    metadata = {} if record.get("metadata") is None else record["metadata"]
    if not isinstance(metadata, dict):
        raise Refused("metadata must be an object")
    judgments = [] if record.get("judgments") is None else record["judgments"]
    if not isinstance(judgments, list):
        raise Refused("judgments must be a list")
    task_kind = record.get("kind") or kind or "pairwise"
    if not isinstance(task_kind, str) or task_kind not in READERS:
        raise Refused(f"kind must be one of {', '.join(READERS)}")
    also = [] if record.get("also") is None else record["also"]
    if not isinstance(also, list) or not all(isinstance(a, str) and a in READERS for a in also):
        raise Refused(f"also must be a list of kinds, each one of {', '.join(READERS)}")
    if "prompt" not in record:
        raise Refused("prompt is missing")
    return TaskIn(
        kind=task_kind,
        prompt=record["prompt"],
        candidates=candidates,
        overlap=record.get("overlap"),
        priority=0.0 if record.get("priority") is None else record["priority"],
        external_id=_external_id(record),
        gold=record.get("gold"),
        metadata={**metadata, **rest(record, *TASK_FIELDS)},
        judgments=[_judgment(item, n, refs, task_kind) for n, item in enumerate(judgments)],
        state=record.get("state"),
        source=record.get("source"),
        created_at=moment(record, "created_at"),
        also=also,
        skills=_skills(record),
        gold_note=text(record, "gold_note", default=""),
        is_calibration=record.get("is_calibration") is True,
    )


def _skills(record: dict) -> list[str]:
    value = record.get("skills") or []
    if not isinstance(value, list) or not all(isinstance(s, str) and s for s in value):
        raise Refused("skills must be a list of names")
    return list(dict.fromkeys(value))


def _external_id(record: dict) -> str | None:
    value = record.get("external_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(record, "external_id") if value is not None else None


def _candidate(item: object, n: int) -> CandidateIn:
    where = f"candidates[{n}]"
    if isinstance(item, str):
        return CandidateIn(content=item)
    if isinstance(item, dict) and item.keys() <= _PLAIN:  # as most are
        content, model = item.get("content"), item.get("model", "")
        if isinstance(content, str) and isinstance(model, str):
            return CandidateIn(content=content, model=model)
    if not isinstance(item, dict):
        raise Refused(f"{where} must be an object with content")
    unknown = rest(item, *CANDIDATE_FIELDS)
    if unknown:
        raise Refused(f"{where}.{next(iter(unknown))} is not a known field")
    content, parts = item.get("content"), item.get("parts")
    if isinstance(content, list):
        content, parts = "", content
    if not isinstance(content, str) and not (content is None and parts):
        raise Refused(f"{where}.content must be text")
    sampling = {} if item.get("sampling") is None else item["sampling"]
    if not isinstance(sampling, dict):
        raise Refused(f"{where}.sampling must be an object")
    logprob = item.get("logprob")
    if logprob is not None and (isinstance(logprob, bool) or not isinstance(logprob, int | float)):
        raise Refused(f"{where}.logprob must be a number")
    ref = item.get("id")
    if not isinstance(ref, str | int | None):
        raise Refused(f"{where}.id must be a number or text")
    return CandidateIn(
        content=content or "",
        parts=parts,
        model=text(item, "model", default=""),
        model_version=text(item, "model_version", default="") or None,
        sampling=sampling,
        logprob=logprob,
        ref=ref,
    )


def _refs(candidates: list[CandidateIn]) -> dict:
    """From what the file calls a candidate to its place."""
    if any(c.ref is not None for c in candidates):
        refs = {c.ref: place for place, c in enumerate(candidates) if c.ref is not None}
        if len(refs) != len(candidates):
            raise Refused("candidates must all have an id of their own, or none of them")
        return refs
    return {place: place for place in range(len(candidates))}


def _judgment(item: object, n: int, refs: dict, kind: str) -> JudgmentIn:
    where = f"judgments[{n}]"
    if not isinstance(item, dict):
        raise Refused(f"{where} must be an object")
    body_fields = COMMON | READERS[kind][1]
    body = {key: value for key, value in item.items() if key in body_fields}
    shown = item.get("shown")
    if shown is not None:
        if not isinstance(shown, list) or sorted(map(str, shown)) != sorted(map(str, refs)):
            raise Refused(f"{where}.shown must name every candidate once")
        shown = [_place(refs, value) for value in shown]
    return JudgmentIn(
        body=renamed(body, refs),
        annotator=text(item, "annotator", default=""),
        pseudonymous=bool(item.get("annotator")),
        shown=shown,
        created_at=moment(item, "created_at", where),
        withdrawn_at=moment(item, "withdrawn_at", where),
        surplus=item.get("surplus") is True,
        source=text(item, "source", default="import"),
        ref=item.get("id"),
        supersedes=item.get("supersedes"),
    )


def _place(refs: dict, value: object) -> object:
    """The place of a candidate; what names none is left as it is, for `read` to refuse."""
    try:
        return refs[value]
    except (KeyError, TypeError):
        return f"{value!r}" if value is not None else None


def renamed(body: dict, refs: dict) -> dict:
    """The body with every candidate's name replaced through `refs`."""
    out = dict(body)
    for name in ("preferred", "candidate", "anchor", "closer"):
        if out.get(name) is not None:
            out[name] = _place(refs, out[name])
    for name in ("helpful", "safer"):
        if isinstance(out.get(name), dict):
            out[name] = renamed(out[name], refs)
    if isinstance(out.get("also"), dict):
        out["also"] = {
            kind: renamed(body, refs) if isinstance(body, dict) else body
            for kind, body in out["also"].items()
        }
    for name in ("spans", "missing", "verdicts", "ratings", "dimensions", "harm", "steps"):
        if isinstance(out.get(name), list):
            out[name] = [renamed(i, refs) if isinstance(i, dict) else i for i in out[name]]
    if isinstance(out.get("ranking"), list):
        out["ranking"] = [
            [_place(refs, i) for i in group] if isinstance(group, list) else group
            for group in out["ranking"]
        ]
    if isinstance(out.get("unusable"), list):
        out["unusable"] = [_place(refs, i) for i in out["unusable"]]
    return out


def moment(record: dict, name: str, where: str = "") -> datetime | None:
    """An ISO 8601 time; one without a zone is taken as UTC."""
    value = record.get(name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Refused(f"{where + '.' if where else ''}{name} must be an ISO 8601 time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
