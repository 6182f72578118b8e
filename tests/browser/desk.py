"""The annotate page in a real browser, with staged desks: what is shown, what is sent.

The desks are made by the server's own code from tasks that were never stored; the staged server
keeps what the page sends, and answers each step with the next desk.
"""

import json
from dataclasses import dataclass, field
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotation import desks, views
from annotation.models import Assignment, Candidate, Draft, Principle, Project, Task
from tests.browser.pages import ORIGIN, stage

MIXED = (
    "A family 👩‍👩‍👧 says cafe\u0301 **twice**.\r\n"
    "مرحبا بالعالم 🎉 هنا.\n\n"
    "```python\n"
    "def long_name(argument: dict[str, list[int]], another: int = 1) -> dict[str, int]:\n"
    "    return {}\n```\n\n"
    "It costs $O(n^2)$."
)
ANSWERS = [MIXED, "Two: مرحبا.\n\nThen more.", "Three 🎉", "Four", "Five", "Six", "Seven", "Eight"]
COUNT = {"listwise": 4, "triplet": 3, "pairwise": 2, "safety": 2, "rating": 2}
PROMPT = [
    {"role": "user", "content": "What is $x^2$?"},
    {"role": "assistant", "content": "A square."},
    {"role": "user", "content": "Show me. مرحبا 👩‍👩‍👧"},
]
UNDO = '<button class="button" name="undo" value="j1" id="undo" data-key="u">Undo</button>'


def a_desk(kind: str, also: list[str], number: int, draft: dict | None = None, **project) -> dict:
    """The context of `annotation/work.html` for a task that is not stored."""
    fields = {
        "slug": "staged",
        "name": "Staged",
        "kinds": [kind, *also],
        "guidelines": "Be **kind**.",
        "attributes": ["truth", "tone"],
        "categories": ["wrong fact", "irrelevant", "unsafe"],
        "missing_categories": ["missing point"],
    }
    count = project.pop("answers", COUNT.get(kind, 1))
    home = Project(pk=1, **(fields | project))
    task = Task(pk=number, project=home, kind=kind, also=also, prompt=PROMPT, overlap=1)
    task.in_order = [
        Candidate(pk=number * 10 + n, task=task, position=n, content=ANSWERS[n])
        for n in range(count)
    ]
    lease = Assignment(
        pk=UUID(int=number), task=task, token=UUID(int=99), claimed_at=timezone.now(),
        shown=[c.pk for c in task.in_order], expires_at=timezone.now(),
    )  # fmt: skip
    lease._state.fields_cache["draft"] = Draft(body=draft) if draft else None
    principles = [
        Principle(pk=n, project=home, key=key, text=f"Is it {key}?")
        for n, key in enumerate(("true", "kind"), start=5)
    ]
    home._prefetched_objects_cache = {"principles": principles}
    return {
        "project": home,
        "modules": views.MODULES,
        "counts": {"judgments": 3, "wanted": 10},
        "today": 3,
        "last": None,
        "desk": desks.desk(lease),
        "seconds_left": 900,
        "key": f"key-{number}",
        "flags": desks.FLAGS,
        "skip_reasons": desks.SKIP_REASONS,
    }


@dataclass
class Staged:
    """A page on a desk, and what it sent."""

    page: Page
    kind: str
    also: list[str] = field(default_factory=list)
    project: dict = field(default_factory=dict)
    draft: dict | None = None
    number: int = 1  # of the task on the desk that is opened
    steps: list[dict] = field(default_factory=list)
    drafts: list[dict] = field(default_factory=list)
    offline: bool = False
    preload: bool = False  # the server gives the task after the one at hand
    held: bool = False  # the server takes steps and answers none of them yet
    refusing: bool = False
    _waiting: list = field(default_factory=list)

    def open(self) -> "Staged":
        context = a_desk(self.kind, self.also, self.number, self.draft, **self.project)
        context["preload"] = self.preload
        stage(self.page, "annotation/work.html", context, self._api, self._step)
        self.page.goto(f"{ORIGIN}/annotate/staged/")
        expect(self.page.locator("#saved")).to_be_visible()
        return self

    def _api(self, route) -> None:
        if route.request.url.endswith("/draft/"):
            self.drafts.append(json.loads(route.request.post_data))
        route.fulfill(json={})

    def _step(self, route) -> None:
        if self.offline:
            route.abort()
            return
        step = json.loads(route.request.post_data)
        if step["do"] == "ahead":
            route.fulfill(json={"ahead": self._desk(2)})
            return
        self.steps.append(step)
        if self.held:
            self._waiting.append(route)
        elif self.refusing:
            route.fulfill(status=409, json={"detail": "You skipped this task."})
        else:
            self._answer(route, len(self.steps))

    def answer_all(self) -> None:
        """Answer what was held back, and hold nothing back from now on."""
        self.held = False
        for n, route in enumerate(self._waiting, len(self.steps) - len(self._waiting) + 1):
            self._answer(route, n)

    def _answer(self, route, number: int) -> None:
        """The answer to the step of this number: the next desk, unless the page shows it."""
        shown = self.steps[number - 1].get("ahead") == str(UUID(int=number + 1))
        answer = {"today": 4, "given": 4, "surplus": False}
        answer["html"] = None if shown else self._desk(number + 1)
        if self.preload:
            answer |= {"ahead": self._desk(number + 2), "seconds_left": 840, "undo": UNDO}
        route.fulfill(json=answer)

    def _desk(self, number: int) -> str:
        context = a_desk(self.kind, self.also, number, **self.project)
        return render_to_string("annotation/desk.html", context)

    def press(self, keys: str) -> None:
        for key in keys.split():
            self.page.keyboard.press(key)

    def sent(self) -> dict:
        """Wait until the next task is on screen; the body that was sent."""
        expect(self.page.locator("#form")).to_have_attribute("data-assignment", str(UUID(int=2)))
        [step] = self.steps
        assert step["do"] == "submit"
        assert step["key"] == "key-1"
        return step["body"]
