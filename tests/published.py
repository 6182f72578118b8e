"""Published data that some tests read: `../shared/data` beside the checkout, where it lies there.

Tests that read it are marked `published` and are left out where it does not (tests/session.py).
"""

import gzip
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def records(path: str) -> list[dict[str, Any]]:
    """The JSON lines of a compressed file, named by its path under the folder."""
    with gzip.open(DATA / path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
