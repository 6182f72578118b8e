"""Statistics of evaluation and release: intervals, win rates, calibration, diversity, the gate. No
torch.
"""

from .classification import auroc, correct, ece, pair_report, sigmoid
from .diversity import distinct_n, distinct_share
from .gate import Criterion, Gate, Verdict, decide
from .habits import boilerplate, praise, proxy_correlation
from .intervals import bootstrap, bootstrap_mean, wilson
from .safety import safety, upper_bound
from .winrate import length_controlled, win_rate, wins

__all__ = [
    "Criterion",
    "Gate",
    "Verdict",
    "auroc",
    "boilerplate",
    "bootstrap",
    "bootstrap_mean",
    "correct",
    "decide",
    "distinct_n",
    "distinct_share",
    "ece",
    "length_controlled",
    "pair_report",
    "praise",
    "proxy_correlation",
    "safety",
    "sigmoid",
    "upper_bound",
    "wilson",
    "win_rate",
    "wins",
]
