"""Reward models trained trunk and all, and what the benchmark's table refuses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from alignment.rewards.heads import HeadBank
from alignment.rewards.losses import bradley_terry
from alignment.trainer.batches import Item
from alignment.trainer.config import PARAMS
from alignment.trainer.context import Context
from alignment.trainer.logprobs import LogProbs
from alignment.trainer.modeling import load_policy, make_trainable
from alignment.trainer.modules import Modules
from alignment.trainer.optimise import Loop
from alignment.trainer.trunk import BRADLEY_TERRY, RewardReader
from tests.bench.training.table import Differs, Line, row_of

PROMPT = [2, 40, 41, 3]
PAIRS = [([50, 51, 0], [60, 0]), ([70, 0], [71, 72, 73, 0]), ([80, 81, 0], [82, 0])]


def plain_scores(lm, bank, prompt, answer) -> torch.Tensor:
    """Scores of each member at the last token of one sequence read by itself."""
    states = lm.model(input_ids=torch.tensor([[*prompt, *answer]])).last_hidden_state[0, -1:]
    return bank(states)[:, 0, 0]


def test_an_ensemble_trains_on_one_reading_of_trunk_and_prompt(tmp_path, policy_folder):
    torch.manual_seed(0)
    policy = load_policy("model", policy_folder)
    bank = HeadBank(32, members=3)
    items = [
        Item(PROMPT, [[*a, 0] for a in pair], values={"soft_label": 1.0}, prompt_hash=str(n))
        for n, pair in enumerate(PAIRS)
    ]
    params = {name: field.default for name, field in PARAMS["policy"].items()}
    params |= {"batch": 3, "epochs": 12, "lr": 3e-3, "kl_every": 0, "warmup": 0}
    lines: list[dict] = []
    context = Context(
        tmp_path,
        {"params": params, "seed": 0},
        SimpleNamespace(write=lambda *a, **numbers: lines.append(numbers)),
    )
    reader = LogProbs(policy.lm)
    reader.probe(items[0].prompt, items[0].answers, share=True)
    engine = RewardReader(policy.lm, bank).like(reader)
    with torch.no_grad():
        each = [[plain_scores(policy.lm, bank, PROMPT, a) for a in pair] for pair in PAIRS]
        want = torch.stack([bradley_terry(*pair).mean() for pair in each]).mean()
    modules = Modules(bank=bank)
    trainable = [*make_trainable(policy, None), *modules.parameters()]
    watch = SimpleNamespace(measure=lambda step: {})
    loop = Loop(
        *(context, policy, engine, BRADLEY_TERRY, items, [], trainable, watch, ""), modules=modules
    )
    metrics = loop.run()
    assert lines[0]["loss"] == pytest.approx(float(want), rel=1e-4)
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert lines[-1]["accuracy"] == 1.0
    # The prompt was read once a step, and no answer padded.
    assert metrics["tokens"] == 12 * (len(PROMPT) + sum(len(a) for pair in PAIRS for a in pair))


FIGURES = {"tokens": 1000, "prompts": 4, "peak_mib": 100, "others": 0.0}
FIGURES |= {"pad_share": 0.1, "mfu": 0.2, "overhead": 0.01, "norms": [1.0, 2.0]}


def figures(seconds: float, *losses: float, **more) -> list[dict]:
    return [FIGURES | {"wall_s": seconds, "cpu_s": seconds, "losses": list(losses)} | more]


def test_the_benchmark_compares_speeds_only_of_what_computes_the_same():
    line = Line("DPO", "S", goal=2.0)
    good = {"ours": figures(1.0, 0.69, 0.5), "trl": figures(3.0, 0.69, 0.5001)}
    cells = row_of(line, good)
    assert len(cells) == 17  # as many as the table's head has
    assert cells[4] == "**3.00**"
    unpadded = {"ours": figures(1.0, 0.69, 0.5, pad_share=None), "trl": good["trl"]}
    assert row_of(line, unpadded)[13] == "padded / 10%"
    for apart, word in (
        (figures(3.0, 0.69, 0.6), "losses"),
        (figures(3.0, 0.69, float("nan")), "losses"),
        (figures(3.0, 0.69, 0.5, norms=[1.0, 2.2]), "norms"),
        (figures(3.0, 0.69), "steps"),
    ):
        with pytest.raises(Differs, match=word):
            row_of(line, {"ours": good["ours"], "trl": apart})
