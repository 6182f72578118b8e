"""TRL on the workload, at its best configuration for the row or at its defaults."""

from __future__ import annotations

from pathlib import Path

from tests.bench.training.meter import Meter
from tests.bench.training.workload import Row, first_head, text


def run(folder: Path, made: list[Row], job: dict, meter: Meter) -> dict:
    """Its trainer for the row; `micro` pairs at a time, gradients accumulated to `batch` prompts.

    Rankings are their K(K-1)/2 pairs, since it has no lists. At its defaults it takes 8 pairs at a
    time in random order, recomputes activations and reads the reference in every step.
    """
    import torch
    import trl
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TrainerCallback,
    )

    reward, plain = job["what"] == "reward", job["trainer"] == "trl-defaults"
    kind = AutoModelForSequenceClassification if reward else AutoModelForCausalLM

    def load():
        more = {"num_labels": 1} if reward else {}
        model = kind.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa", **more
        )
        if reward:
            model.score.weight.data.copy_(first_head(folder))
        return model

    data = [
        {"prompt": text(r.prompt), "chosen": f" {text(a)}", "rejected": f" {text(b)}"}
        for r in made
        for n, a in enumerate(r.answers)
        for b in r.answers[n + 1 :]
    ]
    pairs = job["batch"] * len(data) // len(made)
    micro = min(pairs, 8 if plain else job["micro"])
    options = {
        "output_dir": job["scratch"],
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": max(1, pairs // micro),
        "num_train_epochs": 1,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "max_length": None,
        "bf16": job["precision"] == "bf16",
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "seed": 7,
    }
    if not plain:
        options |= {"gradient_checkpointing": False, "train_sampling_strategy": "sequential"}
    rest = {
        "train_dataset": Dataset.from_list(data),
        "processing_class": AutoTokenizer.from_pretrained(folder),
    }
    if reward:
        trainer = trl.RewardTrainer(model=load(), args=trl.RewardConfig(**options), **rest)
    else:
        cached = job["ref"] == "cached" and not plain
        options |= {"beta": 0.1, "precompute_ref_log_probs": cached}
        reference = None if cached else load()
        arguments = trl.DPOConfig(**options)
        trainer = trl.DPOTrainer(model=load(), ref_model=reference, args=arguments, **rest)
    seen = {"pad": 0, "all": 0}
    collate = trainer.data_collator

    def counting(examples):
        made = collate(examples)
        mask = made["attention_mask"]
        seen["all"] += mask.numel()
        seen["pad"] += int((mask == 0).sum())
        return made

    trainer.data_collator = counting
    found: dict = {}

    class Timed(TrainerCallback):
        def on_train_begin(self, *args, **kwargs):
            meter.start()

        def on_step_end(self, *args, **kwargs):
            meter.lap()

        def on_train_end(self, *args, **kwargs):
            found.update(meter.stop())

    trainer.add_callback(Timed())
    trainer.train()
    log = [h for h in trainer.state.log_history if "loss" in h]
    return found | {
        "losses": [round(float(h["loss"]), 5) for h in log],
        "norms": [round(float(h["grad_norm"]), 5) for h in log],
        "pad_share": round(seen["pad"] / max(1, seen["all"]), 4),
    }
