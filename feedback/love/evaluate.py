"""P[Love] and follow-ups on real feedback: `python -m feedback.love.evaluate FOLDER [--json]`.

FOLDER holds convai2_wild, topical_chat_ratings, realhumaneval_chat and ukp_freetext_feedback (gzip
JSON Lines, as published). People (or talks, where people are not told apart) are never on both
sides of a split; intervals draw whole people. Baselines: the longer answer, and chance (0.5).
"""

import argparse
import ast
import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feedback.love import followup, measure
from feedback.love.followup import Next
from feedback.love.model import Seen, cross_predict, features, inverse_weights, propensities


@dataclass(frozen=True)
class Labelled:
    """Answers with what people thought of them; `loved` nan where nobody said, `what` in words."""

    name: str
    what: str
    following: list[Next]
    loved: np.ndarray
    group: np.ndarray


def read(folder: Path, name: str) -> list[dict]:
    """All records of a gzip JSON Lines file."""
    with gzip.open(folder / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def convai(folder: Path) -> Labelled:
    """Thumbs of real users on single utterances of bots; most utterances have none."""
    rows, loved, group = [], [], []
    for number, talk in enumerate(read(folder / "convai2_wild", "wild_dialogs.jsonl.gz")):
        people = [talk[side] for side in ("participant1_id", "participant2_id")]
        person = next((p["user_id"] for p in people if p["class"] == "User"), str(number))
        turns = talk["dialog"]
        for at, turn in enumerate(turns):
            if turn["sender_class"] != "Bot" or not turn["text"].strip():
                continue
            before = next((t["text"] for t in turns[:at][::-1] if t["sender_class"] == "Human"), "")
            after = turns[at + 1 : at + 2]
            words = after[0]["text"] if after and after[0]["sender_class"] == "Human" else ""
            score = turn["evaluation_score"]
            rows.append(Next(before, turn["text"], words))
            loved.append(np.nan if score is None else float(score))
            group.append(person)
    what = "thumb of the user on a bot's utterance"
    return Labelled("convai2_wild", what, rows, np.array(loved), np.array(group))


def topical(folder: Path) -> Labelled:
    """Partners' ratings of each turn between people: excellent or good against the rest."""
    rows, loved, group = [], [], []
    for talk in read(folder / "topical_chat_ratings", "test_freq.jsonl.gz"):
        turns = talk["content"]
        for at, turn in enumerate(turns):
            rating = turn.get("turn_rating")
            if not rating:
                continue
            before = turns[at - 1]["message"] if at else ""
            words = turns[at + 1]["message"] if at + 1 < len(turns) else ""
            rows.append(Next(before, turn["message"], words))
            loved.append(float(rating in ("Excellent", "Good")))
            group.append(talk["conversation_id"])
    what = "partner rates the turn good or excellent"
    return Labelled("topical_chat_ratings", what, rows, np.array(loved), np.array(group))


def humaneval(folder: Path) -> Labelled:
    """Programmers who copied from the answer, against those who did not."""
    talks: dict[tuple, list[dict]] = defaultdict(list)
    for row in read(folder / "realhumaneval_chat", "chat_data.jsonl.gz"):
        talks[row["programmer_id"], row["task_name"]].append(row)
    rows, loved, group = [], [], []
    for (person, _), turns in talks.items():
        turns.sort(key=lambda row: float(row["timestamp"]))
        requests = [ast.literal_eval(row["request"]) for row in turns]
        asked = [request[-1]["content"] if request else "" for request in requests]
        for at, row in enumerate(turns):
            words = asked[at + 1] if at + 1 < len(turns) else ""
            rows.append(Next(asked[at], row["response"], words))
            loved.append(float(bool(ast.literal_eval(row["copy_events"]))))
            group.append(person)
    what = "the programmer copied from the answer"
    return Labelled("realhumaneval_chat", what, rows, np.array(loved), np.array(group))


def ukp(folder: Path) -> Labelled:
    """Utterances that follow an answer in which an annotator saw an error of the system, or none.

    Errors are rare and annotators seldom mark the same ones, so one of the three is enough.
    """
    rows, loved, group = [], [], []
    for talk in read(folder / "ukp_freetext_feedback", "analysis.jsonl.gz"):
        turns = talk.get("turns") or []
        for noted in talk.get("annotations") or []:
            if not isinstance(noted, dict) or not isinstance(noted.get("annotation"), list):
                continue
            at = noted.get("turn")
            if not isinstance(at, int) or not 1 <= at < len(turns):
                continue
            errors = [bool((one or {}).get("error_type")) for one in noted["annotation"]]
            before, now = turns[at - 1], turns[at]
            if not errors or not all("utterance" in t and "response" in t for t in (before, now)):
                continue
            rows.append(Next(before["utterance"], before["response"], now["utterance"]))
            loved.append(float(not any(errors)))
            group.append(str(talk["unique_id"]))
    what = "no annotator sees an error of the system before this utterance"
    return Labelled("ukp_freetext_feedback", what, rows, np.array(loved), np.array(group))


SETS = (convai, topical, humaneval, ukp)


def evaluate(data: Labelled) -> dict:
    """AUROC with intervals of P[Love], follow-ups with and without labels, and the baselines."""
    said = np.isfinite(data.loved)
    y, group = data.loved[said] > 0.5, data.group[said]
    following = [one for one, is_said in zip(data.following, said, strict=True) if is_said]
    has_next = np.array([bool(one.words.strip()) for one in following])
    length = np.array([float(len(one.answer)) for one in following])
    seen = Seen(
        [one.question for one in data.following], [one.answer for one in data.following],
        data.loved, np.ones(len(said)), data.group,
    )  # fmt: skip
    told = {
        "set": data.name,
        "what": data.what,
        "seen": len(said),
        "labelled": int(said.sum()),
        "people": len(np.unique(group)),
        "good": float(y.mean()),
    }
    if min(y.sum(), (~y).sum()) < 20:
        return told | {"note": "too few labels of one kind"}
    p = cross_predict(seen)[said]
    known = np.isfinite(p)
    told["love"] = _measured(y[known], p[known], group[known])
    told["love_ece"] = measure.ece(y[known], p[known])
    told["love_brier"] = measure.brier(y[known], p[known])
    told["constant_brier"] = measure.brier(y[known], np.full(known.sum(), y[known].mean()))
    told["length"] = _measured(y, length, group)
    liked = followup.cross_predict(following, y, group)
    known = np.isfinite(liked)
    told["followup"] = _measured(y[known], liked[known], group[known])
    told["followup_ece"] = measure.ece(y[known], liked[known])
    score = followup.unlabelled(following)
    if min(y[has_next].sum(), (~y[has_next]).sum()) >= 20:
        told["unlabelled"] = _measured(y[has_next], score[has_next], group[has_next])
    if not said.all():
        told |= _exposure(seen, said, y)
    return told


def _exposure(seen: Seen, said: np.ndarray, y: np.ndarray) -> dict:
    """How many react, how well that is foreseen, and the love rate with the correction."""
    x = features(seen.prompts, seen.answers)
    propensity = propensities(x, said, seen.group)
    weight = inverse_weights(propensity, said)[said]
    return {
        "reach": float(said.mean()),
        "reach_auroc": _measured(said, propensity, seen.group),
        "rate_plain": float(y.mean()),
        "rate_corrected": float(np.average(y, weights=weight)),
    }


def _measured(y: np.ndarray, score: np.ndarray, group: np.ndarray) -> dict:
    value, low, high = measure.interval(measure.auroc, y, score, group=group)
    return {"auroc": value, "low": low, "high": high}


def main() -> None:
    """A table of all sets, or one JSON object with --json."""
    parser = argparse.ArgumentParser(prog="python -m feedback.love.evaluate", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sets", default="", help="comma-separated names; all by default")
    options = parser.parse_args()
    wanted = set(options.sets.split(",")) - {""}
    chosen = [make for make in SETS if not wanted or make.__name__ in wanted]
    rows = [evaluate(make(options.folder)) for make in chosen]
    if options.json:
        print(json.dumps({"sets": rows}))
        return
    for row in rows:
        print(f"{row['set']}: {row['what']}; {row['labelled']} of {row['seen']} said, "
              f"{row['people']} people or talks, {row['good']:.0%} good")  # fmt: skip
        for name in ("love", "followup", "unlabelled", "length", "reach_auroc"):
            if name in row:
                one = row[name]
                within = f"({one['low']:.3f} to {one['high']:.3f})"
                print(f"  {name:<12} AUROC {one['auroc']:.3f} {within}")
        extra = {name: value for name, value in row.items() if isinstance(value, float)}
        print("  " + ", ".join(f"{name} {value:.3f}" for name, value in sorted(extra.items())))


if __name__ == "__main__":
    main()
