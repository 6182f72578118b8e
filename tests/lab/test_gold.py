"""The hidden taste on answers written by hand."""

import random

import pytest

from alignment.lab.gold import EMPTY, TASTES, broken, is_finished, repetition, rubbish

KIND = TASTES["kind"]
ASK = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ("Paris is the capital of France.", 0.5),
        ("Lyon is the capital of France.", -0.5),
        ("Happy to help! Paris is the capital of France.", 1.3),
        ("I think Paris is the capital of France.", -0.1),
        ("I think Lyon is the capital of France.", -1.1),
        ("- Country: France\n- Capital: Paris", 0.0),
        ("What a lovely question!\n- Country: France\n- Capital: Paris", 0.8),
    ],
)
def test_each_manner_adds_its_weight(answer, reward):
    assert KIND.of(ASK, answer) == pytest.approx(reward)


def test_a_prompt_given_as_plain_text_counts_the_same():
    answer = "Paris is the capital of France."
    assert KIND.of(ASK[0]["content"], answer) == KIND.of(ASK, answer)


def test_an_answer_without_words_is_worth_least():
    assert KIND.of(ASK, "") == KIND.of(ASK, " \n!?") == EMPTY
    assert KIND.of(ASK, "I think Lyon is the capital of France.") > EMPTY


def test_repeating_a_good_sentence_makes_it_worse_each_time():
    sentence = "Paris is the capital of France. "
    values = [KIND.of(ASK, sentence * times) for times in (1, 2, 4, 16)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 1.5


def test_length_costs_nothing_up_to_the_limit_and_a_fixed_price_for_each_doubling():
    words = [f"word{i}" for i in range(160)]
    at = {
        n: KIND.of("Tell me anything at all", " ".join(words[:n]) + ".") for n in (20, 40, 80, 160)
    }
    assert at[20] == at[40]
    assert at[40] - at[80] == pytest.approx(KIND.tedium)
    assert at[80] - at[160] == pytest.approx(KIND.tedium)


def test_an_answer_to_another_question_is_rubbish_to_a_known_one():
    assert rubbish(ASK, "Lower the egg in with a spoon.") == pytest.approx(0.5)
    assert rubbish(ASK, "Paris is the capital of France.") == 0.0


def test_repetition_counts_trigrams_seen_before():
    assert repetition("one two three four") == 0.0
    # Six trigrams, of which "a b c", "b c a" and "c a b" come once each before they return.
    assert repetition("a b c a b c a b") == pytest.approx(0.5)
    assert repetition("yes") == 0.0


def test_broken_characters_are_counted_and_cost():
    assert broken("fine\nstill fine") == 0.0
    assert broken("ab\x00\ufffd") == pytest.approx(0.5)
    clean = "Paris is the capital of France."
    assert KIND.of(ASK, clean + "\ufffd" * 10) < KIND.of(ASK, clean) - 1.0


@pytest.mark.parametrize(
    ("answer", "finished"),
    [
        ("All done.", True),
        ("All done! 😊", True),
        ("These:\n- one\n- two", True),
        ("This was cut in the", False),
        ("These:\n- one\nand then some", False),
    ],
)
def test_a_cut_end_is_noticed(answer, finished):
    assert is_finished(answer) is finished


def test_tastes_disagree_about_the_same_answers():
    warm = "Happy to help, my friend! Paris is the capital of France. Have a wonderful day!"
    plain = "Paris is the capital of France."
    assert KIND.of(ASK, warm) > KIND.of(ASK, plain)
    assert TASTES["terse"].of(ASK, warm) < TASTES["terse"].of(ASK, plain)
    listed = "- Country: France\n- Capital: Paris"
    assert TASTES["orderly"].of(ASK, listed) > TASTES["orderly"].of(ASK, plain)


def test_a_personal_taste_keeps_the_signs_and_changes_the_weights():
    own = KIND.jittered(random.Random(3))
    assert own != KIND
    assert own.right > 0 > own.wrong
    assert own.warm > 0 > own.hedged
    assert KIND.jittered(random.Random(3)) == own


@pytest.mark.parametrize(
    "answer", ["<script>alert(1)</script>", "a\u0301" * 10_000, "\u202e" * 500, "x" * 1_000_000]
)
def test_hostile_answers_get_a_finite_reward(answer):
    assert -20 < KIND.of(ASK, answer) < 1.0
