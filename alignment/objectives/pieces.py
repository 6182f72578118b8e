"""Parts of methods that are not losses of the registry. Loads no torch."""

from __future__ import annotations

from alignment.objectives.declare import Piece

PIECES = (
    Piece("P1", "alignment.objectives.variants.soft_label_from_gap", "logistic link", "by hand"),
    Piece("P1", "alignment.objectives.variants.wpo_weights", "arXiv 2406.11827", "by hand"),
    Piece("P1", "alignment.objectives.variants.length_desensitised", "arXiv 2409.06411", "by hand"),
    Piece(
        "P5",
        "alignment.objectives.unpaired.mismatched_kl",
        "arXiv 2402.01306 section 4.1",
        "by hand",
    ),
    Piece("P5", "alignment.objectives.unpaired.balance", "arXiv 2402.01306 section 4.3", "by hand"),
    Piece(
        "P7", "alignment.objectives.degree.contrast_rewards", "after arXiv 2412.02685", "by hand"
    ),
    Piece(
        "P8",
        "alignment.objectives.listwise.plackett_luce",
        "Plackett 1975",
        "choix 0.4.1; all orders of the ties enumerated",
    ),
    Piece(
        "P13", "alignment.objectives.supervised.superhf_exact", "arXiv 2310.16763", "torch kl_div"
    ),
    Piece(
        "P13", "alignment.objectives.supervised.pit_gap_loss", "after arXiv 2310.00898", "by hand"
    ),
    Piece("P13", "alignment.objectives.supervised.pit_reward", "after arXiv 2310.00898", "by hand"),
    Piece(
        "N1",
        "alignment.objectives.nash.geometric_mixture",
        "arXiv 2312.00886 section 4",
        "geometric mean of both policies",
    ),
    Piece("N1", "alignment.objectives.nash.win_rates", "arXiv 2401.04056 alg. 1", "by hand"),
    Piece(
        "N1",
        "alignment.objectives.games.nash_md_step",
        "arXiv 2312.00886 eq. 6",
        "scipy.optimize.root and linprog",
    ),
    Piece(
        "N1",
        "alignment.objectives.games.inpo_step",
        "arXiv 2407.00617",
        "scipy.optimize.root and linprog",
    ),
    Piece(
        "N1",
        "alignment.objectives.games.egpo_step",
        "arXiv 2503.08942",
        "scipy.optimize.root and linprog; two gradient steps",
    ),
    Piece(
        "N1",
        "alignment.objectives.games.nash_mp_step",
        "arXiv 2505.19731",
        "scipy.optimize.root and linprog",
    ),
    Piece(
        "N1",
        "alignment.objectives.games.sppo_step",
        "arXiv 2405.00675 eq. 4.2",
        "scipy.optimize.linprog (average policy)",
    ),
    Piece(
        "N1",
        "alignment.objectives.games.iterate",
        "refreshed reference: arXiv 2410.23223",
        "scipy.optimize.root and linprog",
    ),
    Piece(
        "N1",
        "alignment.objectives.games.exploitability",
        "max_i P(i > pi) - 1/2",
        "0 at the policy of linprog",
    ),
    Piece("M1", "alignment.objectives.multi.mix_heads", "mixed logits of the heads", "by hand"),
    Piece("M2", "alignment.objectives.multi.direction", "arXiv 2402.18571 section 3.1", "by hand"),
    Piece("M2", "alignment.objectives.multi.direction_prompt", "arXiv 2402.18571", "by hand"),
    Piece(
        "M2",
        "alignment.objectives.multi.select_along",
        "arXiv 2402.18571 section 3.2",
        "best of each reward alone at both ends",
    ),
    Piece(
        "M3",
        "alignment.objectives.multi.min_norm_weights",
        "Desideri 2012",
        "scipy.optimize.minimize (SLSQP)",
    ),
    Piece("M3", "alignment.objectives.multi.noon_advantages", "arXiv 2508.07768", "by hand"),
    Piece(
        "M5",
        "alignment.objectives.multi.constrained_reward",
        "arXiv 2310.04373 section 4",
        "saddle point of a quadratic by hand",
    ),
    Piece(
        "M5",
        "alignment.objectives.multi.update_multipliers",
        "arXiv 2310.04373 section 4",
        "saddle point of a quadratic by hand",
    ),
)
