"""Text that is being written is formatted as far as it is finished, each part once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.blocks import LONGEST, Blocks


def finished(text: str, size: int = 3) -> list[str]:
    """The parts of `text` that become finished while it comes in pieces."""
    blocks, parts = Blocks(), []
    for at in range(0, len(text), size):
        blocks.add(text[at : at + size])
        if (found := blocks.next()) is not None:
            start, end, part = found
            assert part == text[start:end]
            parts.append(part)
    return parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one line that goes on", []),
        ("First.\n\nSecond para", ["First.\n\n"]),
        ("# Head\n\nText\n\nMore text", ["# Head\n\n", "Text\n\n"]),
        ("```py\na = 1\n\nb = 2\n```\nAfter it", ["```py\na = 1\n\nb = 2\n```\n"]),
        ("```py\na = 1\n\nb = 2\n", []),
        ("1. one\n\n2. two\n\n   more of two\n\nAfter", ["1. one\n\n2. two\n\n   more of two\n\n"]),
        ("- one\n\n- two\n\n", []),
        ("$$\na\n\nb\n$$\n\nAfter it", ["$$\na\n\nb\n$$\n\n"]),
        ("Text\n\n- x", ["Text\n\n"]),
    ],
)
def test_a_block_is_finished_when_nothing_can_belong_to_it_any_more(text, parts):
    if text.endswith("- x"):
        text += "yz\n"
    assert finished(text) == parts


@given(st.text(alphabet="ab \n`$-1.#", max_size=80), st.integers(1, 9))
def test_the_parts_follow_each_other_whatever_comes(text, size):
    blocks, at = Blocks(), 0
    for place in range(0, len(text), size):
        blocks.add(text[place : place + size])
        if (found := blocks.next()) is not None:
            assert found[0] == at < found[1] <= place + size
            at = found[1]


def test_a_giant_block_waits_for_the_end():
    blocks = Blocks("a" * (LONGEST + 1) + "\n\nafter")
    assert blocks.next() is None
