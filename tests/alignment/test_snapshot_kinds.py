"""Snapshots of every kind of word, with what each person's word is worth."""

import json

import pytest

from alignment.services import parquet, snapshots
from annotation.services import projects, queue
from annotation.services.tasks import CandidateIn, JudgmentIn, TaskIn, create_tasks
from tests.alignment.judging import EPOCH, judged_task

pytestmark = pytest.mark.django_db
KINDS = ["listwise", "rating", "principle", "span", "critique", "safety", "step", "triplet"]


def rows(taken, kind: str) -> list[dict]:
    return list(parquet.read(snapshots.folder_of(taken) / f"{kind}.parquet"))


def answers_to(lease) -> dict[str, dict]:
    a, b, *rest = sorted(lease.shown)
    principles = lease.task.project.principles.all()
    verdicts = [{"candidate": a, "principle": one.key, "verdict": "no"} for one in principles[:1]]
    return {
        "listwise": {"ranking": [[b], [a]], "unusable": rest, "rationale": "b is right"},
        "rating": {"ratings": [{"candidate": b, "attribute": "helpfulness", "value": 4}]},
        "principle": {"verdicts": verdicts},
        "span": {
            "spans": [{"candidate": a, "start": 0, "end": 4, "category": "wrong", "severity": 2}],
            "missing": [{"candidate": b, "category": "missing", "comment": "the year"}],
        },
        "critique": {"candidate": b, "critique": "too short", "corrected": "Canberra, since 1913."},
        "safety": {
            "helpful": {"outcome": "tie"},
            "safer": {"outcome": "preferred", "preferred": b},
            "harm": [{"candidate": a, "level": 3}, {"candidate": b, "level": 0}],
        },
        "step": {"steps": [{"candidate": a, "step": 0, "value": -1, "comment": "no"}]},
        "triplet": {"anchor": a, "closer": b},
    }


@pytest.fixture
def judged_in(alice):
    """`judged_in("rating")`: a project of one kind, one task, judged by alice."""

    def judge(kind: str):
        made = projects.create_project(slug=kind, kinds=[kind])
        if kind == "span":
            made.categories, made.missing_categories = ["wrong"], ["missing"]
            made.save()
        projects.add_member(project=made, user=alice)
        texts = ["Sydney.", "Canberra.", "Perth."] if kind in ("triplet", "listwise") else [
            "Sydney.", "Canberra.",
        ]  # fmt: skip
        create_tasks(project=made, tasks=[TaskIn(kind, "Where?", [CandidateIn(t) for t in texts])])
        lease = queue.claim(project=kind, by=alice)
        queue.submit(assignment_id=lease.pk, by=alice, body=answers_to(lease)[kind], key=kind)
        return made

    return judge


def test_every_kind_of_judgment_has_a_file_of_its_own(judged_in):
    found = {kind: snapshots.take(project=judged_in(kind)) for kind in KINDS}
    (ranking,) = rows(found["listwise"], "ranking")
    assert ranking["completions"] == ["Sydney.", "Canberra.", "Perth."]
    assert ranking["places"] == [2, 1, None]
    assert ranking["rationale"] == "b is right"
    (rating,) = rows(found["rating"], "rating")
    assert (rating["completion"], rating["attribute"], rating["value"]) == (
        "Canberra.", "helpfulness", 4,
    )  # fmt: skip
    (verdict,) = rows(found["principle"], "principle_verdict")
    assert verdict["verdict"] == "no"
    assert verdict["text"]
    assert verdict["version"] == 1
    marked, lacking = rows(found["span"], "span_reward")
    assert (marked["start"], marked["end"], marked["severity"]) == (0, 4, 2)
    assert lacking["missing"]
    assert lacking["start"] is None
    (critique,) = rows(found["critique"], "critique")
    assert critique["critique"] == "too short"
    (shown,) = rows(found["critique"], "demonstration")
    assert (shown["completion"], shown["instead_of"]) == ("Canberra, since 1913.", "Canberra.")
    helpful, safer = rows(found["safety"], "dimension")
    assert (helpful["outcome"], safer["chosen"]) == ("tie", "Canberra.")
    assert [row["level"] for row in rows(found["safety"], "harm")] == [3, 0]
    (step,) = rows(found["step"], "step")
    assert (step["completion"], step["value"]) == ("Sydney.", -1)
    (triplet,) = rows(found["triplet"], "triplet")
    assert (triplet["anchor"], triplet["closer"], triplet["other"]) == (
        "Sydney.", "Canberra.", "Perth.",
    )  # fmt: skip
    for kind, taken in found.items():
        assert taken.people == 1, kind


def test_whoever_is_often_wrong_counts_less_and_the_share_says_so(project):
    people = ["p-a", "p-b", "p-c", "p-bad"]
    wanted = [
        judged_task(n, by=who, best=n % 2 if who != "p-bad" else 1 - n % 2)
        for n in range(40)
        for who in people
    ]
    create_tasks(project=project, tasks=[merged(wanted, n) for n in range(40)])
    taken = snapshots.take(project=project)
    weight = {row["annotator"]: row["weight"] for row in rows(taken, "preference")}
    assert weight["p-bad"] < 0.4 * weight["p-a"]
    assert sum(weight.values()) / 4 == pytest.approx(1.0, abs=0.01)
    pair = rows(taken, "pairs")[0]
    # three of four votes: (3 + 0.05) / 4.1 if all counted the same
    assert pair["soft_label"] > 3.05 / 4.1
    equal = snapshots.take(project=project, query={"weights": "equal"})
    assert rows(equal, "pairs")[0]["soft_label"] == pytest.approx(3.05 / 4.1, abs=1e-6)
    trusted = snapshots.take(project=project, query={"min_weight": 0.5})
    assert {row["annotator"] for row in rows(trusted, "preference")} == {"p-a", "p-b", "p-c"}
    assert rows(trusted, "pairs")[0]["soft_label"] > 0.98


def merged(tasks: list[TaskIn], n: int) -> TaskIn:
    """One task with what everyone said of question `n`."""
    first, *others = [task for task in tasks if task.prompt == f"Is it {n}?"]
    first.judgments += [one for task in others for one in task.judgments]
    first.overlap = len(first.judgments)
    return first


def test_a_query_chooses_people_times_and_sources(judged):
    def people(**query) -> set[str]:
        return {
            r["annotator"] for r in rows(snapshots.take(project=judged, query=query), "preference")
        }

    everyone = people()
    assert len(everyone) == 3
    one = sorted(everyone)[0]
    assert people(people=[one]) == {one}
    assert people(without=[one]) == everyone - {one}
    late = snapshots.take(project=judged, query={"since": "2026-01-01T00:02:00Z"})
    assert late.counts["preference"]["records"] == 30
    assert people(sources=["vote"]) == set()


def test_a_newcomers_exercise_is_not_drawn(project):
    task = judged_task(1, by="p-one")
    create_tasks(project=project, tasks=[task])
    project.tasks.update(is_calibration=True)
    assert snapshots.take(project=project).counts["preference"]["records"] == 0


def test_the_datasheet_counts_what_is_there(judged):
    german = TaskIn(
        kind="pairwise",
        prompt="Wie ist das Wetter in der Stadt?",
        candidates=[CandidateIn("Gut."), CandidateIn("Schlecht.")],
        judgments=[
            JudgmentIn(
                body={"outcome": "tie"}, annotator="p-one", pseudonymous=True, created_at=EPOCH
            )
        ],
    )
    create_tasks(project=judged, tasks=[german])
    taken = snapshots.take(project=judged)
    sheet = snapshots.datasheet_of(taken)
    assert sheet["records"]["preference"]["records"] == 151
    assert sheet["languages"] == {"en": 150, "de": 1}
    assert sheet["people"]["number"] == 3
    assert sheet["prompts"] == 151
    assert sheet["agreement"]["preference"] == {"units_judged_twice": 0}
    page = (snapshots.folder_of(taken) / "datasheet.md").read_text()
    assert page.startswith(f"# Snapshot {taken.digest[:12]}")
    assert "## Licence" in page
    assert json.dumps(sheet)
