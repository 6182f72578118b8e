"""Try the claims of the method catalogue on the small language.

    python -m alignment.lab [--only best-of-n lipo] [--seeds 5] [--folder var/lab]

Each finished seed is kept under the folder by the hash of its configuration and of the lab's code,
so a run that was stopped goes on where it was. Ends with results.json, results.md and the plots in
the folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from alignment.lab import report, store
from alignment.lab.claims import CLAIMS
from alignment.lab.claims.base import Claim, Record


def seeds_of(claim: Claim, count: int, folder: Path, bar: tqdm) -> list[Record]:
    """Records of seeds 0 to count - 1, measured now or read from the folder."""
    records = []
    for seed in range(count):
        bar.set_description(f"{claim.name}, seed {seed}")
        record = store.read(folder, claim, seed)
        if record is None:
            started = time.monotonic()
            record = claim.measure(claim.config, seed)
            record |= {"seed": seed, "seconds": round(time.monotonic() - started, 1)}
            store.write(folder, claim, seed, record)
        records.append(record)
        bar.update()
    return records


def main(argv: Sequence[str] | None = None) -> int:
    """Run the claims named on the command line, all of them by default."""
    parser = argparse.ArgumentParser(
        prog="python -m alignment.lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="claims: " + ", ".join(CLAIMS),
    )
    parser.add_argument("--only", nargs="+", choices=list(CLAIMS), default=list(CLAIMS))
    parser.add_argument("--seeds", type=int, default=5, help="runs of each claim, 2 or more")
    parser.add_argument("--folder", type=Path, default=Path("var/lab"))
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error("--seeds must be 2 or more: one run has no interval")
    # The tensors are small: waiting threads would cost more than they bring.
    torch.set_num_threads(1)
    results = []
    with tqdm(total=len(options.only) * options.seeds, unit="run", file=sys.stderr) as bar:
        for name in options.only:
            claim = CLAIMS[name]
            records = seeds_of(claim, options.seeds, options.folder, bar)
            results.append(report.result(claim, records))
            tqdm.write(report.summary(results[-1]), file=sys.stdout)
            report.plot(claim, records, options.folder)
    report.overview(report.save(results, options.folder), CLAIMS, options.folder)
    print(f"Written: results.json, results.md and the plots in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
