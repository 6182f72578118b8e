"""The loop without the server: simulated people and the trainer process alone.

    python -m alignment.lab.offline OUT --seeds 0 1 2 --rounds 3 [--control] [--json]

Each round answers are sampled from the newest policy, the simulated annotators judge pairs of them
and the users react, the reward model is refitted, the policy optimised, and the result measured by
gold reward on held-out prompts against the first policy. The same trainer and the same people as
`manage.py simulate`, so settings can be tried in a minute; what is tried is the command line's
`--policy`, `--reward` and `--sample` (JSON, parameters of the trainer's tasks).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from alignment.lab import people
from alignment.lab.gold import TASTES
from alignment.lab.measures import Answers, compare, gold_of
from inference.starter import WEIGHTS
from inference.starter.manners import held_out_prompts, training_prompts

#: What the offline loop does when the command line says nothing else.
POLICY = {"objective": "dpo", "objective_params": {"beta": 0.1}, "lr": 3e-4, "epochs": 2}
SAMPLE = {"n": 6, "pairs": "best_worst", "max_new_tokens": 160}


@dataclass
class Settings:
    """One offline simulation."""

    out: Path
    seed: int = 0
    rounds: int = 3
    annotators: int = 6
    users: int = 8
    judged: int = 200
    reacted: int = 96
    sample_prompts: int = 128
    eval_prompts: int = 96
    eval_samples: int = 2
    control: bool = False
    taste: str = "kind"
    first: Path = WEIGHTS
    gate: bool = True
    reward: dict = field(default_factory=dict)
    sample: dict = field(default_factory=dict)
    policy: dict = field(default_factory=dict)


def chat(prompt: str) -> str:
    """A prompt as the chat list in JSON that the trainer reads."""
    return json.dumps([{"role": "user", "content": prompt}], ensure_ascii=False)


def prompt_rows(prompts: Iterable[str]) -> list[dict]:
    """Rows of a prompts file."""
    return [{"prompt_id": f"p{i}", "prompt": chat(p)} for i, p in enumerate(prompts)]


def write(path: Path, rows: list[dict]) -> str:
    """Write rows as Parquet; returns the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def train(folder: Path, run: dict, cache: Path, inside: bool = False) -> dict:
    """Run one task of the trainer to its end and return its metrics; RuntimeError if it failed.

    `inside` runs it in this process, which saves the start of another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run | {"cache": str(cache)}, indent=2))
    if inside:
        from alignment.trainer.__main__ import execute

        execute(folder)
        found = json.loads((folder / "report.json").read_text())
        if found["status"] != "done":
            raise RuntimeError(f"{run['task']} failed: {found['reason']}")
        return found["metrics"]
    command = [sys.executable, "-m", "alignment.trainer", str(folder)]
    root = Path(__file__).resolve().parents[2]
    environ = os.environ | {"PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    with open(folder / "trainer.log", "wb") as log:
        code = subprocess.run(command, cwd=root, env=environ, stdout=log, stderr=log).returncode
    report = folder / "report.json"
    found = json.loads(report.read_text()) if report.exists() else {}
    if code != 0 or found.get("status") != "done":
        reason = found.get("reason") or (folder / "trainer.log").read_text()[-2000:]
        raise RuntimeError(f"{run['task']} failed: {reason}")
    return found["metrics"]


def answers_of(path: Path, model: str | None = None) -> dict[str, list[str]]:
    """Answers by prompt of a samples file, or of one of the two models of an answers file."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in pq.read_table(path).to_pylist():
        if model is None or row["model"] == model:
            found[json.loads(row["prompt"])[-1]["content"]].append(row["text"])
    return dict(found)


def judge(answers: Answers, team: list[people.Annotator], count: int, rng: random.Random) -> list:
    """Pairs of different answers judged by the team: rows of a preference file."""
    prompts = [p for p, texts in answers.items() if len(set(texts)) > 1]
    rng.shuffle(prompts)
    rows: list[dict] = []
    for index, prompt in enumerate(prompts[:count]):
        pair = rng.sample(sorted(set(answers[prompt])), 2)
        verdict = team[index % len(team)].judge(prompt, pair, rng)
        if verdict.outcome == "both_bad":
            continue
        first = verdict.preferred or 0
        rows.append(
            {
                "prompt": chat(prompt),
                "chosen": pair[first],
                "rejected": pair[1 - first],
                "soft_label": 1.0 if verdict.outcome == "preferred" else 0.5,
                "strength": verdict.strength,
                "source": "human",
            }
        )
    return rows


def react(answers: Answers, crowd: list[people.User], count: int, rng: random.Random) -> list:
    """Reactions of the users to answers: rows of an unpaired file."""
    prompts = sorted(answers)
    rng.shuffle(prompts)
    rows: list[dict] = []
    for index, prompt in enumerate(prompts[:count]):
        answer = rng.choice(answers[prompt])
        response = crowd[index % len(crowd)].respond(prompt, answer, rng)
        if response.reaction and not response.retracts:
            label = response.reaction != "dislike"
            rows.append({"prompt": chat(prompt), "completion": answer, "label": label})
    return rows


def simulate(settings: Settings) -> dict:
    """Run the offline loop; returns the rounds as `manage.py simulate` reports them."""
    out, rng = settings.out, random.Random(f"offline {settings.seed}")
    cache = out.parent / "cache"
    taste = TASTES[settings.taste]
    kind = {"taste": settings.taste, "control": settings.control}
    team = people.annotators(settings.annotators, settings.seed, **kind)
    crowd = people.users(settings.users, settings.seed, **kind)
    asked = training_prompts(40)
    rng.shuffle(asked)
    held = held_out_prompts()[: settings.eval_prompts]
    held_file = write(out / "held.parquet", prompt_rows(held))
    live = first = settings.first
    pairs: list[dict] = []
    reactions: list[dict] = []
    rounds: list[dict] = []
    for number in range(1, settings.rounds + 1):
        started, folder = time.monotonic(), out / f"round-{number}"
        seed = settings.seed * 1000 + number
        base = {"seed": seed}
        fresh = rng.sample(asked, min(len(asked), settings.judged))
        run = {"task": "sample", "model": str(live), "params": {"n": 3, "max_new_tokens": 160}}
        run["prompts"] = write(folder / "fresh.parquet", prompt_rows(fresh))
        train(folder / "fresh", base | run, cache, inside=True)
        answers = answers_of(folder / "fresh/artefact/samples.parquet")
        pairs += judge(answers, team, settings.judged, rng)
        reactions += react(answers, crowd, settings.reacted, rng)
        files = {"pairs": write(folder / "pairs.parquet", pairs)}
        files["reactions"] = write(folder / "reactions.parquet", reactions)
        run = {"task": "reward", "params": settings.reward, **files}
        reward = train(folder / "reward", base | run, cache, inside=True)
        judge_model = str(folder / "reward/artefact")
        fresh = rng.sample(asked, min(len(asked), settings.sample_prompts))
        run = {"task": "sample", "model": str(live), "params": SAMPLE | settings.sample}
        run["prompts"] = write(folder / "sample.parquet", prompt_rows(fresh))
        train(folder / "sample", base | run | {"reward_model": judge_model}, cache, inside=True)
        sampled = pq.read_table(folder / "sample/artefact/pairs.parquet").to_pylist()
        mixed = [r for r in sampled if r["chosen"] != r["rejected"]] + pairs
        run = {"task": "policy", "model": str(live), "params": POLICY | settings.policy}
        run["pairs"] = write(folder / "mixed.parquet", mixed)
        policy = train(folder / "policy", base | run, cache, inside=True)
        new = folder / "policy/artefact"
        run = {"task": "evaluate", "kind": "policy", "model": str(new), "prompts": held_file}
        run |= {"baseline": str(first), "reward_model": judge_model}
        run["params"] = {"n": settings.eval_samples, "max_new_tokens": 160}
        measured = train(folder / "evaluate", base | {"seed": 7} | run, cache, inside=True)
        answered = folder / "evaluate/artefact/answers.parquet"
        result = compare(
            gold_of(taste, answers_of(answered, "model")),
            gold_of(taste, answers_of(answered, "baseline")),
        )
        rounds.append(
            {
                "round": number,
                "judgments": len(pairs),
                "reactions": len(reactions),
                "rm_accuracy": reward["accuracy"],
                "rm_baselines": reward.get("baselines"),
                **asdict(result),
                "kl": measured["kl"],
                "step_kl": policy["kl"],
                "mean_tokens": measured["mean_tokens"],
                "first_tokens": measured["baseline_mean_tokens"],
                "eval_accuracy": policy.get("eval_accuracy"),
                "seconds": round(time.monotonic() - started, 1),
            }
        )
        print(line(settings, rounds[-1]), flush=True)
        # The gate's own rule against the live policy needs a second evaluation; the floor on the
        # reward model's accuracy alone already stops a loop that is fed with noise.
        if not settings.gate or (reward["accuracy"] or 0) >= 0.55:
            live = new
    return {"seed": settings.seed, "control": settings.control, "rounds": rounds}


def line(settings: Settings, row: dict) -> str:
    """One round in one line."""
    low, high = row["gain_ci"]
    name = f"seed {settings.seed}{' control' if settings.control else ''}"
    accuracy = row["rm_accuracy"]
    return (
        f"{name} round {row['round']}: rm {accuracy if accuracy is None else round(accuracy, 3)} "
        f"gold {row['gold_mean']:+.3f} gain {row['gain']:+.3f} [{low:+.3f}, {high:+.3f}] "
        f"win {row['win_rate']:.3f} kl {row['kl']:.2f} step {row['step_kl']:.2f} "
        f"tokens {row['mean_tokens']:.1f} (first {row['first_tokens']:.1f}) {row['seconds']:.0f} s"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the offline loop on each seed."""
    parser = argparse.ArgumentParser(prog="python -m alignment.lab.offline")
    parser.add_argument("out", type=Path, help="folder for runs and results")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--first", type=Path, default=WEIGHTS, help="folder of the first policy")
    parser.add_argument("--control", action="store_true", help="people answer at random")
    parser.add_argument("--no-gate", action="store_true", help="use every new policy")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    for name in ("rounds", "annotators", "users", "judged", "reacted"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Settings, name))
    for name in ("sample_prompts", "eval_prompts", "eval_samples"):
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=getattr(Settings, name))
    for name in ("reward", "sample", "policy"):
        parser.add_argument(f"--{name}", type=json.loads, default={}, help="parameters, as JSON")
    given = vars(parser.parse_args(argv))
    out, seeds, as_json = given.pop("out"), given.pop("seeds"), given.pop("json")
    given["gate"] = not given.pop("no_gate")
    given["first"] = given["first"].resolve()
    results = [
        simulate(Settings(out=(out / f"seed-{seed}").resolve(), seed=seed, **given))
        for seed in seeds
    ]
    if as_json:
        print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
