"""Reactions or votes as columns, and the doubts about them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Acts:
    """n acts in any order.

    `actor`, `target` (n,) ints: who, and the model version it is about; `sign` (n,) +1 for good,
    -1 for bad, 0 for neither; `time` (n,) seconds; `wait` (n,) seconds from the end of the answer
    to the act, nan where unknown; `seen` (n,) 1 where the answer is known to have been on screen,
    0 where the door reports that and did not, nan where it does not report.
    """

    actor: np.ndarray
    target: np.ndarray
    sign: np.ndarray
    time: np.ndarray
    wait: np.ndarray = None
    seen: np.ndarray = None

    def __post_init__(self) -> None:
        n = len(self.actor)
        for name in ("actor", "target", "sign"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        object.__setattr__(self, "time", np.asarray(self.time, dtype=float))
        for name in ("wait", "seen"):
            value = getattr(self, name)
            value = np.full(n, np.nan) if value is None else np.asarray(value, dtype=float)
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.actor)

    def take(self, chosen: np.ndarray) -> "Acts":
        """Some of the acts, by index or mask."""
        return Acts(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def by_actor(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each actor with the indices of their acts in the order of time."""
        if not len(self):
            return
        order = np.lexsort((self.time, self.actor))
        actors, first = np.unique(self.actor[order], return_index=True)
        for actor, own in zip(actors, np.split(order, first[1:]), strict=True):
            yield int(actor), own


@dataclass
class Doubts:
    """What was found: factors in [0, 1] by act, with a code and words; weights are products.

    Only acts that are doubted take any room.
    """

    n: int
    found: dict[int, dict[str, tuple[float, str]]] = field(default_factory=dict, init=False)

    def add(self, acts: Iterable[int], code: str, factor: float, says: str) -> None:
        """Doubt these acts; of two doubts of one kind about an act the graver stays."""
        factor = float(min(1.0, max(0.0, factor)))
        if factor == 1:
            return
        for act in acts:
            doubts = self.found.setdefault(int(act), {})
            if code not in doubts or factor < doubts[code][0]:
                doubts[code] = (factor, says)

    @property
    def weights(self) -> np.ndarray:
        """(n,) the product of each act's factors."""
        weights = np.ones(self.n)
        for act, doubts in self.found.items():
            weights[act] = np.prod([factor for factor, _ in doubts.values()])
        return weights

    def reasons(self, act: int) -> list[dict]:
        """The doubts about one act, gravest first."""
        known = sorted(self.found.get(act, {}).items(), key=lambda item: item[1][0])
        return [{"code": c, "factor": round(f, 4), "says": s} for c, (f, s) in known]
