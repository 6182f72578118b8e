"""Several attributes and a gate that weighs them by the prompt (R5, ArmoRM, arXiv 2406.12845)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def gate_weights(logits: Tensor, temperature: float = 10.0) -> Tensor:
    """Softmax over objectives `(..., A)`; sums to 1. The temperature divides the logits."""
    return (logits / temperature).softmax(-1)


def gated_score(attributes: Tensor, weights: Tensor) -> Tensor:
    """sum_k weight_k r_k `(B,)` of attribute rewards and gate weights `(B, A)`."""
    return (attributes * weights).sum(-1)


def decorrelation(attributes: Tensor, against: int) -> Tensor:
    """Coefficients lambda `(A,)` such that r_k - lambda_k r_against is uncorrelated with r_against
    on these rows `(N, A)` (arXiv 2406.12845 eq. 5, with Pearson's correlation): covariance over
    variance. The attribute itself has 0 and stays.
    """
    centred = attributes - attributes.mean(0)
    other = centred[:, against]
    out = (centred * other[:, None]).sum(0) / (other**2).sum().clamp(min=1e-12)
    out[against] = 0.0
    return out


def decorrelate(attributes: Tensor, coefficients: Tensor, against: int) -> Tensor:
    """Attributes with the part that follows one of them taken out, `(..., A)`."""
    return attributes - coefficients * attributes[..., against : against + 1]


class Gate(nn.Module):
    """MLP from a prompt's features `(B, d)` to gate weights `(B, A)`; trained by Bradley-Terry on
    the gated score with the attribute heads frozen (3 layers of 1024 in the paper).
    """

    def __init__(
        self,
        width: int,
        attributes: int,
        hidden: int = 1024,
        layers: int = 3,
        temperature: float = 10.0,
    ) -> None:
        super().__init__()
        sizes = [width, *[hidden] * layers]
        parts: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            parts += [nn.Linear(a, b), nn.ReLU()]
        self.body = nn.Sequential(*parts, nn.Linear(sizes[-1], attributes))
        self.temperature = temperature

    def forward(self, prompt: Tensor) -> Tensor:
        """Weights on the simplex."""
        return gate_weights(self.body(prompt), self.temperature)


def fit_ridge(features: Tensor, ratings: Tensor, mask: Tensor, l2: float = 1.0) -> Tensor:
    """Linear attribute heads `(A, d)` on frozen features by ridge regression, each on the rows
    rated on it (arXiv 2406.12845 eq. 1). Features `(N, d)`, ratings and mask `(N, A)`; no
    intercept.
    """
    x = features.to(torch.float64)
    eye = torch.eye(x.shape[1], dtype=torch.float64)
    heads = []
    for k in range(ratings.shape[1]):
        rows = x[mask[:, k]]
        right = rows.T @ ratings[mask[:, k], k].to(torch.float64)
        heads.append(torch.linalg.solve(rows.T @ rows + l2 * eye, right))
    return torch.stack(heads).to(features.dtype)
