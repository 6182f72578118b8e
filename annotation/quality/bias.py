"""Habits of one annotator that the answers' worth does not explain: side, length, speed.

Shares come as `Share`: k of n with Wilson's 95 % interval. A habit is called one only when its
interval leaves out what was to be expected, so that few judgments accuse nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .agreement import Z

#: A judgment is too fast below this many robust standard deviations of log-seconds.
TOO_FAST = -3.0
#: A person is an outlier when their median lies beyond this many.
OUTLIER = 3.5
FEWEST_TIMES = 5


@dataclass(frozen=True)
class Share:
    """k of n, with Wilson's interval; `expected` is what no habit would give."""

    k: float
    n: int
    low: float
    high: float
    expected: float = 0.5

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None

    @property
    def is_off(self) -> bool:
        """Whether the interval leaves out what was expected."""
        return self.n > 0 and not self.low <= self.expected <= self.high


def share(k: int, n: int, expected: float = 0.5) -> Share:
    """A share with Wilson's score interval (1927); (0, 1) for n = 0."""
    if not 0 <= k <= n:
        raise ValueError(f"k must lie between 0 and n = {n}, got {k}")
    if n == 0:
        return Share(0, 0, 0.0, 1.0, expected)
    p, widened = k / n, Z**2 / n
    middle = (p + widened / 2) / (1 + widened)
    reach = Z * np.sqrt(p * (1 - p) / n + widened / (4 * n)) / (1 + widened)
    low, high = max(0.0, middle - reach), min(1.0, middle + reach)
    return Share(int(k), int(n), float(low), float(high), expected)


def position(preferred_first: Sequence[bool]) -> Share:
    """How often the answer shown first was preferred, of the judgments that prefer one. Sides are
    drawn by lot, so half is to be expected."""
    first = np.asarray(preferred_first, dtype=bool)
    return share(int(first.sum()), len(first))


def length(preferred: Sequence[int], other: Sequence[int], expected: float = 0.5) -> Share:
    """How often the longer answer was preferred; pairs of equal length are left out.

    `expected` is how often everyone else prefers the longer one: longer answers may be better.
    """
    one, two = np.asarray(preferred), np.asarray(other)
    apart = one != two
    return share(int((one > two).sum()), int(apart.sum()), expected)


@dataclass(frozen=True)
class Speed:
    """One person's pace: the median seconds with its interval, how many robust standard deviations
    of everyone's log-seconds it lies from everyone's median, and the share of rushed judgments."""

    median: float
    low: float
    high: float
    n: int
    z: float
    rushed: float

    @property
    def is_off(self) -> bool:
        return self.n >= FEWEST_TIMES and abs(self.z) > OUTLIER


def speeds(seconds_of: dict[object, Sequence[float]]) -> dict[object, Speed]:
    """Each person's pace beside everyone's, in log-time: a minute away costs little, and ten times
    as fast weighs as much as ten times as slow.

    Scale is 1.4826 x the median absolute deviation (Iglewicz and Hoaglin 1993) of the medians of
    people where five or more are timed, else of all judgments; times of 0 or less are left out.
    """
    logs = {
        person: np.log(np.array([s for s in seconds if s and s > 0], dtype=float))
        for person, seconds in seconds_of.items()
    }
    logs = {person: values for person, values in logs.items() if len(values)}
    if not logs:
        return {}
    everything = np.concatenate(list(logs.values()))
    medians = np.array([np.median(v) for v in logs.values() if len(v) >= FEWEST_TIMES])
    centre, scale = _robust(medians if len(medians) >= 5 else everything)
    all_centre, all_scale = _robust(everything)
    found = {}
    for person, values in logs.items():
        low, high = _median_interval(values)
        rushed = float(np.mean((values - all_centre) / all_scale < TOO_FAST))
        middle = float(np.median(values))
        found[person] = Speed(
            float(np.exp(middle)), low, high, len(values), (middle - centre) / scale, rushed
        )
    return found


def _robust(values: np.ndarray) -> tuple[float, float]:
    centre = float(np.median(values))
    # A floor of 10 %: where everyone takes the same time, a second more is no outlier.
    return centre, max(1.4826 * float(np.median(np.abs(values - centre))), np.log(1.1))


def _median_interval(logs: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    values = logs if len(logs) <= 2000 else rng.choice(logs, 2000, replace=False)
    draws = np.median(rng.choice(values, size=(200, len(values))), axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(np.exp(low)), float(np.exp(high))
