"""`python -m alignment.trainer RUN_DIR`: run one task described by RUN_DIR/run.json."""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from alignment.objectives import registry

from .config import load_run
from .context import Context, RunFailed, Stopped
from .files import Progress, write_json
from .rows import check_file
from .schema import FieldError

TASKS = {
    "reward": "reward_task",
    "sample": "sample_task",
    "score": "score_task",
    "policy": "policy_task",
    "evaluate": "evaluate_task",
}
DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 3


def main(argv: list[str] | None = None) -> int:
    """Run the task; the exit code says how it ended (README.md)."""
    parser = argparse.ArgumentParser(
        prog="python -m alignment.trainer",
        description="Run the task described by RUN_DIR/run.json; see alignment/trainer/README.md.",
        epilog="example: python -m alignment.trainer var/runs/42",
    )
    parser.add_argument("run_dir", type=Path, nargs="+", help="folder with run.json and data/")
    parser.add_argument("--check", action="store_true", help="validate run.json and stop")
    parser.add_argument("--force", action="store_true", help="run again although it is done")
    args = parser.parse_args(argv)
    for given in args.run_dir:
        code = _check(given) if args.check else _one(given, args.force)
        if code != DONE:
            return code
    return DONE


def _check(folder: Path) -> int:
    try:
        run = load_run(folder.resolve())
        if run["task"] == "policy":
            objective = registry.get(run["params"]["objective"])
            check_file(objective, run[objective.inputs])
    except FieldError as error:
        print(error, file=sys.stderr)
        return REFUSED
    print(f"{folder}: run.json is valid")
    return DONE


def _one(folder: Path, force: bool) -> int:
    if not folder.is_dir():
        print(f"no such folder: {folder}", file=sys.stderr)
        return REFUSED
    return execute(folder.resolve(), force=force, listen=True)


def execute(folder: Path, force: bool = False, listen: bool = False) -> int:
    """Run the folder's task and write its report; `listen` takes over SIGTERM and SIGINT."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    report_path = folder / "report.json"
    if not force and _status(report_path) == "done":
        if rank == 0:
            print("already done; use --force to run again")
        return DONE
    if rank == 0:
        # A report of an earlier try must not be read as this one's.
        report_path.unlink(missing_ok=True)
    clock = time.monotonic()
    report: dict[str, Any] = {"status": "failed", "reason": None, "task": None, "metrics": {}}
    context: Context | None = None
    code = FAILED
    try:
        run = load_run(folder)
        report["task"] = run["task"]
        bar = listen and sys.stderr.isatty()
        progress = Progress(folder / "progress.jsonl", rank == 0, bar)
        context = Context(folder, run, progress, rank, world)
        if listen:
            context.listen()
        context.progress.write("start", 0, 1, task=run["task"])
        _threads(run["threads"])
        module = importlib.import_module(f"alignment.trainer.{TASKS[run['task']]}")
        _runtime(context)
        report["metrics"] = module.execute(context)
        report.update(status="done", artefact="artefact")
        code = DONE
    except FieldError as error:
        report.update(reason=str(error), field=error.field)
        code = REFUSED
    except Stopped as stop:
        report.update(status="stopped", reason=f"stopped by {stop}; start it again to go on")
        code = STOPPED
    except RunFailed as error:
        report.update(reason=str(error))
    except MemoryError:
        report.update(reason="out of memory: lower params.tokens or params.batch")
    except OSError as error:
        reason = "the disk is full; nothing was published" if error.errno == errno.ENOSPC else error
        report.update(reason=str(reason), trace=traceback.format_exc(limit=6))
    except Exception as error:
        # The last resort: whatever it was, the caller gets a report and not silence.
        report.update(
            reason=f"{type(error).__name__}: {error}", trace=traceback.format_exc(limit=12)
        )
    report["seconds"] = round(time.monotonic() - clock, 3)
    report["finished"] = round(time.time(), 3)
    report["warnings"] = context.warnings if context else []
    report["versions"] = _versions()
    if context is not None:
        if context.resumed_from is not None:
            report["resumed_from_step"] = context.resumed_from
        context.progress.write("end", 1, 1, status=report["status"], reason=report["reason"])
        context.progress.close()
    if rank == 0:
        try:
            write_json(report_path, report)
        except OSError as error:
            print(f"the report could not be written: {error}", file=sys.stderr)
        print(json.dumps({"status": report["status"], "reason": report["reason"]}), flush=True)
    if report["status"] == "failed" and report["reason"]:
        print(report["reason"], file=sys.stderr)
    return code


def _status(path: Path) -> str | None:
    try:
        return json.loads(path.read_text())["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _threads(threads: int | None) -> None:
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    # Waiting threads that spin take the processor from everything else on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _runtime(context: Context) -> None:
    """Seeds, threads, device and, with several processes, their group."""
    import torch

    if context.run["threads"] is not None:
        torch.set_num_threads(context.run["threads"])
    torch.manual_seed(context.seed)
    wanted = context.run["device"]
    if wanted == "cuda" and not torch.cuda.is_available():
        raise FieldError("device", "is cuda, but this machine has no usable GPU")
    cuda = torch.cuda.is_available() and wanted != "cpu"
    context.device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(context.device)
    if context.world > 1:
        torch.distributed.init_process_group("nccl" if cuda else "gloo")


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in ("torch", "transformers", "peft"):
        module = sys.modules.get(name)
        if module is not None:
            found[name] = str(getattr(module, "__version__", "?"))
    return found


if __name__ == "__main__":
    code = main()
    if "torch" in sys.modules and sys.modules["torch"].distributed.is_initialized():
        sys.modules["torch"].distributed.destroy_process_group()
    sys.exit(code)
