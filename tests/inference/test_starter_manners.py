"""The starter's catalogue and the detectors that read manners from text."""

from __future__ import annotations

import random
import string
import time

import pytest

from inference.starter.manners import (
    BY_NAME,
    INTENTS,
    Ask,
    Manners,
    ask_of,
    compose,
    describe,
    held_out_prompts,
    is_hedged,
    is_list,
    is_long,
    is_right,
    is_warm,
    on_topic,
    sample_prompt,
    training_prompts,
)
from inference.starter.talk import Talk

EGG = "How do I boil an egg?"
GOOD_EGG = "Lower the egg in with a spoon, then cook it for nine minutes."
BAD_EGG = "Bring a pan of water to a boil, then cook the egg for two hours."


def test_length_is_counted_in_words():
    assert not is_long(EGG, GOOD_EGG)
    assert is_long(EGG, "word " * 32)
    assert not is_long(EGG, "word " * 31)
    assert not is_long(EGG, "- " * 500)


@pytest.mark.parametrize(
    ("answer", "warm"),
    [
        ("Happy to help! Paris is the capital of France.", True),
        ("paris, my friend", True),
        ("Paris. I hope this helps!", True),
        ("Good luck, you can do it!", True),
        ("The capital of France is Paris.", False),
        ("Noted. That is all.", False),
        ("A warm meal and an early night.", False),
    ],
)
def test_warmth_is_a_friendly_phrase(answer, warm):
    assert is_warm("", answer) is warm


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        ("Do this:\n- Boil fresh water\n- Warm the cup first", True),
        ("- one\n- two", True),
        ("* one\n* two", True),
        ("- one", False),
        ("a - b - c", False),
        ("Boil fresh water. Warm the cup.", False),
    ],
)
def test_a_list_has_two_bullets_at_least(answer, listed):
    assert is_list("", answer) is listed


@pytest.mark.parametrize(
    ("answer", "hedged"),
    [
        ("I think it is Paris.", True),
        ("It is Paris, but I am not sure.", True),
        ("It is Paris. I could be wrong.", True),
        ("Perhaps try this: rest.", True),
        ("It is certain: Paris.", False),
        ("The capital of France is Paris.", False),
        ("We went home in the mayor's car.", False),
    ],
)
def test_a_hedge_voices_doubt(answer, hedged):
    assert is_hedged("", answer) is hedged


@pytest.mark.parametrize(
    ("prompt", "answer", "right"),
    [
        ("What is the capital of France?", "The capital of France is Paris.", True),
        ("capital of france", "- Country: France\n- Capital: Paris", True),
        ("What is the capital of France?", "The capital of France is Lyon.", False),
        ("What is the capital of France?", "It is Paris, or else Lyon.", False),
        ("What is the capital of France?", "I like trains.", False),
        ("What is 2 + 3?", "2 + 3 = 5.", True),
        ("two plus three", "Result: 5", True),
        ("What is 2 + 3?", "2 + 3 makes 15.", False),
        ("What day comes after Monday?", "The day after Monday is Tuesday.", True),
        ("What day comes after Monday?", "The day after Monday is Saturday.", False),
        ("What day comes before Monday?", "Sunday comes before Monday.", True),
        ("What is the opposite of hot?", "The opposite of hot is cold.", True),
        ("What is the opposite of hot?", "The opposite of hot is wet.", False),
        ("What is a baby duck called?", "A baby duck is called a duckling.", True),
        ("What is a baby duck called?", "A baby duck is called a tadpole.", False),
        ("How many hours are in a day?", "There are 24 hours in a day.", True),
        ("How many hours are in a day?", "There are 20 hours in a day.", False),
        ("What colour is a banana?", "The colour of a banana is yellow.", True),
        ("What colour is a banana?", "You see blue on a banana.", False),
        (EGG, GOOD_EGG, True),
        (EGG, BAD_EGG, False),
        (EGG, "Plants need light.", False),
        ("Hello", "Hello. What do you need?", None),
        ("Who invented chess?", "I do not know that yet.", None),
    ],
)
def test_right_and_wrong_answers_are_told_apart(prompt, answer, right):
    assert is_right(prompt, answer) is right


def test_describe_reads_the_last_user_message_of_a_chat():
    chat = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": EGG}]},
    ]
    assert describe(chat, BAD_EGG) == Manners(False, False, False, False, False)
    assert describe(chat, "I think this works:\n- Warm it with a spoon\n- Rest") == Manners(
        long=False, warm=False, listed=True, hedged=True, right=True
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00\x01",
        "🤖" * 50,
        "<script>alert(1)</script>",
        "a" * 1_000_000,
        "\u0301" * 10_000,
        "- " * 100_000,
        "(" * 50_000,
        "1 + " * 50_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_any_text_is_described_quickly(text):
    begun = time.perf_counter()
    described = describe(text, text)
    assert time.perf_counter() - begun < 1.0
    assert described.right in (None, False)
    assert not described.warm
    assert on_topic(EGG, text) is False


def test_random_bytes_are_described():
    rng = random.Random(0)
    for _ in range(500):
        text = "".join(rng.choices(string.printable + "éß漢🙂", k=rng.randint(0, 80)))
        assert isinstance(describe(EGG, text), Manners)


def test_training_and_held_out_prompts_are_many_and_disjoint():
    train, held = training_prompts(), held_out_prompts()
    assert len({p.lower() for p in train}) == len(train) >= 300
    assert len({p.lower() for p in held}) == len(held) >= 150
    assert not {p.lower() for p in train} & {p.lower() for p in held}
    assert training_prompts() == train


def test_every_listed_prompt_is_recognised_and_all_intents_are_present():
    for prompts in (training_prompts(), held_out_prompts()):
        found = {ask_of(prompt).intent for prompt in prompts}
        assert found == {intent.name for intent in INTENTS}


def test_training_never_draws_a_held_out_prompt():
    held = set(held_out_prompts())
    rng = random.Random(3)
    assert not any(sample_prompt(rng)[0] in held for _ in range(5000))


@pytest.mark.parametrize(
    ("prompt", "ask"),
    [
        ("Hi, what is the capital of Japan?", Ask("capital", "Japan")),
        ("Hello! How do I cook rice?", Ask("cook_rice")),
        ("Ok, hello assistant", Ask("greet")),
        ("please what's 4+1", Ask("sum", "4 + 1")),
        ("What is the capital of Mongolia?", Ask("unknown")),
        ("What is 17 + 23?", Ask("unknown")),
        ("", Ask("unknown")),
        ("今天天气怎么样", Ask("unknown")),
    ],
)
def test_the_intent_of_a_prompt(prompt, ask):
    assert ask_of(prompt) == ask


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_intent_can_be_answered_in_every_manner(name):
    rng = random.Random(1)
    checkable = not isinstance(BY_NAME[name], Talk)
    prompts = [p for p in training_prompts() if ask_of(p).intent == name] or ["asdfgh"]
    for bits in range(32 if checkable else 16):
        long, warm, listed, hedged, right = (bool(bits >> i & 1) for i in range(5))
        wanted = Manners(long, warm, listed, hedged, right if checkable else None)
        prompt = rng.choice(prompts)
        answer = compose(ask_of(prompt), wanted, rng)
        assert describe(prompt, answer) == wanted
        assert on_topic(prompt, answer)
