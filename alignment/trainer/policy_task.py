"""Task `policy`: move a policy by a registered objective on judged answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alignment.objectives import registry

from . import sharding
from .batches import Item, make_items
from .checkpoint import fingerprint
from .context import Context
from .data import read_prompts
from .files import publish_folder
from .logprobs import LogProbs
from .modeling import Policy, load_policy, make_trainable, save_policy, weights_hash
from .modules import modules_for
from .optimise import Loop
from .probe import faster_dtype
from .reference import scores_of
from .rows import read_rows
from .schema import FieldError
from .supply import Scores
from .tokenise import ChatTokenizer
from .watch import KLWatch


def execute(context: Context) -> dict[str, Any]:
    """Train, publish the policy, return the report's metrics."""
    run, params = context.run, context.params
    objective = registry.get(params["objective"])
    in_blocks = sharding.wanted(context.world)
    rows = read_rows(objective, run[objective.inputs])
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
    engine.probe(probe.prompt, probe.answers, share=params["share_prompt"] == "auto")
    engine.trees([s for i in items for s in i.sequences()])  # notes what a window forbids
    context.warnings += engine.notes

    fixed = _Fixed(context, policy, engine, start_hash, items, objective.needs_tokens)
    reference, reference_hash = policy, start_hash
    if run["reference"] is not None and run["reference"] != run["model"]:
        reference, reference_hash = fixed.load("reference")
    ref = last = None
    if objective.needs_reference:
        ref = fixed.scores(reference, reference_hash)
    last_hash = start_hash
    if objective.needs_last:
        of = policy
        if run["last"] is not None and run["last"] != run["model"]:
            of, last_hash = fixed.load("last")
        same = ref is not None and last_hash == reference_hash
        last = ref if same else fixed.scores(of, last_hash)
    mark = fingerprint(
        {k: v for k, v in params.items() if k not in ("keep_checkpoints", "checkpoint_every")},
        context.seed,
        (start_hash, reference_hash, last_hash),
        [i.key() for i in items],
    )
    other = reference if reference is not policy else None
    watch = KLWatch(context, policy, other, chat, kl_prompts, params, engine)
    trainable = make_trainable(policy, params["lora"])
    engine.lm = policy.lm
    modules = modules_for(objective, items, engine, bool(params["lora"]), context.seed)
    blocks = sharding.shard(policy.lm, context.world, context.device) if in_blocks else []
    if blocks or modules.parameters():
        own = {id(p): p for p in policy.lm.parameters() if p.requires_grad}
        trainable = [*own.values(), *modules.parameters()]
    size = sum(p.numel() for p in trainable)
    loop = Loop(
        *(context, policy, engine, objective, train, held, trainable, watch, mark),
        reference=ref,
        last=last,
        modules=modules,
        shards=sharding.Shards(context, bool(blocks)),
    )
    metrics = loop.run()
    metrics |= {
        "n_train": len(train),
        "n_eval": len(held),
        "n_left_out": rows.n_dropped + len(rows.rows) - len(items),
        "reference_computed": fixed.computed,
        "dtype": dtype,
        "shared_prompt": engine.share,
        "trainable_parameters": size,
        "reference_hash": reference_hash,
    }
    if blocks:
        sharding.unshard(policy.lm)
    if context.main:
        context.progress.write("save", 0, 1)

        def fill(folder: Path) -> None:
            save_policy(policy, folder)
            modules.save(folder)

        publish_folder(context.artefact, fill)
        metrics["weights_hash"] = weights_hash(policy.lm)
    return metrics


class _Fixed:
    """Scores of all rows under models that do not move: the reference, the last iterate."""

    def __init__(
        self,
        context: Context,
        policy: Policy,
        engine: LogProbs,
        policy_hash: str,
        items: list[Item],
        by_token: bool,
    ) -> None:
        self.context, self.policy, self.engine = context, policy, engine
        self.items, self.by_token = items, by_token
        self.computed = 0
        self._found: dict[str, Scores] = {}
        self._loaded = {policy_hash: policy}

    def load(self, key: str) -> tuple[Policy, str]:
        """The model a key of run.json names, and the hash of its weights."""
        run = self.context.run
        other = load_policy(key, run[key], run["base_model"], self.context.device)
        if len(other.tokenizer) != len(self.policy.tokenizer):
            raise FieldError(key, "has another vocabulary than the model")
        mark = weights_hash(other.lm)
        return self._loaded.setdefault(mark, other), mark

    def scores(self, model: Policy, mark: str) -> Scores:
        """Log-probabilities of every row's sequences under a model."""
        if mark not in self._found:
            engine = self.engine
            if model is not self.policy:
                dtype = "bfloat16" if engine.autocast else "float32"
                engine = LogProbs(model.lm, self.context.device, dtype).like(self.engine)
            self._found[mark], computed = scores_of(
                engine, mark, self.items, self.context, self.by_token
            )
            self.computed += computed
        return self._found[mark]
