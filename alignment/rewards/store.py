"""Numbers kept on disk by the hash of what they were computed from."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def key_of(*parts: bytes) -> bytes:
    """16-byte key of byte strings; their boundaries count."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


class KeyedRows:
    """Rows of numbers by 16-byte key, in a folder that several processes may share.

    Each flush adds one shard: `<id>.rows.npy`, then `<id>.keys.npy` by rename, so a shard is
    complete or unseen.
    """

    def __init__(self, folder: Path, width: int, dtype: str = "float16") -> None:
        self.folder, self.width, self.dtype = folder, width, np.dtype(dtype)
        self.index: dict[bytes, tuple[np.ndarray, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.keys.npy")):
            try:
                keys = np.load(path)
                rows = np.load(path.with_name(path.name.replace(".keys.", ".rows.")), mmap_mode="r")
            except (OSError, ValueError, EOFError):
                continue
            if rows.shape == (len(keys), width) and rows.dtype == self.dtype:
                for i, key in enumerate(keys):
                    self.index[key.tobytes()] = (rows, i)

    def get(self, keys: Sequence[bytes]) -> np.ndarray:
        """Rows of keys that are all present, `(n, width)`; float16 is widened to float32."""
        wide = np.promote_types(self.dtype, np.float32)
        out = np.empty((len(keys), self.width), dtype=wide)
        for at, key in enumerate(keys):
            rows, i = self.index[key]
            out[at] = rows[i]
        return out

    def add(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Keep new rows in memory and on disk."""
        rows = np.asarray(rows, dtype=self.dtype)
        for i, key in enumerate(keys):
            self.index[key] = (rows, i)
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        np.save(self.folder / f"{name}.rows.npy", rows)
        aside = self.folder / f"{name}.tmp.npy"
        np.save(aside, np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 16))
        os.replace(aside, self.folder / f"{name}.keys.npy")
