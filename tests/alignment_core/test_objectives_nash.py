"""General preferences: losses against the exact updates, exact updates against Nash policies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize, root

from alignment.objectives import dno, dpo, egpo, games, inpo, ipo, nash_md, sppo
from alignment.objectives.nash import geometric_mixture, win_rates

from .numbers import LOG2, batch, one, pair, trl_loss

#: Rock, paper, scissors with unequal wins: no answer beats both others, the Nash policy is mixed.
CYCLE = np.array([[0.5, 0.9, 0.2], [0.1, 0.5, 0.7], [0.8, 0.3, 0.5]])
REF = np.array([0.5, 0.3, 0.2])
LAST = np.array([0.2, 0.3, 0.5])


def nash_by_linear_programming(p: np.ndarray) -> np.ndarray:
    n = len(p)
    # max v with p.T pi >= v, pi on the simplex.
    result = linprog(
        [*np.zeros(n), -1.0],
        A_ub=np.c_[-p.T, np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=[[*np.ones(n), 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    return result.x[:n]


def nash_of_the_regularised_game(p: np.ndarray, ref: np.ndarray, beta: float) -> np.ndarray:
    def excess(logits):
        pi = np.exp(logits - logits.max())
        pi /= pi.sum()
        # At the solution log(pi/ref) - P pi / beta is the same for every answer.
        r = np.log(pi / ref) - p @ pi / beta
        return [*(r[1:] - r[:-1]), logits[0]]

    logits = root(excess, np.zeros(len(p)), tol=1e-13).x
    pi = np.exp(logits - logits.max())
    return pi / pi.sum()


# -- losses by hand


def test_losses_of_general_preferences_worked_by_hand():
    chosen, rejected, last_w, last_l = one(-10.0, -21.0, -12.0, -20.0)
    ends = (chosen, rejected, last_w, last_l)
    # h_w = 2, h_l = -1; targets (0.8 - 0.5)/0.1 = 3 and (0.3 - 0.5)/0.1 = -2.
    wins = {"wins_chosen": torch.tensor([0.8]), "wins_rejected": torch.tensor([0.3])}
    assert sppo(*ends, **wins, beta=0.1).item() == pytest.approx((1 + 1) / 2)
    assert sppo(*ends, **wins, beta=0.1, scale="sum").item() == pytest.approx(2.0)
    assert egpo(*ends, **wins, beta=0.1).item() == pytest.approx((3 - 5) ** 2)
    # g = 11 - 0.25 x 8 - 0.75 x 4 = 6 for reference gap 8 and last gap 4.
    ref_w, ref_l, it_w, it_l = one(-12.0, -20.0, -8.0, -12.0)
    options = {"last_chosen": it_w, "last_rejected": it_l, "eta": 0.1, "tau": 0.025}
    assert inpo(chosen, rejected, ref_w, ref_l, **options).item() == pytest.approx(1.0)
    tie = inpo(chosen, rejected, ref_w, ref_l, **options, soft_label=0.5)
    assert tie.item() == pytest.approx(36.0)
    # -(0.8 - 0.5) x -10 + 0.1 x 2^2 / 2.
    assert nash_md(chosen, last_w, wins["wins_chosen"]).item() == pytest.approx(3.0 + 0.2)
    z, p = 0.3, 1 / (1 + np.exp(-0.5))
    want = p * np.log1p(np.exp(-z)) + (1 - p) * np.log1p(np.exp(z))
    assert dno(*ends, **wins).item() == pytest.approx(want)


def test_hard_sppo_equals_trl():
    v = batch()
    got = sppo(*pair(v), beta=0.3, scale="sum")
    assert got.numpy() == pytest.approx(trl_loss("sppo_hard", v, beta=0.3), rel=1e-4)
    with pytest.raises(ValueError, match="unknown scale"):
        sppo(*pair(v), scale="twice")


def test_inpo_with_tau_equal_to_eta_is_ipo():
    v = batch()
    last = {k: v[k] for k in ("last_chosen", "last_rejected")}
    got = inpo(*pair(v), **last, eta=0.2, tau=0.2, soft_label=v["soft_label"])
    want = ipo(*pair(v), tau=0.2, soft_label=v["soft_label"])
    assert got.numpy() == pytest.approx(want.numpy())


def test_practical_dno_is_dpo_on_pairs_of_a_large_gap():
    v = batch()
    wins = {k: v[k] for k in ("wins_chosen", "wins_rejected")}
    got = dno(*pair(v), **wins, form="hard", min_gap=0.1)
    keep = (wins["wins_chosen"] - wins["wins_rejected"]) >= 0.1
    assert 0 < keep.sum() < 7
    assert got[keep].numpy() == pytest.approx(dpo(*pair(v))[keep].numpy())
    assert (got[~keep] == 0).all()
    equal = dict.fromkeys(wins, v["wins"])
    assert dno(*pair(v)[:2], *pair(v)[:2], **equal).numpy() == pytest.approx(LOG2)
    with pytest.raises(ValueError, match="unknown form"):
        dno(*pair(v), **wins, form="x")


def test_win_rates_of_a_group_by_hand():
    p = torch.tensor(CYCLE)[None]
    assert win_rates(p)[0].tolist() == pytest.approx([0.55, 0.4, 0.55])
    weights = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64)
    assert win_rates(p, weights)[0].numpy() == pytest.approx(CYCLE @ weights[0].numpy())


def test_the_geometric_mixture_lies_between_both_policies():
    logits = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64)
    ref = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    assert torch.allclose(geometric_mixture(logits, ref, 0.0), logits.log_softmax(1))
    assert torch.allclose(geometric_mixture(logits, ref, 1.0), ref.log_softmax(1))
    half = geometric_mixture(logits, ref).exp()[0].numpy()
    want = np.sqrt(logits.softmax(1)[0].numpy() * ref.softmax(1)[0].numpy())
    assert half == pytest.approx(want / want.sum())


# -- losses lead to the exact updates


def every_pair(pi: np.ndarray):
    """Indices of all ordered pairs of answers and the probability of drawing them from pi."""
    i, j = np.divmod(np.arange(9), 3)
    return i, j, pi[i] * pi[j]


def minimise(loss, start: np.ndarray) -> np.ndarray:
    """The tabular policy of least loss, by L-BFGS on its logits."""
    logits = torch.tensor(np.log(start), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value = loss(logits.log_softmax(0))
        value.backward()
        return value

    optimiser.step(closure)
    return logits.detach().softmax(0).numpy()


def logs(policy: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.log(policy))


@pytest.mark.parametrize("method", ["inpo", "sppo", "dno", "egpo"])
def test_the_least_expected_loss_is_at_the_exact_update(method):
    i, j, weight = every_pair(LAST)
    weight = torch.tensor(weight)
    last, ref = logs(LAST), logs(REF)
    wins = torch.tensor(CYCLE @ LAST)
    given = {"wins_chosen": wins[i], "wins_rejected": wins[j]}

    def loss(logp):
        ends = (logp[i], logp[j])
        if method == "inpo":
            label = torch.tensor(CYCLE[i, j])
            at = {"last_chosen": last[i], "last_rejected": last[j], "soft_label": label}
            losses = inpo(*ends, ref[i], ref[j], **at, eta=0.5, tau=0.2)
        elif method == "sppo":
            # The paper's normaliser is 1/2; the exact one keeps the target a distribution.
            losses = sppo(*ends, last[i], last[j], **given, beta=0.5)
        elif method == "dno":
            losses = dno(*ends, last[i], last[j], **given, beta=0.5)
        else:
            losses = egpo(*ends, ref[i], ref[j], **given, beta=0.5)
        return (weight * losses).sum()

    got = minimise(loss, LAST)
    want = {
        "inpo": games.inpo_step(CYCLE, LAST, REF, 0.2, 2.0),
        "sppo": games.sppo_step(CYCLE, LAST, REF, 0.0, 2.0),
        "dno": games.sppo_step(CYCLE, LAST, REF, 0.0, 2.0),
        "egpo": games.tilt((REF, 1.0), by=2.0 * CYCLE @ LAST),
    }[method]
    assert got == pytest.approx(want, abs=2e-2 if method == "sppo" else 1e-5)


def test_the_expected_gradient_of_nash_md_is_that_of_the_regularised_game():
    logits = torch.tensor([0.2, -0.5, 0.4], dtype=torch.float64, requires_grad=True)
    p, ref, mixture = torch.tensor(CYCLE), logs(REF), torch.tensor(LAST)
    logp = logits.log_softmax(0)
    value = -(logp.exp() @ p @ mixture) + 0.3 * (logp.exp() * (logp - ref)).sum()
    want = torch.autograd.grad(value, logits, retain_graph=True)[0]
    loss = nash_md(logp, ref, p @ mixture, beta=0.3)
    got = torch.autograd.grad((logp.exp().detach() * loss).sum(), logits)[0]
    assert got.numpy() == pytest.approx(want.numpy())


def test_an_extragradient_step_is_two_gradient_steps_of_online_ipo_on_logits():
    # Uniform y and y': one gradient of the loss moves the logits of a table by lr x the update of
    # the paper, up to a constant.
    beta, lr, n = 0.4, 0.5, 3
    i, j = np.divmod(np.arange(9), 3)

    def step(at: np.ndarray, opponent: np.ndarray) -> np.ndarray:
        theta = torch.tensor(np.log(at), requires_grad=True)
        wins = torch.tensor(CYCLE @ opponent)
        ref = logs(REF)
        given = {"wins_chosen": wins[i], "wins_rejected": wins[j]}
        egpo(theta[i], theta[j], ref[i], ref[j], beta=beta, **given).mean().backward()
        moved = np.log(at) - lr * beta * n / 4 * theta.grad.numpy()
        return np.exp(moved) / np.exp(moved).sum()

    half = step(LAST, LAST)
    assert half == pytest.approx(games.inpo_step(CYCLE, LAST, REF, beta, lr))
    assert step(LAST, half) == pytest.approx(games.egpo_step(CYCLE, LAST, REF, beta, lr))


def best_of_a_proximal_problem(*terms: tuple[np.ndarray, float], payoff: np.ndarray):
    """argmax of payoff.pi - sum of weight x KL(pi, anchor), by a general solver on logits."""

    def loss(logits):
        pi = np.exp(logits - logits.max())
        pi /= pi.sum()
        return -payoff @ pi + sum(w * (pi * np.log(pi / anchor)).sum() for anchor, w in terms)

    logits = minimize(loss, np.zeros(len(payoff)), method="BFGS", options={"gtol": 1e-9}).x
    pi = np.exp(logits - logits.max())
    return pi / pi.sum()


def test_every_exact_step_solves_its_proximal_problem():
    beta, lr = 0.3, 0.8
    args = (CYCLE, LAST, REF, beta, lr)
    mixture = games.tilt((LAST, 1 - beta * lr), (REF, beta * lr))
    want = best_of_a_proximal_problem((mixture, 1 / lr), payoff=CYCLE @ mixture)
    assert games.nash_md_step(*args) == pytest.approx(want, abs=1e-6)
    near = ((REF, beta), (LAST, 1 / lr - beta))
    want = best_of_a_proximal_problem(*near, payoff=CYCLE @ LAST)
    assert games.inpo_step(*args) == pytest.approx(want, abs=1e-6)
    want = best_of_a_proximal_problem(*near, payoff=CYCLE @ want)
    assert games.egpo_step(*args) == pytest.approx(want, abs=1e-6)
    near = ((REF, beta), (LAST, 1 / lr))
    half = best_of_a_proximal_problem(*near, payoff=CYCLE @ LAST)
    want = best_of_a_proximal_problem(*near, payoff=CYCLE @ half)
    assert games.nash_mp_step(*args) == pytest.approx(want, abs=1e-6)


# -- exact updates reach the Nash policy


@pytest.mark.parametrize("method", ["nash_md", "inpo", "egpo", "nash_mp"])
def test_the_last_iterate_is_the_nash_policy_of_the_regularised_game(method):
    want = nash_of_the_regularised_game(CYCLE, REF, 0.3)
    last, _ = games.iterate(CYCLE, method, steps=3000, lr=0.05, beta=0.3, ref=REF)
    assert np.abs(last - want).max() < 1e-3
    # It is not where it began, and it is not the answer that wins most often.
    assert np.abs(REF - want).max() > 0.02


@pytest.mark.parametrize("method", ["nash_md", "inpo", "egpo", "nash_mp"])
def test_with_a_refreshed_reference_the_last_iterate_is_the_nash_policy_itself(method):
    want = nash_by_linear_programming(CYCLE)
    last, _ = games.iterate(CYCLE, method, steps=9000, lr=0.1, beta=0.3, ref=REF, refresh=150)
    assert np.abs(last - want).max() < 1e-3
    assert games.exploitability(CYCLE, last) < 1e-3
    assert games.exploitability(CYCLE, REF) > 0.05


def test_without_regularisation_the_last_iterate_circles_and_the_average_converges():
    want = nash_by_linear_programming(CYCLE)
    last, mean = games.iterate(CYCLE, "sppo", steps=40000, lr=0.01, ref=REF)
    assert np.abs(mean - want).max() < 5e-3
    assert np.abs(last - want).max() > 0.05
    extra, _ = games.iterate(CYCLE, "egpo", steps=4000, lr=0.5, ref=REF)
    assert np.abs(extra - want).max() < 1e-3


def test_a_transitive_preference_has_its_winner_as_nash_policy():
    r = np.array([0.0, 1.0, 3.0])
    p = 1 / (1 + np.exp(-(r[:, None] - r[None])))
    last, _ = games.iterate(p, "egpo", steps=2000, lr=1.0)
    assert last[2] > 0.999


def test_a_matrix_that_is_no_preference_and_an_unknown_method_are_refused():
    with pytest.raises(ValueError, match=r"P \+ P.T = 1"):
        games.check(np.array([[0.5, 0.9], [0.2, 0.5]]))
    with pytest.raises(ValueError, match="unknown method"):
        games.iterate(CYCLE, "newton", steps=1, lr=0.1)
