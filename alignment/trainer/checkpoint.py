"""Checkpoints that are complete or absent, and that continue a run to the bit."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .files import plain, publish_folder


@dataclass
class Checkpoint:
    """What a run needs to go on: the trainable tensors, the optimiser, counters, the state of
    torch's generator.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    state: dict[str, Any]
    rng: torch.Tensor


def fingerprint(*parts: Any) -> str:
    """Hash of what a checkpoint depends on; another run.json or other data must not continue it.

    A list is hashed entry by entry, so a large set of rows is never one text.
    """
    digest = hashlib.sha256()
    for part in parts:
        for one in part if isinstance(part, list) else [part]:
            digest.update(json.dumps(one, sort_keys=True, default=str).encode() + b"\n")
        digest.update(b"\0")
    return digest.hexdigest()


def save(folder: Path, checkpoint: Checkpoint, mark: str, keep: int) -> Path:
    """Write `folder/step-XXXXXXXX` and delete all but the newest `keep`."""
    from safetensors.torch import save_file

    def fill(path: Path) -> None:
        save_file(
            {k: v.detach().contiguous() for k, v in checkpoint.tensors.items()},
            path / "model.safetensors",
        )
        torch.save(
            {"optimiser": checkpoint.optimiser, "rng": checkpoint.rng}, path / "optimiser.pt"
        )
        state = {"step": checkpoint.step, "fingerprint": mark, "state": checkpoint.state}
        (path / "state.json").write_text(json.dumps(plain(state)))

    path = publish_folder(folder / f"step-{checkpoint.step:08d}", fill)
    for old in listed(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def listed(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(p for p in folder.glob("step-*") if p.is_dir())


def load_latest(folder: Path, mark: str) -> tuple[Checkpoint | None, list[str]]:
    """The newest readable checkpoint of this very run, and sentences on those passed over."""
    from safetensors.torch import load_file

    notes: list[str] = []
    for path in reversed(listed(folder)):
        try:
            state = json.loads((path / "state.json").read_text())
            if state["fingerprint"] != mark:
                notes.append(f"{path.name} belongs to other settings or data and was not used")
                continue
            tensors = load_file(path / "model.safetensors")
            extra = torch.load(path / "optimiser.pt", weights_only=True)
        except Exception as error:
            # A damaged checkpoint can fail in many ways; an older one is better than no run at all.
            notes.append(f"{path.name} is damaged and was not used: {type(error).__name__}")
            continue
        return (
            Checkpoint(state["step"], tensors, extra["optimiser"], state["state"], extra["rng"]),
            notes,
        )
    return None, notes
