"""Statistics of evaluation and release: intervals, win rates, calibration, diversity, the gate. No
torch.
"""

from .classification import auroc, correct, ece, pair_report, sigmoid
from .diversity import distinct_n, distinct_share
from .gate import Criterion, Gate, Verdict, decide
from .intervals import bootstrap, bootstrap_mean, wilson
from .winrate import length_controlled, win_rate, wins

__all__ = [
    "Criterion",
    "Gate",
    "Verdict",
    "auroc",
    "bootstrap",
    "bootstrap_mean",
    "correct",
    "decide",
    "distinct_n",
    "distinct_share",
    "ece",
    "length_controlled",
    "pair_report",
    "sigmoid",
    "wilson",
    "win_rate",
    "wins",
]
