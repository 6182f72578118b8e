"""Real side-by-side votes, read as the leaderboard reads its own."""

from feedback.arena import style
from feedback.arena.leaderboard import Vote
from tests.published import records


def tulu() -> list[Vote]:
    """Five-level preferences of known evaluators; a tie of two unacceptable answers is both bad."""
    votes = []
    for row in records("tulu1_human_eval/eval_annotations_tulu_1.jsonl.gz"):
        outcome = row["preference"][0] if row["preference"] != "tie" else "tie"
        acceptable = {row["completion_a_is_acceptable"], row["completion_b_is_acceptable"]}
        if outcome == "tie" and acceptable == {"no"}:
            outcome = "both_bad"
        votes.append(
            Vote(
                row["model_a"], row["model_b"], outcome, voter=row["evaluator"],
                style_a=tuple(style.counts(row["completion_a"] or "")),
                style_b=tuple(style.counts(row["completion_b"] or "")),
            )
        )  # fmt: skip
    return votes


def copilot_arena() -> list[Vote]:
    """Which of two completions, one above the other, a programmer took."""
    votes = []
    for row in records("copilot_arena/copilot_arena_examples_v1.jsonl.gz"):
        if row["acceptedIndex"] is None or row["model_a"] == row["model_b"]:
            continue
        outcome = "b" if float(row["acceptedIndex"]) else "a"
        votes.append(Vote(row["model_a"], row["model_b"], outcome))
    return votes
