"""From votes to a leaderboard: places with intervals, ranks that allow for them, style apart."""

from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass, replace
from math import sqrt

import numpy as np

from feedback.arena import style
from feedback.arena.bradley_terry import POINTS, PRIOR, Z95, Fit, Votes, components, fit

#: The anchor's score.
BASE = 1000.0
#: Style is controlled for once there are so many votes for each covariate.
VOTES_PER_COVARIATE = 20
OUTCOMES = {"a": 1, "b": -1, "tie": 0}


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote: names, "a", "b", "tie" or "both_bad", its weight and whose it is.

    `style_a` and `style_b` are `style.counts` of the two answers, where known.
    """

    a: str
    b: str
    outcome: str
    weight: float = 1.0
    voter: Hashable = None
    style_a: tuple[int, ...] | None = None
    style_b: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One model: `score` on the anchored scale with a 95 % interval; `rank` 1 is best.

    `rank` counts the models that are clearly better (their whole interval lies above), so models
    that cannot be told apart share a rank. `plain` is the score without style control.
    """

    model: str
    score: float
    low: float
    high: float
    rank: int
    plain: float
    votes: int
    wins: float
    ties: float
    losses: float
    both_bad: int
    both_bad_share: float
    both_bad_low: float
    both_bad_high: float
    group: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """What one standard step of a style covariate adds in points, with a 95 % interval.

    "shown first" is what standing on the left (or on top) adds.
    """

    name: str
    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard, best first."""

    places: tuple[Place, ...]
    effects: tuple[Effect, ...]
    anchor: str
    votes: int
    weight: float
    both_bad: int
    voters: int
    tie_share: float | None
    style_controlled: bool
    connected: bool

    def to_json(self) -> dict:
        return asdict(self)


def board(
    votes: Iterable[Vote],
    *,
    models: Iterable[str] = (),
    anchor: str | None = None,
    control: bool = True,
    prior: float = PRIOR,
) -> Board:
    """The leaderboard of these votes; `models` without a vote are listed too.

    `anchor` stands at 1000 (the first model by name when it is not given). Votes of "both bad"
    are counted apart and do not move the places.
    """
    votes = list(votes)
    names = sorted({name for vote in votes for name in (vote.a, vote.b)} | set(models))
    if anchor not in names:
        anchor = names[0] if names else ""
    decided = arrays([vote for vote in votes if vote.outcome in OUTCOMES], names)
    plain = fit(replace(decided, covariates=None), prior=prior)
    used = np.zeros(0, dtype=bool)
    found = plain
    if control and decided.covariates.shape[1]:
        covariates, used = style.scaled(decided.covariates)
        covariates = np.column_stack([covariates, np.ones(len(decided))])
        if len(decided) >= VOTES_PER_COVARIATE * covariates.shape[1]:
            found = fit(replace(decided, covariates=covariates), prior=prior)
        else:
            used = np.zeros(0, dtype=bool)
    group = components(decided)
    places = _places(votes, names, found, plain, anchor, group)
    return Board(
        places=tuple(places),
        effects=tuple(_effects(found, used)),
        anchor=anchor,
        votes=len(decided),
        weight=round(float(decided.weight.sum()), 6),
        both_bad=len(votes) - len(decided),
        voters=len({vote.voter for vote in votes if vote.voter is not None}),
        tie_share=_tie_share(found),
        style_controlled=bool(used.any()),
        connected=bool(len(names) < 2 or group.max() == 0),
    )


def arrays(votes: list[Vote], names: list[str]) -> Votes:
    """Decided votes as arrays over `names`; style differences where every vote has them."""
    index = {name: place for place, name in enumerate(names)}
    covariates = None
    if votes and all(vote.style_a and vote.style_b for vote in votes):
        covariates = style.differences([v.style_a for v in votes], [v.style_b for v in votes])
    return Votes(
        models=len(names),
        left=[index[vote.a] for vote in votes],
        right=[index[vote.b] for vote in votes],
        outcome=[OUTCOMES[vote.outcome] for vote in votes],
        weight=[vote.weight for vote in votes],
        voter=[str(n if vote.voter is None else vote.voter) for n, vote in enumerate(votes)],
        covariates=covariates,
    )


def _places(votes, names, found: Fit, plain: Fit, anchor: str, group) -> list[Place]:
    if not names:
        return []
    at = names.index(anchor)
    score = BASE + POINTS * (found.theta - found.theta[at])
    simple = BASE + POINTS * (plain.theta - plain.theta[at])
    half = Z95 * POINTS * found.place_sd()
    low, high = score - half, score + half
    tally = {name: dict.fromkeys(("votes", "win", "tie", "loss", "bad"), 0) for name in names}
    for vote in votes:
        for name, won in ((vote.a, "a"), (vote.b, "b")):
            own = tally[name]
            own["votes"] += 1
            if vote.outcome == "both_bad":
                own["bad"] += 1
            elif vote.outcome == "tie":
                own["tie"] += 1
            else:
                own["win" if vote.outcome == won else "loss"] += 1
    places = []
    for n, name in enumerate(names):
        own = tally[name]
        bad_low, bad_high = wilson(own["bad"], own["votes"])
        places.append(
            Place(
                model=name,
                score=float(score[n]),
                low=float(low[n]),
                high=float(high[n]),
                rank=1 + int((low > high[n]).sum()),
                plain=float(simple[n]),
                votes=own["votes"],
                wins=own["win"],
                ties=own["tie"],
                losses=own["loss"],
                both_bad=own["bad"],
                both_bad_share=own["bad"] / own["votes"] if own["votes"] else 0.0,
                both_bad_low=bad_low,
                both_bad_high=bad_high,
                group=int(group[n]),
            )
        )
    return sorted(places, key=lambda place: (-place.score, place.model))


def _effects(found: Fit, used: np.ndarray) -> list[Effect]:
    if not len(found.beta):
        return []
    m, k = len(found.theta), len(found.beta)
    spread = [np.diag(found.covariance(kind))[m : m + k] for kind in ("model", "sandwich")]
    half = Z95 * np.sqrt(np.maximum(*spread).clip(0))
    names = [name for name, is_used in zip(style.NAMES, used, strict=True) if is_used]
    names.append("shown first")
    return [
        Effect(name, float(POINTS * b), float(POINTS * (b - h)), float(POINTS * (b + h)))
        for name, b, h in zip(names, found.beta, half, strict=True)
    ]


def _tie_share(found: Fit) -> float | None:
    """How often two equal models tie: nu / (2 + nu)."""
    if found.delta is None:
        return None
    nu = float(np.exp(found.delta))
    return nu / (2 + nu)


def wilson(good: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; (0, 1) without observations."""
    if n <= 0:
        return 0.0, 1.0
    share, z2 = good / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)
