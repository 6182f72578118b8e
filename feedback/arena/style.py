"""How an answer is dressed: length, headings, lists, bold. Covariates for style control.

Style-controlled leaderboards ask who would win if both had written at equal length and with equal
markup: the difference in style enters the fit beside the models (2024, Chatbot Arena's "style
control").
"""

import re
from collections.abc import Sequence

import numpy as np

#: The covariates in their order, as a page names them.
NAMES = ("length", "headings", "lists", "bold")

_CODE = re.compile(r"^(```|~~~).*?(^\1|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s", re.MULTILINE)
_LIST = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s", re.MULTILINE)
_BOLD = re.compile(r"\*\*(?=\S)[^*\n]+?\*\*|__(?=\S)[^_\n]+?__")


def counts(text: str) -> list[int]:
    """Code points, headings, list items and bold stretches; code blocks count as length only."""
    prose = _CODE.sub("", text)
    marks = [len(pattern.findall(prose)) for pattern in (_HEADING, _LIST, _BOLD)]
    return [len(text), *marks]


def differences(left: Sequence, right: Sequence) -> np.ndarray:
    """(n, 4) normalised differences (left - right) / (left + right) in [-1, 1]; 0 for 0 and 0."""
    left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    total = left + right
    return np.divide(left - right, total, out=np.zeros_like(total), where=total > 0)


def scaled(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns divided by their root mean square, and which columns vary at all (k,).

    Not centred: a model that always writes longer must keep that difference to be controlled for.
    """
    size = np.sqrt((values**2).mean(axis=0)) if len(values) else np.zeros(values.shape[1])
    used = size > 1e-9
    return values[:, used] / size[used], used
