"""What a model is shown of a chat that is longer than it can read."""

from inference import windows
from inference.models import ModelVersion


def version(size: int | None) -> ModelVersion:
    """No tokenizer file: 2.5 characters are counted as a token, and 8 tokens a message."""
    metadata = {} if size is None else {"context_window": size}
    return ModelVersion(name="one", location="/nowhere", metadata=metadata)


def chat(*texts: str, system: str | None = None) -> list[dict]:
    turns = [
        {"role": "user" if number % 2 == 0 else "assistant", "content": text}
        for number, text in enumerate(texts)
    ]
    return ([{"role": "system", "content": system}] if system else []) + turns


def test_what_fits_is_left_alone():
    messages = chat("one", "two", "three")
    fitted = windows.fit(version(1000), messages, 100)
    assert fitted == windows.Fitted(messages, 100)


def test_without_a_known_window_nothing_is_left_out():
    messages = chat("x" * 10_000)
    assert windows.fit(version(None), messages, 100).messages == messages


def test_the_oldest_turns_go_first_and_system_and_last_stay():
    # Room: 200 - 50 - 8 = 142. System and each turn cost 8 + 10/2.5 + 1 = 13 and 8 + 41 = 49.
    messages = chat("a" * 100, "b" * 100, "c" * 100, "d" * 100, "e" * 100, system="s" * 10)
    fitted = windows.fit(version(200), messages, 50)
    assert [one["content"][0] for one in fitted.messages] == ["s", "e"]
    assert fitted.dropped_messages == 4
    wider = windows.fit(version(300), messages, 50)
    assert [one["content"][0] for one in wider.messages] == ["s", "c", "d", "e"]
    assert wider.dropped_messages == 2


def test_what_is_kept_never_begins_with_an_answer():
    messages = chat("a" * 100, "b" * 100, "c" * 10)
    # Room 92: the last costs 13, the answer 49 would fit, but its question would not.
    fitted = windows.fit(version(150), messages, 50)
    assert [one["role"] for one in fitted.messages] == ["user"]
    assert fitted.dropped_messages == 2


def test_of_a_last_message_that_is_too_long_the_end_is_kept():
    fitted = windows.fit(version(100), chat("start" + "x" * 1000 + "end"), 50)
    assert fitted.messages[0]["content"].endswith("end")
    assert "start" not in fitted.messages[0]["content"]
    assert fitted.dropped_characters == 1008 - len(fitted.messages[0]["content"])


def test_in_a_small_window_the_answer_gets_at_most_half():
    assert windows.fit(version(100), chat("hi"), 400).max_tokens == 50
