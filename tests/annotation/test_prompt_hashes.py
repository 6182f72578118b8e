"""The hash of a prompt is of one canonical form, whichever writer made it."""

import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.prompts import prompt_hash

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def slow(prompt) -> str:
    text = json.dumps(prompt, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(TEXTS, TEXTS, max_size=3), max_size=3))
def test_text_is_hashed_as_the_canonical_form_says(prompt):
    assert prompt_hash(prompt) == slow(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        [{"role": "user", "content": '\x7f\u2028\x00\b\f\n\r\t"\\/<&> é 👩'}],
        [{"role": "user", "content": "half \ud800"}],
        [{"role": "user", "content": [{"type": "text", "text": "x", "n": 1e16, "m": 1.0}]}],
        [{"content": "b", "role": "user", "weight": None}],
    ],
)
def test_odd_prompts_too(prompt):
    assert prompt_hash(prompt) == slow(prompt)
