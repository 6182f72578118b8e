"""Where the steps of an answer begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.steps import MOST_STEPS, stated_for, steps_of


def said(text: str, stated: object = None) -> list[str]:
    return [text[start:end] for start, end in steps_of(text, stated)]


def test_paragraphs_are_steps():
    assert said("First 👩‍👩‍👧 one.\nstill it\n\n \nمرحبا\n") == [
        "First 👩‍👩‍👧 one.\nstill it",
        "مرحبا",
    ]


def test_lines_are_the_steps_of_a_single_paragraph():
    assert said("  Step 1\nStep 2\r\nStep 3") == ["Step 1", "Step 2", "Step 3"]


def test_a_block_of_code_is_not_torn_apart():
    code = "```py\na = 1\n\nb = 2\n```"
    assert said(f"Look:\n\n{code}\n\nDone.") == ["Look:", code, "Done."]


def test_stated_offsets_are_taken_where_they_fit():
    assert said("abcdef", [[0, 2], [2, 6]]) == ["ab", "cdef"]


@pytest.mark.parametrize(
    "stated", [[], [[0, 99]], [[3, 2]], [[2, 4], [1, 5]], [[0]], ["ab"], [[0, True]], {"0": 1}, 7]
)
def test_offsets_that_do_not_fit_are_passed_over(stated):
    assert said("abc", stated) == ["abc"]


def test_metadata_states_steps_by_the_place_of_the_candidate():
    metadata = {"steps": [[[0, 1]], [[0, 2]]]}
    assert stated_for(metadata, 1) == [[0, 2]]
    assert stated_for(metadata, 2) is None
    assert stated_for({}, 0) is None


def test_a_text_has_at_most_so_many_steps_and_loses_nothing():
    text = "\n\n".join("x" for _ in range(MOST_STEPS + 50))
    steps = steps_of(text)
    assert len(steps) == MOST_STEPS
    assert steps[-1][1] == len(text)


@given(st.text(alphabet="ab \n`~\r\u2028مé", max_size=80))
def test_steps_lie_in_order_and_hold_every_visible_character(text):
    steps = steps_of(text)
    at = 0
    for start, end in steps:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        at = end
    assert not text[at:].strip()
