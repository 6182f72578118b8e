"""The plain HTML form of the desk, for browsers without scripts, as a judgment's body."""

from collections.abc import Iterator

from django.http import QueryDict

from annotation.bodies.kinds import SAFETY
from annotation.desk_rows import TURN
from annotation.models import Principle, Project
from config.errors import Invalid


def body_of(kinds: tuple[str, ...], form: QueryDict, project: Project) -> dict:
    """The body a plain form stands for: the first kind's fields, and the others under `also`."""
    if "span" in kinds:
        raise Invalid("Marking stretches of text needs scripts switched on.")
    shared = {"rationale": form.get("rationale", "").strip(), "flags": form.getlist("flags")}
    first, *also = ({"kind": kind, **BODIES[kind](form, project)} for kind in kinds)
    del first["kind"]
    if also:
        shared["also"] = {body.pop("kind"): body for body in also}
    return first | shared


def _number(text: str | None) -> int | None:
    """A candidate's id out of a form; None for anything else."""
    fine = text is not None and text.isascii() and text.isdigit() and len(text) < 19
    return int(text) if fine else None


def _either(form: QueryDict, name: str) -> dict | None:
    value = form.get(name, "")
    if value in ("tie", "both_bad"):
        return {"outcome": value}
    candidate = _number(value)
    return None if candidate is None else {"outcome": "preferred", "preferred": candidate}


def _pairwise(form: QueryDict, project: Project) -> dict:
    dimensions = [
        {"dimension": name} | choice
        for n, name in enumerate(project.dimensions)
        if (choice := _either(form, f"dim-{n}"))
    ]
    more = {"dimensions": dimensions} if dimensions else {}
    choice = form.get("choice", "")
    if choice in ("tie", "both_bad"):
        return {"outcome": choice} | more
    preferred, _colon, strength = choice.partition(":")
    if _number(preferred) is None or _number(strength) is None:
        raise Invalid("Choose an answer first.", fields={"choice": "is missing"})
    return {"outcome": "preferred", "preferred": int(preferred), "strength": int(strength)} | more


def _safety(form: QueryDict, project: Project) -> dict:
    answer: dict = {name: _either(form, name) for name in SAFETY}
    if None in answer.values():
        raise Invalid("Say which is more helpful and which is safer.", fields={"safer": "or tie"})
    answer["harm"] = [
        {"candidate": candidate, "level": int(value)}
        for candidate, value in _named(form, "harm")
        if value in ("0", "1", "2", "3")
    ]
    return answer


def _triplet(form: QueryDict, project: Project) -> dict:
    anchor, closer = _number(form.get("anchor")), form.get("closer", "")
    if anchor is None or (closer != "neither" and _number(closer) is None):
        raise Invalid("Choose an answer first.", fields={"closer": "is missing"})
    return {"anchor": anchor, "closer": _number(closer)}


def _step(form: QueryDict, project: Project) -> dict:
    steps = []
    for name, value in form.items():
        start, _dash, rest = name.partition("-")
        whose, _dash, n = rest.rpartition("-")
        candidate = None if whose == TURN else _number(whose)
        if start != "step" or value not in ("-1", "0", "1") or _number(n) is None:
            continue
        if candidate is None and whose != TURN:
            continue
        comment = form.get(f"said-{rest}", "")
        steps.append(
            {"candidate": candidate, "step": int(n), "value": int(value), "comment": comment}
        )
    return {"steps": steps}


def _listwise(form: QueryDict, project: Project) -> dict:
    groups: dict[int, list[int]] = {}
    unusable = []
    for candidate, value in _named(form, "place"):
        if value == "x":
            unusable.append(candidate)
        elif value.isascii() and value.isdigit() and len(value) < 4:
            groups.setdefault(int(value), []).append(candidate)
    return {"ranking": [groups[place] for place in sorted(groups)], "unusable": unusable}


def _rating(form: QueryDict, project: Project) -> dict:
    ratings = []
    for n, attribute in enumerate(project.attributes):
        for candidate, value in _named(form, f"rate-{n}"):
            if value in ("0", "1", "2", "3", "4"):
                ratings.append(
                    {"candidate": candidate, "attribute": attribute, "value": int(value)}
                )
    return {"ratings": ratings}


def _principle(form: QueryDict, project: Project) -> dict:
    verdicts = []
    for principle in Principle.objects.filter(project=project, is_active=True):
        for candidate, value in _named(form, f"verdict-{principle.pk}"):
            verdicts.append({"candidate": candidate, "principle": principle.pk, "verdict": value})
    return {"verdicts": verdicts}


def _critique(form: QueryDict, project: Project) -> dict:
    body = {"critique": form.get("critique", ""), "corrected": form.get("corrected", "")}
    candidate = _number(form.get("candidate"))
    return body if candidate is None else body | {"candidate": candidate}


def _named(form: QueryDict, prefix: str) -> Iterator[tuple[int, str]]:
    """The fields called PREFIX-ID, by candidate id."""
    for name, value in form.items():
        start, _dash, candidate = name.rpartition("-")
        if start == prefix and _number(candidate) is not None:
            yield int(candidate), value


BODIES = {
    "pairwise": _pairwise,
    "listwise": _listwise,
    "rating": _rating,
    "principle": _principle,
    "critique": _critique,
    "safety": _safety,
    "step": _step,
    "triplet": _triplet,
}
