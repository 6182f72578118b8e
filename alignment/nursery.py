"""Starts trainers at once: reads the libraries one time, then forks a process for each folder.

    python -m alignment.nursery

A line in: a run folder. Two lines out for it: `{"pid": 123}` when its trainer has begun, and
`{"code": 0}` when it has ended (minus the signal's number if one killed it). One at a time. Each
trainer is a process and a session of its own, ends when the nursery ends, and prints to
`trainer.log` in its folder; it is the same program as `python -m alignment.trainer FOLDER`.
Most of a short run is reading libraries (7 of 8 seconds for a small policy on one core), and a
round has six of them. Not for CUDA, which does not survive a fork. Reads no Django.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path

from config.embedded.processes import dies_with_parent

#: Without work for so long it ends, and gives its memory back.
IDLE_SECONDS = 120

LIBRARIES = (
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.bert.modeling_bert",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "alignment.trainer.reward_task",
    "alignment.trainer.sample_task",
    "alignment.trainer.policy_task",
    "alignment.trainer.evaluate_task",
)


def main() -> int:
    """Serve folders from standard input until it closes or nothing comes for a while."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # the trainer itself will say what it lacks
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that children share these pages instead of copying them
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], IDLE_SECONDS)
        line = sys.stdin.readline() if ready else ""
        if not line:
            return 0
        pid = _start(Path(line.rstrip("\n")))
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"code": os.waitstatus_to_exitcode(status)})


def _start(folder: Path) -> int:
    die = dies_with_parent(signal.SIGTERM)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        die()
        log = os.open(folder / "trainer.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        from alignment.trainer.__main__ import execute

        code = execute(folder, listen=True)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _say(answer: dict) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
