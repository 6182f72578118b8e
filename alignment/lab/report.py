"""What the lab found, for eyes and for programs: tables, plots and one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alignment.lab.claims.base import Claim, Finding, Record, verdict
from alignment.lab.store import key

Result = dict[str, Any]


def result(claim: Claim, records: Sequence[Record]) -> Result:
    """Everything about a claim's run, as JSON holds it."""
    findings = claim.judge(claim.config, records)
    return {
        "claim": claim.name,
        "rows": claim.rows,
        "says": claim.says,
        "note": claim.note,
        "verdict": verdict(findings),
        "seeds": len(records),
        "seconds": round(sum(r.get("seconds", 0.0) for r in records), 1),
        "config": claim.settings(),
        "key": key(claim),
        "findings": [_finding(f) for f in findings],
        "records": list(records),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    mean, low, high = finding.interval
    return {
        "what": finding.what,
        "mean": mean,
        "interval": [low, high],
        "values": [float(v) for v in np.asarray(finding.values)],
        "above": finding.above,
        "below": finding.below,
        "holds": finding.holds if finding.judged else None,
    }


def summary(result: Result) -> str:
    """The verdict and the judged findings, for the terminal."""
    lines = [f"{result['claim']}: {result['verdict']}. {result['says']}"]
    for f in result["findings"]:
        if f["holds"] is not None:
            lines.append(f"    {'yes' if f['holds'] else 'no ':4}{f['what']}: {number(f)}")
    return "\n".join(lines)


def number(finding: dict[str, Any]) -> str:
    """Mean and interval."""
    low, high = finding["interval"]
    return f"{_short(finding['mean'])} [{_short(low)}, {_short(high)}]"


def _short(value: float) -> str:
    if value and abs(value) < 5e-3:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def needs(finding: dict[str, Any]) -> str:
    """The bound the interval must keep, and whether it does."""
    if finding["holds"] is None:
        return ""
    bounds = [
        f"{sign} {finding[side]:g}"
        for side, sign in (("above", ">"), ("below", "<"))
        if finding[side] is not None
    ]
    return f"{' and '.join(bounds)}: {'yes' if finding['holds'] else 'no'}"


def digest(results: Sequence[Result]) -> list[str]:
    """Every claim in a row: its verdict and the numbers that decided it."""
    lines = [
        "| claim | row | verdict | mean and 95 % interval over seeds | seeds | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        numbers = [
            f"{f['what']}: {number(f)}{'' if f['holds'] else ' (does not hold)'}"
            for f in r["findings"]
            if f["holds"] is not None
        ]
        lines.append(
            f"| {r['says']} (`{r['claim']}`) | {r['rows']} | **{r['verdict']}** | "
            f"{'<br>'.join(numbers)} | {r['seeds']} | {r['seconds']:.0f} |"
        )
    return lines


def markdown(results: Sequence[Result]) -> str:
    """The digest, then every number of every claim."""
    lines = digest(results)
    for r in results:
        lines += ["", f"### {r['claim']}", "", r["says"] + (f" {r['note']}" if r["note"] else "")]
        lines += ["", f"![{r['claim']}]({r['claim']}.svg)", ""]
        lines += ["| measure | mean and 95 % interval over seeds | must be |", "|---|---|---|"]
        lines += [f"| {f['what']} | {number(f)} | {needs(f)} |" for f in r["findings"]]
    return "\n".join(lines) + "\n"


def save(results: Sequence[Result], folder: Path) -> list[Result]:
    """Write results.json and results.md; claims that were not run this time keep their place.
    Returns all that was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    try:
        known = {r["claim"]: r for r in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError):
        known = {}
    known |= {r["claim"]: r for r in results}
    every = list(known.values())
    path.write_text(json.dumps(every, indent=1), encoding="utf-8")
    (folder / "results.md").write_text(markdown(every), encoding="utf-8")
    return every


STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "figure.dpi": 130,
    "svg.hashsalt": "lab",
}


def plot(claim: Claim, records: Sequence[Record], folder: Path) -> list[Path]:
    """Draw the claim as SVG and PNG: means with 95 % intervals over the seeds."""
    return _pictures([(claim, records)], 1, folder, claim.name)


def overview(results: Sequence[Result], claims: Mapping[str, Claim], folder: Path) -> list[Path]:
    """Draw every claim of `results` side by side; those run with another configuration or code
    than today's are left out.
    """
    known = [
        (claims[r["claim"]], r["records"])
        for r in results
        if r["claim"] in claims and r["key"] == key(claims[r["claim"]])
    ]
    return _pictures(known, 3, folder, "overview")


def _pictures(
    shown: Sequence[tuple[Claim, Sequence[Record]]], across: int, folder: Path, name: str
) -> list[Path]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for kind in ("svg", "png")]
    across = min(across, len(shown))
    down = -(-len(shown) // across)
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            down, across, figsize=(5.6 * across, 3.8 * down), layout="constrained", squeeze=False
        )
        for axes in grid.flat[len(shown) :]:
            axes.axis("off")
        for axes, (claim, records) in zip(grid.flat, shown, strict=False):
            claim.draw(axes, claim.config, records)
            axes.set_title(claim.name, loc="left", fontweight="bold")
            if axes.get_legend_handles_labels()[1]:
                axes.legend(frameon=False, fontsize=8)
        for path in paths:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)
    return paths
