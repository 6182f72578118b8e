"""A simulated attack, with and without the weights: `python -m feedback.trust.attack`.

900 honest people with tastes and moods of their own react for two weeks to five models whose
P[Love] is known; 100 hostile ones want the best model down and the worst one up. Honest data are
the same in every run of a seed, so what moves is the attack's doing.
"""

import argparse
import json
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from feedback.trust.acts import Acts
from feedback.trust.weigh import rates, weigh

TRUTH = (0.82, 0.76, 0.70, 0.64, 0.58)
DAYS = 14
DAY = 86_400.0
#: What an attack is promised to move P[Love] by at most where the weights are used.
PROMISE = 0.03
KINDS = {
    "bots": "scripts: 40 acts each, 1.5 s apart, none read",
    "raid": "people: 12 acts each within one evening of three hours",
    "campaign": "people: 12 acts each over 12 days, always in the same ten minutes",
    "patient": "people: 12 acts each at times of their own over two weeks",
    "hidden": "as patient, and each gives as many honest opinions of the other models besides",
}


@dataclass(frozen=True)
class Told:
    """What one attack did: the greatest change of a model's P[Love] and the pairs that changed
    places, with and without weights, and what the weights cost honest people."""

    kind: str
    moved_with: float
    moved_without: float
    swapped_with: int
    swapped_without: int
    honest_weight: float
    hostile_weight: float


def honest(rng: np.random.Generator, people: int) -> Acts:
    """People in sessions of a few answers, by day more than by night, kind or strict by nature."""
    columns: list[tuple] = []
    for actor in range(people):
        mood = rng.normal(0, 0.8)
        for _ in range(1 + rng.poisson(2)):
            start = rng.integers(DAYS) * DAY + (9 + 13 * rng.beta(2, 2)) * 3600
            for _ in range(1 + rng.poisson(2.5)):
                target = int(rng.integers(len(TRUTH)))
                logit = np.log(TRUTH[target] / (1 - TRUTH[target])) * 1.12 + mood
                good = rng.random() < 1 / (1 + np.exp(-logit))
                wait = rng.lognormal(2.3, 0.8)
                start += wait + rng.lognormal(3.5, 0.7)
                columns.append((actor, target, 1 if good else -1, start, wait, 1.0))
    return _acts(columns)


def hostile(rng: np.random.Generator, people: int, kind: str, first: int) -> Acts:
    """The best model is called bad and the worst one good, in turns."""
    columns: list[tuple] = []
    evening = rng.integers(3, DAYS - 2) * DAY + 19 * 3600
    slots = [day * DAY + rng.uniform(10, 22) * 3600 for day in range(1, DAYS - 1)]
    for actor in range(first, first + people):
        pushes = [(0, -1) if n % 2 else (len(TRUTH) - 1, 1) for n in range(40)]
        wait = rng.lognormal(2.3, 0.8, size=40)
        if kind == "bots":
            times = rng.integers(DAYS) * DAY + rng.uniform(0, DAY) + 1.5 * np.arange(40)
            wait = np.full(40, 0.1)
        elif kind == "raid":
            times = evening + np.sort(rng.uniform(0, 3 * 3600, size=12))
        elif kind == "campaign":
            times = np.array([slot + rng.uniform(0, 590) for slot in slots])
        else:
            times = np.sort(rng.uniform(0, DAYS * DAY, size=12))
        seen = 0.0 if kind == "bots" else 1.0
        for n, time in enumerate(times):
            columns.append((actor, *pushes[n], float(time), float(wait[n]), seen))
            if kind == "hidden":
                other = int(rng.integers(1, len(TRUTH) - 1))
                honestly = 1 if rng.random() < TRUTH[other] else -1
                later = float(time + rng.uniform(30, 600))
                columns.append((actor, other, honestly, later, float(wait[n]), seen))
    return _acts(columns)


def run(kind: str, *, seed: int = 0, people: int = 1000, share: float = 0.1) -> Told:
    """One attack of `share` of the people."""
    bad = round(people * share)
    good = honest(np.random.default_rng(seed), people - bad)
    attack = hostile(np.random.default_rng(seed + 1000), bad, kind, first=people - bad)
    both = _joined(good, attack)
    weights = weigh(both).weights
    clean = _shares(good, weigh(good).weights)
    plain = _shares(good, None)
    is_hostile = both.actor >= people - bad
    moved_with = _shares(both, weights)
    moved_without = _shares(both, None)
    return Told(
        kind=kind,
        moved_with=float(np.abs(moved_with - clean).max()),
        moved_without=float(np.abs(moved_without - plain).max()),
        swapped_with=_swapped(moved_with, clean),
        swapped_without=_swapped(moved_without, plain),
        honest_weight=float(weights[~is_hostile].mean()),
        hostile_weight=float(weights[is_hostile].mean()),
    )


def _acts(columns: list[tuple]) -> Acts:
    return Acts(*(np.array(column) for column in zip(*columns, strict=True)))


def _joined(one: Acts, two: Acts) -> Acts:
    names = Acts.__dataclass_fields__
    return Acts(*(np.concatenate([getattr(one, n), getattr(two, n)]) for n in names))


def _shares(acts: Acts, weights: np.ndarray | None) -> np.ndarray:
    found = rates(acts, weights)
    return np.array([found[target][0] for target in range(len(TRUTH))])


def _swapped(one: np.ndarray, two: np.ndarray) -> int:
    """Pairs of models that the two put in different orders (Kendall's distance)."""
    pairs = combinations(range(len(one)), 2)
    return sum((one[i] - one[j]) * (two[i] - two[j]) < 0 for i, j in pairs)


def main() -> None:
    """Every kind of attack on several seeds; a table, or one JSON object with --json."""
    parser = argparse.ArgumentParser(prog="python -m feedback.trust.attack", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.1, help="hostile part of the people")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    rows = []
    for kind, says in KINDS.items():
        told = [
            run(kind, seed=seed, people=options.people, share=options.share)
            for seed in range(options.seeds)
        ]
        rows.append(
            {
                "kind": kind,
                "says": says,
                "moved_with": max(one.moved_with for one in told),
                "moved_without": max(one.moved_without for one in told),
                "swapped_with": max(one.swapped_with for one in told),
                "swapped_without": max(one.swapped_without for one in told),
                "honest_weight": float(np.mean([one.honest_weight for one in told])),
                "hostile_weight": float(np.mean([one.hostile_weight for one in told])),
            }
        )
    if options.json:
        print(json.dumps({"seeds": options.seeds, "people": options.people, "attacks": rows}))
        return
    print(f"{options.share:.0%} of {options.people} people hostile; worst of {options.seeds} seeds")
    print("attack    P[Love] moved by      pairs swapped     mean weight")
    print("          with   without        with  without     honest  hostile")
    for row in rows:
        print(
            f"{row['kind']:<9} {row['moved_with']:.3f}  {row['moved_without']:.3f}          "
            f"{row['swapped_with']:<5} {row['swapped_without']:<8}    "
            f"{row['honest_weight']:.3f}   {row['hostile_weight']:.3f}"
        )


if __name__ == "__main__":
    main()
