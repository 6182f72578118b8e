"""What some objectives train besides the policy: a head for each objective (MAH-DPO), a classifier
of degrees, the heads of a reward model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from alignment.objectives.registry import Objective

from .batches import Item
from .logprobs import LogProbs
from .schema import FieldError


@dataclass
class Modules:
    """Modules beside the policy; empty for most objectives."""

    heads: list[nn.Linear] = field(default_factory=list)
    classifier: nn.Linear | None = None
    bank: nn.Module | None = None

    def named_parameters(self, lm: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters of the policy and of these, those of a checkpoint."""
        yield from lm.named_parameters()
        for at, head in enumerate(self.heads):
            yield from head.named_parameters(prefix=f"heads.{at}")
        if self.classifier is not None:
            yield from self.classifier.named_parameters(prefix="classifier")
        if self.bank is not None:
            yield from self.bank.named_parameters(prefix="bank")

    def parameters(self) -> list[nn.Parameter]:
        """Parameters to train besides the policy's."""
        modules = (*self.heads, self.classifier, self.bank)
        return [p for module in modules if module is not None for p in module.parameters()]

    @torch.no_grad()
    def mix(self, lm: nn.Module) -> None:
        """Give the policy the equal mixture of the heads: logits are linear in a head's weights,
        so this is MAH-DPO's decoding with equal weights.
        """
        if self.heads:
            own = lm.get_output_embeddings()
            own.weight.copy_(torch.stack([h.weight for h in self.heads]).mean(0))
            if own.bias is not None:
                own.bias.copy_(torch.stack([h.bias for h in self.heads]).mean(0))

    def save(self, folder: Path) -> None:
        """The heads as `heads.safetensors`: any weights of the objectives give a policy's head."""
        if self.heads:
            from safetensors.torch import save_file

            tensors = {}
            for at, head in enumerate(self.heads):
                tensors |= {f"{at}.{n}": t.contiguous() for n, t in head.state_dict().items()}
            save_file(tensors, folder / "heads.safetensors")


def modules_for(
    objective: Objective, items: list[Item], engine: LogProbs, lora: bool, seed: int
) -> Modules:
    """The modules an objective needs, made for a policy that is ready to train."""
    lm = engine.lm
    if "degree_logits" in objective.needs:
        _needs_states(objective, engine)
        classes = 1 + max(i.values["degree"] for i in items)
        torch.manual_seed(seed)
        width = lm.get_output_embeddings().weight.shape[1]
        return Modules(classifier=nn.Linear(width, max(classes, 2)).to(engine.device))
    if "head_mask" not in objective.needs:
        return Modules()
    _needs_states(objective, engine)
    if lora:
        raise FieldError("params.lora", f"cannot be used with {objective.name}: it trains heads")
    own = lm.get_output_embeddings()
    n = len(items[0].values["labels"])
    heads = []
    for _ in range(n):
        head = nn.Linear(own.in_features, own.out_features, own.bias is not None)
        head.load_state_dict(own.state_dict())
        heads.append(head.to(engine.device))
    untied = nn.Linear(own.in_features, own.out_features, own.bias is not None)
    untied.load_state_dict(own.state_dict())
    lm.set_output_embeddings(untied.to(engine.device).requires_grad_(False))
    lm.config.tie_word_embeddings = False
    return Modules(heads=heads)


def _needs_states(objective: Objective, engine: LogProbs) -> None:
    if not engine.direct_head:
        raise FieldError("model", f"does not give the states the objective {objective.name} reads")
