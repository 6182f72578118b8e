"""One reader a kind: a body in, the checked answer out; Wrong is raised for a broken rule."""

from collections.abc import Callable

from annotation.bodies.fields import (
    OUTCOMES,
    VERDICTS,
    Question,
    Wrong,
    items,
    one_of,
    read_text,
    record,
    whole,
    word,
)

#: The dimensions in which a safety judgment keeps its two choices.
SAFETY = ("helpful", "safer")


def _choice(question: Question, body: dict, where: str = "") -> dict:
    outcome = body.get("outcome")
    if outcome not in OUTCOMES:
        raise Wrong(f"{where}outcome", f"must be one of {', '.join(OUTCOMES)}")
    preferred = body.get("preferred")
    if outcome == "preferred":
        preferred = one_of(question, preferred, f"{where}preferred")
    elif preferred is not None:
        raise Wrong(f"{where}preferred", f"must be left out when the outcome is {outcome}")
    return {"outcome": outcome, "preferred": preferred}


def _pairwise(question: Question, body: dict) -> dict:
    answer = _choice(question, body)
    strength = body.get("strength")
    if strength is not None:
        if answer["outcome"] != "preferred":
            raise Wrong("strength", f"must be left out when the outcome is {answer['outcome']}")
        strength = whole(strength, "strength", 1, 3)
    dimensions, seen = [], set()
    for n, item in enumerate(items(body, "dimensions", 50, required=False)):
        where = f"dimensions[{n}]"
        item = record(item, where, {"dimension", "outcome", "preferred"})
        name = word(item.get("dimension"), f"{where}.dimension", question.dimensions)
        if name in seen:
            raise Wrong(f"{where}.dimension", "is there twice")
        if "safety" in question.kinds and name in SAFETY:
            raise Wrong(f"{where}.dimension", "is asked as a question of its own in this task")
        seen.add(name)
        dimensions.append({"dimension": name} | _choice(question, item, f"{where}."))
    return answer | {"strength": strength, "dimensions": dimensions}


def _listwise(question: Question, body: dict) -> dict:
    groups, seen = [], set()

    def take(value: object, where: str) -> int:
        candidate = one_of(question, value, where)
        if candidate in seen:
            raise Wrong(where, "is there twice")
        seen.add(candidate)
        return candidate

    for n, group in enumerate(items(body, "ranking")):
        if not isinstance(group, list) or not group:
            raise Wrong(f"ranking[{n}]", "must be a list of candidate ids, ties together")
        groups.append([take(value, f"ranking[{n}][{m}]") for m, value in enumerate(group)])
    unusable = [
        take(value, f"unusable[{n}]")
        for n, value in enumerate(items(body, "unusable", required=False))
    ]
    missing = [c for c in question.candidates if c not in seen]
    if missing:
        raise Wrong("ranking", f"leaves out {len(missing)} of the candidates ({missing[0]})")
    return {"ranking": groups, "unusable": unusable}


def _stretch(text: str, item: dict, where: str) -> tuple[int, int]:
    start = whole(item.get("start"), f"{where}.start", 0, len(text))
    end = whole(item.get("end"), f"{where}.end", 0, len(text))
    if end <= start:
        raise Wrong(f"{where}.end", "must come after start")
    return start, end


def _span(question: Question, body: dict) -> dict:
    spans, missing = [], []
    names = {"candidate", "start", "end", "category", "severity", "comment", "quote"}
    for n, item in enumerate(items(body, "spans")):
        where = f"spans[{n}]"
        item = record(item, where, names)
        candidate = one_of(question, item.get("candidate"), f"{where}.candidate")
        text = question.text(candidate)
        start, end = _stretch(text, item, where)
        quote = text[start:end]
        if item.get("quote") not in (None, "", quote):
            raise Wrong(f"{where}.quote", "is not the text between start and end (code points)")
        severity = item.get("severity")
        spans.append(
            {
                "candidate": candidate,
                "start": start,
                "end": end,
                "quote": quote,
                "category": word(item.get("category"), f"{where}.category", question.categories),
                "severity": 1 if severity is None else whole(severity, f"{where}.severity", 1, 3),
                "comment": read_text(item, "comment", f"{where}.comment"),
            }
        )
    for n, item in enumerate(items(body, "missing", required=False)):
        where = f"missing[{n}]"
        item = record(item, where, {"candidate", "category", "comment"})
        missing.append(
            {
                "candidate": one_of(question, item.get("candidate"), f"{where}.candidate"),
                "category": word(
                    item.get("category"), f"{where}.category", question.missing_categories
                ),
                "comment": read_text(item, "comment", f"{where}.comment"),
            }
        )
    return {"spans": spans, "missing": missing}


def _principle(question: Question, body: dict) -> dict:
    verdicts, seen = [], set()
    given = items(body, "verdicts")
    if not given:
        raise Wrong("verdicts", "must hold at least one verdict")
    for n, item in enumerate(given):
        where = f"verdicts[{n}]"
        item = record(item, where, {"candidate", "principle", "verdict", "evidence"})
        candidate = one_of(question, item.get("candidate"), f"{where}.candidate")
        named = item.get("principle")
        principle = None
        if isinstance(named, str | int) and not isinstance(named, bool):
            principle = question.principles.get(str(named))
        if principle is None:
            raise Wrong(f"{where}.principle", "is not a principle of this project")
        if (candidate, principle) in seen:
            raise Wrong(where, "answers the same principle for the same candidate twice")
        seen.add((candidate, principle))
        verdict = item.get("verdict")
        if verdict not in VERDICTS:
            raise Wrong(f"{where}.verdict", f"must be one of {', '.join(VERDICTS)}")
        evidence = item.get("evidence")
        if evidence is not None:
            inside = f"{where}.evidence"
            evidence = _stretch(
                question.text(candidate), record(evidence, inside, {"start", "end"}), inside
            )
        verdicts.append(
            {
                "candidate": candidate,
                "principle": principle,
                "verdict": verdict,
                "evidence": evidence,
            }
        )
    return {"verdicts": verdicts}


def _rating(question: Question, body: dict) -> dict:
    ratings, seen = [], set()
    given = items(body, "ratings")
    if not given:
        raise Wrong("ratings", "must hold at least one rating")
    for n, item in enumerate(given):
        where = f"ratings[{n}]"
        item = record(item, where, {"candidate", "attribute", "value"})
        candidate = one_of(question, item.get("candidate"), f"{where}.candidate")
        attribute = word(item.get("attribute"), f"{where}.attribute", question.attributes)
        if (candidate, attribute) in seen:
            raise Wrong(where, "rates the same attribute of the same candidate twice")
        seen.add((candidate, attribute))
        value = whole(item.get("value"), f"{where}.value", 0, 4)
        ratings.append({"candidate": candidate, "attribute": attribute, "value": value})
    return {"ratings": ratings}


def _critique(question: Question, body: dict) -> dict:
    candidate = body.get("candidate")
    if candidate is None and len(question.candidates) == 1:
        candidate = question.candidates[0]
    answer = {
        "candidate": one_of(question, candidate, "candidate"),
        "critique": read_text(body, "critique", longest=1_000_000),
        "corrected": read_text(body, "corrected", longest=4_000_000),
    }
    if not answer["critique"].strip() and not answer["corrected"].strip():
        raise Wrong("critique", "or corrected must say something")
    return answer


def _safety(question: Question, body: dict) -> dict:
    answer: dict = {}
    for name in SAFETY:
        choice = record(body.get(name), name, {"outcome", "preferred"})
        answer[name] = _choice(question, choice, f"{name}.")
    levels: dict[int, int] = {}
    for n, item in enumerate(items(body, "harm")):
        where = f"harm[{n}]"
        item = record(item, where, {"candidate", "level"})
        candidate = one_of(question, item.get("candidate"), f"{where}.candidate")
        if candidate in levels:
            raise Wrong(where, "gives the harm of the same candidate twice")
        levels[candidate] = whole(item.get("level"), f"{where}.level", 0, 3)
    if len(levels) < len(question.candidates):
        raise Wrong("harm", "must give the level of every candidate")
    return answer | {"harm": [{"candidate": c, "level": n} for c, n in levels.items()]}


def _step(question: Question, body: dict) -> dict:
    steps, seen = [], set()
    given = items(body, "steps")
    if not given:
        raise Wrong("steps", "must hold at least one step")
    for n, item in enumerate(given):
        where = f"steps[{n}]"
        item = record(item, where, {"candidate", "step", "value", "comment"})
        candidate = item.get("candidate")
        if candidate is not None:
            candidate = one_of(question, candidate, f"{where}.candidate")
        last = question.steps(candidate) - 1
        if last < 0:
            raise Wrong(where, "names a text that has no steps")
        step = whole(item.get("step"), f"{where}.step", 0, last)
        if (candidate, step) in seen:
            raise Wrong(where, "judges the same step twice")
        seen.add((candidate, step))
        steps.append(
            {
                "candidate": candidate,
                "step": step,
                "value": whole(item.get("value"), f"{where}.value", -1, 1),
                "comment": read_text(item, "comment", f"{where}.comment"),
            }
        )
    return {"steps": steps}


def _triplet(question: Question, body: dict) -> dict:
    anchor = one_of(question, body.get("anchor"), "anchor")
    if question.anchor is not None and anchor != question.anchor():
        raise Wrong("anchor", "must be the first candidate of the task as it was imported")
    if "closer" not in body:
        raise Wrong("closer", "must be the id of a candidate, or null where both are as close")
    closer = body["closer"]
    if closer is not None:
        closer = one_of(question, closer, "closer")
        if closer == anchor:
            raise Wrong("closer", "must not be the anchor itself")
    return {"anchor": anchor, "closer": closer}


READERS: dict[str, tuple[Callable[[Question, dict], dict], set[str]]] = {
    "pairwise": (_pairwise, {"outcome", "preferred", "strength", "dimensions"}),
    "listwise": (_listwise, {"ranking", "unusable"}),
    "span": (_span, {"spans", "missing"}),
    "principle": (_principle, {"verdicts"}),
    "rating": (_rating, {"ratings"}),
    "critique": (_critique, {"candidate", "critique", "corrected"}),
    "safety": (_safety, {*SAFETY, "harm"}),
    "step": (_step, {"steps"}),
    "triplet": (_triplet, {"anchor", "closer"}),
}
