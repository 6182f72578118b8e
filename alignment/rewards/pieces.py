"""Parts of reward models and reward processing, by row of the method catalogue. Loads no torch."""

from __future__ import annotations

from alignment.objectives.declare import Piece

PIECES = (
    Piece(
        "R1",
        "alignment.rewards.losses.bradley_terry",
        "Bradley and Terry 1952; arXiv 2203.02155 eq. 1",
        "TRL 1.16 reward_trainer; sklearn LogisticRegression",
    ),
    Piece("R1", "alignment.rewards.losses.weighted_mean", "weights of annotators", "by hand"),
    Piece(
        "R1",
        "alignment.rewards.linear.fit",
        "ridge Bradley-Terry on frozen features",
        "sklearn LogisticRegression",
    ),
    Piece("R2", "alignment.rewards.losses.attribute_mse", "arXiv 2311.09528", "by hand"),
    Piece("R2", "alignment.rewards.gating.fit_ridge", "arXiv 2406.12845 eq. 1", "sklearn Ridge"),
    Piece("R3", "alignment.rewards.losses.strength_loss", "arXiv 2410.01257", "by hand"),
    Piece("R4", "alignment.rewards.losses.ranking", "Plackett 1975", "choix 0.4.1"),
    Piece("R5", "alignment.rewards.gating.Gate", "arXiv 2406.12845", "simplex"),
    Piece("R5", "alignment.rewards.gating.gated_score", "arXiv 2406.12845", "by hand"),
    Piece(
        "R5", "alignment.rewards.gating.decorrelation", "arXiv 2406.12845 eq. 5", "numpy corrcoef"
    ),
    Piece(
        "R6",
        "alignment.rewards.losses.reaction",
        "arXiv 2505.14946",
        "scipy log_expit; rate under biased exposure",
    ),
    Piece(
        "R6",
        "alignment.rewards.calibration.fit_temperature",
        "arXiv 1706.04599 section 4.2",
        "scipy.optimize.minimize_scalar",
    ),
    Piece(
        "R6",
        "alignment.rewards.calibration.fit_isotonic",
        "Ayer et al. 1955",
        "sklearn IsotonicRegression",
    ),
    Piece("R7", "alignment.rewards.segments.span_labels", "arXiv 2306.01693", "sum over segments"),
    Piece("R7", "alignment.rewards.segments.segment_loss", "arXiv 2306.01693", "scipy log_expit"),
    Piece("R7", "alignment.rewards.segments.segment_rewards", "arXiv 2306.01693 eq. 1", "by hand"),
    Piece(
        "R7",
        "alignment.rewards.likelihood.prefix_rewards",
        "arXiv 2404.12358 eq. 7",
        "sum over the answer",
    ),
    Piece(
        "R8", "alignment.rewards.likelihood.yes_no", "arXiv 2509.21319", "exchange of yes and no"
    ),
    Piece("R8", "alignment.rewards.likelihood.yes_no_tokens", "arXiv 2509.21319", "by hand"),
    Piece(
        "R8",
        "alignment.rewards.heads.PrincipleHead",
        "bilinear in answer and principle",
        "verdicts on principles never trained on",
    ),
    Piece("R9", "alignment.rewards.likelihood.follow_up", "arXiv 2409.13948", "by hand"),
    Piece(
        "R12", "alignment.rewards.heads.HeadBank", "one product for M members", "members one by one"
    ),
    Piece(
        "R12",
        "alignment.rewards.heads.RewardHeads",
        "one trunk pass for all heads",
        "trunk calls counted",
    ),
    Piece("R12", "alignment.rewards.losses.combine", "arXiv 2310.02743", "by hand"),
    Piece("R13", "alignment.rewards.losses.preference", "arXiv 2312.00886 section 3", "complement"),
    Piece(
        "R13",
        "alignment.rewards.heads.PreferenceHead",
        "antisymmetric bilinear form",
        "complement; a cycle fitted",
    ),
    Piece(
        "R14",
        "alignment.rewards.pluralistic.fit_mixture",
        "arXiv 2402.08925 alg. 2",
        "linear.fit for one group; planted groups",
    ),
    Piece("R14", "alignment.rewards.pluralistic.mixture_nll", "arXiv 2505.24846", "by hand"),
    Piece(
        "R14",
        "alignment.rewards.pluralistic.responsibilities",
        "arXiv 2402.08925 alg. 2",
        "by hand",
    ),
    Piece("R14", "alignment.rewards.pluralistic.worst_group", "arXiv 2402.08925 eq. 8", "by hand"),
    Piece("R14", "alignment.rewards.pluralistic.ideal_point_reward", "arXiv 2406.08469", "by hand"),
    Piece(
        "R14",
        "alignment.rewards.pluralistic.user_latent_loss",
        "arXiv 2408.10075",
        "torch.distributions.kl_divergence",
    ),
    Piece("R14", "alignment.rewards.heads.MixtureHead", "users or context", "weighted sum"),
    Piece("R15", "alignment.rewards.robust.strength", "arXiv 2401.06080 section 2.1", "by hand"),
    Piece(
        "R15",
        "alignment.rewards.robust.soft_targets",
        "arXiv 2401.06080 section 2.3",
        "planted flips",
    ),
    Piece(
        "R15", "alignment.rewards.robust.adaptive_margin", "arXiv 2401.06080 section 2.4", "by hand"
    ),
    Piece(
        "R15",
        "alignment.rewards.robust.contrastive",
        "arXiv 2104.08821 eq. 1",
        "torch cross_entropy of cosines",
    ),
    Piece(
        "R17",
        "alignment.rewards.likelihood.implicit_reward",
        "arXiv 2305.18290 eq. 5",
        "margin of dpo",
    ),
    Piece(
        "W1",
        "alignment.rewards.processing.log_sigmoid",
        "arXiv 2402.00742 eq. 5",
        "scipy log_expit",
    ),
    Piece(
        "W1", "alignment.rewards.processing.conjunction", "arXiv 2402.00742 section 4", "by hand"
    ),
    Piece("W2", "alignment.rewards.processing.par", "arXiv 2502.18770", "scipy expit"),
    Piece("W3", "alignment.rewards.processing.clip_steps", "arXiv 2410.15115", "by hand"),
    Piece("W3", "alignment.rewards.processing.delta_steps", "arXiv 2410.15115", "telescoping sum"),
    Piece("W3", "alignment.rewards.processing.whiten", "sample moments", "torch mean and std"),
    Piece(
        "W3", "alignment.rewards.processing.renormalise", "moments of reference answers", "by hand"
    ),
    Piece(
        "W3",
        "alignment.rewards.processing.RunningMoments",
        "Chan et al. 1983; arXiv 2307.04964",
        "moments of all batches at once",
    ),
    Piece(
        "W4",
        "alignment.rewards.processing.without_length",
        "least squares within a prompt",
        "numpy polyfit and corrcoef",
    ),
    Piece("W4", "alignment.rewards.processing.length_penalty", "linear", "by hand"),
    Piece(
        "W4",
        "alignment.rewards.losses.length_decorrelated",
        "arXiv 2402.07319 eq. 6 and 7",
        "numpy corrcoef",
    ),
    Piece("W5", "alignment.rewards.processing.weighted", "arXiv 2402.18571", "by hand"),
    Piece("W5", "alignment.rewards.processing.worst", "minimum", "by hand"),
    Piece("W5", "alignment.rewards.processing.above_thresholds", "constraints first", "by hand"),
    Piece("W5", "alignment.rewards.processing.compose", "composition", "by hand"),
)
