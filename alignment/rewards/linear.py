"""Many regularised linear reward heads fitted at once on frozen features (R1, R6, R12).

For head m the minimum is sought of

    sum_i a_mi BT(w_m . (f_w - f_l), p_i) + lambda sum_j a_mj BCE(w_m . f_j + b_m, label_j)
    + l2/2 |w_m|^2

over pairs i and reactions j, a their weights times the bootstrap counts of head m. The problem is
convex; all heads are columns of one L-BFGS problem, so M heads cost little more than one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .losses import bradley_terry, reaction
from .threads import few_threads

GRID = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)


@dataclass
class Problem:
    """Standardised rows: pair ends `(P, d)`, reaction rows `(Q, d)`, their labels, weights and
    clusters.
    """

    chosen: Tensor
    rejected: Tensor
    soft_label: Tensor
    pair_weight: Tensor
    strength: Tensor
    rows: Tensor
    label: Tensor
    row_weight: Tensor
    pair_cluster: Tensor
    row_cluster: Tensor
    label_smoothing: float = 0.0
    centre: float = 0.0
    reaction_weight: float = 1.0

    @property
    def n_clusters(self) -> int:
        """Number of prompts."""
        return int(torch.cat([self.pair_cluster, self.row_cluster]).max()) + 1


def fit(
    problem: Problem,
    l2: float,
    counts: Tensor,
    start: tuple[Tensor, Tensor] | None = None,
    prior: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Weights `(M, d)` and reaction biases `(M,)` for cluster counts `(M, C)`, by L-BFGS with a
    strong-Wolfe search.

    `prior` `(M, d)` is what the ridge pulls to, zero by default.
    """
    members, d = counts.shape[0], problem.chosen.shape[1]
    if start is None:
        weights, bias = torch.zeros(members, d), torch.zeros(members)
    else:
        weights, bias = start[0].clone(), start[1].clone()
    weights.requires_grad_(True)
    bias.requires_grad_(True)
    pair_w = problem.pair_weight * counts[:, problem.pair_cluster]
    row_w = problem.reaction_weight * problem.row_weight * counts[:, problem.row_cluster]
    difference = problem.chosen - problem.rejected
    total = problem.chosen + problem.rejected if problem.centre else None
    optimiser = torch.optim.LBFGS(
        [weights, bias],
        max_iter=150,
        history_size=12,
        tolerance_grad=1e-4,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = 0.5 * l2 * ((weights if prior is None else weights - prior) ** 2).sum()
        if len(difference):
            gap = weights @ difference.T
            losses = bradley_terry(
                gap,
                torch.zeros_like(gap),
                soft_label=problem.soft_label,
                label_smoothing=problem.label_smoothing,
                strength=problem.strength,
            )
            if total is not None:
                losses = losses + problem.centre * (weights @ total.T) ** 2
            value = value + (pair_w * losses).sum()
        if len(problem.rows):
            scores = weights @ problem.rows.T
            losses = reaction(scores, problem.label, bias=bias[:, None])
            # The tiny ridge keeps the bias finite when all reactions are alike.
            value = value + (row_w * losses).sum() + 0.5 * 1e-2 * (bias**2).sum()
        value.backward()
        return value

    work = 4.0 * weights.numel() * (len(difference) + len(problem.rows))
    with few_threads(work, weights.device.type):
        optimiser.step(closure)
    return weights.detach(), bias.detach()


def cross_validate(
    problem: Problem, folds: int, grid: tuple[float, ...] = GRID, seed: int = 0
) -> tuple[float, list[dict[str, float]]]:
    """The l2 of least held-out log-loss, whole prompts held out together, with the loss of each
    value tried.

    With fewer than two prompts the largest value is taken.
    """
    if problem.n_clusters < 2:
        return grid[0], []
    fold_of, counts = _folds(problem, folds, seed)
    start, table = None, []
    for l2 in sorted(grid, reverse=True):
        weights, bias = fit(problem, l2, counts, start)
        start = (weights, bias)
        losses, ws = [], []
        if len(problem.chosen):
            own = weights[fold_of[problem.pair_cluster]]
            gap = (own * (problem.chosen - problem.rejected)).sum(1)
            losses.append(bradley_terry(gap, torch.zeros_like(gap), soft_label=problem.soft_label))
            ws.append(problem.pair_weight)
        if len(problem.rows):
            fold = fold_of[problem.row_cluster]
            scores = (weights[fold] * problem.rows).sum(1)
            losses.append(reaction(scores, problem.label, bias=bias[fold]))
            ws.append(problem.row_weight * problem.reaction_weight)
        loss, w = torch.cat(losses), torch.cat(ws)
        mean = float((loss * w).sum() / w.sum())
        spread = float(((w * (loss - mean)) ** 2).sum().sqrt() / w.sum())
        table.append({"l2": l2, "log_loss": mean, "standard_error": spread})
        # The path is close to unimodal: two rises in a row after the least end the search.
        if len(table) > 2 and table[-3]["log_loss"] < table[-2]["log_loss"] < mean:
            break
    best = min(table, key=lambda t: t["log_loss"])
    return best["l2"], table


def out_of_fold(problem: Problem, l2: float, folds: int, seed: int = 0) -> Tensor:
    """Reward margins of the pairs `(P,)`, each by a model that saw no answer to its prompt.

    The folds are those of `cross_validate` with the same seed. Empty with fewer than two prompts.
    """
    if problem.n_clusters < 2:
        return torch.zeros(0)
    fold_of, counts = _folds(problem, folds, seed)
    weights, _ = fit(problem, l2, counts)
    own = weights[fold_of[problem.pair_cluster]]
    return (own * (problem.chosen - problem.rejected)).sum(1)


def _folds(problem: Problem, folds: int, seed: int) -> tuple[Tensor, Tensor]:
    """The fold of each prompt `(C,)`, and for each fold which prompts its fit sees `(F, C)`."""
    clusters = problem.n_clusters
    folds = min(folds, clusters)
    order = torch.randperm(clusters, generator=torch.Generator().manual_seed(seed))
    fold_of = torch.empty(clusters, dtype=torch.long)
    fold_of[order] = torch.arange(clusters) % folds
    return fold_of, (fold_of[None] != torch.arange(folds)[:, None]).float()


def bootstrap_counts(members: int, clusters: int, seed: int) -> Tensor:
    """How often each of M heads sees each cluster, `(M, C)`; one head sees each once, so M = 1 is
    the plain fit.
    """
    if members == 1:
        return torch.ones(1, clusters)
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randint(clusters, (members, clusters), generator=generator)
    return torch.zeros(members, clusters).scatter_add_(1, draw, torch.ones(members, clusters))
