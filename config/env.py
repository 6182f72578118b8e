"""Settings from the environment: one reader, clear errors at start-up."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

REQUIRED: Any = object()


def to_bool(raw: str) -> bool:
    """Read yes/no words; raises ValueError on anything else."""
    word = raw.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError(raw)


def to_list(raw: str) -> list[str]:
    """Read a comma-separated list; blanks are dropped."""
    return [part.strip() for part in raw.split(",") if part.strip()]


def env(name: str, cast: Callable[[str], Any] = str, default: Any = REQUIRED) -> Any:
    """Read NAME, or the file that NAME_FILE points to.

    Raises ImproperlyConfigured when the variable is required and missing, or when `cast`
    refuses its value, so that a wrong setting stops the process at start-up.
    """
    path = os.getenv(f"{name}_FILE")
    raw = Path(path).read_text().strip() if path else os.getenv(name)
    if raw is None:
        if default is REQUIRED:
            raise ImproperlyConfigured(f"Set {name}; see README, Configuration.")
        return default
    try:
        return cast(raw)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}: {cast.__name__} refused {raw!r}.") from exc
