"""Our reward model beside TRL's RewardTrainer on published human pairs, on the same split.

Both start from the bundled sentence encoder and read the same tokens of the same training pairs;
ours fits linear heads on its frozen features, TRL trains all of it with a score head, at its
defaults (three epochs, learning rate 1e-4, batches of 8 pairs), in float32 as a CPU has it. Both
answer the same held-out pairs, of prompts no training pair has.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alignment.lab.real_data import SETS, Row, read
from alignment.lab.real_pairs import folds_of
from alignment.rewards.features import Featurizer, prompt_text
from alignment.rewards.model import Ends, fit_reward_model
from alignment.stats import bootstrap_mean, correct
from alignment.trainer.config import PARAMS

TOKENS = 128


def split(rows: Sequence[Row], train: int, test: int) -> tuple[list[Row], list[Row]]:
    """At most so many pairs to train and to test on; two fifths of the prompts are held out."""
    parts = folds_of([str(r["group"]) for r in rows], 5)
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    kept = [rows[i] for i in order if parts[i] > 1][:train]
    return kept, [rows[i] for i in order if parts[i] <= 1][:test]


def texts(rows: Sequence[Row], side: str) -> list[tuple[str, str]]:
    """(prompt, answer) of one side of the pairs."""
    return [(prompt_text(json.loads(str(r["prompt"]))), str(r[side])) for r in rows]


def ours(train: Sequence[Row], test: Sequence[Row], featurizer: Featurizer) -> np.ndarray:
    """Margins of the test pairs by linear heads on frozen features, at the defaults of a round."""
    params = {key: field.default for key, field in PARAMS["reward"].items()}
    x = {side: featurizer(texts(train, side)) for side in ("chosen", "rejected")}
    pairs = [
        {"weight": 1.0, "strength": None, "soft_label": r["soft_label"], "prompt_hash": r["group"]}
        for r in train
    ]
    ends = Ends(x["chosen"], x["rejected"], x["chosen"][:0])
    model, _ = fit_reward_model(featurizer, pairs, [], ends, params, 0)
    scores = [model.heads(featurizer(texts(test, s))).mean(1) for s in ("chosen", "rejected")]
    return scores[0] - scores[1]


def peer(train: Sequence[Row], test: Sequence[Row], featurizer: Featurizer, epochs: float):
    """Margins of the test pairs by TRL's trainer on the same encoder and tokens."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    def ids(rows: Sequence[Row], side: str) -> list[list[int]]:
        return [featurizer.ids(*text) for text in texts(rows, side)]

    made = {"chosen_ids": ids(train, "chosen"), "rejected_ids": ids(train, "rejected")}
    with tempfile.TemporaryDirectory() as scratch:
        arguments = trl.RewardConfig(
            output_dir=scratch,
            per_device_train_batch_size=8,
            num_train_epochs=epochs,
            max_length=None,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            seed=0,
        )
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(
            featurizer.folder, num_labels=1, dtype=torch.float32
        )
        trl.RewardTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict(made),
            processing_class=AutoTokenizer.from_pretrained(featurizer.folder),
        ).train()
    model.eval()

    def scores(side: str) -> np.ndarray:
        rows = ids(test, side)
        out = np.zeros(len(rows))
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for at in range(0, len(order), 16):
            batch = order[at : at + 16]
            most = len(rows[batch[-1]])
            tokens = torch.tensor([rows[i] + [0] * (most - len(rows[i])) for i in batch])
            mask = torch.tensor([[1] * len(rows[i]) + [0] * (most - len(rows[i])) for i in batch])
            with torch.no_grad():
                out[batch] = model(tokens, attention_mask=mask).logits[:, 0].double().numpy()
        return out

    return scores("chosen") - scores("rejected")


def compare(
    name: str, folder: Path, cache: Path, *, train: int, test: int, epochs: float = 3.0
) -> dict:
    """Accuracies on one set with 95 % bootstrap intervals over prompts, and their difference."""
    rows, _ = read(name, folder)
    kept, held = split(rows, train, test)
    featurizer = Featurizer("minilm", TOKENS, cache)
    groups = [str(r["group"]) for r in held]
    soft = np.array([float(r["soft_label"]) for r in held])
    seconds, right = {}, {}
    for who, run in (
        ("ours", lambda: ours(kept, held, featurizer)),
        ("trl", lambda: peer(kept, held, featurizer, epochs)),
    ):
        started = time.monotonic()
        right[who] = correct(run(), soft)
        seconds[who] = round(time.monotonic() - started, 1)
    right["longer"] = correct(
        np.array([len(str(r["chosen"])) - len(str(r["rejected"])) for r in held]), soft
    )
    report = {"set": name, "train": len(kept), "test": len(held), "prompts": len(set(groups))}
    for who, values in right.items():
        report[who] = [round(v, 4) for v in bootstrap_mean(values, groups)]
    gap = bootstrap_mean(right["ours"] - right["trl"], groups)
    report["ours minus trl"] = [round(v, 4) for v in gap]
    return report | {"seconds": seconds}


def _cell(values: Sequence[float]) -> str:
    mean, low, high = values
    return f"{mean:.3f} [{max(low, -1.0):.3f}, {min(high, 1.0):.3f}]"


def run(arguments) -> list[dict]:
    """The part `reward-models`: both reward models on every set found, one Markdown row each."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import logging

    logging.disable(logging.WARNING)
    folder, cache = Path(arguments.data), Path("var/lab-cache")
    head = ("set", "train", "test", "ours, frozen features", "TRL, whole encoder")
    head += ("ours minus TRL", "longer answer", "seconds, ours / TRL")
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
    found = []
    for name, (file, _) in SETS.items():
        if not (folder / file).is_file() or (arguments.only and arguments.only not in name):
            continue
        r = compare(name, folder, cache, train=arguments.train_pairs, test=arguments.test_pairs)
        found.append(r)
        cells = [name, r["train"], r["test"], _cell(r["ours"]), _cell(r["trl"])]
        cells += [_cell(r["ours minus trl"]), f"{r['longer'][0]:.3f}"]
        cells.append(f"{r['seconds']['ours']:.0f} / {r['seconds']['trl']:.0f}")
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return found
