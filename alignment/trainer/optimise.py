"""The optimisation loop: batches, schedule, clipping, logs, checkpoints, the KL budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alignment.objectives.registry import Objective

from . import checkpoint as checkpoints
from .batches import MISMATCH, Item, epoch_order, micro_batches
from .context import Context, RunFailed, Stopped
from .logprobs import LogProbs
from .meter import Meter, Tracker
from .modeling import Policy
from .modules import Modules
from .sharding import Shards, is_sharded, like, whole
from .supply import Given, Scores, watched
from .watch import KLWatch

#: Numbers that are also reported of held-out rows.
HELD = ("loss", "accuracy", "logp_a_token")


def learning_rate(step: int, total: int, params: dict[str, Any]) -> float:
    """Rate of optimiser step 0..total-1: warm-up, then linear, cosine or constant to min_lr."""
    warm = max(1, round(params["warmup"] * total)) if params["warmup"] else 0
    if step < warm:
        return params["lr"] * (step + 1) / warm
    share = (step - warm) / max(1, total - warm)
    low = params["min_lr"]
    if params["schedule"] == "constant":
        return params["lr"]
    if params["schedule"] == "cosine":
        return params["lr"] * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share)))
    return params["lr"] * (low + (1 - low) * (1 - share))


class Loop:
    """One training run over fixed rows. `reference` and `last` are scores of their sequences under
    those models, `modules` what an objective trains besides the policy, `shards` the share of this
    process.
    """

    def __init__(
        self,
        context: Context,
        policy: Policy,
        engine: LogProbs,
        objective: Objective,
        train: list[Item],
        held: list[Item],
        trainable: list[nn.Parameter],
        watch: KLWatch,
        mark: str,
        reference: Scores | None = None,
        last: Scores | None = None,
        modules: Modules | None = None,
        shards: Shards | None = None,
    ) -> None:
        self.context, self.policy, self.engine = context, policy, engine
        self.objective, self.loss = objective, objective.function
        self.train, self.held = train, held
        self.reference, self.last = reference, last
        self.modules = modules or Modules()
        self.shards = shards or Shards(context)
        self.watch, self.mark = watch, mark
        self.params = context.params
        self.device = context.device
        self.budget = self.params["tokens"]
        names = {id(p): n for n, p in self.modules.named_parameters(policy.lm)}
        self.tensors = {names[id(p)]: p for p in trainable}
        # Tensors held in parts and whole ones cannot be stepped in one fused call.
        parts = [[p for p in trainable if is_sharded(p) is cut] for cut in (True, False)]
        self.optimiser = torch.optim.AdamW(
            [{"params": part} for part in parts if part],
            lr=self.params["lr"],
            betas=tuple(self.params["betas"]),
            weight_decay=self.params["weight_decay"],
            fused=True,
        )
        self.per_epoch = math.ceil(len(train) / self.params["batch"])
        self.total = max(1, math.ceil(self.params["epochs"] * self.per_epoch))
        self.step = 0
        self.meter = Meter(policy.lm, trainable, engine, self.shards.world)
        self.orders: dict[int, list[int]] = {}
        self.history: list[dict[str, float]] = []
        self.within: dict[str, Tensor] | None = None
        self.stopped_early: str | None = None
        self.last_saved: int | None = None

    # -- the run
    # -------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Train to the end or to a stop; returns metrics."""
        context, params = self.context, self.params
        self._resume()
        if params["gradient_checkpointing"]:
            self.policy.lm.gradient_checkpointing_enable()
        if params["gradient_checkpointing"] or (params["lora"] and params["lora"]["dropout"]):
            self.policy.lm.train()
        every = round(params["kl_every"] * self.per_epoch) if params["kl_every"] else 0
        every = max(1, every) if params["kl_every"] else 0
        tracker = Tracker(params["trackers"], context)
        measured: dict[str, Any] = {}
        while self.step < self.total:
            context.stop_signal = self.shards.agreed(context.stop_signal)
            try:
                context.check_stop()
            except Stopped:
                self._save()
                raise
            with self.meter.step():
                numbers = self._update()
            self.step += 1
            last = self.step == self.total
            if last or (every and self.step % every == 0):
                self.modules.mix(self.policy.lm)
                measured = self.watch.measure(self.step) | self._held_out()
                self._budget(measured)
                numbers |= {k: v for k, v in measured.items() if not isinstance(v, list)}
            context.progress.write(
                "train",
                self.step,
                self.total,
                epoch=self.step / self.per_epoch,
                **self.meter.numbers(),
                **numbers,
            )
            tracker.log(self.step, numbers | self.meter.numbers())
            if self.stopped_early:
                break
            if self.step % params["checkpoint_every"] == 0 and not last:
                self._save()
        tracker.close()
        self.policy.lm.eval()
        if self.stopped_early:
            measured = self.watch.measure(self.step) | self._held_out()
        tail = self.history[-min(len(self.history), self.per_epoch) :]
        mean = {k: float(np.mean([h[k] for h in tail])) for k in (tail[0] if tail else ())}
        return {
            "steps": self.step,
            "epochs": self.step / self.per_epoch,
            "tokens": int(self.meter.tokens),
            **self.meter.numbers(),
            "overhead": self.meter.overhead,
            "stopped_early": self.stopped_early,
            **mean,
            **measured,
        }

    # -- one step
    # ------------------------------------------------------------------------------------

    def _update(self) -> dict[str, float]:
        rate = learning_rate(self.step, self.total, self.params)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        epoch, at = divmod(self.step, self.per_epoch)
        if epoch not in self.orders:
            self.orders = {epoch: epoch_order(len(self.train), self.context.seed, epoch)}
        order = self.orders[epoch]
        size = self.params["batch"]
        batch = [self.train[i] for i in order[at * size : (at + 1) * size]]
        while True:
            try:
                sums = self._gradients(batch)
                break
            except (torch.OutOfMemoryError, MemoryError):
                self._less_memory(batch)
            except RuntimeError as error:
                if "allocate memory" not in str(error):
                    raise
                self._less_memory(batch)
        self.meter.add(
            sums.pop("tokens_read"), sum(len(a) for i in batch for _, a in i.sequences())
        )
        weight = self._total(batch)
        numbers = {k: v / weight for k, v in sums.items()}
        if not math.isfinite(numbers["loss"]):
            saved = f"; the last checkpoint is step {self.last_saved}" if self.last_saved else ""
            raise RunFailed(
                f"the loss is not a finite number at step {self.step + 1} of {self.total}{saved}; "
                "nothing was published. Try a lower params.lr; look at the rows' weights"
            )
        norm = self.shards.clip(self.tensors.values(), self.params["max_grad_norm"])
        if not bool(torch.isfinite(norm)):
            raise RunFailed(
                f"the gradient is not finite at step {self.step + 1} of {self.total}; nothing was "
                "published. Try a lower params.lr"
            )
        with self.meter.inside():
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.history.append(numbers)
        return numbers | {"lr": rate, "grad_norm": float(norm)}

    def _gradients(self, batch: list[Item]) -> dict[str, float]:
        """Accumulate the gradient of the weighted mean loss; returns weighted sums for the log."""
        total = self._total(batch)
        kl = self._batch_kl(batch) if "kl" in self.objective.needs else 0.0
        sums: dict[str, Tensor] = {}
        read = 0
        groups = micro_batches(batch, self.budget, padded=not self.engine.packs)
        whole = self._judge_whole(batch, groups) if self.objective.batchwise else None
        for group in self.shards.share(groups):
            rows = [batch[i] for i in group.rows]
            reading, tokens = self._read(rows)
            if whole is None:
                losses, logs = self._judge(rows, reading, kl)
                weight = torch.tensor([i.weight for i in rows], device=self.device)
                with self.meter.inside():
                    (group.factor * (losses * weight).sum() / total).backward()
            else:
                # The chain rule through the sums: what the whole batch's loss says of each.
                slope = torch.cat([whole[1][i] for i in group.rows])
                with self.meter.inside():
                    (group.factor * (reading.sums * slope).sum() / total).backward()
            if not group.counts:
                continue
            read += tokens
            if whole is None:
                for key, value in (("loss", losses.detach()), *logs.items()):
                    none = torch.zeros((), device=self.device)
                    sums[key] = sums.get(key, none) + (value * weight).sum()
        if whole is not None and self.context.main:
            sums = whole[0]
        sums["tokens_read"] = torch.tensor(float(read), device=self.device)
        return self.shards.reduce(sums, self.tensors.values())

    def _total(self, batch: list[Item]) -> float:
        return len(batch) if self.objective.batchwise else sum(i.weight for i in batch)

    def _read(self, rows: list[Item]) -> tuple[Given, int]:
        """What the policy makes of rows, with gradient, and the tokens read."""
        sequences = [s for r in rows for s in r.sequences(apart=False)]
        trees, places = self.engine.trees(sequences)
        packed = self.engine.pack(trees)
        offsets = np.cumsum([0] + [len(t.answers) for t in trees])
        order = [int(offsets[t]) + k for t, k in places]
        with self.meter.inside():
            found = self.engine.read(packed, self.modules.heads)
        logps, segment = found.logps, packed.segment
        shape = (*logps.shape[:-1], packed.n_answers)
        sums = logps.new_zeros(shape).index_add(-1, segment, logps)
        given = Given(rows, sums[..., torch.tensor(order, device=self.device)])
        given.reference, given.last = self.reference, self.last
        given.classifier = self.modules.classifier
        if self.objective.needs_tokens:
            sizes = torch.bincount(segment, minlength=packed.n_answers).tolist()
            parts = logps.split(sizes)
            given.tokens = [parts[i] for i in order]
        if given.classifier is not None:
            ends = torch.bincount(segment, minlength=packed.n_answers).cumsum(0) - 1
            given.states = found.states[ends[torch.tensor(order, device=self.device)]]
        return given, packed.tokens

    def _judge(
        self, rows: list[Item], given: Given, kl: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses `(P,)` of rows and detached numbers `(P,)` for the log."""
        given.kl = kl
        kind, options = self.objective.inputs, self.params["objective_params"]
        losses = self.loss(**given.arguments(kind, self.objective.needs), **options)
        if self.params["sft_weight"]:
            losses = losses + self.params["sft_weight"] * self._nll_of_best(given)
        return losses, watched(kind, given, options.get("beta", 1.0))

    def _nll_of_best(self, given: Given) -> Tensor:
        """NLL a token of each row's best answer, `(P,)`: the chosen, the liked, or that of the best
        score.
        """
        if self.objective.inputs != "lists":
            nll = -given.own(0) / given.count(0).clamp(min=1.0)
            return nll * given.column("label") if self.objective.inputs == "unpaired" else nll
        best = [int(np.argmax(r.values["scores"])) for r in given.rows]
        index = torch.tensor(best, device=self.device)[:, None]
        counts = given.grid(lambda row, b, k: len(row.answers[k]))
        return -(given.own_grid().gather(1, index) / counts.gather(1, index))[:, 0]

    def _judge_whole(
        self, batch: list[Item], groups: list[list[int]]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """For losses that depend on the other rows: the batch is read without gradient, judged
        whole, and the slope of its loss by every sequence's sum returned, row by row.
        """
        sums: list[Tensor] = [torch.empty(0)] * len(batch)
        with torch.no_grad():
            for group in groups:
                rows = [batch[i] for i in group]
                reading, _ = self._read(rows)
                sizes = [len(r.sequences(apart=False)) for r in rows]
                for i, part in zip(group, reading.sums.split(sizes), strict=True):
                    sums[i] = part
        leaf = torch.cat(sums).requires_grad_(True)
        given = Given(batch, leaf, reference=self.reference, last=self.last)
        losses, logs = self._judge(batch, given)
        slope = leaf.grad
        if torch.is_grad_enabled():
            (slope,) = torch.autograd.grad(losses.sum(), leaf)
        numbers = {"loss": losses.detach(), **logs}
        sizes = [len(r.sequences(apart=False)) for r in batch]
        # Such a loss belongs to ranks in the batch, so a row's own weight says nothing of it.
        found = {k: v.sum() for k, v in numbers.items()}
        return found, [] if slope is None else list(slope.split(sizes))

    @torch.no_grad()
    def _batch_kl(self, batch: list[Item]) -> float:
        """KTO's estimate of the KL: mean log-ratio of the rows' mismatched answers."""
        scores = self.engine.score([i.others[MISMATCH] for i in batch], self.budget)
        ref = [self.reference.sums[id(i)][i.place(MISMATCH)] for i in batch]
        return float(np.mean(np.array(scores) - np.array(ref)))

    def _less_memory(self, batch: list[Item]) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        smallest = max(i.tokens for i in batch)
        if self.budget <= smallest:
            raise RunFailed(
                f"out of memory on a single row of {smallest} tokens: lower "
                "params.max_completion_tokens, or switch on params.gradient_checkpointing"
            )
        self.budget = max(self.budget // 2, smallest)
        self.context.warnings.append(f"out of memory: the token budget was cut to {self.budget}")
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    # -- watching
    # ------------------------------------------------------------------------------------

    @torch.no_grad()
    def _held_out(self) -> dict[str, float]:
        """Loss and accuracy on held-out rows (at most 512 of them)."""
        rows = self.held[:512]
        if not rows:
            return {}
        groups = micro_batches(rows, self.budget, padded=not self.engine.packs)
        if self.objective.batchwise:
            found, _ = self._judge_whole(rows, groups)
            return {f"eval_{k}": float(found[k]) / len(rows) for k in HELD if k in found}
        kl = self._batch_kl(rows) if "kl" in self.objective.needs else 0.0
        totals: dict[str, float] = {}
        for group in groups:
            part = [rows[i] for i in group]
            losses, logs = self._judge(part, self._read(part)[0], kl)
            own = torch.tensor([r.weight for r in part], device=self.device)
            for key, value in (("loss", losses), *logs.items()):
                totals[key] = totals.get(key, 0.0) + float((value * own).sum())
        weight = sum(r.weight for r in rows)
        return {f"eval_{k}": totals[k] / weight for k in HELD if k in totals}

    def _budget(self, measured: dict[str, Any]) -> None:
        """Keep weights within the KL budget; over it, go back between them and the present ones and
        stop.
        """
        budget, kl = self.params["kl_budget"], measured.get("kl")
        if budget is None or kl is None:
            return
        if self.within is None and kl > budget:
            self.within = self._start
        if kl <= budget:
            self.within = {k: v.detach().clone() for k, v in self.tensors.items()}
            return
        beyond = {k: v.detach().clone() for k, v in self.tensors.items()}
        low, high = 0.0, 1.0
        for _ in range(4):
            middle = (low + high) / 2
            self._mix(beyond, middle)
            if self.watch.measure(self.step)["kl"] <= budget:
                low = middle
            else:
                high = middle
        self._mix(beyond, low)
        self.stopped_early = (
            f"the KL reached {kl:.3g} at step {self.step}, over the budget of {budget:g}"
        )

    def _mix(self, beyond: dict[str, Tensor], share: float) -> None:
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(torch.lerp(self.within[name], beyond[name], share))

    # -- checkpoints
    # ---------------------------------------------------------------------------------

    def _save(self) -> None:
        if self.last_saved == self.step:
            return
        self.last_saved = self.step
        tensors = {k: whole(v.detach()) for k, v in self.tensors.items()}
        if self.within is not None:
            tensors |= {f"within/{k}": whole(v) for k, v in self.within.items()}
        optimiser = {
            name: {k: whole(v) for k, v in self.optimiser.state[tensor].items()}
            for name, tensor in self.tensors.items()
        }
        if not self.context.main:
            return
        state = {"tokens": self.meter.tokens, "history": self.history, "budget": self.budget}
        checkpoints.save(
            self.context.folder / "checkpoints",
            checkpoints.Checkpoint(self.step, tensors, optimiser, state, torch.get_rng_state()),
            self.mark,
            self.params["keep_checkpoints"],
        )

    def _resume(self) -> None:
        self._start = None
        if self.params["kl_budget"] is not None:
            self._start = {k: v.detach().clone() for k, v in self.tensors.items()}
        folder = self.context.folder / "checkpoints"
        found, notes = checkpoints.load_latest(folder, self.mark)
        self.context.warnings += notes
        if found is None:
            return
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(like(found.tensors[name], tensor))
                self.optimiser.state[tensor] = {
                    k: like(v, tensor) if v.dim() else v for k, v in found.optimiser[name].items()
                }
        within = {
            k[7:]: like(v, self.tensors[k[7:]])
            for k, v in found.tensors.items()
            if k.startswith("within/")
        }
        self.within = within or None
        torch.set_rng_state(found.rng)
        self.step = self.last_saved = found.step
        self.history, self.meter.tokens = found.state["history"], found.state["tokens"]
        self.budget = found.state["budget"]
        self.context.resumed_from = found.step
