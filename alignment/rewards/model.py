"""A reward model: frozen features, standardisation, M linear heads; fit, score, save, load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import linear
from .features import Featurizer

FORMAT = 1
SURFACE_SCALE = 2.0


@dataclass
class RewardModel:
    """M linear heads on standardised features; `config` says how the features are made."""

    weights: torch.Tensor
    bias: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    baseline: torch.Tensor
    config: dict[str, Any] = field(default_factory=dict)
    cache: Path | None = None
    device: str = "cpu"
    _featurizer: Featurizer | None = None

    @property
    def featurizer(self) -> Featurizer:
        """The encoder and cache, opened on first use."""
        if self._featurizer is None:
            self._featurizer = Featurizer(
                self.config["encoder"], self.config["max_tokens"], self.cache, self.device
            )
            if self._featurizer.signature != self.config["features"]:
                raise ValueError(
                    "the encoder installed is not the one this reward model was fitted on"
                )
        return self._featurizer

    @property
    def members(self) -> int:
        """Number of heads."""
        return len(self.weights)

    def standardise(self, features: np.ndarray) -> torch.Tensor:
        """Features `(n, d)` on the scale of the heads."""
        return (torch.from_numpy(np.ascontiguousarray(features)).float() - self.mean) * self.scale

    def heads(self, features: np.ndarray) -> np.ndarray:
        """Rewards by every head, `(n, M)`, centred on the mean of the training answers."""
        return (self.standardise(features) @ self.weights.T).double().numpy()

    def score(self, texts: Sequence[tuple[str, str]], progress=None) -> np.ndarray:
        """Rewards `(n, M)` of (prompt text, answer) tuples."""
        return self.heads(self.featurizer(texts, progress))

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `config.json`."""
        from safetensors.torch import save_file

        names = ("weights", "bias", "mean", "scale", "baseline")
        tensors = {n: getattr(self, n).contiguous() for n in names}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        config = self.config | {"format": FORMAT, "kind": "reward-linear", "members": self.members}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, cache: Path | None = None, device: str = "cpu") -> RewardModel:
        """Read a saved reward model; `ValueError` with a plain reason if the folder holds none."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            config = json.loads((folder / "config.json").read_text())
            tensors = load_file(folder / "model.safetensors")
        except (OSError, json.JSONDecodeError, SafetensorError) as error:
            raise ValueError(f"no readable reward model in {folder.name}: {error}") from None
        if config.get("kind") != "reward-linear" or config.get("format") != FORMAT:
            raise ValueError(f"{folder.name} is not a reward model of this version")
        return cls(**tensors, config=config, cache=cache, device=device)


def scaling(featurizer: Featurizer, features: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and scale `(d,)`: unit variance, then each block divided by the root of its width.

    So a block of a dozen counts is as cheap under the ridge as one of hundreds of encoder channels;
    it is made twice as cheap again, since what a count says needs few judgments to learn.
    """
    mean = features.mean(0)
    scale = 1.0 / np.maximum(features.std(0), 1e-3)
    for name, span in featurizer.blocks().items():
        scale[span] *= SURFACE_SCALE if name == "surface" else 1.0
        scale[span] /= np.sqrt(span.stop - span.start)
    return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()


def clusters(pairs: Sequence[dict], reactions: Sequence[dict]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompt index of each pair and each reaction."""
    index: dict[str, int] = {}
    ids = [index.setdefault(r["prompt_hash"], len(index)) for r in (*pairs, *reactions)]
    ids = torch.tensor(ids, dtype=torch.long)
    return ids[: len(pairs)], ids[len(pairs) :]


@dataclass
class Ends:
    """Raw features of the rows to fit: pair ends `(P, d)` and reactions `(Q, d)`."""

    chosen: np.ndarray
    rejected: np.ndarray
    reactions: np.ndarray


def fit_reward_model(
    featurizer: Featurizer,
    pairs: Sequence[dict],
    reactions: Sequence[dict],
    ends: Ends,
    params: dict[str, Any],
    seed: int = 0,
) -> tuple[RewardModel, dict[str, Any]]:
    """Fit the heads and the embedding baseline on training rows; returns the model and notes on the
    fit: l2, cross_validation, and `out_of_fold`, the margin of each pair `(P,)` by a model that
    did not see its prompt.

    `pairs` have soft_label, weight, strength, prompt_hash; `reactions` label, weight, prompt_hash.
    """
    every = np.concatenate([ends.chosen, ends.rejected, ends.reactions])
    mean, scale = scaling(featurizer, every)
    pair_cluster, row_cluster = clusters(pairs, reactions)

    def prepared(x: np.ndarray, columns: slice | None = None) -> torch.Tensor:
        z = (torch.from_numpy(x).float() - mean) * scale
        return z if columns is None else z[:, columns]

    def column(rows: Sequence[dict], key: str, default: float) -> torch.Tensor:
        values = [default if r[key] is None else float(r[key]) for r in rows]
        return torch.tensor(values, dtype=torch.float32)

    def problem(columns: slice | None, with_reactions: bool = True) -> linear.Problem:
        keep = reactions if with_reactions else []
        rows = ends.reactions if with_reactions else ends.reactions[:0]
        strength = column(pairs, "strength", 1.0)
        if params["strength"] == "ignore":
            strength = torch.ones_like(strength)
        return linear.Problem(
            prepared(ends.chosen, columns),
            prepared(ends.rejected, columns),
            column(pairs, "soft_label", 1.0),
            column(pairs, "weight", 1.0),
            strength,
            prepared(rows, columns),
            column(keep, "label", 0.0),
            column(keep, "weight", 1.0),
            pair_cluster,
            row_cluster[: len(keep)],
            params["label_smoothing"],
            params["centre"],
            params["reaction_weight"],
        )

    full = problem(None)
    table: list[dict[str, float]] = []
    l2 = params["l2"]
    if l2 == "auto":
        l2, table = linear.cross_validate(full, params["folds"], seed=seed)
    members = params["members"]
    if params["resample"] == "bootstrap" or members == 1:
        counts, prior = linear.bootstrap_counts(members, full.n_clusters, seed + 1), None
    else:
        # The loss is convex, so other initial weights alone would end in one place. Each head is
        # instead pulled to
        # a draw from the ridge's own prior (randomised MAP, arXiv 1810.05546 section 3).
        generator = torch.Generator().manual_seed(seed + 2)
        counts = torch.ones(members, full.n_clusters)
        prior = torch.randn(members, len(mean), generator=generator) / max(float(l2), 1e-6) ** 0.5
    weights, bias = linear.fit(full, float(l2), counts, prior=prior)
    baseline = torch.zeros(0)
    if pairs:
        whole = problem(featurizer.blocks()["whole"], with_reactions=False)
        base_l2, _ = linear.cross_validate(whole, params["folds"], seed=seed)
        fitted, _ = linear.fit(whole, base_l2, torch.ones(1, whole.n_clusters))
        baseline = fitted[0]
    config = {
        "encoder": params["encoder"],
        "max_tokens": params["max_tokens"],
        "features": featurizer.signature,
        "l2": float(l2),
        "n_pairs": len(pairs),
        "n_reactions": len(reactions),
    }
    model = RewardModel(weights, bias, mean, scale, baseline, config, _featurizer=featurizer)
    unseen = linear.out_of_fold(full, float(l2), params["folds"], seed=seed)
    notes = {"l2": float(l2), "cross_validation": table, "out_of_fold": unseen.double().numpy()}
    return model, notes
