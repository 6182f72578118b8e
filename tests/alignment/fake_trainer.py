"""Stands in for the trainer where the real one would be slow: same files in, same files out.

Learns nothing. `behave.json` beside the run folders changes what it does to a task:
`{"policy": "crash"}`, `"refuse"`, `"die once"` (killed the first time),
`"hang"`, `"no artefact"`, `"worse"`,
`"guesses"`.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from alignment.services.parquet import read


def main(folder: Path) -> int:
    run = json.loads((folder / "run.json").read_text())
    name = run["task"]
    behaviour = folder.parent / "behave.json"
    what = json.loads(behaviour.read_text()).get(name, "") if behaviour.exists() else ""
    with open(folder / "progress.jsonl", "a") as progress:
        for step in range(1, 6):
            line = {"t": time.time(), "phase": "train", "step": step, "total": 5}
            progress.write(json.dumps(line | {"loss": 1 / step, "accuracy": 0.5}) + "\n")
            progress.flush()
    print(f"working on {name}")
    if what == "crash":
        return end(folder, name, 1, "failed", "the loss is not a number at step 3")
    if what == "refuse":
        return end(folder, name, 2, "failed", "params.lr: must be positive")
    if what == "hang":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(end(folder, name, 3, "stopped", "")))
        time.sleep(60)
    if what == "die once" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    metrics = TASKS[name](folder, run)
    if what == "guesses":
        metrics |= {"accuracy": 0.51, "accuracy_ci": [0.4, 0.6]}
        metrics |= {"unseen": {"n": 90, "accuracy": 0.5, "accuracy_ci": [0.4, 0.6]}}
    if what == "worse":
        metrics |= {"win_rate": 0.4, "win_rate_ci": [0.3, 0.5]}
    if what == "no artefact":
        shutil.rmtree(folder / "artefact")
        return end(folder, name, 0, "done", "", metrics)
    return end(folder, name, 0, "done", "", metrics)


def end(folder: Path, task: str, code: int, status: str, reason: str, metrics=None) -> int:
    report = {"status": status, "reason": reason, "task": task, "metrics": metrics or {}}
    report |= {"artefact": "artefact", "warnings": [], "seconds": 0.1, "versions": {}}
    (folder / "report.json").write_text(json.dumps(report))
    return code


def weights(folder: Path) -> None:
    artefact = folder / "artefact"
    artefact.mkdir(exist_ok=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    body = str(folder.name).encode()[:4].ljust(4)
    (artefact / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
    (artefact / "config.json").write_text("{}")


def reward(folder: Path, run: dict) -> dict:
    pairs = list(read(Path(run["pairs"])))
    weights(folder)
    held = [row for row in pairs if row["split"] == "eval"]
    return {
        "n_train": len(pairs) - len(held),
        "n_eval": len(held),
        "accuracy": 0.8,
        "accuracy_ci": [0.7, 0.9],
        "unseen": {"n": 60, "accuracy": 0.81, "accuracy_ci": [0.72, 0.88]},
    }


def sample(folder: Path, run: dict) -> dict:
    artefact = folder / "artefact"
    artefact.mkdir(exist_ok=True)
    samples, pairs = [], []
    for row in read(folder / run["prompts"]):
        texts = [f"answer\0 {n} to {row['prompt_id']}" for n in range(run["params"]["n"])]
        for n, text in enumerate(texts):
            samples.append(row | {"sample": n, "text": text, "logprob": -1.0 - n, "n_tokens": 4})
        about = {"prompt": row["prompt"], "prompt_hash": row["prompt_hash"], "weight": 1.0}
        pairs.append(about | {"chosen": texts[0], "rejected": texts[-1], "soft_label": 1.0})
    pq.write_table(pa.Table.from_pylist(samples), artefact / "samples.parquet")
    pq.write_table(pa.Table.from_pylist(pairs), artefact / "pairs.parquet")
    if asked := run["params"].get("ask"):
        pq.write_table(pa.Table.from_pylist(pairs[:asked]), artefact / "ask.parquet")
    return {"n_prompts": len(pairs), "n_samples": len(samples), "n_pairs": len(pairs)}


def policy(folder: Path, run: dict) -> dict:
    pairs = list(read(folder / run["pairs"]))
    weights(folder)
    return {"n_train": len(pairs), "steps": 5, "kl": 0.5}


def evaluate(folder: Path, run: dict) -> dict:
    if run["kind"] == "reward":
        n = sum(1 for _ in read(folder / run["pairs"]))
        even = {"accuracy": 0.5, "accuracy_ci": [0.4, 0.6]}
        baselines = {"chance": even, "longer": even, "embedding_logreg": even}
        found = {"n": n, "accuracy": 0.75, "accuracy_ci": [0.6, 0.9], "auroc": 0.8, "ece": 0.05}
        return found | {"baselines": baselines}
    count = sum(1 for _ in read(folder / run["prompts"]))
    return {
        "n_prompts": count,
        "win_rate": 0.7,
        "win_rate_ci": [0.6, 0.8],
        "kl": 0.6,
        "length_ratio": 1.1,
        "distinct_2": 0.5,
        "baseline_distinct_2": 0.5,
        "reward_gain": 0.4,
        "reward_gain_ci": [0.2, 0.6],
        "mean_tokens": 40.0,
        "by_group": {},
    }


TASKS = {
    "reward": reward,
    "sample": sample,
    "policy": policy,
    "evaluate": evaluate,
}

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
