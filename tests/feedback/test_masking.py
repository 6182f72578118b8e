"""Personal data is masked by the stated rules, the same thing by the same label."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.masking import Masker
from feedback.masking.rules import iban_is_valid, luhn_is_valid


def masked(text: str, *others: str, names: tuple[str, ...] = ()) -> str:
    return Masker([text, *others], names=names).mask(text).text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Write to Anna.B+x@mail.example.org now", "Write to [EMAIL_1] now"),
        ("Card 4111 1111 1111 1111 please", "Card [CARD_1] please"),
        ("Pay DE89 3704 0044 0532 0130 00 today", "Pay [IBAN_1] today"),
        ("Ping 203.0.113.7 and 2001:db8::1", "Ping [IP_1] and [IP_2]"),
        ("Call +44 20 7946 0958", "Call [PHONE_1]"),
        ("Call (212) 555-2368 or 030 901820", "Call [PHONE_1] or [PHONE_2]"),
        ("my phone number is 555 0199 00", "my phone number is [PHONE_1]"),
        (
            "git clone https://bob:hunter2@host.example/x",
            "git clone https://[SECRET_1]@host.example/x",
        ),
        ("key sk-abcdefghijklmnopqrstuv", "key [SECRET_1]"),
        ("my password is hunter2x!", "my password is [SECRET_1]"),
        ("I live at 12 Baker Street.", "I live at [ADDRESS_1]."),
        ("Ich wohne Hauptstraße 5 in Ulm", "Ich wohne [ADDRESS_1] in Ulm"),
        ("au 12 rue de la Paix", "au [ADDRESS_1]"),
        ("Vivo en Calle de Alcalá 45", "Vivo en [ADDRESS_1]"),
        ("SSN 123-45-6789", "SSN [ID_1]"),
        ("Hello, my name is Anna Schmidt.", "Hello, my name is [NAME_1]."),
        ("ich heiße Jürgen und du?", "ich heiße [NAME_1] und du?"),
        ("Je m’appelle Zoé", "Je m’appelle [NAME_1]"),
        ("Меня зовут Иван Петров", "Меня зовут [NAME_1]"),
        ("我叫王小明。", "我叫[NAME_1]。"),
        ("Thanks\nBest regards,\nJane Doe", "Thanks\nBest regards,\n[NAME_1]"),
    ],
)
def test_what_the_rules_name_is_masked(text, wanted):
    assert masked(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 is no card and DE89 3704 0044 0532 0130 01 no account",
        "127.0.0.1 is this machine; 1.2.3 is a version; 3.14159265358979 is a number",
        "In 2024-11-21 10:30 there were 1 000 000 of 7 500 000.",
        "call me later, my name is not important",
        "The street was 5 km long. 1984 is a book. def f(x): return x[1:-1] ** 2",
        "std::vector<int> a::b; 12:30:45; see RFC 2119",
        "What is the capital of France?",
    ],
)
def test_what_only_looks_like_personal_data_stays(text):
    assert masked(text) == text


def test_the_same_thing_has_one_label_in_all_messages_of_a_conversation():
    question = "My name is Anna Schmidt, ANNA@x.example or anna@x.example, +49 30 901820."
    answer = "Hello Anna! I wrote to anna@x.example, bob@x.example and +49 (0)30 901820."
    masker = Masker([question, answer])
    first, second = masker.mask(question), masker.mask(answer)
    assert first.text == "My name is [NAME_1], [EMAIL_1] or [EMAIL_1], [PHONE_1]."
    assert second.text == "Hello [NAME_1]! I wrote to [EMAIL_1], [EMAIL_2] and [PHONE_1]."
    assert second.counts == {"NAME": 1, "EMAIL": 2, "PHONE": 1}
    assert [words for words, is_mark in second.pieces if is_mark][:2] == ["[NAME_1]", "[EMAIL_1]"]


def test_the_names_of_the_account_are_masked_wherever_they_stand():
    assert masked("As Remy Okafor I ask; remy's cat", names=("Remy Okafor",)) == (
        "As [NAME_1] I ask; [NAME_1]'s cat"
    )


def test_a_label_that_a_person_typed_is_not_given_to_something_else():
    assert masked("[EMAIL_1] and a@b.example") == "[EMAIL_1] and [EMAIL_2]"


def test_checksums_agree_with_published_examples():
    assert luhn_is_valid("79927398713")  # the example of the standard's description
    assert not luhn_is_valid("79927398710")
    for iban in ("GB82WEST12345698765432", "FR1420041010050500013M02606"):
        assert iban_is_valid(iban)
        assert not iban_is_valid(iban[:-1] + ("0" if iban[-1] != "0" else "1"))


@given(st.text(max_size=300))
def test_any_text_can_be_masked_and_masking_again_changes_nothing(text):
    once = Masker([text]).mask(text)
    assert "".join(words for words, _ in once.pieces) == once.text
    assert Masker([once.text]).mask(once.text).text == once.text


@pytest.mark.parametrize("piece", ["a@", "1 ", "1-", "Aa ", "::", "my name is ", "DE89", "+1("])
def test_hostile_text_is_masked_in_time(piece):
    text = piece * (20_000 // len(piece))
    began = time.process_time()
    Masker([text]).mask(text)
    assert time.process_time() - began < 5
