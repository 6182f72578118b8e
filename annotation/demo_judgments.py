"""Judged pairs that come with the demo, so that its first round has something to learn from.

Two made-up annotators with one plain taste (right before wrong, warm before dry, plain before
hedged) and some noise. They are import people who cannot log in, and every task's metadata says
that it is demo content. `DEMO_JUDGMENTS=0` leaves them out.
"""

import random
from collections.abc import Iterator

from annotation.formats.items import CandidateIn, JudgmentIn, Read, TaskIn
from config.env import env, to_bool
from inference.starter.manners import BY_NAME, Manners, ask_of, compose, training_prompts
from inference.starter.talk import Talk

WANTED = env("DEMO_JUDGMENTS", to_bool, True)
PAIRS = 240
PEOPLE = ("demo annotator 1", "demo annotator 2")


def judged_pairs() -> Iterator[Read]:
    """PAIRS tasks of overlap 1, each judged once; the same ones every time."""
    rng = random.Random(7)
    prompts = training_prompts()
    for number in range(1, PAIRS + 1):
        text = prompts[(number * 37) % len(prompts)]
        (first, liked), (second, other) = _answer(text, rng), _answer(text, rng)
        yield Read(
            number,
            TaskIn(
                "pairwise",
                text,
                [CandidateIn(said, model="starter manners") for said in (first, second)],
                overlap=1,
                external_id=f"demo-judged-{number}",
                metadata={"demo": True},
                judgments=[
                    JudgmentIn(_body(liked - other + rng.gauss(0, 0.4)), PEOPLE[number % 2])
                ],
            ),
        )


def _answer(text: str, rng: random.Random) -> tuple[str, float]:
    """An answer in some manner that the catalogue has for this prompt, and how it is liked."""
    ask = ask_of(text)
    factual = not isinstance(BY_NAME[ask.intent], Talk)  # small talk is neither right nor wrong
    for _ in range(50):
        long, warm, listed, hedged, right = (rng.random() < 0.5 for _ in range(5))
        manners = Manners(
            long=long, warm=warm, listed=listed, hedged=hedged, right=right if factual else None
        )
        try:
            said = compose(ask, manners, rng)
        except ValueError:
            continue  # not every intent can be answered in every manner
        liking = 0.8 * warm - 0.7 * hedged + (1.0 if right else -1.0) * factual
        return said, liking
    raise RuntimeError(f"The catalogue has no answer to {text!r}.")


def _body(gap: float) -> dict:
    if abs(gap) < 0.3:
        return {"outcome": "tie"}
    strength = 1 + (abs(gap) > 0.9) + (abs(gap) > 1.8)
    return {"outcome": "preferred", "preferred": 0 if gap > 0 else 1, "strength": strength}
