"""A whole simulation: people with a taste, and a control of people who answer at random.

Each arm has an instance of its own, so that both begin with the same first policy and nothing
else; the report has the shape that `manage.py simulate --json` prints.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from alignment.lab.instance import Instance
from alignment.lab.loop import Loop, Plan
from inference.starter import WEIGHTS


def simulate(
    plan: Plan,
    *,
    control: bool = True,
    keep: Path | None = None,
    first: Path = WEIGHTS,
    say: Callable[[str], None] = print,
) -> dict:
    """Run the arms one after the other; `keep` is a folder in which the instances stay."""
    started = time.monotonic()
    report = arm(plan, keep and keep / "instance", first, say)
    report |= {"seed": plan.seed, "at_random": plan.control}
    report["control"] = {}
    if control and not plan.control:
        say("Now the control: people who answer at random.")
        other = replace(plan, control=True)
        report["control"] = arm(other, keep and keep / "control", first, say)
        report["control"] |= {"gain": _last(report["control"], "gain")}
        report["control"] |= {"gain_ci": _last(report["control"], "gain_ci")}
    report |= {"gain": _last(report, "gain"), "gain_ci": _last(report, "gain_ci")}
    report["seconds"] = round(time.monotonic() - started, 1)
    return report


def arm(plan: Plan, keep: Path | None, first: Path, say: Callable[[str], None]) -> dict:
    """One arm in an instance of its own."""
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="preferendum-measure-"))
    try:
        with Instance(keep) as instance:
            keys = instance.keys(plan.people())
            say(f"An instance of its own serves at {instance.url} ({_since(started)}).")
            models = instance.folder / "artefacts" / "models"
            loop = Loop(plan, instance.url, keys, models, first, scratch, say)
            start = time.monotonic() - started
            report = asyncio.run(loop.run())
            report["seconds_by_part"] |= {"start": round(start, 1)}
            ending = time.monotonic()
        report["seconds_by_part"] |= {"stop": round(time.monotonic() - ending, 1)}
        report["seconds"] = round(time.monotonic() - started, 1)
        return report
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _last(report: dict, key: str):
    return report["rounds"][-1][key]


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"
