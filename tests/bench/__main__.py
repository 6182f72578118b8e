"""`python -m tests.bench PART ... [options]`: run benchmarks by name, one JSON object a run.

Parts: annotation (the labelling loop), queue-size (10 thousand tasks beside a million), export
(many judgments, and the memory it takes), reward-models (published pairs beside baselines),
training (our trainer beside TRL on the same rows).
"""

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    """Parse the command line and run the parts in the order named."""
    from tests.bench import annotation, scale

    parts = {
        "reward-models": reward_models,
        "training": training,
        "annotation": annotation.run,
        "queue-size": scale.queue_size,
        "export": scale.export,
    }
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m tests.bench annotation --people 10 --seconds 30",
    )
    parser.add_argument("parts", nargs="+", choices=list(parts), metavar="PART")
    parser.add_argument("--people", default="1,10,50", help="annotators at once, one run each")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks imported for each run")
    parser.add_argument("--seconds", type=float, default=20, help="measured time of each run")
    parser.add_argument("--warm", type=float, default=3, help="time before it that is not measured")
    parser.add_argument("--login", choices=("key", "session"), default="key")
    parser.add_argument("--door", choices=("rest", "page"), default="rest")
    parser.add_argument("--joined", action="store_true", help="one request a label (?next=1)")
    parser.add_argument("--sizes", default="10000,1000000", help="tasks, for queue-size")
    parser.add_argument("--judgments", type=int, default=100_000, help="for export")
    parser.add_argument("--data", default="../shared/data", help="for reward-models")
    parser.add_argument("--only", default="", help="for training: rows whose name holds this")
    parser.add_argument("--repeats", type=int, default=3, help="for training")
    parser.add_argument("--threads", type=int, default=1, help="for training")
    parser.add_argument("--out", type=Path, help="keep every run in this JSON file")
    arguments = parser.parse_args()
    results = {name: parts[name](arguments) for name in arguments.parts}
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))
    return 0


def reward_models(arguments) -> list[dict]:
    """The part `reward-models`: its own command, with its own report on standard output."""
    import subprocess

    line = [sys.executable, "-m", "alignment.lab.real_pairs", arguments.data]
    return [{"status": subprocess.run(line, check=True).returncode}]


def training(arguments) -> None:
    """The part `training`: a table on standard output."""
    from tests.bench.training import table

    table.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
