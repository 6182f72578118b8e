"""Numbers for the objectives, and TRL's own lines to compare with."""

from __future__ import annotations

import ast
import math
import re
import textwrap
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch

LOG2 = math.log(2.0)
ENDS = ("chosen", "rejected", "ref_chosen", "ref_rejected")


def batch(n: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
    """Everything an objective may ask for, in float64."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int, mean: float = -20.0, spread: float = 3.0) -> torch.Tensor:
        return mean + spread * torch.randn(*(shape or (n,)), generator=g, dtype=torch.float64)

    values = {k: draw() for k in ENDS}
    values |= {"logps": draw(), "ref_logps": draw()}
    values["label"] = torch.arange(n) % 2 == 0
    values["kl"] = torch.tensor(0.7, dtype=torch.float64)
    values["soft_label"] = torch.linspace(0.5, 1.0, n, dtype=torch.float64)
    values["margin"] = torch.linspace(0.2, 3.0, n, dtype=torch.float64)
    values["chosen_tokens"] = torch.arange(n, dtype=torch.float64) + 4
    values["rejected_tokens"] = torch.arange(n, dtype=torch.float64) + 6
    names = ("probe", "ref_probe", "last_chosen", "last_rejected", "target", "rationale")
    values |= {k: draw() for k in names}
    values["target_tokens"] = values["rationale_tokens"] = values["chosen_tokens"]
    values["other_margin"] = torch.linspace(-1.0, 1.0, n, dtype=torch.float64)
    for k in ("wins", "wins_chosen", "wins_rejected", "rate"):
        values[k] = 0.1 + 0.8 * torch.rand(n, generator=g, dtype=torch.float64)
    values["advantages"] = draw(mean=0.5, spread=1.0)
    values["degree_logits"] = draw(n, 4, mean=0.0, spread=1.0)
    values["degree"] = torch.arange(n) % 4
    values["scope"] = torch.arange(n) % 3
    for k in ("chosen_token_logps", "rejected_token_logps", "token_logps", "ref_token_logps"):
        values[k] = -draw(n, 5, mean=0.0, spread=1.0).abs() - 0.1
    lengths = 2 + torch.arange(n) % 4
    for k in ("chosen_mask", "rejected_mask", "feedback_mask"):
        values[k] = torch.arange(5)[None] < lengths[:, None]
    values["feedback_mask"] = torch.arange(5)[None].expand(n, 5) % 3 == 1
    for k in ("chosen_token_rewards", "rejected_token_rewards"):
        values[k] = torch.rand(n, 5, generator=g, dtype=torch.float64) - 0.5
    values["labels"] = torch.rand(3, n, generator=g, dtype=torch.float64)
    values["head_mask"] = torch.rand(3, n, generator=g) < 0.7
    values["mask"] = values["chosen_mask"]
    return values


def lists(n: int = 7, k: int = 4, seed: int = 0) -> dict[str, torch.Tensor]:
    """The tensors of list objectives, ties and ragged lists among them."""
    g = torch.Generator().manual_seed(seed)

    def draw() -> torch.Tensor:
        return -4.0 + torch.randn(n, k, generator=g, dtype=torch.float64)

    values = {"logps": draw(), "ref_logps": draw(), "sample_logps": draw()}
    values["scores"] = torch.randint(0, 4, (n, k), generator=g).double() / 3.0
    values["mask"] = torch.arange(k)[None] < (2 + torch.arange(n) % (k - 1))[:, None]
    for key in ("token_logps", "old_token_logps", "ref_token_logps"):
        values[key] = -torch.rand(n, k, 5, generator=g, dtype=torch.float64) - 0.1
    lengths = 1 + (torch.arange(n * k) % 5).reshape(n, k)
    values["token_mask"] = torch.arange(5) < lengths[:, :, None]
    values["tokens"] = 3.0 + torch.randint(0, 5, (n, k), generator=g).double()
    return values


def pair(values: dict) -> list[torch.Tensor]:
    return [values[k] for k in ENDS]


def one(*numbers: float) -> list[torch.Tensor]:
    return [torch.tensor([x], dtype=torch.float64) for x in numbers]


def trl_source(path: str) -> str:
    """Text of one of TRL's files; importing it would take longer than all these tests."""
    return (Path(find_spec("trl").origin).parent / path).read_text()


def trl_function(path: str, name: str, **scope):
    """One function or method of TRL, compiled alone, its annotations and decorators dropped."""
    for node in ast.walk(ast.parse(trl_source(path))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.decorator_list, node.returns = [], None
            for arg in (*node.args.args, *node.args.kwonlyargs):
                arg.annotation = None
            module = ast.Module([node], [])
            space = {"torch": torch, "math": math, "F": torch.nn.functional, **scope}
            exec(compile(module, path, "exec"), space)
            return space[name]
    raise LookupError(f"TRL has no {name} in {path}")


def trl_loss(loss_type: str, values: dict, divergence: str = "reverse_kl", **settings):
    """The loss as TRL's DPOTrainer computes it: its own lines, run on our numbers in float32."""
    source = trl_source("trainer/dpo_trainer.py")
    source = source[source.index("        chosen_logratios = chosen_logps - ref_chosen_logps") :]
    start = source.index("        if self.f_divergence_type")
    scores = source[start : source.index("        loss = 0.0", start)]
    branch = re.search(rf'if loss_type == "{loss_type}":\n(.*?)\n\s*el(?:if|se)\b', source, re.S)
    v = {k: values[k].float() for k in ENDS}
    counts = [values["chosen_tokens"], values["rejected_tokens"]]
    mask = torch.arange(20)[None] < torch.cat(counts)[:, None]
    scope = {
        "torch": torch,
        "math": math,
        "F": torch.nn.functional,
        "device": "cpu",
        "self": SimpleNamespace(
            f_divergence_type=divergence,
            f_alpha_divergence_coef=0.5,
            **{"label_smoothing": 0.0, "args": SimpleNamespace(discopop_tau=0.05)} | settings,
        ),
        "chosen_logps": v["chosen"],
        "rejected_logps": v["rejected"],
        "ref_chosen_logps": v["ref_chosen"],
        "ref_rejected_logps": v["ref_rejected"],
        "chosen_logratios": v["chosen"] - v["ref_chosen"],
        "rejected_logratios": v["rejected"] - v["ref_rejected"],
        "completion_mask": mask.float(),
    }
    exec(textwrap.dedent(scores), scope)
    exec(textwrap.dedent(branch.group(1)), scope)
    return scope["per_sequence_loss"].numpy()
