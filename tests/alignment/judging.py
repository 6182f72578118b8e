"""Judged pairs to fill a project with."""

from datetime import UTC, datetime, timedelta

from annotation.services.tasks import CandidateIn, JudgmentIn, TaskIn

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def judged_task(n: int, *, by: str, outcome: str = "preferred", best: int | None = None) -> TaskIn:
    """Question `n` with a good and a bad answer; the good one stands first when n is even."""
    good, bad = CandidateIn(f"Yes, {n} it is."), CandidateIn(f"I do not know about {n}.")
    best = n % 2 if best is None else best
    body = {"outcome": outcome}
    if outcome == "preferred":
        body |= {"preferred": best, "strength": 1 + n % 3}
    return TaskIn(
        kind="pairwise",
        prompt=f"Is it {n}?",
        candidates=[good, bad] if n % 2 == 0 else [bad, good],
        judgments=[
            JudgmentIn(
                body=body,
                annotator=by,
                pseudonymous=True,
                created_at=EPOCH + timedelta(seconds=n),
            )
        ],
    )
