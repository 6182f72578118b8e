"""TRL on the workload, at its best configuration for the row or at its defaults."""

from __future__ import annotations

from pathlib import Path

from tests.bench.training.meter import Meter
from tests.bench.training.workload import Row, text


def dpo(folder: Path, made: list[Row], job: dict, meter: Meter) -> dict:
    """DPOTrainer over pairs; `micro` pairs at a time, gradients accumulated to `batch`."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    def load():
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        )

    data = [
        {"prompt": text(r.prompt), "chosen": f" {text(a)}", "rejected": f" {text(b)}"}
        for r in made
        for n, a in enumerate(r.answers)
        for b in r.answers[n + 1 :]
    ]
    cached = job["ref"] == "cached"
    arguments = trl.DPOConfig(
        output_dir=job["scratch"],
        per_device_train_batch_size=job["micro"],
        gradient_accumulation_steps=max(1, job["batch"] // job["micro"]),
        num_train_epochs=1,
        learning_rate=1e-5,
        lr_scheduler_type="constant",
        max_length=None,
        gradient_checkpointing=False,
        bf16=job["precision"] == "bf16",
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=7,
        beta=0.1,
        precompute_ref_log_probs=cached,
        train_sampling_strategy="sequential",
    )
    trainer = trl.DPOTrainer(
        model=load(),
        ref_model=None if cached else load(),
        train_dataset=Dataset.from_list(data),
        processing_class=AutoTokenizer.from_pretrained(folder),
        args=arguments,
    )
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
    log = [round(float(h["loss"]), 5) for h in trainer.state.log_history if "loss" in h]
    return found | {"losses": log, "pad_share": round(seen["pad"] / max(1, seen["all"]), 4)}
