"""The optimisation loop: batches, schedule, clipping, logs, checkpoints, the KL budget."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alignment.objectives.registry import Objective

from . import checkpoint as checkpoints
from .batches import Item, column, epoch_order, micro_batches
from .context import Context, RunFailed, Stopped
from .logprobs import LogProbs, build_trees
from .modeling import Policy
from .watch import KLWatch


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
    """One training run over fixed rows. `reference` maps id(item) to its answers' reference
    log-probabilities.
    """

    def __init__(
        self,
        context: Context,
        policy: Policy,
        engine: LogProbs,
        objective: Objective,
        train: list[Item],
        held: list[Item],
        reference: dict[int, np.ndarray] | None,
        trainable: list[nn.Parameter],
        watch: KLWatch,
        mark: str,
    ) -> None:
        self.context, self.policy, self.engine = context, policy, engine
        self.objective, self.loss = objective, objective.function
        self.train, self.held, self.reference = train, held, reference
        self.watch, self.mark = watch, mark
        self.params = context.params
        self.device = context.device
        self.budget = self.params["tokens"]
        names = {id(p): n for n, p in policy.lm.named_parameters()}
        self.tensors = {names[id(p)]: p for p in trainable}
        self.optimiser = torch.optim.AdamW(
            trainable,
            lr=self.params["lr"],
            betas=tuple(self.params["betas"]),
            weight_decay=self.params["weight_decay"],
            fused=True,
        )
        self.per_epoch = math.ceil(len(train) / self.params["batch"])
        self.total = max(1, math.ceil(self.params["epochs"] * self.per_epoch))
        self.step = 0
        self.seen_tokens = 0
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
        begun, tokens_before = time.monotonic(), self.seen_tokens
        measured: dict[str, Any] = {}
        while self.step < self.total:
            try:
                context.check_stop()
            except Stopped:
                self._save()
                raise
            numbers = self._update()
            self.step += 1
            last = self.step == self.total
            if last or (every and self.step % every == 0):
                measured = self.watch.measure(self.step) | self._held_out()
                self._budget(measured)
                numbers |= {k: v for k, v in measured.items() if not isinstance(v, list)}
            seconds = time.monotonic() - begun
            context.progress.write(
                "train",
                self.step,
                self.total,
                epoch=self.step / self.per_epoch,
                tokens_per_s=(self.seen_tokens - tokens_before) / max(seconds, 1e-9),
                **numbers,
            )
            if self.stopped_early:
                break
            if self.step % params["checkpoint_every"] == 0 and not last:
                self._save()
        self.policy.lm.eval()
        if self.stopped_early:
            measured = self.watch.measure(self.step) | self._held_out()
        tail = self.history[-min(len(self.history), self.per_epoch) :]
        mean = {k: float(np.mean([h[k] for h in tail])) for k in (tail[0] if tail else ())}
        return {
            "steps": self.step,
            "epochs": self.step / self.per_epoch,
            "tokens": self.seen_tokens,
            "tokens_per_s": (self.seen_tokens - tokens_before)
            / max(time.monotonic() - begun, 1e-9),
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
        order = epoch_order(len(self.train), self.context.seed, epoch)
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
        weight = sum(i.weight for i in batch)
        numbers = {k: v / weight for k, v in sums.items()}
        if not math.isfinite(numbers["loss"]):
            saved = f"; the last checkpoint is step {self.last_saved}" if self.last_saved else ""
            raise RunFailed(
                f"the loss is not a finite number at step {self.step + 1} of {self.total}{saved}; "
                "nothing was published. Try a lower params.lr; look at the rows' weights"
            )
        norm = torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.params["max_grad_norm"])
        if not bool(torch.isfinite(norm)):
            raise RunFailed(
                f"the gradient is not finite at step {self.step + 1} of {self.total}; nothing was "
                "published. Try a lower params.lr"
            )
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.history.append(numbers)
        return numbers | {"lr": rate, "grad_norm": float(norm)}

    def _gradients(self, batch: list[Item]) -> dict[str, float]:
        """Accumulate the gradient of the weighted mean loss; returns weighted sums for the log."""
        total = sum(i.weight for i in batch)
        extra = self._batch_kl(batch) if "kl" in self.objective.needs else {}
        sums: dict[str, Tensor] = {}
        groups = micro_batches(batch, self.budget, padded=not self.engine.packs)
        for group in groups[self.context.rank :: self.context.world]:
            rows = [batch[i] for i in group]
            losses, logs, tokens = self._losses(rows, extra)
            weight = torch.tensor([i.weight for i in rows], device=self.device)
            ((losses * weight).sum() / total).backward()
            self.seen_tokens += tokens
            for key, value in (("loss", losses.detach()), *logs.items()):
                sums[key] = (
                    sums.get(key, torch.zeros((), device=self.device)) + (value * weight).sum()
                )
        return self._reduce(sums)

    def _losses(
        self, rows: list[Item], extra: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor], int]:
        """Losses `(P,)` of rows, detached numbers `(P,)` for the log, tokens read."""
        indices = range(len(rows))
        paired = self.objective.inputs == "pairs"
        sequences = [s for r in rows for s in r.sequences()[: 2 if paired else 1]]
        trees, places = build_trees(sequences, self.engine.share)
        packed = self.engine.pack(trees)
        offsets = np.cumsum([0] + [len(t.answers) for t in trees])
        index = torch.tensor([int(offsets[t]) + k for t, k in places], device=self.device)
        logps = self.engine.sums(packed)[index]
        ref = None
        if self.reference is not None:
            values = np.stack([self.reference[id(r)] for r in rows])
            ref = torch.tensor(values, dtype=torch.float32, device=self.device)
        counts = torch.tensor(
            [[len(a) for a in r.answers[:2]] for r in rows], dtype=torch.float32, device=self.device
        )
        given: dict[str, Any] = {}
        logs: dict[str, Tensor] = {}
        beta = self.params["objective_params"].get("beta", 1.0)
        if paired:
            chosen, rejected = logps[::2], logps[1::2]
            given = {"chosen": chosen, "rejected": rejected}
            given |= {"chosen_tokens": counts[:, 0], "rejected_tokens": counts[:, 1]}
            h_chosen, h_rejected = chosen.detach(), rejected.detach()
            if ref is not None:
                given |= {"ref_chosen": ref[:, 0], "ref_rejected": ref[:, 1]}
                h_chosen, h_rejected = h_chosen - ref[:, 0], h_rejected - ref[:, 1]
            gap = h_chosen - h_rejected
            logs = {
                "accuracy": (gap > 0).float() + 0.5 * (gap == 0).float(),
                "margin": beta * gap,
                "chosen": beta * h_chosen,
                "rejected": beta * h_rejected,
            }
        else:
            label = column(rows, indices, "soft_label", self.device) > 0.5
            given = {"logps": logps, "ref_logps": ref[:, 0], "label": label}
            h = beta * (logps.detach() - ref[:, 0])
            logs = {"accuracy": ((h > 0) == label).float(), "margin": torch.where(label, h, -h)}
        given |= {
            name: column(rows, indices, name, self.device) for name in ("soft_label", "margin")
        }
        given |= extra
        arguments = {k: given[k] for k in self.objective.needs}
        losses = self.loss(**arguments, **self.params["objective_params"])
        if self.params["sft_weight"] and paired:
            losses = losses - self.params["sft_weight"] * given["chosen"] / counts[:, 0]
        return losses, logs, packed.tokens

    @torch.no_grad()
    def _batch_kl(self, batch: list[Item]) -> dict[str, Any]:
        """KTO's estimate of the KL: mean log-ratio of the rows' mismatched answers."""
        scores = self.engine.score([(i.prompt, i.answers[1]) for i in batch], self.budget)
        ref = [self.reference[id(i)][1] for i in batch]
        return {"kl": float(np.mean(np.array(scores) - np.array(ref)))}

    def _reduce(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Sum numbers and gradients over the processes."""
        if self.context.world > 1:
            distributed = torch.distributed
            keys = [None] * self.context.world
            distributed.all_gather_object(keys, sorted(sums))
            for key in sorted({k for part in keys for k in part}):
                sums.setdefault(key, torch.zeros((), device=self.device))
                distributed.all_reduce(sums[key])
            for parameter in self.tensors.values():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
        return {k: float(v) for k, v in sums.items()}

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
        extra = self._batch_kl(rows) if "kl" in self.objective.needs else {}
        loss = right = weight = 0.0
        for group in micro_batches(rows, self.budget, padded=not self.engine.packs):
            part = [rows[i] for i in group]
            losses, logs, _ = self._losses(part, extra)
            own = torch.tensor([r.weight for r in part], device=self.device)
            loss += float((losses * own).sum())
            right += float((logs["accuracy"] * own).sum())
            weight += float(own.sum())
        return {"eval_loss": loss / weight, "eval_accuracy": right / weight}

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
        if not self.context.main or self.last_saved == self.step:
            return
        state = {"seen_tokens": self.seen_tokens, "history": self.history, "budget": self.budget}
        tensors = dict(self.tensors)
        if self.within is not None:
            tensors |= {f"within/{k}": v for k, v in self.within.items()}
        checkpoints.save(
            self.context.folder / "checkpoints",
            checkpoints.Checkpoint(
                self.step, tensors, self.optimiser.state_dict(), state, torch.get_rng_state()
            ),
            self.mark,
            self.params["keep_checkpoints"],
        )
        self.last_saved = self.step

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
                tensor.copy_(found.tensors[name])
        within = {k[7:]: v for k, v in found.tensors.items() if k.startswith("within/")}
        self.within = within or None
        self.optimiser.load_state_dict(found.optimiser)
        torch.set_rng_state(found.rng)
        self.step = self.last_saved = found.step
        self.seen_tokens, self.history = found.state["seen_tokens"], found.state["history"]
        self.budget = found.state["budget"]
        self.context.resumed_from = found.step
