"""The catalogue of everyday intents, the manners answers come in, and their detectors.

This is the door to the package for everyone who is not training the starter policy: prompts to
ask, and functions that tell from the text how an answer speaks. Needs the standard library only.
"""

from inference.starter.compose import compose
from inference.starter.detect import (
    BY_NAME,
    INTENTS,
    LONG_WORDS,
    Ask,
    Manners,
    ask_of,
    describe,
    is_hedged,
    is_list,
    is_long,
    is_right,
    is_warm,
    on_topic,
)
from inference.starter.prompts import held_out_prompts, sample_prompt, training_prompts

AXES = ("long", "warm", "listed", "hedged", "right")
"""Names of the five axes, in the order of the fields of :class:`Manners`."""

__all__ = [
    "AXES", "BY_NAME", "INTENTS", "LONG_WORDS", "Ask", "Manners", "ask_of", "compose", "describe",
    "held_out_prompts", "is_hedged", "is_list", "is_long", "is_right", "is_warm", "on_topic",
    "sample_prompt", "training_prompts",
]  # fmt: skip
