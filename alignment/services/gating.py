"""What the gate is told besides the run's own report: the project's safety and capability sets,
and how the proxy fared on the judgments that came after it.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from alignment.models import Round, Run
from alignment.services import parquet, snapshots
from alignment.services.records import prompt_json
from alignment.stats.habits import proxy_correlation
from annotation.prompts import normalise, prompt_hash
from config.errors import DomainError, Invalid

#: So many earlier askings are held against what people then said.
ASKINGS = 3

REGRESSION = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.string()),
        ("expect", pa.string()),
    ]
)


def inputs(run: Run, data: Path) -> dict[str, str]:
    """Further inputs of a policy's evaluation: people's marks of harm, the regression set."""
    found: dict[str, str] = {}
    taken = run.round.snapshot if run.round else None
    if taken is not None:
        path = snapshots.folder_of(taken) / "harm.parquet"
        if path.exists() and parquet.count(path):
            found["harms"] = str(path.resolve())
    rows = regression_set(run.project.options)
    if rows:
        parquet.write(data / "regression.parquet", iter(rows), REGRESSION)
        found["regression"] = "data/regression.parquet"
    return found


def regression_set(options: dict[str, Any] | None) -> list[dict[str, str]]:
    """The project's frozen capability set, `options.regression`: [{"prompt", "expect"}].

    `prompt` is text or a chat, `expect` a regular expression of a right answer. Raises Invalid.
    """
    rows = []
    for place, case in enumerate((options or {}).get("regression") or []):
        try:
            prompt = normalise(case["prompt"])
            expect = str(case["expect"])
        except (KeyError, TypeError, DomainError):
            raise Invalid(
                f"regression.{place}: must have a prompt and what to expect of its answer.",
                fields={f"regression.{place}": "must have prompt and expect"},
            ) from None
        hashed = prompt_hash(prompt)
        rows.append(
            {
                "prompt_id": f"{place}-{hashed[:8]}",
                "prompt": prompt_json(prompt),
                "prompt_hash": hashed,
                "expect": expect,
            }
        )
    return rows


def fresh_judgments(turn: Round) -> dict[str, Any]:
    """The proxy's margins on pairs it was asked about, beside what people said afterwards.

    An asking scored its answers before anybody judged them, so nothing of the labels is in the
    scores.
    """
    known: dict[tuple[str, str], float] = {}
    asked = Run.objects.filter(
        project=turn.project, task="ask", state=Run.State.DONE, round__number__lt=turn.number
    )
    for run in asked.order_by("-round__number")[:ASKINGS]:
        path = Path(run.folder) / "artefact" / "samples.parquet"
        if not path.exists():
            continue
        for row in parquet.read(path):
            if row.get("reward_mean") is not None:
                known[row["prompt_hash"], row["text"]] = row["reward_mean"]
    margins, labels, prompts = [], [], []
    path = snapshots.folder_of(turn.snapshot) / "pairs.parquet"
    for row in parquet.read(path) if known and path.exists() else ():
        pair = [known.get((row["prompt_hash"], row[side])) for side in ("chosen", "rejected")]
        if None in pair:
            continue
        margins.append(pair[0] - pair[1])
        label = row.get("soft_label")
        labels.append(1.0 if label is None else label)
        prompts.append(row["prompt_hash"])
    return proxy_correlation(margins, labels, prompts)
