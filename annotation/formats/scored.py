"""Answers with scores: RewardBench, HelpSteer2, UltraFeedback."""

import hashlib

from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest, text
from annotation.formats.pairs import first_wins, judged_pair, named, named_id
from annotation.formats.published import choice


def rewardbench(record: dict, kind: str = "") -> list[TaskIn]:
    """RewardBench 1 and 2: every rejected answer against a chosen one; listwise on request."""
    chosen, rejected = _answers(record, "chosen"), _answers(record, "rejected")
    base = named_id(record)
    metadata = rest(record, "prompt", "chosen", "rejected", "id", "chosen_model", "rejected_model",
                    "models")  # fmt: skip
    names = _models(record, len(chosen), len(rejected))
    good = [CandidateIn(a, model=m) for a, m in zip(chosen, names[0], strict=True)]
    bad = [CandidateIn(a, model=m) for a, m in zip(rejected, names[1], strict=True)]
    if kind == "listwise":
        split = len(good)
        ranking = [list(range(split)), list(range(split, split + len(bad)))]
        return [
            TaskIn(
                kind="listwise",
                prompt=record.get("prompt"),
                candidates=[*good, *bad],
                judgments=[JudgmentIn(body={"ranking": ranking, "unusable": []})],
                external_id=base,
                metadata=metadata,
            )
        ]
    return [
        judged_pair(
            record.get("prompt"),
            good[n % len(good)],
            worse,
            [first_wins()],
            external_id=base if base is None or len(bad) == 1 else f"{base}:{n}",
            metadata=metadata,
        )
        for n, worse in enumerate(bad)
    ]


def _answers(record: dict, name: str) -> list[str]:
    value = record.get(name)
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise Refused(f"{name} must be text or a list of texts")
    return value


def _models(record: dict, good: int, bad: int) -> tuple[list[str], list[str]]:
    models = record.get("models")
    if isinstance(models, list) and len(models) == good + bad:
        names = [str(m) for m in models]
        return names[:good], names[good:]
    return [named(record, "chosen_model")] * good, [named(record, "rejected_model")] * bad


def helpsteer_pair(record: dict, kind: str = "") -> TaskIn:
    """HelpSteer2 preference: strength from -3 (response_1) to 3 (response_2), 0 a tie."""
    strength = record.get("preference_strength")
    if isinstance(strength, bool) or strength not in (-3, -2, -1, 0, 1, 2, 3):
        raise Refused("preference_strength must be a whole number from -3 to 3")
    place = None if strength == 0 else int(strength > 0)
    why = named(record, "preference_statement")
    return judged_pair(
        text(record, "prompt"),
        CandidateIn(text(record, "response_1")),
        CandidateIn(text(record, "response_2")),
        [choice(place, abs(int(strength)) or None, rationale=why)],
        metadata=rest(
            record, "prompt", "response_1", "response_2", "preference_strength",
            "preference_statement",
        ),
    )  # fmt: skip


HELPSTEER_ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def helpsteer(record: dict, kind: str = "") -> TaskIn:
    """HelpSteer2: five attributes from 0 to 4 (or a list, one a person), or a preference."""
    if "preference_strength" in record:
        return helpsteer_pair(record)
    several = {
        name: record[name] if isinstance(record.get(name), list) else [record.get(name)]
        for name in HELPSTEER_ATTRIBUTES
    }
    people = {len(values) for values in several.values()}
    if len(people) != 1:
        raise Refused("the attributes have different numbers of ratings")
    judgments = [
        JudgmentIn(
            body={
                "ratings": [
                    {"candidate": 0, "attribute": name, "value": values[n]}
                    for name, values in several.items()
                ]
            },
            annotator=f"annotator{n + 1}" if people != {1} else "",
        )
        for n in range(people.pop())
    ]
    return TaskIn(
        kind="rating",
        prompt=text(record, "prompt"),
        candidates=[CandidateIn(text(record, "response"))],
        judgments=judgments,
        metadata=rest(record, "prompt", "response", *HELPSTEER_ATTRIBUTES),
    )


def ultrafeedback(record: dict, kind: str = "") -> list[TaskIn]:
    """UltraFeedback: pairs of a prompt's completions by their score; listwise on request."""
    completions = record.get("completions")
    if not isinstance(completions, list) or len(completions) < 2:
        raise Refused("completions must be a list of at least two")
    scored = []
    for n, item in enumerate(completions):
        if not isinstance(item, dict):
            raise Refused(f"completions[{n}] must be an object")
        score = item.get("fine-grained_score", item.get("overall_score"))
        try:
            score = float(score)
        except (TypeError, ValueError):
            raise Refused(f"completions[{n}] has no score") from None
        scored.append((score, CandidateIn(text(item, "response"), model=named(item, "model"))))
    prompt = text(record, "instruction")
    metadata = rest(record, "instruction", "completions", "models")
    if kind == "listwise":
        scores = sorted({score for score, _ in scored}, reverse=True)
        ranking = [[n for n, (s, _) in enumerate(scored) if s == score] for score in scores]
        body = {"ranking": ranking, "unusable": []}
        return [
            TaskIn(
                kind="listwise",
                prompt=prompt,
                candidates=[c for _, c in scored],
                judgments=[JudgmentIn(body=body)],
                metadata=metadata,
            )
        ]
    # Best against each other one, as binarised sets do, but with every loser instead of one.
    ranked = sorted(scored, key=lambda pair: -pair[0])
    best = ranked[0]
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:12]
    return [
        judged_pair(
            prompt,
            best[1],
            other[1],
            [choice(0 if best[0] > other[0] else None)],
            metadata={**metadata, "group": digest, "scores": [best[0], other[0]]},
        )
        for other in ranked[1:]
    ]
