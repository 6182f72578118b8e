"""A simulation's report for eyes: a table per round and plots as PNG."""

from __future__ import annotations

from pathlib import Path

COLUMNS = (
    ("round", 7),
    ("model", 12),
    ("judgments", 11),
    ("reactions", 11),
    ("reward model", 14),
    ("gold reward", 24),
    ("win rate", 23),
    ("KL", 7),
    ("tokens", 8),
)


def table(report: dict) -> str:
    """The rounds of a report as text, the control below them."""
    lines = ["".join(f"{name:<{width}}" for name, width in COLUMNS).rstrip()]
    first = report.get("first")
    if first:
        low, high = first["gold_ci"]
        gold = _interval(first["gold_mean"], low, high)
        tokens = f"{first['mean_tokens']:.1f}"
        lines.append(_line("first", "", "", "", "", gold, "", "", tokens))
    lines += [_row(row) for row in report["rounds"]]
    who = "At random" if report.get("at_random") else "With their taste"
    lines.append(gain_sentence(who, report["rounds"]))
    control = report.get("control") or {}
    if control.get("rounds"):
        lines += ["", "People who answer at random:"]
        lines += [_row(row) for row in control["rounds"]]
        lines.append(gain_sentence("At random", control["rounds"]))
    return "\n".join(lines)


def gain_sentence(who: str, rows: list[dict]) -> str:
    """How far the mean gold reward rose from the first to the last policy."""
    low, high = rows[-1]["gain_ci"]
    if low > 0:
        word = "rises"
    elif high < 0:
        word = "falls"
    else:
        word = "does not rise"
    return (
        f"{who} the mean gold reward {word}: {rows[-1]['gain']:+.3f}, "
        f"95 % interval {low:+.3f} to {high:+.3f}, paired by prompt."
    )


def _interval(value: float, low: float, high: float, form: str = "+.3f") -> str:
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _row(row: dict) -> str:
    accuracy = row["rm_accuracy"]
    return _line(
        str(row["round"]),
        row["model"],
        str(row["judgments"]),
        str(row["reactions"]),
        "-" if accuracy is None else f"{accuracy:.3f}",
        _interval(row["gold_mean"], *row["gold_ci"]),
        _interval(row["win_rate"], *row["win_rate_ci"], ".3f"),
        f"{row['kl']:.1f}",
        f"{row['mean_tokens']:.1f}",
    )


def _line(*cells: str) -> str:
    padded = (f"{cell:<{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))
    return "".join(padded).rstrip()


def plot(report: dict, folder: Path) -> list[Path]:
    """Draw the report into `folder`: one overview and one picture for each measure."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    style = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e4e4e4",
        "axes.axisbelow": True,
        "figure.dpi": 130,
    }
    pictures = []
    with mpl.rc_context(style):
        for name, draw in _PANELS.items():
            figure, axes = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
            draw(axes, report)
            pictures.append(folder / f"{name}.png")
            figure.savefig(pictures[-1])
            plt.close(figure)
        figure, grid = plt.subplots(2, 3, figsize=(13, 7.2), layout="constrained")
        for axes, draw in zip(grid.flat, _PANELS.values(), strict=False):
            draw(axes, report)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        grid.flat[-1].axis("off")
        grid.flat[-1].legend(handles, labels, loc="center", frameon=False, fontsize=11)
        for axes in grid.flat[:-1]:
            if axes.get_legend():
                axes.get_legend().remove()
        pictures.append(folder / "overview.png")
        figure.savefig(pictures[-1])
        plt.close(figure)
    return pictures


_ARMS = (("people with a taste", "#0b6e4f", "o"), ("people answering at random", "#b3541e", "s"))


def _arms(report: dict):
    own = _ARMS[1] if report.get("at_random") else _ARMS[0]
    yield report["rounds"], report.get("first"), *own
    control = report.get("control") or {}
    if control.get("rounds"):
        yield control["rounds"], control.get("first"), *_ARMS[1]


def _draw(axes, report: dict, key: str, title: str, label: str, start: str | float | None) -> None:
    """One measure by round; `start` is its value for the first policy, or the key of that."""
    ticks: set[int] = set()
    for rows, first, name, colour, marker in _arms(report):
        rounds = [row["round"] for row in rows]
        values = [row[key] for row in rows]
        bands = [row.get(key.removesuffix("_mean") + "_ci") for row in rows]
        at_first = first.get(start) if isinstance(start, str) and first else start
        if at_first is not None and not isinstance(at_first, str):
            rounds, values = [0, *rounds], [at_first, *values]
            band = first.get("gold_ci") if key == "gold_mean" and first else None
            bands = [band or [at_first, at_first], *bands]
        known = [(x, y, b) for x, y, b in zip(rounds, values, bands, strict=True) if y is not None]
        if not known:
            continue
        xs, ys, bs = zip(*known, strict=True)
        axes.plot(xs, ys, color=colour, marker=marker, label=name)
        if all(bs):
            lows, highs = zip(*bs, strict=True)
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
        ticks |= set(xs)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xticks(sorted(ticks), ["first" if tick == 0 else str(tick) for tick in sorted(ticks)])
    axes.set_xlabel("round")
    axes.set_ylabel(label)
    axes.legend(frameon=False, fontsize=8)


def _gold(axes, report: dict) -> None:
    _draw(axes, report, "gold_mean", "Gold reward", "mean on held-out prompts", "gold_mean")


def _win_rate(axes, report: dict) -> None:
    axes.axhline(0.5, color="#888888", linewidth=1, linestyle="--")
    _draw(axes, report, "win_rate", "Win rate over the first policy", "by gold reward", 0.5)
    axes.set_ylim(0.3, 1.0)


def _accuracy(axes, report: dict) -> None:
    axes.axhline(0.5, color="#888888", linewidth=1, linestyle="--")
    title = "Reward model's accuracy"
    _draw(axes, report, "rm_accuracy", title, "on held-out judgments", None)
    axes.set_ylim(0.3, 1.0)


def _kl(axes, report: dict) -> None:
    _draw(axes, report, "kl", "KL to the first policy", "nats an answer", 0.0)
    axes.set_ylim(bottom=0)


def _tokens(axes, report: dict) -> None:
    _draw(axes, report, "mean_tokens", "Length", "mean tokens an answer", "mean_tokens")
    axes.set_ylim(bottom=0)


_PANELS = {
    "gold": _gold,
    "win_rate": _win_rate,
    "reward_model": _accuracy,
    "kl": _kl,
    "length": _tokens,
}
