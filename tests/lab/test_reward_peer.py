"""The comparison with TRL's reward model: what both sides are given."""

from __future__ import annotations

import json

from alignment.rewards.encoder import load_tokenizer
from alignment.rewards.features import Featurizer
from tests.bench.reward_models import split, texts


def row(prompt: str, chosen: str, rejected: str) -> dict:
    chat = json.dumps([{"role": "user", "content": prompt}])
    return {"prompt": chat, "chosen": chosen, "rejected": rejected, "group": prompt}


def test_no_prompt_is_on_both_sides_and_both_keep_their_size():
    rows = [row(f"question {n // 3}", f"good {n}", f"bad {n}") for n in range(300)]
    train, test = split(rows, 1000, 1000)
    assert len(train) + len(test) == 300
    assert 60 < len(test) < 180
    assert not {r["group"] for r in train} & {r["group"] for r in test}
    few, fewer = split(rows, 20, 10)
    assert few == train[:20]
    assert fewer == test[:10]
    assert texts(few[:1], "chosen") == [(few[0]["group"], few[0]["chosen"])]


def test_the_peer_reads_the_tokens_that_our_features_are_made_from():
    featurizer = Featurizer("minilm", 16)
    tokenizer = load_tokenizer(featurizer.folder)
    ids = featurizer.ids("Why?", "Because it rains.")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "why? because it rains."
    start, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert (ids[0], ids[-1], ids.count(end)) == (start, end, 2)
    assert len(featurizer.ids("word " * 50, "answer " * 50)) == 16
