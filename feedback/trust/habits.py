"""Doubts that one actor's own acts raise: pace, reading, sameness, volume."""

import numpy as np

from feedback.trust.acts import Acts, Doubts

#: At most so many acts in so many seconds; what goes beyond weighs nothing.
LIMITS = ((20, 60.0, "a minute"), (300, 86_400.0, "a day"))
#: Gaps shorter than this leave no time to read; an actor most of whose gaps are is in haste.
HASTE_SECONDS = 2.0
HASTE_LEAST = 6
#: An act so soon after the answer's end was made without reading it.
UNREAD_SECONDS = 0.8
UNREAD_FACTOR = 0.25
#: Gaps as even as a clock's: standard deviation over mean, among at least so many.
CLOCK_SPREAD = 0.1
CLOCK_LEAST = 8
CLOCK_FACTOR = 0.25
#: Always the same sign, where at most one person in so many would be by chance.
SAME_CHANCE = 1e-3
SAME_LEAST = 8
#: One person's acts on one model count in full up to here; more add nothing.
VOICE = 20


def judge(
    acts: Acts,
    doubts: Doubts,
    *,
    words: tuple[str, str] = ("good", "bad"),
    leaning: tuple[float, float] | None = None,
) -> None:
    """Add the doubts that each actor's own acts raise.

    `words` are what +1 and -1 say; `leaning` (a, b) is the Beta distribution of how often people
    say +1, taken from the acts when it is not given.
    """
    spread = leaning or _leanings(acts)
    for _, own in acts.by_actor():
        _limits(acts, own, doubts)
        _pace(acts, own, doubts)
        _sameness(acts, own, doubts, spread, words)
        _volume(acts, own, doubts)
    _reading(acts, doubts)


def _limits(acts: Acts, own: np.ndarray, doubts: Doubts) -> None:
    times = acts.time[own]
    for most, seconds, words in LIMITS:
        if len(own) <= most:
            continue
        before = np.arange(len(own)) - np.searchsorted(times, times - seconds, side="right") + 1
        doubts.add(own[before > most], "rate", 0.0, f"More than {most} in {words}.")


def _pace(acts: Acts, own: np.ndarray, doubts: Doubts) -> None:
    gaps = np.diff(acts.time[own])
    if len(own) >= HASTE_LEAST:
        hasty = float((gaps < HASTE_SECONDS).mean())
        if hasty > 0.5:
            says = f"{hasty:.0%} of this person's acts follow each other within 2 seconds."
            doubts.add(own, "haste", 1 - hasty, says)
    if len(own) >= CLOCK_LEAST and gaps.mean() > 0:
        spread = float(gaps.std() / gaps.mean())
        if spread < CLOCK_SPREAD:
            says = f"The acts come as evenly as a clock's: every {gaps.mean():.1f} seconds."
            doubts.add(own, "clock", CLOCK_FACTOR, says)


def _reading(acts: Acts, doubts: Doubts) -> None:
    soon = np.flatnonzero(acts.wait < UNREAD_SECONDS)
    doubts.add(soon, "unread", UNREAD_FACTOR, "Given within 0.8 seconds of the answer's end.")
    unseen = np.flatnonzero(acts.seen == 0)
    doubts.add(unseen, "unseen", UNREAD_FACTOR, "The answer was never seen on a screen.")


def _leanings(acts: Acts) -> tuple[float, float]:
    """(a, b) of the Beta distribution of how kind people are, by moments; (1, 1) if unclear."""
    shares, sizes = [], []
    for _, own in acts.by_actor():
        signs = acts.sign[own]
        n = int((signs != 0).sum())
        if n >= 3:
            shares.append(float((signs > 0).sum() / n))
            sizes.append(n)
    if len(shares) < 20:
        return 1.0, 1.0
    shares, sizes = np.array(shares), np.array(sizes)
    mean = float(np.clip(np.average(shares, weights=sizes), 0.02, 0.98))
    # What chance alone would spread is taken off; the rest is how people differ.
    chance = float((mean * (1 - mean) / sizes).mean())
    between = float(np.clip(shares.var() - chance, 1e-3, 0.9 * mean * (1 - mean)))
    total = float(np.clip(mean * (1 - mean) / between - 1, 0.2, 200))
    return mean * total, (1 - mean) * total


def same_chance(n: int, a: float, b: float, sign: int) -> float:
    """P(all of n acts have this sign) for a person drawn from Beta(a, b): a beta-binomial tail."""
    if sign < 0:
        a, b = b, a
    steps = np.arange(n)
    return float(np.exp(np.log((a + steps) / (a + b + steps)).sum()))


def _sameness(
    acts: Acts,
    own: np.ndarray,
    doubts: Doubts,
    leaning: tuple[float, float],
    words: tuple[str, str],
) -> None:
    signs = acts.sign[own]
    signed = signs[signs != 0]
    n = len(signed)
    if n < SAME_LEAST or abs(int(signed.sum())) < n:
        return
    sign = int(signed[0])
    if same_chance(n, *leaning, sign) >= SAME_CHANCE:
        return
    counted = next(k for k in range(1, n + 1) if same_chance(k, *leaning, sign) < SAME_CHANCE)
    counted = max(counted, SAME_LEAST)
    word = words[0] if sign > 0 else words[1]
    says = f"All {n} say {word}, which fewer than one person in 1,000 would; counted as {counted}."
    doubts.add(own, "one-sided", counted / n, says)


def _volume(acts: Acts, own: np.ndarray, doubts: Doubts) -> None:
    _, inverse, counts = np.unique(acts.target[own], return_inverse=True, return_counts=True)
    for place in np.flatnonzero(counts > VOICE):
        n = int(counts[place])
        says = f"{n} acts of one person on one model; they count as {VOICE}."
        doubts.add(own[inverse == place], "volume", VOICE / n, says)
