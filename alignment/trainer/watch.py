"""The KL of the policy to its reference, estimated on fresh samples while training."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

from .context import Context
from .data import BadRow
from .evaluate_task import kl_summary
from .generate import sample, stable_seed
from .logprobs import LogProbs, divergences
from .modeling import Policy
from .tokenise import ChatTokenizer


class KLWatch:
    """Samples one answer a prompt from the policy as it is and scores it under policy and
    reference.
    """

    def __init__(
        self,
        context: Context,
        policy: Policy,
        reference: Policy | None,
        chat: ChatTokenizer,
        prompts: list[dict],
        params: dict[str, Any],
        engine: LogProbs,
    ) -> None:
        self.context, self.policy, self.params = context, policy, params
        self.direct_head = engine.direct_head
        self.by_adapter = reference is None and params["lora"] is not None
        if reference is not None:
            self.reference = reference.lm
        elif not self.by_adapter:
            self.reference = copy.deepcopy(policy.lm).requires_grad_(False)
        self.prompts: list[list[int]] = []
        seen: set[str] = set()
        for row in sorted(prompts, key=lambda r: r["prompt_hash"]):
            if row["prompt_hash"] in seen or len(self.prompts) == params["kl_prompts"]:
                continue
            seen.add(row["prompt_hash"])
            try:
                self.prompts.append(chat.prompt(row["messages"]))
            except BadRow:
                continue

    def measure(self, step: int) -> dict[str, float]:
        """kl, kl_ci, kl_k1, kl_k3 a sequence, mean_tokens, entropy a token. A function of weights,
        seed and step alone.
        """
        if not self.prompts:
            return {}
        lm = self.policy.lm
        training = lm.training
        lm.eval()
        try:
            return self._measure(step)
        finally:
            lm.train(training)

    def _measure(self, step: int) -> dict[str, float]:
        context = self.context
        answers = sample(
            self.policy,
            self.prompts,
            1,
            max_new_tokens=self.params["kl_max_new_tokens"],
            seed=stable_seed(context.seed, "kl", step),
            device=context.device,
        )
        sequences = [(p, a[0].ids) for p, a in zip(self.prompts, answers, strict=True)]
        ours = LogProbs(self.policy.lm, context.device)
        ours.direct_head = self.direct_head
        theirs, scope = ours, nullcontext
        if self.by_adapter:
            scope = self.policy.peft.disable_adapter
        else:
            theirs = LogProbs(self.reference, context.device)
            theirs.direct_head = self.direct_head
        found = divergences(ours, theirs, sequences, self.params["tokens"], scope)
        ids = [str(i) for i in range(len(sequences))]
        summary = kl_summary(found, ids, context.seed)
        entropies = [value for one in found for value in one.entropy]
        return summary | {
            "mean_tokens": sum(len(s[1]) for s in sequences) / len(sequences),
            "entropy": sum(entropies) / max(len(entropies), 1),
        }
