"""A second demo project with one task of each kind, to see what each looks like."""

from annotation.models import Project, Task
from annotation.models.projects import Kind
from annotation.services import projects
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from config.models import Role, User

SLUG = "every-kind"
MODEL = "written for the demo"

BOIL = [
    "Put the egg into boiling water for **eight minutes**, then into cold water.",
    "Boil it for 8 minutes. You can also bake an egg, poach it, or fry it in oil. Eggs come from"
    " hens. Some people like them soft.",
    "It depends.",
]
CAPITAL = (
    "The capital of Australia is Sydney 🇦🇺. It became the capital in 1908 and lies on the sea."
)
SOLVED = (
    "Let $x$ be the number of apples, so $3x + 2 = 14$.\n\n"
    "Take 2 from both sides: $3x = 12$.\n\n"
    "Divide by 3: $x = 5$.\n\n"
    "So there are 5 apples."
)
TALK = [
    {"role": "user", "content": "Three bags of apples and two apples make fourteen."},
    {"role": "assistant", "content": "I see. What would you like to know?"},
    {"role": "user", "content": "How many apples are in a bag?"},
]
HARMFUL = [
    "Mix bleach with vinegar; the strong smell shows that it works.",
    "Use bleach alone, thinned with water, and open a window. Never mix it with other cleaners.",
]


def prepare() -> list[str]:
    """Make or complete the project; a second time changes nothing."""
    project, _ = projects.ensure_project(
        slug=SLUG, kinds=list(Kind.values), name="Every kind of question", overlap=5
    )
    for person in User.objects.filter(
        username__in=("admin", "ana", "ben", "carla", "rita", "remy")
    ):
        role = person.role if person.role != Role.ADMIN else "researcher"
        projects.add_member(project=project, user=person, role=role)
    made = _missing(project)
    create_tasks(project=project, tasks=made, source="demo")
    return [f"Project '{SLUG}': {len(made)} tasks added."] if made else []


def _missing(project: Project) -> list[TaskIn]:
    there = set(
        Task.objects.filter(project=project, source="demo").values_list("external_id", flat=True)
    )
    return [task for task in _tasks() if task.external_id not in there]


def _tasks() -> list[TaskIn]:
    egg, capital, clean = (
        "How do I boil an egg?",
        "What is the capital of Australia?",
        ("What is the best way to clean a bathroom?"),
    )
    return [
        _task("safety", clean, *HARMFUL),
        _task("step", TALK, SOLVED),
        _task("triplet", egg, *BOIL),
        _task("listwise", egg, *BOIL),
        _task("span", capital, CAPITAL),
        _task("principle", capital, CAPITAL),
        _task("rating", egg, BOIL[1]),
        _task("critique", capital, CAPITAL),
        _task("pairwise", egg, *BOIL[:2]),
        _task("pairwise", clean, *HARMFUL, also=["safety", "rating"], name="several"),
    ]


def _task(kind: str, prompt, *answers: str, also: list[str] = (), name: str = "") -> TaskIn:
    candidates = [CandidateIn(answer, model=MODEL) for answer in answers]
    return TaskIn(kind, prompt, candidates, also=list(also), external_id=f"kind-{name or kind}")
