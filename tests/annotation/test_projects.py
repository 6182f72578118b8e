"""Projects are made, changed, copied and closed without breaking work in hand."""

import pytest

from annotation.models import Judgment, LogEntry, Media, Principle, PrincipleVerdict, Project, Task
from annotation.models.projects import Kind
from annotation.prompts import prompt_hash
from annotation.services import cloning, curation, log_check, projects, queue
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from config.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db


def overlaps(project) -> list[tuple[int, str]]:
    return list(project.tasks.order_by("pk").values_list("overlap", "state"))


# Templates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind.values)
def test_every_kind_has_a_template_with_guidelines(kind):
    made = projects.create_project(slug=f"of-{kind}", kinds=[kind])
    assert made.guidelines.count("## ") == 1
    assert bool(made.attributes) == (kind == "rating")
    assert bool(made.categories) == (kind == "span")
    assert made.principles.exists() == (kind == "principle")


# Settings -----------------------------------------------------------------------------------


def test_settings_are_changed_together(project):
    changed = projects.change_project(
        project=project,
        name=" Helpful answers ",
        gold_rate=0.1,
        order="breadth",
        languages=["EN", "pt-br", "en"],
        dimensions=["tone", "", "tone", "facts"],
    )
    changed.refresh_from_db()
    assert (changed.name, changed.gold_rate, changed.order) == ("Helpful answers", 0.1, "breadth")
    assert changed.languages == ["en", "pt-br"]
    assert changed.dimensions == ["tone", "facts"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", " "),
        ("name", "x" * 121),
        ("name", "a\x00b"),
        ("name", 3),
        ("guidelines", "x" * 100_001),
        ("overlap", 0),
        ("overlap", 101),
        ("overlap", True),
        ("overlap", "2"),
        ("gold_rate", 0.6),
        ("gold_rate", float("nan")),
        ("gold_rate", -0.1),
        ("repeat_rate", "much"),
        ("lease_seconds", 9),
        ("undo_seconds", -1),
        ("order", "random"),
        ("calibration_size", 101),
        ("calibration_pass", 1.1),
        ("languages", ["english please"]),
        ("attributes", ["x" * 61]),
        ("attributes", [str(n) for n in range(41)]),
        ("categories", "wrong fact"),
        ("dimensions", ["a\nb"]),
        ("kinds", []),
        ("kinds", ["telepathy"]),
        ("slug", "other"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_nothing_changes(project, name, value):
    with pytest.raises(Invalid) as refused:
        projects.change_project(project=project, **({"undo_seconds": 77} | {name: value}))
    assert list(refused.value.fields) == [name]
    project.refresh_from_db()
    assert project.undo_seconds == 600


def test_a_new_kind_brings_its_words_and_one_with_tasks_stays(project, fill):
    fill(1)
    changed = projects.change_project(project=project, kinds=["pairwise", "rating", "principle"])
    assert changed.attributes
    assert changed.principles.filter(is_active=True).count() == 6
    with pytest.raises(Invalid, match="pairwise"):
        projects.change_project(project=project, kinds=["rating"])
    assert projects.change_project(project=project, kinds=["pairwise"]).kinds == ["pairwise"]


def test_the_log_says_who_changed_the_project(project, remy):
    projects.change_project(project=project, by=remy, guidelines="New words")
    projects.change_project(project=project, by=remy, guidelines="Newer words")
    entries = LogEntry.objects.filter(subject="project", subject_id=str(project.pk)).order_by("pk")
    assert [entry.action for entry in entries] == ["created", "changed", "changed"]
    assert {entry.actor for entry in entries[1:]} == {remy.pseudonym}
    assert len({bytes(entry.digest) for entry in entries}) == 3


# Overlap with work in hand ------------------------------------------------------------------


def test_tasks_keep_their_overlap_when_the_project_changes_its_own(project, fill):
    fill(2, overlap=3)
    projects.change_project(project=project, overlap=1)
    assert overlaps(project) == [(3, "open")] * 2


def test_open_tasks_take_the_new_overlap_when_asked_and_nothing_is_over_collected(
    project, fill, alice, ben, claim, submit
):
    judged, held, untouched, finished = fill(4, overlap=3)
    Task.objects.filter(pk=finished.pk).update(state="done", taken=3, done=3)
    submit(claim(alice))
    submit(claim(ben))
    assert {alice.pk, ben.pk} == set(
        Judgment.objects.filter(task=judged).values_list("annotator", flat=True)
    )
    lease = claim(alice)
    assert lease.task == held
    projects.change_project(project=project, overlap=1, apply_to_open=True)
    assert overlaps(project) == [(2, "done"), (1, "open"), (1, "open"), (3, "done")]
    assert not submit(lease).judgment.surplus
    held.refresh_from_db()
    assert (held.taken, held.done, held.state) == (1, 1, "done")
    assert untouched.pk == claim(ben).task_id


def test_a_raised_overlap_gives_open_tasks_more_room(project, fill, alice, ben, claim, submit):
    fill(1)
    submit(claim(alice))
    fill(1)
    projects.change_project(project=project, overlap=2, apply_to_open=True)
    assert overlaps(project) == [(1, "done"), (2, "open")]
    assert claim(alice) is not None
    assert claim(ben) is not None


def test_gold_and_calibration_keep_the_overlap_they_were_made_with(project, fill):
    gold, calibration, repeat, plain = fill(4, overlap=9)
    Task.objects.filter(pk=gold.pk).update(gold={"outcome": "tie"})
    Task.objects.filter(pk=calibration.pk).update(is_calibration=True)
    Task.objects.filter(pk=repeat.pk).update(repeat_of=plain)
    projects.change_project(project=project, overlap=2, apply_to_open=True)
    assert [overlap for overlap, _ in overlaps(project)] == [9, 9, 9, 2]


def test_overlap_spreads_in_steps_over_every_task(project, fill):
    fill(7, overlap=5)
    Project.objects.filter(pk=project.pk).update(overlap=2)
    project.refresh_from_db()
    projects.spread_overlap(project, most=3)
    assert overlaps(project) == [(2, "open")] * 7


# Pause, archive, restore --------------------------------------------------------------------


def test_a_pause_stops_the_handing_out_and_keeps_what_is_held(
    project, fill, alice, ben, claim, submit
):
    fill(2)
    lease = claim(alice)
    projects.pause(project=project)
    with pytest.raises(Conflict, match="paused"):
        claim(ben)
    assert submit(lease).created
    projects.resume(project=project)
    assert claim(ben) is not None


def test_an_archived_project_is_not_listed_and_comes_back_paused(project, alice):
    projects.archive(project=project)
    assert not Project.objects.visible_to(alice).live().exists()
    projects.restore(project=project)
    project.refresh_from_db()
    assert project.archived_at is None
    assert project.is_paused


# Principles ---------------------------------------------------------------------------------


@pytest.fixture
def asking(alice, remy):
    made = projects.create_project(slug="asking", kinds=["principle"], by=remy)
    projects.add_member(project=made, user=alice)
    create_tasks(
        project=made, tasks=[TaskIn("principle", "Q?", [CandidateIn("An answer.")], overlap=2)]
    )
    return made


def test_an_edited_principle_is_a_new_version_and_verdicts_keep_theirs(asking, alice):
    first = Principle.objects.get(project=asking, key="true")
    lease = queue.claim(project=asking.slug, by=alice)
    candidate = lease.shown[0]
    verdicts = [
        {"candidate": candidate, "principle": p.key, "verdict": "yes"}
        for p in asking.principles.all()
    ]
    queue.submit(assignment_id=lease.pk, by=alice, body={"verdicts": verdicts}, key="k")
    second = projects.set_principle(project=asking, key="true", text="Is every claim true?")
    assert (second.version, second.is_active) == (2, True)
    first.refresh_from_db()
    assert not first.is_active
    assert PrincipleVerdict.objects.filter(principle=first).exists()
    assert not PrincipleVerdict.objects.filter(principle=second).exists()


def test_the_same_words_make_no_new_version(asking):
    again = Principle.objects.get(project=asking, key="true")
    assert projects.set_principle(project=asking, key="true", text=f" {again.text} ") == again


def test_a_retired_principle_comes_back_as_its_next_version(asking):
    projects.retire_principle(project=asking, key="kind")
    assert not asking.principles.filter(key="kind", is_active=True).exists()
    assert projects.set_principle(project=asking, key="kind", text="Is it kind?").version == 2


def test_the_last_principle_stays(asking):
    keys = list(asking.principles.values_list("key", flat=True))
    for key in keys[1:]:
        projects.retire_principle(project=asking, key=key)
    with pytest.raises(Conflict, match="at least one"):
        projects.retire_principle(project=asking, key=keys[0])


@pytest.mark.parametrize(
    ("key", "text"), [("Bad Key", "x"), ("", "x"), ("k", ""), ("k", "x" * 501)]
)
def test_a_bad_principle_is_refused(asking, key, text):
    with pytest.raises(Invalid):
        projects.set_principle(project=asking, key=key, text=text)


# Copies -------------------------------------------------------------------------------------


def test_a_clone_has_the_settings_and_the_principles_in_force(asking, remy):
    projects.change_project(project=asking, overlap=4, gold_rate=0.2, guidelines="Mine")
    projects.set_principle(project=asking, key="true", text="Is every claim true?")
    asking.refresh_from_db()
    copy = cloning.clone_project(project=asking, slug="again", by=remy)
    assert (copy.overlap, copy.gold_rate, copy.guidelines) == (4, 0.2, "Mine")
    assert set(copy.principles.values_list("key", "text", "version", "is_active")) == set(
        asking.principles.filter(is_active=True).values_list("key", "text", "version", "is_active")
    )
    assert not copy.tasks.exists()


def test_a_clone_with_tasks_copies_what_is_asked_and_not_what_was_said(
    project, fill, remy, alice, claim, submit
):
    fill(3)
    withdrawn = fill(1)[0]
    curation.withdraw(task=withdrawn)
    submit(claim(alice))
    copy = cloning.clone_project(project=project, slug="again", by=remy, with_tasks=True)
    assert copy.tasks.count() == 3
    assert set(copy.tasks.values_list("state", "taken", "done")) == {("open", 0, 0)}
    originals = project.tasks.exclude(pk=withdrawn.pk).order_by("pk")
    for old, new in zip(originals, copy.tasks.order_by("pk"), strict=True):
        assert old.prompt_hash == new.prompt_hash
        assert [c.content for c in old.candidates.all()] == [
            c.content for c in new.candidates.all()
        ]
    assert not copy.judgments.exists()
    assert log_check.verify(project=copy).intact


def test_pictures_come_along_to_where_the_members_of_the_clone_may_see_them(project, fill, remy):
    picture = Media.objects.create(
        project=project, sha256="0" * 64, content_type="image/png", width=2, height=1, file="a.png"
    )
    task = fill(1)[0]
    part = {"type": "image", "image": str(picture.pk)}
    Task.objects.filter(pk=task.pk).update(prompt=[{"role": "user", "content": [part]}])
    task.candidates.filter(position=0).update(parts=[part, {"type": "text", "text": "said"}])
    copy = cloning.clone_project(project=project, slug="again", by=remy, with_tasks=True)
    own = Media.objects.get(project=copy)
    assert (own.sha256, own.file.name) == (picture.sha256, "a.png")
    asked = copy.tasks.get()
    assert asked.prompt[0]["content"] == [{"type": "image", "image": str(own.pk)}]
    assert asked.prompt_hash == prompt_hash(asked.prompt)
    shown = [c.parts for c in asked.candidates.order_by("position")]
    assert shown == [
        [{"type": "image", "image": str(own.pk)}, {"type": "text", "text": "said"}],
        None,
    ]
    assert log_check.verify(project=copy).intact


def test_a_taken_address_is_refused_and_leaves_nothing(project, remy):
    with pytest.raises(Conflict, match="exists already"):
        cloning.clone_project(project=project, slug=project.slug, by=remy)
    assert Project.objects.count() == 1


# One task -----------------------------------------------------------------------------------


def test_a_withdrawn_task_is_handed_to_nobody_and_can_be_reopened(project, fill, alice, claim):
    task = fill(1)[0]
    curation.withdraw(task=task)
    assert claim(alice) is None
    curation.reopen(task=task)
    assert claim(alice).task == task


def test_work_on_a_task_withdrawn_meanwhile_is_kept(project, fill, alice, claim, submit):
    fill(1)
    lease = claim(alice)
    curation.withdraw(task=lease.task)
    assert submit(lease).created
    task = Task.objects.get()
    assert (task.state, task.done) == ("withdrawn", 1)
    curation.reopen(task=task)
    task.refresh_from_db()
    assert task.state == "done"
