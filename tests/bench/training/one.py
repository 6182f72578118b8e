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
    made = workload.rows(job["size"], job["rows"], job.get("k", 2))
    made = workload.in_order(made, job["batch"])
    trainer = {"ours": ours, "trl": peer}[job["trainer"]]
    found = trainer.dpo(folder, made, job, Meter())
    found |= {"tokens": sum(r.tokens for r in made), "params": workload.parameters(folder)}
    print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
