"""Task `policy`: move a policy by a registered objective on judged answers."""

from __future__ import annotations

from typing import Any

from alignment.objectives import registry

from .batches import make_items
from .checkpoint import fingerprint
from .context import Context
from .data import read_preferences, read_prompts, read_unpaired
from .files import publish_folder
from .logprobs import LogProbs
from .modeling import load_policy, make_trainable, save_policy, weights_hash
from .optimise import Loop
from .probe import faster_dtype
from .reference import reference_logprobs
from .schema import FieldError
from .tokenise import ChatTokenizer
from .watch import KLWatch


def execute(context: Context) -> dict[str, Any]:
    """Train, publish the policy, return the report's metrics."""
    run, params = context.run, context.params
    objective = registry.get(params["objective"])
    paired = objective.inputs == "pairs"
    read = read_preferences if paired else read_unpaired
    rows = read(objective.inputs, run[objective.inputs])
    context.warnings += rows.warnings(objective.inputs)
    kl_prompts = read_prompts("prompts", run["prompts"]).rows if run["prompts"] else rows.rows

    policy = load_policy("model", run["model"], run["base_model"], context.device)
    start_hash = weights_hash(policy.lm)
    chat = ChatTokenizer(
        policy.tokenizer,
        policy.eos_ids[0],
        params["max_prompt_tokens"],
        params["max_completion_tokens"],
        policy.max_positions,
    )
    items = make_items(rows, objective, params, chat, context)
    train = [i for i in items if i.split == "train"]
    held = [i for i in items if i.split == "eval"]
    if not train:
        raise FieldError(objective.inputs, "has no usable row to train on")

    dtype = params["dtype"]
    if dtype == "auto":
        dtype = faster_dtype(context.device)
    engine = LogProbs(policy.lm, context.device, dtype)
    probe = min(train, key=lambda i: i.tokens)
    engine.probe(
        probe.prompt,
        probe.answers,
        share=params["share_prompt"] == "auto",
        longest=max(len(i.prompt) + max(map(len, i.answers)) for i in items),
    )
    if engine.alone:
        raise FieldError(
            "model",
            "attends to fewer tokens than the longest row has; shorten rows by "
            "params.max_prompt_tokens and params.max_completion_tokens",
        )
    context.warnings += engine.notes

    other = run["reference"] is not None and run["reference"] != run["model"]
    reference = policy
    if other:
        reference = load_policy("reference", run["reference"], run["base_model"], context.device)
        if len(reference.tokenizer) != len(policy.tokenizer):
            raise FieldError("reference", "has another vocabulary than the model")
    reference_hash = weights_hash(reference.lm) if other else start_hash
    mark = fingerprint(
        {k: v for k, v in params.items() if k not in ("keep_checkpoints", "checkpoint_every")},
        context.seed,
        start_hash,
        reference_hash,
        [(i.prompt_hash, i.answers, i.weight, i.soft_label, i.margin, i.split) for i in items],
    )
    ref_engine = engine
    if other:
        ref_engine = LogProbs(reference.lm, context.device, dtype).like(engine)
    computed = 0
    ref = None
    if objective.needs_reference:
        sequences = [s for i in items for s in i.sequences()]
        tick = context.ticker("reference")
        ref, computed = reference_logprobs(
            ref_engine,
            reference_hash,
            sequences,
            run["cache"] if context.main else None,
            params["tokens"],
            tick,
        )
        ref = {id(i): ref[2 * at : 2 * at + 2] for at, i in enumerate(items)}
    watch = KLWatch(context, policy, reference if other else None, chat, kl_prompts, params, engine)
    trainable = make_trainable(policy, params["lora"])
    engine.lm = policy.lm
    loop = Loop(context, policy, engine, objective, train, held, ref, trainable, watch, mark)
    metrics = loop.run()
    metrics |= {
        "n_train": len(train),
        "n_eval": len(held),
        "n_left_out": rows.n_dropped + len(rows.rows) - len(items),
        "reference_computed": computed,
        "dtype": dtype,
        "shared_prompt": engine.share,
        "trainable_parameters": sum(p.numel() for p in trainable),
        "reference_hash": reference_hash,
    }
    if context.main:
        context.progress.write("save", 0, 1)
        publish_folder(context.artefact, lambda folder: save_policy(policy, folder))
        metrics["weights_hash"] = weights_hash(policy.lm)
    return metrics
