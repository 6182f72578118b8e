"""Ask people about fresh answers: where the ensemble disagrees, and some pairs at random."""

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from alignment.models import Round, Run
from alignment.services import parquet
from annotation.models import Task
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks

#: Pairs drawn at random come between the disagreements, never all after them: half way.
RANDOM_PRIORITY = 0.5


def ask(*, turn: Round, run: Run) -> int:
    """Create one pairwise task a pair; how many. Asking again for the same run adds none.

    Priorities lie in 0..1: the more the ensemble disagrees, the sooner a pair is shown. The
    random arm, a control that estimates what asking by disagreement gains, is marked in the
    task's metadata, which annotators do not see.
    """
    prefix = f"round-{turn.number}-{run.pk.hex[:8]}"
    there = Task.objects.filter(project=turn.project, external_id__startswith=f"{prefix}-")
    if already := there.count():
        return already
    artefact = Path(run.folder) / "artefact"
    samples = list(parquet.read(artefact / "samples.parquet"))
    known = {(row["prompt_hash"], row["text"]): row for row in samples}
    chosen: list[tuple[dict[str, Any], dict[str, Any], str, float]] = []
    used: set[str] = set()
    path = artefact / "ask.parquet"
    disputed = list(parquet.read(path)) if path.exists() else []
    for place, row in enumerate(disputed[: turn.config["ask"]]):
        pair = [known.get((row["prompt_hash"], row[side])) for side in ("chosen", "rejected")]
        if None in pair or pair[0]["text"] == pair[1]["text"]:
            continue
        used.add(row["prompt_hash"])
        chosen.append((*pair, "disagreement", 1.0 - place / max(1, len(disputed))))
    for pair in _random_pairs(samples, turn, used):
        chosen.append((*pair, "random", RANDOM_PRIORITY))
    tasks = [_task(run, turn, *item, f"{prefix}-{index}") for index, item in enumerate(chosen)]
    create_tasks(project=turn.project, tasks=tasks, source="round")
    return len(tasks)


def _random_pairs(samples, turn: Round, used: set[str]):
    """Pairs of different answers to prompts that are not asked about already."""
    by_prompt: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in samples:
        if row["prompt_hash"] not in used and row["text"].strip():
            by_prompt[row["prompt_hash"]].setdefault(row["text"], row)
    draw = random.Random(f"{turn.pk}:ask")
    prompts = sorted(h for h, answers in by_prompt.items() if len(answers) > 1)
    draw.shuffle(prompts)
    for prompt_hash in prompts[: turn.config["ask_random"]]:
        answers = by_prompt[prompt_hash]
        first, second = draw.sample(sorted(answers), 2)
        yield answers[first], answers[second]


def _task(run: Run, turn: Round, one, other, arm: str, priority: float, name: str) -> TaskIn:
    pair = [one, other]
    # The reward model's favourite must not always be the first candidate.
    random.Random(name).shuffle(pair)
    params = run.config["params"]
    sampling = {
        "temperature": params["temperature"],
        "top_p": params["top_p"],
        "max_tokens": params["max_new_tokens"],
    }
    return TaskIn(
        kind="pairwise",
        prompt=json.loads(one["prompt"]),
        candidates=[
            CandidateIn(
                # A model may write what a database cannot hold.
                content=row["text"].replace("\0", "\N{REPLACEMENT CHARACTER}"),
                model=run.base.name,
                model_version=run.base,
                sampling=sampling,
                logprob=row.get("logprob"),
            )
            for row in pair
        ],
        priority=priority,
        external_id=name,
        metadata={"round": turn.number, "arm": arm},
    )
