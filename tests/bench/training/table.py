"""Runs both trainers on each row in turn, checks that they compute the same, prints the ratios."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from statistics import median

#: name: size, precision, reference, rows, batch, and the peer's best micro-batch.
ROWS = {
    "S fp32, reference in the loop": ("S", "fp32", "loop", 32, 8, 2),
    "S fp32, reference cached": ("S", "fp32", "cached", 32, 8, 8),
    "S bf16, reference in the loop": ("S", "bf16", "loop", 32, 8, 2),
    "S bf16, reference cached": ("S", "bf16", "cached", 32, 8, 2),
    "M fp32, reference in the loop": ("M", "fp32", "loop", 6, 2, 2),
    "M bf16, reference in the loop": ("M", "bf16", "loop", 6, 2, 2),
    "M bf16, reference cached": ("M", "bf16", "cached", 6, 2, 2),
}


def run(arguments: argparse.Namespace) -> None:
    """The table of the rows whose name holds `--only`."""
    wanted = {name: row for name, row in ROWS.items() if arguments.only in name}
    print(
        "| run | ours, tokens/s | TRL, tokens/s | ratio | ours, MiB | TRL, MiB | loss apart | pad |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="preferendum-bench-") as scratch:
        for name, (size, precision, ref, rows, batch, micro) in wanted.items():
            job = {"size": size, "precision": precision, "ref": ref, "rows": rows, "batch": batch}
            job |= {"micro": micro, "models": f"{scratch}/models", "scratch": f"{scratch}/run"}
            found: dict[str, list[dict]] = {"ours": [], "trl": []}
            for _ in range(arguments.repeats):
                for trainer, runs in found.items():
                    runs.append(_one(job | {"trainer": trainer}, arguments.threads))
            print(_line(name, found), flush=True)


def _one(job: dict, threads: int) -> dict:
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.training.one", json.dumps(job)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        sys.exit(
            f"{job['trainer']} failed on {job['size']}:\n{(done.stderr or done.stdout)[-3000:]}"
        )
    return json.loads(line[len("RESULT ") :])


def _line(name: str, found: dict[str, list[dict]]) -> str:
    speed = {who: median(r["tokens"] / r["wall_s"] for r in runs) for who, runs in found.items()}
    peak = {who: max(r["peak_mib"] for r in runs) for who, runs in found.items()}
    pairs = zip(found["ours"][0]["losses"], found["trl"][0]["losses"], strict=True)
    apart = max(abs(a - b) for a, b in pairs)
    pad = found["trl"][0]["pad_share"]
    others = max(r["others"] for runs in found.values() for r in runs)
    return (
        f"| {name} | {speed['ours']:.0f} | {speed['trl']:.0f} | "
        f"{speed['ours'] / speed['trl']:.2f} | {peak['ours']} | {peak['trl']} | {apart:.4f} | "
        f"{found['ours'][0]['pad_share']:.0%} / {pad:.0%} | (others {others:.0%})"
    )
