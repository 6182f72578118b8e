"""Runs both trainers on each row in turn, checks that they compute the same, prints the ratios."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from statistics import median

#: Losses of the two trainers may differ by so much, and norms of gradients by such a share.
LOSS_APART, NORM_APART = 2e-3, 0.02
DEFAULTS = "trl-defaults"


@dataclass(frozen=True)
class Line:
    """A row: what is trained on how many prompts, the peer's best micro-batch, the ratio aimed at.

    A row with `defaults` is run at the peer's defaults as well.
    """

    name: str
    size: str
    precision: str = "fp32"
    ref: str = "cached"
    rows: int = 32
    batch: int = 8
    micro: int = 2
    k: int = 2
    what: str = "dpo"
    members: int = 1
    goal: float | None = None
    defaults: bool = False

    @property
    def job(self) -> dict:
        """As the process of a run takes it."""
        keys = ("size", "precision", "ref", "rows", "batch", "micro", "k", "what", "members")
        return {key: getattr(self, key) for key in keys}


M = {"size": "M", "rows": 6, "batch": 2}
LINES = [
    Line("DPO S fp32, reference in the loop", "S", ref="loop", goal=1.9, defaults=True),
    Line("DPO S fp32, reference cached", "S", goal=1.9),
    Line("DPO S bf16, reference in the loop", "S", "bf16", "loop", goal=2.4),
    Line("DPO S bf16, reference cached", "S", "bf16", goal=2.6),
    Line("DPO M fp32, reference in the loop", **M, ref="loop", goal=2.0, defaults=True),
    Line("DPO M fp32, reference cached", **M, goal=2.0),
    Line("DPO M bf16, reference in the loop", **M, precision="bf16", ref="loop", goal=2.7),
    Line("DPO M bf16, reference cached", **M, precision="bf16", goal=3.0),
    Line("Bradley-Terry S fp32", "S", what="reward", goal=2.0, defaults=True),
    Line("Bradley-Terry M fp32", **M, what="reward", goal=2.0),
    Line("rankings K=4 S fp32", "S", ref="loop", rows=5, batch=1, k=4, goal=8.0),
    Line("rankings K=8 S fp32", "S", ref="loop", rows=1, batch=1, k=8, goal=20.0),
]
#: Measured of ours alone.
FIVE = Line("", "S", rows=16, what="reward")
SIZES = (100, 1_000, 10_000, 100_000)


class Differs(Exception):
    """The trainers do not compute the same, so their speeds must not be compared."""


def run(arguments: argparse.Namespace) -> list[dict]:
    """The tables of the rows whose name holds `--only`; every run with its figures."""
    from alignment.trainer.probe import has_bf16_units

    print(
        "| run | unit | ours | TRL best | ratio | by CPU s | goal | TRL defaults | ratio | "
        "ours, MiB | TRL, MiB | loss apart | norm apart | pad, ours / TRL | MFU | overhead | "
        "others |"
    )
    print("|" + "---|" * 17)
    kept: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="preferendum-bench-") as scratch:
        bench = _Bench(arguments, scratch, kept)
        for line in LINES:
            if arguments.only not in line.name:
                continue
            if line.precision == "bf16" and not has_bf16_units():
                print(f"| {line.name} | skipped: this processor has no bf16 products |", flush=True)
                continue
            print(bench.line(line), flush=True)
        if arguments.only in "ensemble":
            bench.ensemble()
        if arguments.only in "growth":
            bench.growth()
    if bench.apart:
        sys.exit("the trainers differ, so nothing is compared: " + "; ".join(bench.apart))
    return kept


class _Bench:
    """Runs jobs and remembers what they gave."""

    def __init__(self, arguments: argparse.Namespace, scratch: str, kept: list[dict]) -> None:
        self.repeats, self.threads = arguments.repeats, arguments.threads
        self.scratch, self.kept = scratch, kept
        self.apart: list[str] = []

    def line(self, line: Line) -> str:
        """One row of the first table."""
        found: dict[str, list[dict]] = {"ours": [], "trl": []}
        for _ in range(self.repeats):
            for trainer, runs in found.items():
                runs.append(self.one(line.job | {"trainer": trainer}, line.name))
        if line.defaults:
            found[DEFAULTS] = [self.one(line.job | {"trainer": DEFAULTS}, line.name)]
        try:
            cells = row_of(line, found)
        except Differs as error:
            self.apart.append(f"{line.name}: {error}")
            return f"| {line.name} | refused: {error} |"
        return f"| {' | '.join(cells)} |"

    def ensemble(self) -> None:
        """One head and five on one trunk."""
        runs: dict[int, list[dict]] = {1: [], 5: []}
        for _ in range(max(3, self.repeats)):
            for members, found in runs.items():
                job = FIVE.job | {"trainer": "ours", "members": members}
                found.append(self.one(job, f"{members} heads"))
        print("\n| on one trunk (S fp32, least of the runs) | wall s | CPU s |\n|---|---|---|")
        least = {n: [min(r[k] for r in f) for k in ("wall_s", "cpu_s")] for n, f in runs.items()}
        for members, (wall, worked) in least.items():
            print(f"| {members} heads | {wall:.2f} | {worked:.2f} |")
        wall, worked = (five / one for one, five in zip(least[1], least[5], strict=True))
        print(f"| five over one (goal at most 1.15) | {wall:.3f} | {worked:.3f} |", flush=True)

    def growth(self) -> None:
        """Eight steps out of epochs of more and more pairs."""
        print("\n| pairs | ms a thousand tokens in a step | s once, before the first step |")
        print("|---|---|---|")
        for size in SIZES:
            job = Line("", "S", rows=size, batch=4, what="growth").job | {"trainer": "ours"}
            got = self.one(job, f"growth {size}")
            each = 1e6 * got["wall_s"] / got["tokens"]
            print(f"| {size} | {each:.0f} | {got['once_s']:.1f} |", flush=True)

    def one(self, job: dict, name: str) -> dict:
        """The figures of one run in a process of its own."""
        job = job | {"models": f"{self.scratch}/models", "scratch": f"{self.scratch}/run"}
        environment = os.environ | {
            "OMP_NUM_THREADS": str(self.threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = [sys.executable, "-W", "ignore", "-m", "tests.bench.training.one"]
        done = subprocess.run(
            [*command, json.dumps(job)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
        if line is None:
            sys.exit(f"{job['trainer']} failed on {name}:\n{(done.stderr or done.stdout)[-3000:]}")
        found = json.loads(line[len("RESULT ") :])
        self.kept.append({"run": name, "trainer": job["trainer"], **found})
        return found


def row_of(line: Line, found: dict[str, list[dict]]) -> list[str]:
    """The cells of a row; `Differs` where losses or gradients of the two are apart."""
    ours, peers = found["ours"][0], found["trl"][0]
    if len(ours["losses"]) != len(peers["losses"]):
        raise Differs(f"{len(ours['losses'])} steps against {len(peers['losses'])}")
    losses = [abs(a - b) for a, b in zip(ours["losses"], peers["losses"], strict=True)]
    norms = [abs(a - b) / max(b, 1e-6) for a, b in zip(ours["norms"], peers["norms"], strict=True)]
    # Narrow numbers round each step's sums in another order. (No number is within a limit if NaN.)
    wide = 1.0 if line.precision == "fp32" else 10.0
    loss, norm = max(losses), max(norms)
    if not all(x <= wide * LOSS_APART for x in losses):
        raise Differs(f"losses {loss:.4f} apart")
    if not all(x <= wide * NORM_APART for x in norms):
        raise Differs(f"norms of gradients {norm:.1%} apart")
    count, unit = ("prompts", "prompts/s") if line.k > 2 else ("tokens", "tokens/s")
    speed = {w: median(r[count] / r["wall_s"] for r in runs) for w, runs in found.items()}
    peak = {w: max(r["peak_mib"] for r in runs) for w, runs in found.items()}
    # On a machine with other work the processor's seconds say more than the clock's.
    worked = {w: median(r["cpu_s"] for r in runs) for w, runs in found.items()}
    plain = speed.get(DEFAULTS)
    others = max(r["others"] for runs in found.values() for r in runs)
    return [
        line.name,
        unit,
        f"{speed['ours']:.4g}",
        f"{speed['trl']:.4g}",
        f"**{speed['ours'] / speed['trl']:.2f}**",
        f"{worked['trl'] / worked['ours']:.2f}",
        "-" if line.goal is None else f"{line.goal:g}",
        "-" if plain is None else f"{plain:.4g}",
        "-" if plain is None else f"{speed['ours'] / plain:.2f}",
        str(peak["ours"]),
        str(peak["trl"]),
        f"{loss:.5f}",
        f"{norm:.2%}",
        f"{_share(ours['pad_share'])} / {_share(peers['pad_share'])}",
        _share(ours["mfu"]),
        f"{ours['overhead']:.1%}",
        f"{others:.0%}",
    ]


def _share(value: float | None) -> str:
    return "padded" if value is None else f"{value:.0%}"
