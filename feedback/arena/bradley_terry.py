"""Bradley-Terry with ties (Davidson 1970) and covariates, fitted by Newton's method.

With eta = theta_a - theta_b + x . beta for a vote between a (left) and b (right), and
nu = exp(delta) for how readily people call a tie,

    P(a wins) = e^(eta/2) / Z,   P(b wins) = e^(-eta/2) / Z,   P(tie) = nu / Z,
    Z = e^(eta/2) + e^(-eta/2) + nu.

With pi = e^theta and no covariates this is Davidson's pi_a / (pi_a + pi_b + nu sqrt(pi_a pi_b));
without ties it is Bradley and Terry's sigmoid(theta_a - theta_b). "Both bad" is no tie and never
comes here: it says nothing about which of two is better.

A weak Gaussian prior (precision `prior`) keeps a model that never lost at a finite place, with an
interval as wide as the data deserve; with prior -> 0 the fit is the maximum-likelihood one.
"""

from dataclasses import dataclass, field, replace

import numpy as np

#: From logits to the customary scale on which 400 points are odds of ten to one.
POINTS = 400 / np.log(10)
PRIOR = 0.02
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Votes:
    """n votes among m models.

    `left`, `right`: (n,) model indices; `outcome`: (n,) +1 left, -1 right, 0 tie;
    `weight`: (n,) >= 0; `voter`: (n,) whose vote it is, for errors that respect that one
    person's votes hang together; `covariates`: (n, k), left minus right.
    """

    models: int
    left: np.ndarray
    right: np.ndarray
    outcome: np.ndarray
    weight: np.ndarray = None
    voter: np.ndarray = None
    covariates: np.ndarray = None

    def __post_init__(self) -> None:
        n = len(self.left)
        fill = {"weight": np.ones(n), "voter": np.arange(n), "covariates": np.zeros((n, 0))}
        for name, default in fill.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        for name, kind in (("left", int), ("right", int), ("outcome", int), ("weight", float)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        object.__setattr__(self, "covariates", np.asarray(self.covariates, dtype=float))
        object.__setattr__(self, "voter", np.unique(self.voter, return_inverse=True)[1])
        if n and (self.left == self.right).any():
            raise ValueError("a vote is between two different models")
        if n and not np.isin(self.outcome, (-1, 0, 1)).all():
            raise ValueError("an outcome is +1, 0 or -1")

    def __len__(self) -> int:
        return len(self.left)

    def design(self) -> np.ndarray:
        """(n, m + k): what theta and beta are multiplied with to give eta."""
        rows = np.arange(len(self))
        x = np.zeros((len(self), self.models))
        x[rows, self.left] = 1.0
        x[rows, self.right] = -1.0
        return np.hstack([x, self.covariates])


@dataclass(frozen=True)
class Fit:
    """`theta` (m,) logits that sum to zero, `beta` (k,), `delta` log nu (None without ties).

    `hessian` and `meat` are of the penalised log-likelihood over (theta, beta, delta);
    `covariance(kind)` gives the inverse, or the sandwich of the two.
    """

    theta: np.ndarray
    beta: np.ndarray
    delta: float | None
    hessian: np.ndarray = field(repr=False)
    meat: np.ndarray = field(repr=False)
    clusters: int = 0

    def covariance(self, kind: str = "sandwich") -> np.ndarray:
        """(p, p) over (theta, beta, delta).

        "model" is the inverse Hessian; "sandwich" is H^-1 B H^-1 with the scores summed within
        each voter and the factor G / (G - 1) for G voters.
        """
        inverse = np.linalg.inv(self.hessian)
        if kind == "model":
            return inverse
        if kind != "sandwich":
            raise ValueError("kind is 'model' or 'sandwich'")
        factor = self.clusters / max(1, self.clusters - 1)
        return inverse @ (self.meat * factor) @ inverse

    def contrast_sd(self, contrast: np.ndarray) -> np.ndarray:
        """Standard errors of contrasts of theta, (c, m) -> (c,); the larger of the two kinds.

        The sandwich holds where votes of one person resemble each other; it comes out too
        small where voters are few or a model never lost. There the model's own error stands.
        """
        m = len(self.theta)
        both = []
        for kind in ("model", "sandwich"):
            block = self.covariance(kind)[:m, :m]
            both.append(np.einsum("ci,ij,cj->c", contrast, block, contrast))
        return np.sqrt(np.maximum(*both).clip(0))

    def place_sd(self) -> np.ndarray:
        """(m,) standard errors of each model's place against the mean of all."""
        m = len(self.theta)
        return self.contrast_sd(np.eye(m) - 1 / m)

    def difference_sd(self) -> np.ndarray:
        """(m, m) standard errors of theta_i - theta_j."""
        m = len(self.theta)
        i, j = np.triu_indices(m, 1)
        sd = np.zeros((m, m))
        if len(i):
            contrast = np.zeros((len(i), m))
            contrast[np.arange(len(i)), i] = 1.0
            contrast[np.arange(len(i)), j] = -1.0
            sd[i, j] = sd[j, i] = self.contrast_sd(contrast)
        return sd


def probabilities(eta: np.ndarray, delta: float | None) -> tuple[np.ndarray, ...]:
    """P(left wins), P(tie), P(right wins) for each eta."""
    eta = np.asarray(eta, dtype=float)
    utilities = np.stack(
        [eta / 2, np.full_like(eta, -np.inf if delta is None else delta), -eta / 2]
    )
    utilities -= utilities.max(axis=0)
    shares = np.exp(utilities)
    shares /= shares.sum(axis=0)
    return tuple(shares)


def fit(votes: Votes, *, prior: float = PRIOR, start: np.ndarray | None = None) -> Fit:
    """The maximum of sum w log P(outcome) - prior / 2 |params|^2, which is concave.

    Newton with halved steps. Votes of weight 0 change nothing; no votes give the prior.
    """
    x, y, w = votes.design(), votes.outcome, votes.weight
    tied = y == 0
    with_ties = bool((w[tied] > 0).any())
    p = x.shape[1] + with_ties
    params = np.zeros(p) if start is None or len(start) != p else start.copy()

    def parts(params: np.ndarray) -> tuple[np.ndarray, float | None]:
        return x @ params[: x.shape[1]], float(params[-1]) if with_ties else None

    def objective(params: np.ndarray) -> float:
        eta, delta = parts(params)
        tie = np.full_like(eta, -np.inf if delta is None else delta)
        log_z = np.logaddexp(np.logaddexp(eta / 2, -eta / 2), tie)
        chosen = np.where(tied, 0.0 if delta is None else delta, y * eta / 2)
        return float(w @ (chosen - log_z) - prior / 2 * params @ params)

    def slopes(params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per-vote scores (n, p) and the negative Hessian (p, p)."""
        eta, delta = parts(params)
        win, tie, lose = probabilities(eta, delta)
        mean = win - lose
        spread = (win + lose - mean**2) / 4
        scores = (w * (y - mean) / 2)[:, None] * x
        hessian = x.T @ ((w * spread)[:, None] * x)
        if with_ties:
            scores = np.column_stack([scores, w * (tied - tie)])
            cross = x.T @ (w * (-tie * mean / 2))
            last = np.array([[w @ (tie * (1 - tie))]])
            hessian = np.block([[hessian, cross[:, None]], [cross[None, :], last]])
        return scores, hessian + prior * np.eye(p)

    value = objective(params)
    for _ in range(100):
        scores, hessian = slopes(params)
        gradient = scores.sum(axis=0) - prior * params
        move = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and (new := objective(params + size * move)) < value - 1e-12:
            size /= 2
        params, value = params + size * move, new
        if np.abs(size * move).max() < 1e-10:
            break
    scores, hessian = slopes(params)
    clusters = int(votes.voter.max()) + 1 if len(votes) else 0
    by_voter = np.zeros((clusters, p))
    np.add.at(by_voter, votes.voter, scores)
    m = votes.models
    return Fit(
        theta=params[:m] - params[:m].mean() if m else params[:0],
        beta=params[m : x.shape[1]],
        delta=float(params[-1]) if with_ties else None,
        hessian=hessian,
        meat=by_voter.T @ by_voter,
        clusters=clusters,
    )


def bootstrap(
    votes: Votes, *, draws: int = 200, seed: int = 0, prior: float = PRIOR
) -> tuple[np.ndarray, np.ndarray]:
    """(draws, m) places and (draws, k) covariate effects, drawing voters with replacement."""
    rng = np.random.default_rng(seed)
    clusters = int(votes.voter.max()) + 1 if len(votes) else 0
    thetas, betas = [], []
    for _ in range(draws):
        often = rng.multinomial(clusters, np.full(clusters, 1 / clusters)) if clusters else []
        again = votes.weight * np.asarray(often, dtype=float)[votes.voter] if clusters else []
        found = fit(replace(votes, weight=again), prior=prior)
        thetas.append(found.theta)
        betas.append(found.beta)
    return np.array(thetas), np.array(betas)


def components(votes: Votes) -> np.ndarray:
    """(m,) which group a model belongs to: models of two groups were never compared, even by way
    of others, and their order is the prior's word alone."""
    group = np.arange(votes.models)
    for a, b in zip(votes.left[votes.weight > 0], votes.right[votes.weight > 0], strict=True):
        if group[a] != group[b]:
            group[group == group[b]] = group[a]
    return np.unique(group, return_inverse=True)[1]
