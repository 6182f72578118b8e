"""`python -m tests.bench PART ... [options]`: run benchmarks by name, one JSON object a run.

Parts: annotation (the labelling loop, beside Label Studio with --peer), page (the labelling page in
a browser), queue-size (10 thousand tasks beside a million), export (many judgments, and the memory
it takes), crowd (agreement and reliability on published sets beside the reference libraries),
quality (a quality report, by judgments), console (its pages at 1,000 runs and 500 models),
reward-models (published pairs beside baselines), reward-peer (beside TRL), training (our trainer
beside TRL on the same rows), snapshot, feedback (the chat's side: the five parts feedback-gateway,
feedback-sockets, feedback-events, feedback-rollups and feedback-attack one after the other).
"""

import argparse
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

#: What each part runs, under tests.bench; a part is imported when it is asked for.
PARTS = {
    "reward-models": "__main__.reward_models",
    "reward-peer": "reward_models.run",
    "training": "training.table.run",
    "annotation": "annotation.run",
    "crowd": "crowd.run",
    "console": "console.run",
    "quality": "quality.run",
    "page": "page.run",
    "queue-size": "scale.queue_size",
    "export": "scale.export",
    "snapshot": "loop.snapshot",
    "feedback": "feedback.run",
    "feedback-gateway": "feedback.gateway.run",
    "feedback-sockets": "feedback.sockets.run",
    "feedback-events": "feedback.events.run",
    "feedback-attack": "feedback.attack",
    "feedback-rollups": "feedback.rollups.run",
}


def main() -> int:
    """Parse the command line and run the parts in the order named."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m tests.bench annotation --people 10 --seconds 30",
    )
    parser.add_argument("parts", nargs="+", choices=list(PARTS), metavar="PART")
    parser.add_argument("--people", default="1,10,50", help="annotators at once, one run each")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks imported for each run")
    parser.add_argument("--seconds", type=float, default=20, help="measured time of each run")
    parser.add_argument("--warm", type=float, default=3, help="time before it that is not measured")
    parser.add_argument("--login", choices=("key", "session"), default="key")
    parser.add_argument("--door", choices=("rest", "page"), default="rest")
    parser.add_argument("--joined", action="store_true", help="one request a label (?next=1)")
    parser.add_argument("--peer", choices=["label-studio"], help="for annotation: beside it")
    parser.add_argument("--visits", type=int, default=5, help="for page: with an empty cache")
    parser.add_argument("--labels", type=int, default=20, help="for page: on the last visit")
    parser.add_argument("--sizes", default="10000,1000000", help="tasks, for queue-size")
    parser.add_argument("--judgments", type=int, default=100_000, help="for export")
    parser.add_argument("--streams", default="1,8,32", help="for feedback-gateway")
    parser.add_argument("--engines", default="transformers,vllm", help="for feedback-gateway")
    parser.add_argument("--rounds", type=int, default=6, help="for feedback-gateway")
    parser.add_argument("--idle", type=int, default=1000, help="for feedback-sockets")
    parser.add_argument("--active", type=int, default=50, help="for feedback-sockets")
    parser.add_argument("--events", type=int, default=10_000_000, help="for feedback-rollups")
    parser.add_argument("--records", type=int, default=1_000_000, help="for snapshot")
    parser.add_argument("--data", default="../shared/data", help="for reward-models, reward-peer")
    parser.add_argument("--train-pairs", type=int, default=96, help="at most, for reward-peer")
    parser.add_argument("--test-pairs", type=int, default=200, help="at most, for reward-peer")
    parser.add_argument("--only", default="", help="training, reward-peer: names that hold this")
    parser.add_argument("--repeats", type=int, default=3, help="for training")
    parser.add_argument("--threads", type=int, default=1, help="for training")
    parser.add_argument("--out", type=Path, help="keep every run in this JSON file")
    arguments = parser.parse_args()
    results = {name: _part(name)(arguments) for name in arguments.parts}
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))
    return 0


def _part(name: str) -> Callable:
    module, _, function = PARTS[name].rpartition(".")
    return getattr(import_module(f"tests.bench.{module}"), function)


def reward_models(arguments) -> list[dict]:
    """The part `reward-models`: its own command, with its own report on standard output."""
    import subprocess

    line = [sys.executable, "-m", "alignment.lab.real_pairs", arguments.data]
    return [{"status": subprocess.run(line, check=True).returncode}]


if __name__ == "__main__":
    sys.exit(main())
