"""Every objective of the registry through the trainer: the loss it reports of a batch is that of
the objective on log-probabilities computed here one sequence at a time.
"""

from __future__ import annotations

import json

import pytest
import torch

from alignment.objectives import registry
from alignment.trainer import contract, supply
from alignment.trainer.__main__ import main
from alignment.trainer.config import check_run
from alignment.trainer.modeling import load_policy
from alignment.trainer.schema import FieldError
from alignment.trainer.tokenise import ChatTokenizer

from . import tiny

N = 5
ANSWERS = ("yes, gladly!", "no", "perhaps so", "ask me later, please")


@pytest.fixture(scope="module")
def models(tmp_path_factory, policy_folder):
    """Policy, reference and last iterate: three different models."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "model": policy_folder,
        "reference": tiny.make_policy(folder / "reference", seed=1),
        "last": tiny.make_policy(folder / "last", seed=2),
    }


@pytest.fixture(scope="module")
def loaded(models):
    return {name: load_policy("model", path) for name, path in models.items()}


@pytest.fixture(scope="module")
def chat(loaded):
    policy = loaded["model"]
    return ChatTokenizer(policy.tokenizer, policy.eos_ids[0], 512, 512, policy.max_positions)


def pairs() -> list[dict]:
    """Pairs with every column an objective on pairs may read."""
    return [
        {
            "prompt": tiny.user(f"question {i}"),
            "chosen": f"yes {i}!" + "!" * i,
            "rejected": f"no {i} because of that",
            "split": "train",
            "weight": 1.0 + i,
            "soft_label": 0.6 + 0.1 * i,
            "margin": 0.5 + i,
            "other_margin": i - 2.0,
            "wins_chosen": 0.5 + 0.1 * i,
            "wins_rejected": 0.1 * i,
            "probe": f"maybe {i}",
            "target": f"certainly {i}",
            "rationale": f"it is short {i}" if i % 2 else None,
            "scope": ("in", "near", "out")[i % 3],
            "labels": [1.0, None if i % 2 else 0.2, 0.5],
            "degree": i % 3,
            "degraded": f"y {i}",
            "chosen_spans": [{"start": 0, "end": 3, "value": 0.4}],
            "rejected_token_rewards": [0.1 * k for k in range(len(f"no {i} because of that"))],
        }
        for i in range(N)
    ]


def lists() -> list[dict]:
    """Rankings with ties, of two to four answers."""
    return [
        {
            "prompt": tiny.user(f"question {i}"),
            "answers": [f"{a} {i}" for a in ANSWERS[: 2 + i % 3]],
            "scores": [0.75, 0.25, 0.25, 0.0][: 2 + i % 3],
            "logprobs": [-3.0, -4.0, -5.0, -6.0][: 2 + i % 3],
            "split": "train",
            "weight": 1.0 + i,
        }
        for i in range(N)
    ]


def singles() -> list[dict]:
    """Single answers: liked or not, with what samples and texts are given besides."""
    return [
        {
            "prompt": tiny.user(f"question {i // 2}"),
            "completion": f"{ANSWERS[i % 4]} {i}",
            "label": i % 3 == 0,
            "advantage": 0.5 - 0.3 * i,
            "wins": 0.2 * i,
            "parts": [{"text": f"Bad: {i} ", "feedback": True}, {"text": f"so {i}"}],
            "split": "train",
            "weight": 1.0 + i,
        }
        for i in range(N)
    ]


ROWS = {"pairs": pairs, "lists": lists, "unpaired": singles, "samples": singles, "text": singles}


class Plain:
    """Log-probabilities of answers, each sequence by itself through the whole model."""

    def __init__(self, loaded, chat):
        self.loaded, self.chat = loaded, chat

    def tokens(self, name: str, messages: list[dict], text: str) -> torch.Tensor:
        prompt = self.chat.prompt(messages)
        answer = self.chat.answer(text)
        ids = torch.tensor([[*prompt, *answer]])
        with torch.no_grad():
            logits = self.loaded[name].lm(input_ids=ids).logits[0].double()
        logp = logits[len(prompt) - 1 : -1].log_softmax(-1)
        return logp.gather(1, torch.tensor(answer)[:, None])[:, 0]

    def of(self, row: dict, column: str, name: str = "model") -> torch.Tensor:
        return self.tokens(name, messages(row), row[column])


def messages(row: dict) -> list[dict]:
    return json.loads(row["prompt"])


def padded(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


MODEL = {"": "model", "ref_": "reference", "last_": "last", "old_": "last"}


def tensors_of_pairs(rows: list[dict], plain: Plain) -> dict:
    made: dict = {}
    for prefix in ("", "ref_", "last_"):
        for column in ("chosen", "rejected", "probe", "target"):
            own = [plain.of(r, column, MODEL[prefix]) for r in rows]
            made[f"{prefix}{column}"] = torch.stack([t.sum() for t in own])
            if not prefix:
                made[f"{column}_tokens"] = torch.tensor([float(len(t)) for t in own])
                made[f"{column}_token_logps"] = padded(own)
                made[f"{column}_mask"] = padded([torch.ones(len(t)) for t in own]) > 0
    sums, counts = [], []
    for row in rows:
        asked = (
            f"{messages(row)[0]['content']}\n\nFirst answer: {row['chosen']}\n"
            f"Second answer: {row['rejected']}\nWhy is the first answer better?"
        )
        own = torch.zeros(0)
        if row["rationale"]:
            own = plain.tokens("model", [{"role": "user", "content": asked}], row["rationale"])
        sums.append(own.sum())
        counts.append(float(len(own)))
    made |= {"rationale": torch.stack(sums), "rationale_tokens": torch.tensor(counts)}
    for name in ("soft_label", "margin", "other_margin", "wins_chosen", "wins_rejected"):
        made[name] = torch.tensor([r[name] for r in rows], dtype=torch.float64)
    made["scope"] = torch.tensor([("in", "near", "out").index(r["scope"]) for r in rows])
    made["labels"] = torch.tensor([[0.5 if v is None else v for v in r["labels"]] for r in rows]).T
    made["head_mask"] = torch.tensor([[v is not None for v in r["labels"]] for r in rows]).T
    # One token a character, then the end: the span covers the first three.
    rewards = [torch.tensor([0.4] * 3 + [0.0] * (len(r["chosen"]) - 2)) for r in rows]
    made["chosen_token_rewards"] = padded(rewards)
    rewards = [torch.tensor([*r["rejected_token_rewards"], 0.0]) for r in rows]
    made["rejected_token_rewards"] = padded(rewards)
    return made


def tensors_of_lists(rows: list[dict], plain: Plain) -> dict:
    made: dict = {}
    width = max(len(r["answers"]) for r in rows)

    def grid(values: list[list[float]]) -> torch.Tensor:
        filled = [[float(x) for x in v] + [0.0] * (width - len(v)) for v in values]
        return torch.tensor(filled, dtype=torch.float64)

    for prefix in ("", "ref_", "old_"):
        own = [[plain.tokens(MODEL[prefix], messages(r), a) for a in r["answers"]] for r in rows]
        longest = max(len(t) for row in own for t in row)
        table = torch.zeros(len(rows), width, longest, dtype=torch.float64)
        mask = torch.zeros(len(rows), width, longest, dtype=torch.bool)
        for b, row in enumerate(own):
            for k, t in enumerate(row):
                table[b, k, : len(t)] = t
                mask[b, k, : len(t)] = True
        made |= {f"{prefix}token_logps": table, f"{prefix}logps": table.sum(2), "token_mask": mask}
    made["tokens"] = made["token_mask"].sum(2).clamp(min=1).double()
    made["mask"] = made["token_mask"].any(2)
    made["scores"] = grid([r["scores"] for r in rows])
    made["sample_logps"] = grid([r["logprobs"] for r in rows])
    return made


def tensors_of_singles(rows: list[dict], plain: Plain, kind: str) -> dict:
    made: dict = {}
    column = "completion"
    if kind == "text":
        rows = [r | {"whole": "".join(p["text"] for p in r["parts"])} for r in rows]
        column = "whole"
    for prefix in ("", "ref_"):
        own = [plain.of(r, column, MODEL[prefix]) for r in rows]
        made |= {f"{prefix}token_logps": padded(own)}
        made |= {f"{prefix}logps": torch.stack([t.sum() for t in own])}
    made["mask"] = padded([torch.ones(len(t)) for t in own]) > 0
    if kind == "text":
        # One token a character: the words of the feedback come first.
        made["feedback_mask"] = torch.zeros_like(made["mask"])
        for i, row in enumerate(rows):
            made["feedback_mask"][i, : len(row["parts"][0]["text"])] = True
    made["label"] = torch.tensor([r["label"] for r in rows])
    made["advantages"] = torch.tensor([r["advantage"] for r in rows], dtype=torch.float64)
    made["wins"] = torch.tensor([r["wins"] for r in rows], dtype=torch.float64)
    prompts = [r["prompt"] for r in rows]
    made["rate"] = torch.tensor(
        [sum(r["label"] for r in rows if r["prompt"] == p) / prompts.count(p) for p in prompts]
    )
    gaps = []
    for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
        ours, theirs = (
            plain.tokens(m, messages(row), other["completion"]).sum()
            for m in ("model", "reference")
        )
        gaps.append(ours - theirs)
    made["kl"] = torch.stack(gaps).mean()
    return made


def wanted(name: str, plain: Plain) -> float:
    """The weighted mean loss, from the objective and the tensors made here."""
    objective = registry.get(name)
    kind = objective.inputs
    rows = ROWS[kind]()
    if kind == "pairs":
        made = tensors_of_pairs(rows, plain)
    elif kind == "lists":
        made = tensors_of_lists(rows, plain)
    else:
        made = tensors_of_singles(rows, plain, kind)
    if name == "mah_dpo":  # the heads begin as copies of the policy's own
        made |= {k: made[k].expand(3, -1) for k in ("chosen", "rejected")}
    if name == "degree_dpo":
        torch.manual_seed(0)
        classifier = torch.nn.Linear(32, 3)
        made["degree"] = torch.tensor([r["degree"] for r in rows])
        states = []
        for row in rows:
            prompt, answer = plain.chat.prompt(messages(row)), plain.chat.answer(row["degraded"])
            with torch.no_grad():
                lm = plain.loaded["model"].lm
                found = lm.model(input_ids=torch.tensor([[*prompt, *answer[:-1]]]))
            states.append(found.last_hidden_state[0, -1])
        with torch.no_grad():
            made["degree_logits"] = classifier(torch.stack(states))
    given = {k: made[k] for k in objective.needs}
    losses = objective.function(**given, **objective.defaults())
    weight = torch.tensor([r["weight"] for r in rows], dtype=losses.dtype)
    if objective.batchwise:  # its losses belong to ranks, not to rows
        weight = torch.ones_like(losses)
    return float((losses * weight).sum() / weight.sum())


@pytest.mark.parametrize("name", registry.names())
def test_the_reported_loss_is_the_objective_on_separate_log_probabilities(
    name, run, models, loaded, chat
):
    objective = registry.get(name)
    values = {
        "task": "policy",
        **{k: str(v) for k, v in models.items()},
        objective.inputs: "data/rows.parquet",
        "params": {"objective": name, "batch": 64, "kl_prompts": 1, "kl_max_new_tokens": 1}
        | {"kl_every": 0, "dtype": "float32", "tokens": 300},
    }
    rows = ROWS[objective.inputs]()
    # Stated splits count only where a row is held out.
    held = rows[0] | {"prompt": tiny.user("held out"), "split": "eval"}
    code, report, folder = run(values, rows=[*rows, held])
    assert code == 0, report["reason"]
    assert report["metrics"]["n_train"] == N
    (line,) = tiny.progress(folder)
    expected = wanted(name, Plain(loaded, chat))
    assert line["loss"] == pytest.approx(expected, rel=2e-4, abs=2e-4)
    assert line["grad_norm"] > 0


def test_what_the_contract_promises_is_what_the_trainer_makes():
    assert contract.READS.keys() == supply.MAKERS.keys() == contract.REQUIRED.keys()
    for kind, reads in contract.READS.items():
        assert reads.keys() == supply.MAKERS[kind].keys()
    assert registry.trainable(contract.SUPPLIED) == registry.names()


def test_a_loss_over_the_whole_batch_has_the_gradient_of_one_reading(run, models):
    found = []
    for tokens in (4096, 64):  # one micro-batch, and a row at a time
        values = {
            "task": "policy",
            **{k: str(v) for k, v in models.items()},
            "pairs": "data/rows.parquet",
            "params": {"objective": "aot", "batch": 64, "kl_prompts": 1, "kl_max_new_tokens": 1}
            | {"kl_every": 0, "dtype": "float32", "tokens": tokens},
        }
        rows = [*pairs(), pairs()[0] | {"prompt": tiny.user("held out"), "split": "eval"}]
        _, report, folder = run(values, f"by-{tokens}", rows=rows)
        assert report["metrics"]["eval_loss"] > 0
        found.append(tiny.progress(folder)[0])
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-4)
    assert found[0]["grad_norm"] == pytest.approx(found[1]["grad_norm"], rel=1e-3)


def test_scored_samples_and_snapshots_rankings_are_read_as_lists(run, models):
    samples = [
        {"prompt": r["prompt"], "text": a, "reward_mean": s, "split": "train"}
        for r in lists()
        for a, s in zip(r["answers"], r["scores"], strict=True)
    ]
    ranked = [
        {"prompt": r["prompt"], "completions": r["answers"], "split": "train"}
        | {"places": [1, 2, 2, 4][: len(r["answers"])]}
        for r in lists()
    ]
    losses = []
    for name, rows in (("scored", samples), ("ranked", ranked)):
        held = rows[:2] if name == "scored" else rows[:1]
        rows += [r | {"prompt": tiny.user("held out"), "split": "eval"} for r in held]
        values = {"task": "policy", "model": str(models["model"]), "lists": "data/rows.parquet"}
        values["params"] = {"objective": "list_mle", "kl_prompts": 1, "kl_max_new_tokens": 1}
        code, report, folder = run(values, name, rows=rows)
        assert code == 0, report["reason"]
        assert report["metrics"]["n_train"] == N
        losses.append(tiny.progress(folder)[0]["loss"])
    # The same order of the same answers: the same likelihood.
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_checking_a_run_names_the_column_that_is_missing(tmp_path, models, capsys):
    rows = [{k: v for k, v in r.items() if k != "probe"} for r in pairs()]
    values = {"task": "policy", "model": str(models["model"]), "pairs": "data/rows.parquet"}
    codes = []
    for name in ("xpo", "dpo"):
        run = values | {"params": {"objective": name}}
        codes.append(main([str(tiny.write_run(tmp_path / name, run, rows=rows)), "--check"]))
    assert codes == [2, 0]
    told = capsys.readouterr().err
    assert "pairs: column 'probe' is missing from rows.parquet; the objective xpo reads it" in told


@pytest.mark.parametrize("name", registry.names())
def test_a_missing_input_is_refused_by_its_field(name):
    objective = registry.get(name)
    with pytest.raises(FieldError) as caught:
        check_run({"task": "policy", "model": "m", "params": {"objective": name}})
    assert caught.value.field == objective.inputs
    for column in contract.columns_of(objective):
        present = {c for other in contract.columns_of(objective) for c in other.split("|")}
        with pytest.raises(FieldError, match=column.split("|")[0]) as caught:
            contract.check_columns(objective, present - set(column.split("|")), "rows.parquet")
        assert caught.value.field == objective.inputs
