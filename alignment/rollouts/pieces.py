"""Parts of sampling and reinforcement learning, by row of the method catalogue. Loads no torch."""

from __future__ import annotations

from alignment.objectives.declare import Piece

PIECES = (
    Piece(
        "L1",
        "alignment.rollouts.policy_gradient.ppo",
        "arXiv 1707.06347 eq. 7; arXiv 2307.04964",
        "TRL 1.16 grpo_trainer; exact gradient on a bandit",
    ),
    Piece("L1", "alignment.rollouts.policy_gradient.clipped", "arXiv 1707.06347 eq. 7", "by hand"),
    Piece(
        "L1",
        "alignment.rollouts.policy_gradient.value_loss",
        "arXiv 2307.04964 section 5.3.2",
        "by hand",
    ),
    Piece(
        "L1",
        "alignment.rollouts.advantages.gae",
        "arXiv 1506.02438 eq. 16",
        "returns at lambda 1, TD error at 0",
    ),
    Piece(
        "L1",
        "alignment.rollouts.advantages.token_rewards",
        "arXiv 2307.04964 section 5.1",
        "by hand",
    ),
    Piece(
        "L1",
        "alignment.rollouts.policy_gradient.engine_weights",
        "truncated importance sampling, Ionides 2008",
        "TRL 1.16 grpo_trainer; exact gradient on a bandit",
    ),
    Piece(
        "L2",
        "alignment.rollouts.advantages.rloo",
        "arXiv 2402.14740 eq. 8",
        "TRL 1.16 rloo_trainer; exact gradient on a bandit",
    ),
    Piece(
        "L2",
        "alignment.rollouts.advantages.grpo",
        "arXiv 2402.03300 eq. 3; arXiv 2503.20783",
        "TRL 1.16 nanstd",
    ),
    Piece(
        "L2",
        "alignment.rollouts.advantages.remax",
        "arXiv 2310.10505 eq. 7",
        "exact gradient on a bandit",
    ),
    Piece("L2", "alignment.rollouts.advantages.leave_signal", "arXiv 2503.14476 eq. 11", "by hand"),
    Piece(
        "L2",
        "alignment.rollouts.policy_gradient.aggregate",
        "arXiv 2402.03300, 2503.14476, 2503.20783",
        "TRL 1.16 grpo_trainer (grpo, bnpo, dr_grpo)",
    ),
    Piece(
        "L3",
        "alignment.rollouts.policy_gradient.p3o",
        "arXiv 2310.00212",
        "exact gradient on a bandit, with and without a shift",
    ),
    Piece("L3", "alignment.rollouts.advantages.pairwise", "differences of win rates", "by hand"),
    Piece(
        "L6", "alignment.rollouts.selection.filter_ranked", "arXiv 2409.06957 section 3", "by hand"
    ),
    Piece(
        "L6",
        "alignment.rollouts.selection.r_squared",
        "arXiv 2409.06957 section 3.2",
        "numpy polyfit",
    ),
    Piece(
        "L6",
        "alignment.rollouts.selection.choose_filter",
        "arXiv 2409.06957 section 3.2",
        "planted noise in the middle",
    ),
    Piece("L10", "alignment.rollouts.kl.k1", "Schulman 2020", "finite sums over a discrete policy"),
    Piece("L10", "alignment.rollouts.kl.k2", "Schulman 2020", "gradient of the exact KL"),
    Piece("L10", "alignment.rollouts.kl.k3", "Schulman 2020", "finite sums over a discrete policy"),
    Piece(
        "L10",
        "alignment.rollouts.kl.chi_squared",
        "arXiv 2403.03185",
        "finite sums over a discrete policy",
    ),
    Piece("L10", "alignment.rollouts.kl.per_answer", "chain rule", "all answers enumerated"),
    Piece("L10", "alignment.rollouts.kl.KLBudget", "stop rule", "by hand"),
    Piece(
        "P3",
        "alignment.rollouts.selection.rejection_sample",
        "arXiv 2309.06657 alg. 1",
        "acceptance rate and tilted policy of theory",
    ),
    Piece(
        "P3",
        "alignment.rollouts.selection.acceptance_rate",
        "arXiv 2309.06657",
        "normaliser of the tilted policy",
    ),
    Piece(
        "P3", "alignment.rollouts.selection.rso_pairs", "arXiv 2309.06657 section 3.3", "by hand"
    ),
    Piece("P13", "alignment.rollouts.selection.best_of", "arXiv 2304.06767", "by hand"),
    Piece("P13", "alignment.rollouts.selection.top_share", "arXiv 2310.16763", "by hand"),
    Piece(
        "P13",
        "alignment.rollouts.selection.best_of_n_kl",
        "Stiennon et al. 2020 app. G.3",
        "numerical integral",
    ),
    Piece("P13", "alignment.rollouts.conditioning.conditional", "arXiv 2302.08582", "by hand"),
    Piece("P13", "alignment.rollouts.conditioning.hindsight", "arXiv 2302.02676", "by hand"),
    Piece("P13", "alignment.rollouts.conditioning.refinement", "arXiv 2311.10081", "by hand"),
)
