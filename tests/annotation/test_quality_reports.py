"""The quality report of a project, who may read it, and what it is made of."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from annotation import selectors
from annotation.formats.items import Read
from annotation.models import Judgment
from annotation.services import projects, quality, queue, review, tending
from annotation.services.tasks import CandidateIn, JudgmentIn, TaskIn, store

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache():
    cache.clear()


def put(project, tasks):
    created = store(project=project, reads=[Read(n, t) for n, t in enumerate(tasks, 1)])
    assert created.errors == []


def judged(number, said, **more):
    """A pair and what each of several people say: 0 or 1 for the better one, or an outcome."""
    judgments = [
        JudgmentIn(
            {"outcome": "preferred", "preferred": value} if value in (0, 1) else {"outcome": value},
            who,
        )
        for who, value in said.items()
    ]
    answers = [CandidateIn(f"first {number}"), CandidateIn(f"the second, longer {number}")]
    return TaskIn("pairwise", f"Question {number}?", answers, judgments=judgments, **more)


@pytest.fixture
def crowd(project):
    """Twenty pairs: a and b always agree, c says the opposite of them every fifth time."""
    put(
        project,
        [judged(n, {"a": n % 2, "b": n % 2, "c": (n + (n % 5 == 0)) % 2}) for n in range(20)],
    )
    return project


def measures(report, kind, aspect=0):
    [found] = [k for k in report["kinds"] if k["kind"] == kind]
    return {m["name"]: m for m in found["aspects"][aspect]["measures"]}


def test_a_report_has_agreement_with_intervals_and_people_by_pseudonym(crowd):
    report = quality.measure(crowd)
    found = measures(report, "pairwise")
    # a-b agree on 20 of 20, a-c and b-c on 16 of 20: 52 of 60 pairs.
    assert found["observed"]["value"] == pytest.approx(52 / 60)
    assert found["alpha"]["low"] < found["alpha"]["value"] < found["alpha"]["high"]
    assert found["alpha"]["units"] == 20
    assert report["judgments"] == 60
    assert report["shared_tasks"] == 20
    assert len(report["people"]) == 3
    assert all(row["pseudonym"].startswith("p-") for row in report["people"])
    couples = report["kinds"][0]["aspects"][0]["couples"]
    assert sorted(round(c["value"], 2) for c in couples) == [0.6, 0.6, 1.0]


def test_the_one_who_differs_weighs_least_and_agrees_least(crowd):
    rows = quality.measure(crowd)["people"]
    by_weight = sorted(rows, key=lambda row: row["weight"]["value"])
    by_agreement = sorted(rows, key=lambda row: row["agreement"]["value"])
    assert by_weight[0] == by_agreement[0]
    assert by_weight[0]["agreement"]["value"] == pytest.approx(16 / 20)
    assert by_weight[-1]["agreement"]["value"] == pytest.approx(18 / 20)


def test_a_report_is_kept_until_something_changes(crowd, django_assert_max_num_queries):
    assert quality.current(crowd).report is None
    made = quality.measure(crowd)
    with django_assert_max_num_queries(2):
        again = quality.current(crowd)
    assert again.report == made
    assert again.is_fresh
    put(crowd, [judged(99, {"a": 0, "b": 0})])
    cache.delete(f"quality:{quality.VERSION}:{crowd.pk}:stamp")
    behind = quality.current(crowd)
    assert behind.report == made
    assert behind.state == "updating"


def test_an_empty_project_has_a_report_without_numbers(project):
    report = quality.measure(project)
    assert report["people"] == []
    assert report["kinds"] == []
    assert report["gold"] is None


KINDS = {
    "listwise": (3, {"ranking": [[0], [1, 2]]}, {"kendall-tau", "kendall-w"}),
    "span": (1, {"spans": [{"candidate": 0, "start": 0, "end": 3, "category": "wrong fact"}]},
             {"span-alpha", "span-gamma", "span-f1", "span-token-f1", "span-exact-f1"}),
    "principle": (1, {"verdicts": [{"candidate": 0, "principle": "true", "verdict": "yes"}]},
                  {"observed", "alpha", "fleiss", "cohen"}),
    "rating": (1, {"ratings": [{"candidate": 0, "attribute": "coherence", "value": 3}]},
               {"observed", "alpha-ordinal", "alpha-interval", "fleiss", "cohen"}),
    "step": (1, {"steps": [{"candidate": 0, "step": 0, "value": 1}]},
             {"observed", "alpha-ordinal", "alpha-interval", "fleiss", "cohen"}),
    "triplet": (3, {"anchor": 0, "closer": 2}, {"observed", "alpha", "fleiss", "cohen"}),
    "safety": (2, {"helpful": {"outcome": "preferred", "preferred": 0}, "safer": {"outcome": "tie"},
                   "harm": [{"candidate": 0, "level": 0}, {"candidate": 1, "level": 2}]},
               {"observed", "alpha", "fleiss", "cohen"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_measured_in_its_own_way(db, kind):
    count, body, names = KINDS[kind]
    made = projects.create_project(slug=f"of-{kind}", kinds=[kind])
    answers = [CandidateIn(f"answer {n}\n\nsecond step") for n in range(count)]
    put(
        made,
        [
            TaskIn(kind, f"q{n}", answers, judgments=[JudgmentIn(body, "a"), JudgmentIn(body, "b")])
            for n in range(6)
        ],
    )
    report = quality.measure(made)
    assert set(measures(report, kind)) == names
    assert len(report["people"]) == 2
    assert report["people"][0]["agreement"]["value"] == 1.0


def test_gold_and_repeats_are_counted_for_each_person(project, fill, alice, claim, submit):
    gold = {"outcome": "preferred", "preferred": 0}
    tasks = [
        judged(1, {"a": 0, "b": 1}, gold=gold),
        judged(2, {"a": 0, "b": "tie"}, gold=gold),
    ]
    put(project, tasks)
    report = quality.measure(project)
    assert report["gold"]["value"] == pytest.approx(2 / 4)
    assert sorted(row["gold"]["value"] for row in report["people"]) == [0.0, 1.0]
    fill(1)
    first = submit(claim(alice)).judgment
    queue.copy_for(first.task_id, alice)
    again = claim(alice)
    assert again.task.repeat_of_id == first.task_id
    same = again.task.candidates.get(position=first.pairwise.preferred.position)
    submit(again, outcome="preferred", preferred=same.pk)
    [row] = [r for r in quality.measure(project)["people"] if r["pseudonym"] == alice.pseudonym]
    assert row["repeats"] == {"value": 1.0, "low": pytest.approx(0.2065, abs=1e-3), "high": 1.0,
                              "n": 1}  # fmt: skip
    assert row["judgments"] == 1  # the repeat is a check, not more work


def test_a_verdict_is_no_annotators_judgment(crowd, rita):
    task = crowd.tasks.first()
    before = quality.measure(crowd)
    review.decide(task=task, by=rita, body={"outcome": "both_bad"})
    after = quality.report(crowd)
    assert after["judgments"] == before["judgments"]
    assert [r["pseudonym"] for r in after["people"]] == [r["pseudonym"] for r in before["people"]]
    assert selectors.counts(crowd)["judgments"] == 60
    assert selectors.given(crowd.pk) == 60


# Disagreement -------------------------------------------------------------------------------


def test_disagreement_is_written_down_once_a_task_is_done(crowd):
    assert crowd.tasks.filter(disagreement=None).count() == 20
    assert tending.tend(crowd) == 20
    assert crowd.tasks.filter(disagreement=0).count() == 16
    assert crowd.tasks.filter(disagreement__gt=0.66, disagreement__lt=0.67).count() == 4
    assert tending.tend(crowd) == 0


def test_one_judgment_disagrees_with_nobody(project):
    put(project, [judged(1, {"a": 0})])
    tending.tend(project)
    assert project.tasks.get().disagreement is None


def test_what_is_judged_later_is_tended_by_the_next_round(project, fill, alice, ben, claim, submit):
    tending.tend(project)
    [task] = fill(1, overlap=2)
    for person, place in ((alice, 0), (ben, 1)):
        lease = claim(person)
        submit(lease, outcome="preferred", preferred=task.candidates.get(position=place).pk)
    tending.tend(project)
    task.refresh_from_db()
    assert task.disagreement == 1.0


# What alignment reads -----------------------------------------------------------------------


def test_trust_gives_weights_and_soft_labels_that_name_candidates(crowd):
    trust = selectors.trust(project_ids=[crowd.pk])
    people = dict(Judgment.objects.values_list("annotator_id", "annotator__pseudonym"))
    assert set(trust.weights) == set(people)
    assert all(0 <= weight <= 1 for weight in trust.weights.values())
    assert selectors.reliability([crowd.pk]) == trust.weights
    for task in crowd.tasks.prefetch_related("candidates"):
        soft = trust.soft[task.pk]
        assert sum(soft.values()) == pytest.approx(1)
        assert set(soft) <= {c.pk for c in task.candidates.all()} | {"tie", "both_bad"}


def test_trust_speaks_of_the_same_moment_as_the_preferences(crowd):
    until = timezone.now()
    before = selectors.trust(project_ids=[crowd.pk], until=until)
    put(crowd, [judged(n, {"a": 0, "b": 0, "c": 1}) for n in range(100, 110)])
    Judgment.objects.filter(created_at__gt=until).update(
        created_at=timezone.now() + timedelta(seconds=1)
    )
    assert selectors.trust(project_ids=[crowd.pk], until=until) == before
    assert selectors.trust(project_ids=[crowd.pk]) != before


def test_a_verdict_stands_alone_among_preferences_and_soft_labels(crowd, rita):
    task = crowd.tasks.order_by("pk").first()
    second = task.candidates.get(position=1)
    verdict = review.decide(
        task=task, by=rita, body={"outcome": "preferred", "preferred": second.pk}
    )
    records = [r for r in selectors.preferences(project_ids=[crowd.pk]) if r.task_id == task.pk]
    assert [r.judgment_id for r in records] == [verdict.pk]
    assert records[0].source == "review"
    others = [r for r in selectors.preferences(project_ids=[crowd.pk]) if r.task_id != task.pk]
    assert len(others) == 57
    trust = selectors.trust(project_ids=[crowd.pk])
    assert trust.soft[task.pk] == {second.pk: 1.0}
    assert rita.pk not in trust.weights


def test_before_its_moment_a_verdict_changes_nothing(crowd, rita):
    until = timezone.now()
    task = crowd.tasks.first()
    review.decide(task=task, by=rita, body={"outcome": "tie"})
    then = list(selectors.preferences(project_ids=[crowd.pk], until=until))
    assert len(then) == 60
    assert all(r.source != "review" for r in then)


def test_a_project_without_judgments_gives_no_weights(project):
    trust = selectors.trust(project_ids=[project.pk])
    assert trust.weights == {}
    assert trust.soft == {}


# Doors --------------------------------------------------------------------------------------


def test_a_reviewer_of_the_project_gets_the_whole_report(crowd, rita, api):
    projects.add_member(project=crowd, user=rita, role="reviewer")
    made = quality.measure(crowd)
    answer = api(rita).get("/api/projects/helpful/quality/")
    assert answer.status_code == 200
    assert answer.json()["state"] == "fresh"
    assert answer.json()["report"] == made
    assert "username" not in answer.content.decode()


def test_an_annotator_gets_their_own_row_and_nothing_of_others(
    project, fill, alice, ben, claim, submit, api
):
    fill(2, overlap=2)
    for person in (alice, ben):
        submit(claim(person))
    quality.measure(project)
    answer = api(alice).get("/api/projects/helpful/quality/")
    assert answer.status_code == 200
    body = answer.json()
    assert body["report"] is None
    assert body["own"]["pseudonym"] == alice.pseudonym
    assert ben.pseudonym not in answer.content.decode()


def test_strangers_do_not_find_it(crowd, mallory, rita, api):
    quality.measure(crowd)
    assert api(rita).get("/api/projects/helpful/quality/").status_code == 404
    assert api(mallory).get("/api/projects/helpful/quality/").status_code == 403
    assert api().get("/api/projects/helpful/quality/").status_code == 401


def test_the_first_look_asks_for_a_report_in_the_background(crowd, remy, api, monkeypatch):
    asked = []
    monkeypatch.setattr("annotation.tasks.measure.delay", asked.append)
    for _ in range(2):
        answer = api(remy).get("/api/projects/helpful/quality/")
        assert answer.json() == {
            "state": "measuring",
            "progress": 0.0,
            "report": None,
            "own": None,
        }
    assert asked == [crowd.pk]


def test_without_a_broker_the_page_still_answers(crowd, remy, api, monkeypatch):
    def refuse(_):
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr("annotation.tasks.measure.delay", refuse)
    assert api(remy).get("/api/projects/helpful/quality/").json()["state"] == "measuring"


@pytest.mark.parametrize(
    "place", ["/review/helpful/quality/", "/review/helpful/quality/people.csv"]
)
def test_the_page_and_its_tables_are_for_reviewers(crowd, rita, remy, alice, signed_in, place):
    quality.measure(crowd)
    projects.add_member(project=crowd, user=rita, role="reviewer")
    assert signed_in(rita).get(place).status_code == 200
    assert signed_in(remy).get(place).status_code == 200
    assert signed_in(alice).get(place).status_code in (403, 404)


def test_every_table_has_its_csv(crowd, remy, signed_in):
    quality.measure(crowd)
    browser = signed_in(remy)
    for table, columns, rows in (("measures", 9, 4), ("people", 30, 3), ("couples", 8, 3)):
        answer = browser.get(f"/review/helpful/quality/{table}.csv")
        lines = answer.content.decode().splitlines()
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert len(lines) == 1 + rows
        assert len(lines[0].split(",")) <= columns
    assert browser.get("/review/helpful/quality/nothing.csv").status_code == 404


def test_ones_own_page_shows_own_numbers_and_no_pseudonym_of_others(
    project, fill, alice, ben, claim, submit, signed_in
):
    fill(2, overlap=2)
    for person in (alice, ben):
        submit(claim(person))
    quality.measure(project)
    html = signed_in(alice).get("/annotate/me/").content.decode()
    assert project.name in html
    assert ben.pseudonym not in html
    assert ben.username not in html
