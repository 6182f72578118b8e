"""One run in a process of its own: `python -m tests.bench.training.one JOB` prints its figures."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Run the job given as JSON."""
    job = json.loads(sys.argv[1])
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    from tests.bench.training import ours, peer, workload
    from tests.bench.training.meter import Meter

    folder = workload.make(Path(job["models"]), job["size"])
    made = workload.rows(job["size"], min(job["rows"], 64), job["k"])
    made = workload.in_order(made, job["batch"])
    found: dict = {"tokens": sum(r.tokens for r in made), "prompts": len(made)}
    if job["what"] == "growth":
        found |= ours.growth(folder, made, job, Meter())
    else:
        run = ours.run if job["trainer"] == "ours" else peer.run
        found |= run(folder, made, job, Meter())
    print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
