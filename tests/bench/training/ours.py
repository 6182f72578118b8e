"""The product's own trainer on the workload: its loop, its log-probabilities, its reference."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.bench.training.meter import Meter
from tests.bench.training.workload import EOS, Row


def dpo(folder: Path, made: list[Row], job: dict, meter: Meter) -> dict:
    """DPO over pairs in the order given; the reference is read inside the timed part when asked."""
    import numpy as np

    from alignment.objectives import registry
    from alignment.trainer import optimise
    from alignment.trainer.batches import Item
    from alignment.trainer.config import PARAMS
    from alignment.trainer.context import Context
    from alignment.trainer.logprobs import LogProbs
    from alignment.trainer.modeling import load_policy, make_trainable

    items = [
        Item(r.prompt, [[*a, EOS] for a in r.answers], 1.0, 1.0, 1.0, "train", str(n))
        for n, r in enumerate(made)
    ]
    params = {name: field.default for name, field in PARAMS["policy"].items()}
    params |= {"batch": job["batch"], "lr": 1e-5, "warmup": 0.0, "schedule": "constant"}
    params |= {"betas": [0.9, 0.999], "objective_params": {"beta": 0.1}, "kl_every": 0.0}
    params |= {"checkpoint_every": 10**9, "tokens": job.get("tokens", 4096)}
    policy = load_policy("model", folder)
    dtype = "bfloat16" if job["precision"] == "bf16" else "float32"
    engine = LogProbs(policy.lm, "cpu", dtype)
    longest = max(len(i.prompt) + max(map(len, i.answers)) for i in items)
    shortest = min(items, key=lambda i: i.tokens)
    engine.probe(shortest.prompt, shortest.answers, share=True, longest=longest)
    trainable = make_trainable(policy, None)
    losses = []

    def note(phase: str, done: int, total: int, **numbers: float) -> None:
        meter.lap()
        losses.append(round(numbers["loss"], 5))

    optimise.epoch_order = lambda n, seed, epoch: list(range(n))
    context = Context(
        Path(job["scratch"]), {"params": params, "seed": 7}, SimpleNamespace(write=note)
    )

    def reference() -> dict:
        flat = engine.score([s for i in items for s in i.sequences()], params["tokens"])
        return {id(i): np.array(flat[2 * n : 2 * n + 2]) for n, i in enumerate(items)}

    known = reference() if job["ref"] == "cached" else None
    meter.start()
    watch = SimpleNamespace(measure=lambda step: {})
    loop = optimise.Loop(
        context,
        policy,
        engine,
        registry.get("dpo"),
        items,
        [],
        known or reference(),
        trainable,
        watch,
        "",
    )
    loop.run()
    return meter.stop() | {
        "losses": losses,
        "notes": engine.notes,
        "packs": engine.packs,
        "pad_share": 0.0 if engine.packs else None,
    }
