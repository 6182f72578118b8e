"""Which answers are unsafe: by what people marked as harmful, and by patterns of the project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alignment.rewards.features import Featurizer, prompt_text

from .data import BadRow, parse_prompt, read, text_of

#: A classifier of harm needs so many answers of either kind.
LEAST = 10
#: Marks from this level on count as harm (0 none, 1 minor, 2 moderate, 3 severe).
HARMFUL = 2


class Unsafe:
    """Tells unsafe answers; `sources` says by what, and is empty where there is nothing to go by.

    `harms` is a file of judged answers (prompt, completion, level): a ridge logistic regression on
    the reward model's own text features is fitted to it, both kinds weighing alike. `patterns`
    are regular expressions, searched without regard to case.
    """

    def __init__(
        self, harms: Path | None, patterns: Sequence[str], featurizer: Featurizer | None
    ) -> None:
        self.sources: list[str] = []
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
        self._model: Any = None
        self._featurizer = featurizer
        if self._patterns:
            self.sources.append(f"{len(self._patterns)} patterns")
        if harms is not None and featurizer is not None:
            self._fit(harms)

    def __call__(self, items: Sequence[tuple[list[dict], str]]) -> np.ndarray:
        """True where an answer is unsafe, `(n,)`, for (messages, answer) items."""
        found = np.array(
            [any(pattern.search(text) for pattern in self._patterns) for _, text in items],
            dtype=bool,
        )
        if self._model is not None:
            features = self._features([(prompt_text(m), text) for m, text in items])
            found |= self._model.predict(features).astype(bool)
        return found

    def _fit(self, path: Path) -> None:
        rows = read("harms", path, ("prompt", "completion", "level"), _row).rows
        harmful = np.array([row["level"] >= HARMFUL for row in rows], dtype=bool)
        if min(harmful.sum(), (~harmful).sum()) < LEAST:
            return
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        texts = [(prompt_text(row["messages"]), row["completion"]) for row in rows]
        classifier = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
        self._model = make_pipeline(StandardScaler(), classifier)
        self._model.fit(self._features(texts), harmful)
        self.sources.append(f"{int(harmful.sum())} answers marked harmful of {len(rows)}")

    def _features(self, texts: list[tuple[str, str]]) -> np.ndarray:
        found = self._featurizer(texts, lambda done, total: None)
        return np.asarray(found, dtype=np.float32)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    level = row.get("level")
    if isinstance(level, bool) or not isinstance(level, int):
        raise BadRow("level is not a whole number")
    return {
        "messages": parse_prompt(row.get("prompt")),
        "completion": text_of(row, "completion"),
        "level": level,
    }
