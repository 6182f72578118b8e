"""The product's own trainer on the workload: its loop, its log-probabilities, its reference."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

from tests.bench.training.meter import Meter
from tests.bench.training.workload import EOS, Row


def run(folder: Path, made: list[Row], job: dict, meter: Meter) -> dict:
    """One epoch in the order given; the reference is read inside the timed part when asked."""
    from alignment.objectives import registry
    from alignment.trainer import optimise
    from alignment.trainer.batches import Item
    from alignment.trainer.config import check_objective
    from alignment.trainer.logprobs import LogProbs
    from alignment.trainer.modeling import load_policy, make_trainable
    from alignment.trainer.modules import Modules
    from alignment.trainer.supply import Scores

    reward, lists = job["what"] == "reward", job["k"] > 2
    # A reward model reads the closing token too: one more stands after it, and is never read.
    end = [EOS, 0] if reward else [EOS]
    items = [
        Item(r.prompt, [[*a, *end] for a in r.answers], prompt_hash=str(n), values=values(r))
        for n, r in enumerate(made)
    ]
    policy = load_policy("model", folder)
    dtype = "bfloat16" if job["precision"] == "bf16" else "float32"
    modules = Modules()
    if reward:
        from alignment.trainer.trunk import BRADLEY_TERRY, RewardReader

        objective, options = BRADLEY_TERRY, {}
        modules.bank = bank(folder, job["members"])
        engine = RewardReader(policy.lm, modules.bank, "cpu", dtype)
        reader = LogProbs(policy.lm, "cpu", dtype)
    else:
        objective, options = registry.get("dpo"), {"beta": 0.1}
        if lists:  # every pair of a list alike is what the peer makes of it
            objective = registry.get("lipo")
            options = {"beta": 0.1, "weighting": "none", "reduce": "mean"}
        options = check_objective(objective.name, options, "options")
        engine = reader = LogProbs(policy.lm, "cpu", dtype)
    shortest = min(items, key=lambda i: i.tokens)
    reader.probe(shortest.prompt, shortest.answers, share=True)
    engine.like(reader)
    trainable = [*make_trainable(policy, None), *modules.parameters()]
    losses, norms = [], []

    def note(phase: str, done: int, total: int, **numbers: float) -> None:
        meter.lap()
        losses.append(round(numbers["loss"], 5))
        norms.append(round(numbers["grad_norm"], 5))

    optimise.epoch_order = lambda n, seed, epoch: list(range(n))
    params = parameters(job) | {"objective_params": options}

    def reference() -> Scores | None:
        if reward:
            return None
        found, at = engine.score([s for i in items for s in i.sequences()], params["tokens"]), 0
        scores = Scores()
        for item in items:
            scores.sums[id(item)] = found[at : at + len(item.answers)]
            at += len(item.answers)
        return scores

    known = reference() if job["ref"] == "cached" else None
    context = quiet(Path(job["scratch"]), params, note)
    meter.start()
    loop = optimise.Loop(
        *(context, policy, engine, objective, items, [], trainable, still(), ""),
        reference=known or reference(),
        modules=modules,
    )
    metrics = loop.run()
    return meter.stop() | {
        "losses": losses,
        "norms": norms,
        "notes": reader.notes,
        "pad_share": 0.0 if engine.packs else None,
        "mfu": metrics["mfu"],
        "overhead": metrics["overhead"],
    }


def growth(folder: Path, made: list[Row], job: dict, meter: Meter) -> dict:
    """Eight steps of an epoch of `rows` pairs, and what has to be done once for all of them."""
    from alignment.objectives import registry
    from alignment.trainer import optimise
    from alignment.trainer.batches import Item
    from alignment.trainer.checkpoint import fingerprint
    from alignment.trainer.config import check_objective
    from alignment.trainer.logprobs import LogProbs
    from alignment.trainer.modeling import load_policy, make_trainable
    from alignment.trainer.supply import Scores

    count = job["rows"]
    begun = time.perf_counter()
    items = [
        Item(r.prompt, [[*a, EOS] for a in r.answers], prompt_hash=str(n), values=values(r))
        for n, r in zip(range(count), made * (count // len(made) + 1), strict=False)
    ]
    fingerprint([i.key() for i in items])
    scores = Scores({id(i): [-1.0, -1.0] for i in items})
    policy = load_policy("model", folder)
    engine = LogProbs(policy.lm)
    engine.probe(items[0].prompt, items[0].answers, share=True)
    params = parameters(job) | {"epochs": 8 * job["batch"] / count}
    params["objective_params"] = check_objective("dpo", {}, "options")
    context = quiet(Path(job["scratch"]), params, lambda *a, **k: meter.lap())
    loop = optimise.Loop(
        *(context, policy, engine, registry.get("dpo"), items, []),
        *(make_trainable(policy, None), still(), ""),
        reference=scores,
    )
    once = time.perf_counter() - begun
    meter.start()
    metrics = loop.run()
    return meter.stop() | {"once_s": once, "tokens": metrics["tokens"], "steps": metrics["steps"]}


def values(row: Row) -> dict:
    """What a row says of its answers, which stand best first."""
    k = len(row.answers)
    return {"soft_label": 1.0, "scores": [float(k - n) for n in range(k)]}


def bank(folder: Path, members: int):
    """Heads whose first is the one the peer's model starts with."""
    import torch

    from alignment.rewards.heads import HeadBank
    from tests.bench.training.workload import first_head

    made = HeadBank(first_head(folder).shape[1], members, bias=False)
    with torch.no_grad():
        for n in range(members):
            made.weight[n] = first_head(folder, n).T
    return made


def parameters(job: dict) -> dict:
    """The trainer's parameters for a job."""
    from alignment.trainer.config import PARAMS

    params = {name: field.default for name, field in PARAMS["policy"].items()}
    params |= {"batch": job["batch"], "lr": 1e-5, "warmup": 0.0, "schedule": "constant"}
    params |= {"betas": [0.9, 0.999], "kl_every": 0.0, "checkpoint_every": 10**9}
    return params | {"tokens": job.get("tokens", 4096)}


def quiet(folder: Path, params: dict, write):
    """A context that writes nothing."""
    from alignment.trainer.context import Context

    return Context(folder, {"params": params, "seed": 7}, SimpleNamespace(write=write))


def still():
    """A watch that measures nothing."""
    return SimpleNamespace(measure=lambda step: {})
