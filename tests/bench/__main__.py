"""`python -m tests.bench PART ... [options]`: run benchmarks by name, one JSON object a run."""

import argparse
import os
import sys


def main() -> int:
    """Parse the command line and run the parts in the order named."""
    from tests.bench import annotation
    from tests.bench.training import table

    parts = {"annotation": annotation.run, "training": table.run}
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="+", choices=sorted(parts))
    parser.add_argument("--people", default="1,10,50", help="annotators at once, by run")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm", type=float, default=3)
    parser.add_argument("--login", choices=("key", "session"), default="key")
    parser.add_argument("--joined", action="store_true", help="submit with ?next=1")
    parser.add_argument("--only", default="", help="training: rows whose name holds this")
    parser.add_argument("--repeats", type=int, default=1, help="training: runs of each row")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="training")
    arguments = parser.parse_args()
    for name in arguments.parts:
        parts[name](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
