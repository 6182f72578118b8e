"""Preference objectives as pure functions on log-probabilities.

    from alignment.objectives import dpo
    loss = dpo(chosen, rejected, ref_chosen, ref_rejected, beta=0.1)      # (P,) -> (P,)

The functions are loaded on first use, so that the registry can be read without torch.
"""

from __future__ import annotations

from typing import Any

from .registry import REGISTRY, Objective, Param, get, names

__all__ = ["REGISTRY", "Objective", "Param", "get", "names", *REGISTRY]


def __getattr__(name: str) -> Any:
    if name in REGISTRY:
        return REGISTRY[name].function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
