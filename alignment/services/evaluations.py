"""Score a reward model on a file of judged pairs, outside any project."""

import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from alignment import selectors
from alignment.errors import RunFailed, TooLittleData
from alignment.models import Run
from alignment.services import assembly, files, parquet
from alignment.services.process import Lines, Trainer, log_tail
from alignment.services.records import prompt_json, split_of
from annotation import formats
from annotation.formats.items import Format, Read, TaskIn
from annotation.formats.lines import read as read_lines
from annotation.prompts import normalise, prompt_hash
from config.errors import DomainError, Invalid
from inference.models import ModelVersion

POLL_SECONDS = 0.2


def evaluate(
    *,
    model: str,
    path: Path,
    format: str,
    everything: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Accuracy, AUROC and calibration of a reward model, beside the baselines.

    `model` is the name or id of a version, or the folder of an artefact. Of a version that was
    trained on a snapshot only prompts held out by the snapshot's rule are scored, unless
    `everything`. Raises Invalid, TooLittleData or RunFailed with one sentence.
    """
    reader = formats.find(format)
    artefact, version = _find(model)
    share = None if everything else _eval_share(version)
    folder = Path(settings.RUNS_DIR) / f"evaluate-{uuid.uuid4().hex}"
    files.need_room(folder)
    try:
        (folder / "data").mkdir()
        tally: Counter = Counter()
        rows = _pairs(path, reader, share, tally)
        scored = parquet.write(folder / "data" / "pairs.parquet", rows, assembly.PAIRS)
        if not scored:
            raise TooLittleData(_nothing(path, tally))
        files.write_json(
            folder / "run.json",
            {
                "task": "evaluate",
                "kind": "reward",
                "reward_model": str(artefact),
                "pairs": "data/pairs.parquet",
                "cache": str(Path(settings.RUNS_DIR).resolve() / "cache"),
                "params": {"split": "all"},
            },
        )
        metrics = _run(folder, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about = {"read": tally["pairs"], "held_out_only": share is not None}
    about |= {"left_out": {k: n for k, n in sorted(tally.items()) if k != "pairs"}}
    return {"model": version.name if version else str(artefact), **metrics, **about}


def of_pairs(artefact: Path, pairs: Path) -> dict[str, Any]:
    """The same measures on a file of pairs that a snapshot holds. Raises RunFailed."""
    folder = Path(settings.RUNS_DIR) / f"evaluate-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        files.write_json(
            folder / "run.json",
            {
                "task": "evaluate",
                "kind": "reward",
                "reward_model": str(artefact),
                "pairs": str(pairs.resolve()),
                "cache": str(Path(settings.RUNS_DIR).resolve() / "cache"),
                "params": {"split": "all"},
            },
        )
        return _run(folder, None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find(model: str) -> tuple[Path, ModelVersion | None]:
    folder = Path(model)
    if folder.is_dir():
        return folder.resolve(), None
    version = selectors.model(model)
    if version.kind != ModelVersion.Kind.REWARD:
        raise Invalid(f"'{version}' is a policy; judged pairs measure reward models.")
    return Path(assembly.model_folder(version)), version


def _eval_share(version: ModelVersion | None) -> float | None:
    """The held-out share of what the model was trained on; None where that is not known."""
    run = Run.objects.filter(model=version).select_related("snapshot").first() if version else None
    return run.snapshot.query["eval_share"] if run and run.snapshot else None


def _pairs(
    path: Path, reader: Format, share: float | None, tally: Counter
) -> Iterator[dict[str, Any]]:
    """The judged pairs of the file as trainer rows; what is left out is counted by reason."""
    for read in _read(path, reader):
        if read.error is not None:
            tally["unreadable"] += 1
            continue
        if not isinstance(read.item, TaskIn) or len(read.item.candidates) != 2:
            tally["not a pair"] += 1
            continue
        tally["pairs"] += 1
        try:
            prompt = normalise(read.item.prompt)
        except DomainError:
            tally["unreadable"] += 1
            continue
        yield from _judged(read.item, prompt, share, tally)


def _read(path: Path, reader: Format) -> Iterator[Read]:
    try:
        with open(path, "rb") as stream:
            yield from reader.read(read_lines(stream))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None


def _judged(
    item: TaskIn, prompt: list[dict], share: float | None, tally: Counter
) -> Iterator[dict[str, Any]]:
    hashed = prompt_hash(prompt)
    if share is not None and split_of(hashed, share) == "train":
        tally["prompt not held out"] += 1
        return
    texts = [candidate.content for candidate in item.candidates]
    votes = [j.body["preferred"] for j in item.judgments if j.body.get("outcome") == "preferred"]
    first = sum(1 for place in votes if place == 0)
    if first * 2 == len(votes) or texts[0] == texts[1]:
        tally["no preference"] += 1
        return
    best = 0 if first * 2 > len(votes) else 1
    yield dict.fromkeys(assembly.PAIRS.names) | {
        "prompt": prompt_json(prompt),
        "chosen": texts[best],
        "rejected": texts[1 - best],
        "weight": 1.0,
        "soft_label": 1.0,
        "source": "human",
        "prompt_hash": hashed,
        "split": "eval",
    }


def _nothing(path: Path, tally: Counter) -> str:
    why = ", ".join(f"{reason}: {n}" for reason, n in sorted(tally.items()) if reason != "pairs")
    return (
        f"{path.name} has no judged pair to score ({why or 'it is empty'}). "
        "Use --all to score prompts the model may have been trained on."
    )


def _run(folder: Path, progress: Callable[[str, int, int], None] | None) -> dict[str, Any]:
    trainer, lines = Trainer(folder), Lines(folder / "progress.jsonl")
    try:
        while (code := trainer.wait(POLL_SECONDS)) is None:
            for line in lines.new()[-1:]:
                if progress is not None:
                    progress(str(line.get("phase", "")), line.get("step", 0), line.get("total", 0))
    finally:
        if trainer.ended() is None:
            trainer.stop()
    report = files.read_json(folder / "report.json") or {}
    if code != 0 or report.get("status") != "done":
        reason = report.get("reason") or f"exit code {code}: {log_tail(folder)[-500:]}"
        raise RunFailed(f"The evaluation failed. {reason}")
    return report["metrics"]
