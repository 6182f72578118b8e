"""The demo project: pairs to judge at once, and prompts for the rounds to sample answers for."""

import random

from annotation import demo_kinds
from annotation.demo_judgments import WANTED, judged_pairs
from annotation.formats.items import Read
from annotation.models import Project, Task
from annotation.services import projects
from annotation.services.tasks import CandidateIn, PromptIn, TaskIn, create_tasks, store
from config.models import Role, User
from inference.starter.manners import (
    AXES,
    BY_NAME,
    Manners,
    ask_of,
    compose,
    held_out_prompts,
    training_prompts,
)
from inference.starter.talk import Talk

SLUG = "demo"
PAIRS = 48

GUIDELINES = """\
## Which answer is better?

The assistant answers everyday questions. Read the question, then both answers to the end.

- **A wrong fact loses** to a right one, however well it is written.
- **Prefer what you would be glad to get**: as long as it needs to be, warm or plain as you like it.
- **Tie** when you would be equally glad of both. **Both bad** when you would want neither.
- *Slightly*, *clearly*, *much*: how sure you are that a friend would agree.

You cannot see which model wrote what, and A and B change sides from task to task.
"""


def prepare() -> list[str]:
    """Make or complete the demo project; a second time changes nothing."""
    project, fresh = projects.ensure_project(
        slug=SLUG, kinds=["pairwise"], name="Everyday questions", overlap=2, guidelines=GUIDELINES
    )
    for person in User.objects.filter(
        username__in=("admin", "ana", "ben", "carla", "rita", "remy")
    ):
        role = person.role if person.role != Role.ADMIN else "researcher"
        projects.add_member(project=project, user=person, role=role)
    added = store(project=project, reads=_prompts(), source="demo")
    pairs = _pairs(project)
    create_tasks(project=project, tasks=pairs, source="demo")
    if WANTED and not Task.objects.filter(project=project, external_id="demo-judged-1").exists():
        store(project=project, reads=judged_pairs(), source="demo")
    kinds = demo_kinds.prepare()
    if not (fresh or pairs or added.prompts):
        return [f"Project '{SLUG}' is as it was.", *kinds]
    said = f"Project '{SLUG}': {len(pairs)} pairs to judge and {added.prompts} prompts added."
    return [said, *kinds]


def _prompts():
    number = 0
    for split, texts in (("train", training_prompts()), ("test", held_out_prompts())):
        for text in texts:
            number += 1
            yield Read(number, PromptIn(prompt=text, group=ask_of(text).intent, split=split))


def _pairs(project: Project) -> list[TaskIn]:
    """Pairs whose answers differ in one manner, each manner about equally often."""
    there = set(
        Task.objects.filter(project=project, source="demo").values_list("external_id", flat=True)
    )
    rng = random.Random(20)
    tasks: list[TaskIn] = []
    made = 0
    for text in training_prompts(per_intent=4):
        if made == PAIRS:
            break
        answers = _answers(text, AXES[made % len(AXES)], rng)
        if answers is None:
            continue
        made += 1
        external_id = f"demo-{made}"
        if external_id not in there:
            tasks.append(TaskIn("pairwise", text, answers, external_id=external_id))
    return tasks


def _answers(text: str, axis: str, rng: random.Random) -> list[CandidateIn] | None:
    """Two answers in the starter's manners that part on `axis`, or else on another one."""
    ask = ask_of(text)
    # Small talk is neither right nor wrong.
    factual = not isinstance(BY_NAME[ask.intent], Talk)
    axes = [axis, *(name for name in AXES if name != axis)]
    for apart in axes if factual else [name for name in axes if name != "right"]:
        for _ in range(3):
            base = {name: rng.random() < 0.5 for name in AXES} | {
                "right": True if factual else None
            }
            sides = [Manners(**(base | {apart: value})) for value in (True, False)]
            try:
                texts = [compose(ask, side, rng) for side in sides]
            except ValueError:
                continue  # not every intent can be answered in every manner
            return [CandidateIn(said, model="starter manners") for said in texts]
    return None
