"""Review: what waits, verdicts, words to annotators, and who may do it."""

import pytest
from django.core.cache import cache

from annotation import selectors
from annotation.models import Judgment, LogEntry, Membership, Note
from annotation.services import log, projects, queue, review, tending
from annotation.services.log_check import verify
from config.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache():
    cache.clear()


@pytest.fixture
def reviewer(project, rita):
    projects.add_member(project=project, user=rita, role="reviewer")
    return rita


@pytest.fixture
def disputed(project, fill, alice, ben, claim, submit):
    """A task of which alice says the first and ben the second is better."""
    [task] = fill(1, overlap=2)
    first, second = task.candidates.order_by("position")
    submit(claim(alice), outcome="preferred", preferred=first.pk, rationale="It is right.")
    submit(claim(ben), outcome="preferred", preferred=second.pk)
    tending.tend(project)
    task.refresh_from_db()
    return task


def said(task):
    return [
        (r.source, r.outcome)
        for r in selectors.preferences(project_ids=[task.project_id])
        if r.task_id == task.pk
    ]


# What waits ---------------------------------------------------------------------------------


def test_a_disagreement_waits_until_it_is_decided(project, disputed, reviewer):
    [item] = review.waiting(project)
    assert (item.reason, item.task, item.weight) == ("disagreement", disputed, 1.0)
    review.decide(task=disputed, by=reviewer, body={"outcome": "tie"})
    assert review.waiting(project) == []


def test_agreement_does_not_wait(project, fill, alice, ben, claim, submit):
    [task] = fill(1, overlap=2)
    first = task.candidates.get(position=0)
    for person in (alice, ben):
        submit(claim(person), outcome="preferred", preferred=first.pk)
    tending.tend(project)
    assert review.waiting(project) == []


def test_a_flag_waits_with_the_judgment_that_raised_it(project, fill, alice, claim, submit):
    fill(1)
    judgment = submit(claim(alice), outcome="tie", flags=["harmful"]).judgment
    [item] = review.waiting(project)
    assert (item.reason, item.flags, item.judgment) == ("flag", ["harmful"], judgment)


@pytest.fixture
def missed(project, alice, ben, claim, submit):
    """A gold task that alice gets right and ben wrong."""
    from annotation.services.tasks import create_tasks
    from tests.annotation.conftest import a_pair

    gold = {"outcome": "preferred", "preferred": 0}
    create_tasks(project=project, tasks=[a_pair(1, overlap=2, gold=gold)])
    task = project.tasks.get(gold__isnull=False)
    first, second = task.candidates.order_by("position")
    submit(claim(alice), outcome="preferred", preferred=first.pk)
    return submit(claim(ben), outcome="preferred", preferred=second.pk).judgment


def test_a_missed_gold_answer_waits_until_its_annotator_is_told(project, missed, reviewer, ben):
    [item] = review.waiting(project, reasons=("gold",))
    assert (item.judgment, item.weight) == (missed, 1.0)
    review.write_note(
        project=project, to=ben, by=reviewer, text="Read the question again.", judgment=missed
    )
    assert review.waiting(project, reasons=("gold",)) == []


def test_filters_narrow_the_list(project, disputed, missed, alice, ben):
    tending.tend(project)
    every = review.waiting(project)
    assert sorted(item.reason for item in every) == ["disagreement", "disagreement", "gold"]
    assert {i.reason for i in review.waiting(project, reasons=("gold",))} == {"gold"}
    assert review.waiting(project, kind="rating") == []
    assert len(review.waiting(project, person=ben.pseudonym)) == 3
    assert [i.reason for i in review.waiting(project, person=alice.pseudonym)] == [
        "disagreement",
        "disagreement",
    ]
    assert review.waiting(project, person="p-nobody") == []


# Verdicts -----------------------------------------------------------------------------------


def test_a_verdict_is_what_the_task_comes_to_and_fills_no_place(disputed, reviewer):
    assert len(said(disputed)) == 2
    verdict = review.decide(task=disputed, by=reviewer, body={"outcome": "both_bad"})
    disputed.refresh_from_db()
    assert verdict.source == "review"
    assert verdict.supersedes is None
    assert said(disputed) == [("review", "both_bad")]
    assert (disputed.taken, disputed.done, disputed.overlap) == (2, 2, 2)
    assert disputed.adjudicated_at is not None
    assert Judgment.objects.filter(task=disputed, withdrawn_at=None).count() == 3


def test_upholding_makes_an_annotators_words_the_verdict(disputed, reviewer, ben):
    chosen = Judgment.objects.get(task=disputed, annotator=ben)
    verdict = review.uphold(task=disputed, judgment_id=chosen.pk, by=reviewer)
    assert verdict.pairwise.preferred_id == chosen.pairwise.preferred_id
    assert verdict.annotator == reviewer
    assert said(disputed) == [("review", "preferred")]


def test_a_judgment_of_another_task_cannot_be_upheld(project, disputed, fill, alice, claim, submit,
                                                     reviewer):  # fmt: skip
    fill(1)
    other = submit(claim(alice)).judgment
    with pytest.raises(Judgment.DoesNotExist):
        review.uphold(task=disputed, judgment_id=other.pk, by=reviewer)
    assert len(said(disputed)) == 2


def test_one_may_change_ones_mind_and_another_may_overrule(disputed, reviewer, remy):
    first = review.decide(task=disputed, by=reviewer, body={"outcome": "tie"})
    second = review.decide(task=disputed, by=reviewer, body={"outcome": "both_bad"})
    assert said(disputed) == [("review", "both_bad")]
    assert second.supersedes == first
    third = review.decide(task=disputed, by=remy, body={"outcome": "tie"})
    assert third.supersedes == second
    assert said(disputed) == [("review", "tie")]
    assert review.verdict_of(disputed) == third
    fourth = review.decide(task=disputed, by=reviewer, body={"outcome": "both_bad"})
    assert said(disputed) == [("review", "both_bad")]
    assert review.verdict_of(disputed) == fourth


def test_a_key_that_cannot_be_stored_or_was_used_is_refused(disputed, reviewer):
    for key in ("k" * 81, "a\x00b", "", 5):
        with pytest.raises(Invalid, match="Idempotency-Key"):
            review.decide(task=disputed, by=reviewer, body={"outcome": "tie"}, key=key)
    review.decide(task=disputed, by=reviewer, body={"outcome": "tie"}, key="k1")
    review.decide(task=disputed, by=reviewer, body={"outcome": "both_bad"}, key="k2")
    with pytest.raises(Conflict, match="replaced"):
        review.decide(task=disputed, by=reviewer, body={"outcome": "tie"}, key="k1")


def test_the_same_key_gives_one_verdict(disputed, reviewer):
    one = review.decide(task=disputed, by=reviewer, body={"outcome": "tie"}, key="k1")
    two = review.decide(task=disputed, by=reviewer, body={"outcome": "tie"}, key="k1")
    assert one == two


def test_nobody_decides_about_their_own_work(project, disputed, alice):
    with pytest.raises(Conflict, match="another reviewer"):
        review.decide(task=disputed, by=alice, body={"outcome": "tie"})
    assert len(said(disputed)) == 2


def test_a_verdict_is_read_as_strictly_as_any_judgment(disputed, reviewer):
    with pytest.raises(Invalid) as refused:
        review.decide(task=disputed, by=reviewer, body={"outcome": "preferred", "preferred": 1})
    assert "preferred" in refused.value.fields
    disputed.refresh_from_db()
    assert disputed.adjudicated_at is None


def test_verdicts_are_in_the_log_and_the_log_holds(disputed, reviewer):
    first = review.decide(task=disputed, by=reviewer, body={"outcome": "tie"})
    review.decide(task=disputed, by=reviewer, body={"outcome": "both_bad"})
    actions = LogEntry.objects.filter(subject_id=str(first.pk)).order_by("id")
    assert list(actions.values_list("action", flat=True)) == ["stored", "superseded", "withdrawn"]
    log.seal()
    assert verify().intact


def test_at_an_earlier_position_of_the_log_the_judgments_stand(disputed, reviewer, project):
    log.seal()
    before = selectors.log_position()
    review.decide(task=disputed, by=reviewer, body={"outcome": "tie"})
    log.seal()
    then = list(selectors.preferences(project_ids=[project.pk], position=before))
    now = list(selectors.preferences(project_ids=[project.pk], position=selectors.log_position()))
    assert [r.source for r in then] == ["web", "web"]
    assert [r.source for r in now] == ["review"]


def test_leaving_a_task_as_it_is_takes_it_off_the_list_and_back(project, disputed):
    review.dismiss(task=disputed)
    assert review.waiting(project) == []
    assert len(said(disputed)) == 2
    review.reopen(task=disputed)
    assert len(review.waiting(project)) == 1


# People -------------------------------------------------------------------------------------


def test_one_more_person_is_asked(project, disputed, make_user, claim, submit):
    carol = make_user("carol", "annotator")
    dora = make_user("dora", "annotator")
    for person in (carol, dora):
        projects.add_member(project=project, user=person)
    assert claim(dora) is None
    review.ask_another(task=disputed, to=carol)
    assert claim(dora) is None
    assert claim(carol).task_id == disputed.pk
    with pytest.raises(Conflict):
        review.ask_another(task=disputed, to=disputed.judgments.first().annotator)


def test_asking_someone_who_cannot_be_asked_changes_nothing(disputed, alice):
    with pytest.raises(Conflict):
        review.ask_another(task=disputed, to=alice)
    disputed.refresh_from_db()
    assert (disputed.overlap, disputed.state) == (2, "done")


def test_a_paused_annotator_is_told_and_gets_no_task(project, fill, alice, reviewer, claim):
    fill(1)
    membership = Membership.objects.get(project=project, user=alice)
    review.pause(membership=membership, by=reviewer, paused=True)
    with pytest.raises(Conflict, match="paused"):
        queue.claim(project=project.slug, by=alice)
    review.pause(membership=membership, by=reviewer, paused=False)
    assert claim(alice) is not None


def test_reviewers_do_not_pause_each_other(project, reviewer, make_user):
    other = make_user("rolf", "reviewer")
    row = projects.add_member(project=project, user=other, role="reviewer")
    with pytest.raises(Conflict):
        review.pause(membership=row, by=reviewer, paused=True)


# Pages --------------------------------------------------------------------------------------


def test_the_list_is_for_reviewers_and_shows_their_projects_only(
    project, disputed, reviewer, alice, make_user, signed_in
):
    html = signed_in(reviewer).get("/review/").content.decode()
    assert "Question 0?" in html
    other = make_user("rolf", "reviewer")
    assert "Question 0?" not in signed_in(other).get("/review/").content.decode()
    assert signed_in(alice).get("/review/").status_code == 403


def test_nonsense_in_the_filter_is_passed_over(disputed, reviewer, signed_in):
    browser = signed_in(reviewer)
    for query in ("least=nan", "least=x", "reason=no", "kind=no", "project=no", "person=%00",
                  "reason=flag&reason=gold&least=-3"):  # fmt: skip
        assert browser.get(f"/review/?{query}").status_code == 200


def page_of(task):
    return f"/review/{task.project.slug}/tasks/{task.pk}/"


def test_the_adjudication_page_hides_who_said_it(disputed, reviewer, alice, ben, signed_in):
    html = signed_in(reviewer).get(page_of(disputed)).content.decode()
    assert "It is right." in html
    for person in (alice, ben):
        assert person.username not in html
        # Pseudonyms of those who have not judged are offered for one more opinion, no others.
        assert person.pseudonym not in html


def test_annotators_and_strangers_do_not_get_it(disputed, alice, rita, signed_in):
    assert signed_in(alice).get(page_of(disputed)).status_code == 403
    assert signed_in(rita).get(page_of(disputed)).status_code == 404
    assert signed_in(alice).post(page_of(disputed), {"do": "dismiss"}).status_code == 403
    disputed.refresh_from_db()
    assert disputed.adjudicated_at is None


def test_a_task_of_another_project_is_not_found_here(disputed, remy, signed_in):
    other = projects.create_project(slug="other", kinds=["pairwise"])
    address = f"/review/{other.slug}/tasks/{disputed.pk}/"
    assert signed_in(remy).get(address).status_code == 404


def test_one_button_decides_a_pair_and_leads_back_to_the_filter(disputed, reviewer, signed_in):
    second = disputed.candidates.get(position=1)
    answer = signed_in(reviewer).post(
        page_of(disputed),
        {"do": "choose", "choice": f"{second.pk}:2", "back": "reason=gold", "key": "k"},
    )
    assert (answer.status_code, answer.url) == (302, "/review/?reason=gold")
    assert review.verdict_of(disputed).pairwise.preferred_id == second.pk


@pytest.mark.parametrize("choice", ["", "x", "1:2", ":", "tie:2", "9999999999999999999:2"])
def test_a_choice_that_is_none_is_refused_in_words(disputed, reviewer, signed_in, choice):
    answer = signed_in(reviewer).post(
        page_of(disputed), {"do": "choose", "choice": choice}, follow=True
    )
    assert answer.status_code == 200
    assert review.verdict_of(disputed) is None


@pytest.mark.parametrize("do", ["uphold", "note"])
@pytest.mark.parametrize("judgment", ["", "x", "00000000-0000-4000-8000-000000000000"])
def test_acts_on_judgments_that_are_not_there_are_refused(
    disputed, reviewer, signed_in, do, judgment
):
    answer = signed_in(reviewer).post(
        page_of(disputed), {"do": do, "judgment": judgment, "text": "hello"}, follow=True
    )
    assert answer.status_code == 200
    assert not Note.objects.exists()


def test_a_note_reaches_its_annotator_without_the_reviewer_knowing_whom(
    disputed, reviewer, ben, signed_in
):
    judgment = Judgment.objects.get(task=disputed, annotator=ben)
    signed_in(reviewer).post(
        page_of(disputed), {"do": "note", "judgment": str(judgment.pk), "text": "Mind *facts*."}
    )
    browser = signed_in(ben)
    assert "one new note" in browser.get("/annotate/").content.decode()
    html = browser.get("/annotate/me/").content.decode()
    assert "Mind <em>facts</em>." in html
    assert "one new note" not in browser.get("/annotate/").content.decode()
    assert Note.objects.get().read_at is not None


def test_the_person_form_pauses_and_writes_by_pseudonym(project, reviewer, ben, signed_in):
    browser = signed_in(reviewer)
    address = f"/review/{project.slug}/quality/person/"
    browser.post(address, {"do": "pause", "person": ben.pseudonym})
    assert Membership.objects.get(project=project, user=ben).is_paused
    browser.post(address, {"do": "note", "person": ben.pseudonym, "text": "Hello."})
    assert Note.objects.get().to == ben
    assert browser.post(address, {"do": "pause", "person": "p-nobody"}).status_code == 404
    assert browser.post(address, {"do": "sing", "person": ben.pseudonym}).status_code == 404
    refused = signed_in(ben).post(address, {"do": "resume", "person": ben.pseudonym})
    assert refused.status_code == 403
    assert Membership.objects.get(project=project, user=ben).is_paused


def test_the_desk_takes_a_verdict_of_any_kind(remy, signed_in, make_user):
    made = projects.create_project(slug="rated", kinds=["rating"])
    from annotation.services.tasks import CandidateIn, TaskIn, create_tasks

    create_tasks(project=made, tasks=[TaskIn("rating", "q", [CandidateIn("an answer")])])
    task = made.tasks.get()
    browser = signed_in(remy)
    assert browser.get(f"{page_of(task)}verdict/").status_code == 200
    answer = task.candidates.get().pk
    body = {"ratings": [{"candidate": answer, "attribute": "coherence", "value": 3}]}
    bad = browser.post(
        f"{page_of(task)}verdict/step/", {"do": "submit", "body": {"ratings": []}},
        content_type="application/json",
    )  # fmt: skip
    assert bad.status_code == 400
    good = browser.post(
        f"{page_of(task)}verdict/step/",
        {"do": "submit", "body": body | {"token": "None", "seconds": 2.0}, "key": "k"},
        content_type="application/json",
    )
    assert good.json() == {"next": "/review/"}
    assert review.verdict_of(task).ratings.get().value == 3
    nothing = browser.post(f"{page_of(task)}verdict/step/", b"[", content_type="application/json")
    assert nothing.status_code == 400


def test_a_verdict_by_rest_is_for_reviewers_of_the_project(disputed, reviewer, alice, mallory, api):
    address = f"/api/projects/helpful/tasks/{disputed.pk}/verdict/"
    body = {"outcome": "tie", "rationale": "Both say the same."}
    assert api(alice).post(address, body, format="json").status_code == 403
    assert api(mallory).post(address, body, format="json").status_code == 403
    refused = api(reviewer).post(address, {"outcome": "perhaps"}, format="json")
    assert refused.status_code == 400
    assert "outcome" in refused.json()["fields"]
    answer = api(reviewer).post(address, body, format="json")
    assert answer.status_code == 201
    assert answer.json()["outcome"] == "tie"
    assert review.verdict_of(disputed).rationale == "Both say the same."
