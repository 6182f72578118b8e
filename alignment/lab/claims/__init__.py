"""The claims of the method catalogue that the lab tries on the small language; `python -m
alignment.lab` runs them.
"""

from __future__ import annotations

from alignment.lab.claims import (
    annotators,
    cycle,
    groups,
    online,
    overoptimisation,
    rankings,
    shift,
)
from alignment.lab.claims.base import Claim

_MODULES = (overoptimisation, online, rankings, annotators, cycle, groups, shift)

CLAIMS: dict[str, Claim] = {claim.name: claim for module in _MODULES for claim in module.CLAIMS}
"""Every claim by its name, in the order of the report."""
