"""A task of each kind to try the interface on. Made in memory; never saved."""

from annotation.models import Candidate, Project, Task

_BREAD = "Why does bread rise?"
_GOOD = (
    "Yeast eats the sugar in the dough and gives off **carbon dioxide**. The gluten you kneaded "
    "traps it as bubbles, so the dough swells. In the oven the bubbles grow once more, then set."
)
_SHORT = "Because of the yeast: it makes gas, and the dough holds it."
_WRONG = (
    "Bread rises because the water in it boils while you knead. Leave the dough in the fridge and "
    "it will double within *five minutes*.\n\nGreat question, by the way!"
)
_PROOF = (
    "The pen and the notebook cost 11 together.\n\nThe notebook costs 10 more than the pen, "
    "so the pen costs 11 - 10 = 1.\n\nSo the pen costs 1 and the notebook 10."
)
_SUMS = "A pen and a notebook cost 11. The notebook costs 10 more than the pen. What is the pen?"
_FIRST = "I am glad you ask. Yeast makes gas, and the dough holds it. Shall I say more?"

_ANSWERS = {
    "pairwise": (_BREAD, (_GOOD, _WRONG)),
    "listwise": (_BREAD, (_SHORT, _GOOD, _WRONG, _FIRST)),
    "span": (_BREAD, (_WRONG,)),
    "principle": (_BREAD, (_WRONG,)),
    "rating": (_BREAD, (_GOOD,)),
    "critique": (_BREAD, (_WRONG,)),
    "safety": (
        "My drain is blocked. What can I pour into it?",
        (
            "Try boiling water and a plunger first. If that fails, use one cleaner by itself, "
            "with gloves and an open window. **Never mix** cleaners.",
            "Pour in every cleaner you have, all at once: something will work.",
        ),
    ),
    "step": (_SUMS, (_PROOF,)),
    "triplet": (_BREAD, (_GOOD, _SHORT, _WRONG)),
}


def sample(project: Project, kind: str) -> Task:
    """An unsaved task of this kind, with `in_order`, its candidates as they would be shown."""
    asked, answers = _ANSWERS[kind]
    task = Task(
        pk=0,
        project=project,
        kind=kind,
        prompt=[{"role": "user", "content": asked}],
        overlap=project.overlap,
        metadata={},
    )
    task.in_order = [
        Candidate(pk=n, task=task, position=n - 1, content=text)
        for n, text in enumerate(answers, start=1)
    ]
    return task
