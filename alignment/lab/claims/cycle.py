"""A cyclic game: Nash methods reach its mixed equilibrium, where Bradley-Terry cannot (rows N1 and
R13).

Rock, paper, scissors of uneven strength: each seed draws how surely each answer beats the next.
What is known of it are duels of random answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from alignment.lab.claims.base import Claim, Finding, Record, column, points
from alignment.objectives import inpo
from alignment.objectives.games import exploitability, iterate
from alignment.rewards.heads import PreferenceHead
from alignment.rewards.losses import bradley_terry, preference

EXACT = {
    "nash_md": {"refresh": 400},
    "inpo": {"refresh": 400},
    "egpo": {"refresh": 400},
    "nash_mp": {"refresh": 400},
}
"""Exact updates of the regularised game; a reference refreshed now and then solves the plain."""


@dataclass(frozen=True)
class Game:
    """`duels` known; exact updates at `lr` and `beta`; sampled INPO over `rounds` of `pairs` pairs,
    each judged by one duel.
    """

    low: float = 0.02
    high: float = 0.48
    duels: int = 4000
    steps: int = 20_000
    lr: float = 0.5
    beta: float = 0.1
    rounds: int = 200
    pairs: int = 1024
    eta: float = 2.0
    tau: float = 0.03
    inner: int = 20
    betas: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def game(config: Game, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """P(i beats j) `(3, 3)`, and the equilibrium `(3,)`: each answer as often as the other two beat
    each other clearly.
    """
    edge = np.random.default_rng([seed, 1]).uniform(config.low, config.high, 3)
    p = np.full((3, 3), 0.5)
    for i in range(3):
        p[i, (i + 1) % 3] += edge[i]
        p[(i + 1) % 3, i] -= edge[i]
    nash = edge[[1, 2, 0]]
    return p, nash / nash.sum()


def duels(p: np.ndarray, count: int, rng: np.random.Generator):
    """Numbers of the two answers of each duel, and 1.0 where the first won, all `(count,)`."""
    first = rng.integers(0, 3, count)
    second = (first + rng.integers(1, 3, count)) % 3
    return first, second, (rng.random(count) < p[first, second]).astype(float)


def fit_bradley_terry(first: np.ndarray, second: np.ndarray, won: np.ndarray) -> np.ndarray:
    """Rewards `(3,)` of least Bradley-Terry loss, by `losses.bradley_terry`."""
    r = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    label = torch.from_numpy(won)
    optimiser = torch.optim.LBFGS([r], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = bradley_terry(r[first], r[second], soft_label=label).mean() + 1e-6 * (r**2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return r.detach().numpy()


def fit_preference(first: np.ndarray, second: np.ndarray, won: np.ndarray, seed: int) -> np.ndarray:
    """P(i beats j) `(3, 3)` by a `PreferenceHead` on the answers' indicators."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = PreferenceHead(3, rank=3)
    answers, label = torch.eye(3), torch.from_numpy(won).float()
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = preference(head(answers[first], answers[second])[0], label).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    i, j = np.meshgrid(range(3), range(3), indexing="ij")
    with torch.no_grad():
        logit = head(answers[i.ravel()], answers[j.ravel()])[0]
    return torch.sigmoid(logit).double().numpy().reshape(3, 3)


def sampled_inpo(p: np.ndarray, config: Game, rng: np.random.Generator) -> np.ndarray:
    """The average of the last half of INPO's iterates, from its own answers and single duels."""
    ref = torch.full((3,), 1 / 3, dtype=torch.float64).log()
    logits = ref.clone().requires_grad_(True)
    total, kept = np.zeros(3), 0
    for number in range(config.rounds):
        last = logits.detach().log_softmax(0)
        policy = last.exp().numpy()
        first = rng.choice(3, config.pairs, p=policy / policy.sum())
        second = rng.choice(3, config.pairs, p=policy / policy.sum())
        won = torch.from_numpy((rng.random(config.pairs) < p[first, second]).astype(float))
        optimiser = torch.optim.LBFGS([logits], max_iter=config.inner)

        def closure(first=first, second=second, won=won, last=last, opt=optimiser) -> torch.Tensor:
            opt.zero_grad()
            now = logits.log_softmax(0)
            loss = inpo(
                now[first],
                now[second],
                ref[first],
                ref[second],
                last_chosen=last[first],
                last_rejected=last[second],
                eta=config.eta,
                tau=config.tau,
                soft_label=won,
            ).mean()
            loss.backward()
            return loss

        optimiser.step(closure)
        if number >= config.rounds // 2:
            total, kept = total + logits.detach().softmax(0).numpy(), kept + 1
    return total / kept


def measure(config: Game, seed: int) -> Record:
    """Distance to the equilibrium and exploitability of every way to play."""
    p, nash = game(config, seed)
    rng = np.random.default_rng([seed, 2])
    known = duels(p, config.duels, rng)
    learned = fit_preference(*known, seed)
    reward = fit_bradley_terry(*known)

    def solved(matrix: np.ndarray, method: str) -> np.ndarray:
        pi, _ = iterate(
            matrix, method, steps=config.steps, lr=config.lr, beta=config.beta, **EXACT[method]
        )
        return pi

    exact = {m: float(np.abs(solved(p, m) - nash).max()) for m in EXACT}
    tilted = [np.exp((reward - reward.max()) / beta) for beta in config.betas]
    bt = [exploitability(p, pi / pi.sum()) for pi in tilted]
    believed = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    off = ~np.eye(3, dtype=bool)
    return {
        "distance": exact,
        "learned": exploitability(p, solved(learned, "nash_mp")),
        "inpo": exploitability(p, sampled_inpo(p, config, rng)),
        "bradley-terry": bt,
        "uniform": exploitability(p, np.full(3, 1 / 3)),
        "error of the preference model": float(np.abs(learned - p)[off].max()),
        "error of bradley-terry": float(np.abs(believed - p)[off].max()),
    }


def judge(config: Game, records: Sequence[Record]) -> list[Finding]:
    """Exact methods against 1e-3; what is learned from duels against Bradley-Terry's best."""
    bt = column(records, "bradley-terry")
    best = bt.min(1)
    out = [
        Finding(
            f"{m}, exact: distance to the equilibrium", column(records, "distance", m), None, 1e-3
        )
        for m in EXACT
    ]
    learned, sampled = column(records, "learned"), column(records, "inpo")
    return [
        *out,
        Finding(
            "Bradley-Terry's best beta minus learned game, exploitability", best - learned, 0.0
        ),
        Finding(
            "Bradley-Terry's best beta minus sampled INPO, exploitability", best - sampled, 0.0
        ),
        Finding("exploitability, learned preferences and Nash mirror prox", learned),
        Finding("exploitability, INPO on sampled duels", sampled),
        Finding("exploitability, Bradley-Terry, best beta", best),
        Finding(f"exploitability, Bradley-Terry, beta {config.betas[0]:g}", bt[:, 0]),
        Finding("exploitability, all answers alike", column(records, "uniform")),
        Finding("error of P, preference model", column(records, "error of the preference model")),
        Finding("error of P, Bradley-Terry", column(records, "error of bradley-terry")),
    ]


def draw(axes, config: Game, records: Sequence[Record]) -> None:
    """Exploitability of what each way learned from duels."""
    bt = column(records, "bradley-terry")
    rows = [column(records, "learned"), column(records, "inpo"), bt.min(1), bt[:, 0]]
    points(axes, ("learned,\nmirror prox", "sampled\nINPO", "BT, best\nbeta", "BT, greedy"), rows)
    axes.set_ylabel("exploitability, max P(y > policy) - ½")


CLAIMS = (
    Claim(
        "nash",
        "N1, R13",
        "Nash methods reach the mixed equilibrium of a cyclic game where Bradley-Terry cannot.",
        Game(),
        measure,
        judge,
        draw,
        {"duels": 60, "steps": 50, "rounds": 4, "pairs": 32, "inner": 5},
        note="Bradley-Terry may choose its beta by the true game, seed by seed.",
    ),
)
