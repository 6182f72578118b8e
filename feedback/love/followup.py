"""What a reader does next, as the probability that the answer was liked.

Two ways. `unlabelled` needs no label at all, in the manner of the follow-up likelihood (FLR,
arXiv 2409.13948): a follow-up of thanks or of going on speaks for an answer, one of repeating,
correcting or complaining against it; here both are scored by words rather than by a language
model. `SignalModel` is fitted on an audited sample in which people also said what they thought,
and maps follow-up and signals (copy, regenerate, edit, stop, dwell) to a calibrated probability.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feedback.love.calibrate import Calibration, calibrate
from feedback.love.model import BITS, FOLDS, WORDS, folds_by, logistic

SIGNALS = ("copy", "share", "regenerate", "edit", "stop", "report", "dwell")

_THANKS = re.compile(
    r"\b(thanks?|thank you|thx|ty|great|perfect|awesome|nice|cool|lovely|love (it|that|this)|"
    r"wonderful|excellent|amazing|good|exactly|that works|it works|works now|well done|"
    r"interesting|wow|haha+|lol)\b", re.IGNORECASE,
)  # fmt: skip
_COMPLAINT = re.compile(
    r"\b(wrong|incorrect|not (right|correct|true|what|working|work)|doesn'?t|didn'?t|isn'?t|"
    r"error|nonsense|stupid|bad|boring|useless|no,|nope|you (already|just) (said|asked|told)|"
    r"i (said|asked|meant|already)|again|mistake|fail(s|ed)?|don'?t understand|makes? no sense|"
    r"what\?|huh|strange|weird|wtf|are you (a )?(bot|robot|sure|ok|there))\b", re.IGNORECASE,
)  # fmt: skip
_WORD = re.compile(r"\w+")
NAMES = (
    "thanks", "complaint", "repeats the question", "takes up the answer", "question", "length",
    "exclamation", "shouting", "no follow-up",
)  # fmt: skip
#: What each speaks for without labels; the log odds are rounded judgments, not fits.
_PRIOR = np.array([1.0, -1.0, -1.5, 0.7, 0.0, 0.1, 0.1, -0.3, -0.3])


@dataclass(frozen=True, slots=True)
class Next:
    """What followed an answer: the question it answered, the answer, the person's next words
    ("" where none came) and counts of signals by name (dwell in seconds)."""

    question: str
    answer: str
    words: str
    signals: dict[str, float] | None = None


def features(following: Sequence[Next]) -> np.ndarray:
    """(n, 9 + 7): NAMES from the next words, then log(1 + count) of SIGNALS."""
    rows = []
    for one in following:
        asked, said = _words(one.question), _words(one.words)
        told = _words(one.answer)
        letters = [c for c in one.words if c.isalpha()]
        new = said - asked
        signals = one.signals or {}
        rows.append(
            [
                min(2, len(_THANKS.findall(one.words))),
                min(2, len(_COMPLAINT.findall(one.words))),
                len(asked & said) / len(asked | said) if asked and said else 0.0,
                len(new & told) / len(said) if said else 0.0,
                float("?" in one.words),
                np.log1p(len(said)),
                min(2, one.words.count("!")),
                float(len(letters) > 5 and sum(c.isupper() for c in letters) > len(letters) / 2),
                float(not one.words.strip()),
                *(np.log1p(max(0.0, float(signals.get(name, 0)))) for name in SIGNALS),
            ]
        )
    return np.array(rows, dtype=float).reshape(-1, len(NAMES) + len(SIGNALS))


def unlabelled(following: Sequence[Next]) -> np.ndarray:
    """(n,) log odds that the answer was liked, from the next words alone and without labels."""
    return features(following)[:, : len(NAMES)] @ _PRIOR


@dataclass
class SignalModel:
    """P(liked | what followed), fitted on those who also said so."""

    model: object
    calibration: Calibration
    centre: np.ndarray
    spread: np.ndarray

    def predict(self, following: Sequence[Next]) -> np.ndarray:
        """(n,) probabilities."""
        return self.calibration(self.model.decision_function(self._scaled(following)))

    def _scaled(self, following: Sequence[Next]):
        return _stack(following, self.centre, self.spread)


def fit(following: Sequence[Next], liked: np.ndarray, group: np.ndarray) -> SignalModel:
    """Fit on an audited sample. Raises ValueError without both kinds of labels."""
    y = np.asarray(liked, dtype=float) > 0.5
    if y.all() or not y.any():
        raise ValueError("the audited sample needs liked and disliked answers")
    plain = features(following)
    centre, spread = plain.mean(axis=0), plain.std(axis=0)
    spread[spread < 1e-9] = 1.0
    x = _stack(following, centre, spread)
    scores = np.full(len(y), np.nan)
    for train, test in folds_by(np.asarray(group)):
        if len(np.unique(y[train])) == 2:
            scores[test] = logistic(0.3).fit(x[train], y[train]).decision_function(x[test])
    known = np.isfinite(scores)
    calibration = calibrate(scores[known], y[known])
    return SignalModel(logistic(0.3).fit(x, y), calibration, centre, spread)


def cross_predict(
    following: Sequence[Next], liked: np.ndarray, group: np.ndarray, folds: int = FOLDS
) -> np.ndarray:
    """(n,) probabilities by models that never met the person."""
    out = np.full(len(liked), np.nan)
    liked, group = np.asarray(liked, dtype=float), np.asarray(group)
    for train, test in folds_by(group, folds):
        fitted = fit([following[i] for i in train], liked[train], group[train])
        out[test] = fitted.predict([following[i] for i in test])
    return out


def _stack(following: Sequence[Next], centre: np.ndarray, spread: np.ndarray):
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(n_features=2**BITS, ngram_range=(1, 2), norm="l2", **WORDS)
    words = hashed.transform([one.words for one in following])
    return hstack([csr_matrix((features(following) - centre) / spread), words]).tocsr()


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
