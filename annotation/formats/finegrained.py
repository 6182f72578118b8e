"""FineGrainedRLHF: typed error spans, what is missing, a corrected text, and preferences."""

from collections.abc import Iterator
from itertools import combinations

from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest
from annotation.formats.pairs import judged_pair

ERRORS = ("Irrelevant", "Redundant", "Incoherent", "Wrong-Grounding", "Unverifiable")
MISSING = ("Missing-Answer", "Missing-Major-Auxiliary", "Missing-Minor-Auxiliary")


def fine_grained(record: dict, kind: str = "") -> Iterator[TaskIn]:
    """FineGrainedRLHF: error spans on `prediction 1`, and preferences between four predictions.

    Without a kind: spans and pairs. `critique` gives the corrected prediction.
    """
    answers = [record.get(f"prediction {n}") for n in range(1, 5)]
    answers = [a for a in answers if isinstance(a, str)]
    feedback = record.get("feedback")
    if not answers or not isinstance(feedback, dict):
        raise Refused("'prediction 1' and feedback are needed")
    if not isinstance(record.get("question"), str):
        raise Refused("question is missing")
    prompt = _with_passages(record["question"], record.get("passages"))
    about = rest(record, "question", "passages", "feedback", "preference",
                 *(f"prediction {n}" for n in range(1, 5)))  # fmt: skip
    corrected = feedback.get("corrected-prediction")
    if kind in ("", "span"):
        yield TaskIn(
            kind="span",
            prompt=prompt,
            candidates=[CandidateIn(answers[0])],
            judgments=[JudgmentIn(body=_marks(feedback, answers[0]))],
            metadata={**about, "corrected-prediction": corrected},
        )
    if kind == "critique" and isinstance(corrected, str) and corrected.strip():
        yield TaskIn(
            kind="critique",
            prompt=prompt,
            candidates=[CandidateIn(answers[0])],
            judgments=[JudgmentIn(body={"candidate": 0, "critique": "", "corrected": corrected})],
            metadata=about,
        )
    if kind in ("", "pairwise"):
        said = record.get("preference") or []
        pairs = list(combinations(range(len(answers)), 2))
        if len(said) != len(pairs) or any(p not in (0, 1, 2) for p in said):
            raise Refused(f"preference must hold {len(pairs)} numbers from 0 to 2")
        for (a, b), choice in zip(pairs, said, strict=True):
            body = (
                {"outcome": "preferred", "preferred": choice - 1} if choice else {"outcome": "tie"}
            )
            yield judged_pair(
                prompt,
                CandidateIn(answers[a], model=f"prediction {a + 1}"),
                CandidateIn(answers[b], model=f"prediction {b + 1}"),
                [JudgmentIn(body=body)],
                metadata=about,
            )


def _with_passages(question: str, passages: object) -> str:
    if not isinstance(passages, list) or not passages:
        return question
    parts = []
    for n, passage in enumerate(passages, start=1):
        sentences = [s for s in passage if isinstance(s, str)] if isinstance(passage, list) else []
        parts.append(f"[{n}] " + "\n".join(sentences))
    return "\n\n".join([question, *parts])


def _marks(feedback: dict, text: str) -> dict:
    spans, missing = [], []
    for n, error in enumerate(feedback.get("errors") or []):
        start, end = error.get("start"), error.get("end")
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
            raise Refused(f"feedback.errors[{n}] lies outside of prediction 1")
        spans.append(
            {
                "candidate": 0,
                "start": start,
                "end": end,
                "category": error.get("error type"),
                "comment": error.get("explanation") or "",
            }
        )
    for gap in feedback.get("missing-info") or []:
        where = f"passage {gap.get('passage_id')}, sentences {gap.get('sentence_id')}"
        missing.append({"candidate": 0, "category": gap.get("error type"), "comment": where})
    return {"spans": spans, "missing": missing}
