"""The REST doors of annotation, as a client sees them."""

import json

import pytest

from annotation.models import Judgment, Task
from annotation.services import projects

pytestmark = pytest.mark.django_db


def url(*parts: object) -> str:
    return "/api/" + "".join(f"{part}/" for part in parts)


def lines(*records: dict) -> str:
    return "\n".join(map(json.dumps, records))


def a_line(number: int, **more) -> dict:
    return {
        "external_id": f"t{number}",
        "kind": "pairwise",
        "prompt": [{"role": "user", "content": f"Question {number}?"}],
        "candidates": [{"content": "one", "model": "m1"}, {"content": "two", "model": "m2"}],
        **more,
    }


@pytest.fixture
def post_tasks(remy, api, project):
    def post(data, query: str = "", kind: str = "application/x-ndjson"):
        return api(remy).post(
            url("projects", project.slug, "tasks") + query, data=data, content_type=kind
        )

    return post


# The loop -----------------------------------------------------------------------------------


def test_an_annotator_claims_judges_and_undoes(alice, api, project, post_tasks):
    assert post_tasks(lines(a_line(1))).status_code == 201
    client = api(alice, "annotate")
    claimed = client.post(url("projects", project.slug, "assignments"))
    assert claimed.status_code == 201
    lease = claimed.json()
    assert lease["task"]["prompt"] == [{"role": "user", "content": "Question 1?"}]
    assert {c["content"] for c in lease["task"]["candidates"]} == {"one", "two"}
    assert "m1" not in claimed.content.decode()
    better = lease["task"]["candidates"][1]["id"]
    body = {"outcome": "preferred", "preferred": better, "strength": 2, "seconds": 4.5}
    body |= {"flags": ["odd"], "rationale": "clearer"}
    address = url("assignments", lease["id"], "judgment")
    sent = client.post(address, body, format="json", headers={"Idempotency-Key": "k1"})
    assert sent.status_code == 201
    assert sent.json()["preferred"] == better
    assert sent.json()["flags"] == ["odd"]
    again = client.post(address, body, format="json", headers={"Idempotency-Key": "k1"})
    assert again.status_code == 200
    assert again.json() == sent.json()
    refused = client.post(address, body, format="json", headers={"Idempotency-Key": "k2"})
    assert refused.status_code == 409
    assert "judged this task already" in refused.json()["detail"]
    assert client.post(url("projects", project.slug, "assignments")).status_code == 204
    back = client.delete(url("judgments", sent.json()["id"]))
    assert back.status_code == 200
    assert back.json()["id"] == lease["id"]


def test_a_submit_can_carry_the_next_task(alice, api, project, post_tasks):
    post_tasks(lines(a_line(1), a_line(2)))
    client = api(alice)
    lease = client.post(url("projects", project.slug, "assignments")).json()
    answer = client.post(
        url("assignments", lease["id"], "judgment") + "?next=1", {"outcome": "tie"}, format="json"
    ).json()
    assert answer["next"]["task"]["id"] != lease["task"]["id"]
    last = client.post(
        url("assignments", answer["next"]["id"], "judgment") + "?next=1",
        {"outcome": "both_bad"},
        format="json",
    ).json()
    assert last["next"] is None


def test_a_draft_a_heartbeat_a_skip_and_a_release(alice, api, project, post_tasks):
    post_tasks(lines(a_line(1), a_line(2)))
    client = api(alice)
    claim = url("projects", project.slug, "assignments")
    lease = client.post(claim).json()
    own = ("assignments", lease["id"])
    assert client.put(url(*own, "draft"), {"rationale": "hm"}, format="json").status_code == 200
    assert client.post(claim).json()["draft"] == {"rationale": "hm"}
    assert client.post(url(*own, "heartbeat")).status_code == 200
    assert client.post(url(*own, "release")).status_code == 200
    assert client.post(claim).json()["id"] == lease["id"]
    skipped = client.post(url(*own, "skip") + "?next=1", {"reason": "unclear"}, format="json")
    assert skipped.json()["next"]["id"] != lease["id"]
    assert client.post(url(*own, "heartbeat")).status_code == 409


# Who may -------------------------------------------------------------------------------------


def test_what_is_not_ones_own_is_not_found(alice, ben, mallory, api, project, post_tasks):
    post_tasks(lines(a_line(1)))
    lease = api(alice).post(url("projects", project.slug, "assignments")).json()
    theirs = url("assignments", lease["id"], "judgment")
    assert api(ben).post(theirs, {"outcome": "tie"}, format="json").status_code == 404
    sent = api(alice).post(theirs, {"outcome": "tie"}, format="json").json()
    assert api(ben).delete(url("judgments", sent["id"])).status_code == 404
    other = projects.create_project(slug="other", kinds=["pairwise"])
    assert api(alice).post(url("projects", other.slug, "assignments")).status_code == 404
    assert api(alice).get(url("projects", other.slug)).status_code == 404
    assert api(mallory).post(url("projects", project.slug, "assignments")).status_code == 403
    assert api().post(url("projects", project.slug, "assignments")).status_code == 401


def test_filling_and_export_need_the_research_scope(alice, remy, api, project):
    for client in (api(alice), api(remy, "annotate")):
        tasks = client.post(url("projects", project.slug, "tasks"), [], format="json")
        assert tasks.status_code == 403
        assert client.get(url("projects", project.slug, "export")).status_code == 403


def test_a_project_is_created_from_its_template_and_people_let_in(alice, remy, api):
    body = {"slug": "new", "kinds": ["pairwise", "rating"], "overlap": 2}
    made = api(remy).post(url("projects"), body, format="json")
    assert made.status_code == 201
    assert "Which answer is better" in made.json()["guidelines"]
    assert api(remy).post(url("projects"), body, format="json").status_code == 409
    assert api(alice).get(url("projects")).json() == []
    added = api(remy).post(url("projects", "new", "members"), {"username": "alice"}, format="json")
    assert added.status_code == 201
    assert [p["slug"] for p in api(alice).get(url("projects")).json()] == ["new"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "Bad Slug", "kinds": ["pairwise"]}, "slug"),
        ({"slug": "x", "kinds": ["guess"]}, "kinds"),
        ({"slug": "x", "kinds": ["pairwise"], "overlap": 0}, "overlap"),
        ({"slug": "x", "kinds": ["pairwise"], "colour": "red"}, "colour"),
        ({"slug": None, "kinds": None}, "slug"),
    ],
)
def test_a_bad_project_is_refused_by_field(remy, api, body, field):
    answer = api(remy).post(url("projects"), body, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]


# Filling ------------------------------------------------------------------------------------


def test_tasks_come_as_lines_or_as_an_array(post_tasks):
    answer = post_tasks(lines(a_line(1), a_line(2)))
    assert (answer.status_code, answer.json()["created"]) == (201, 2)
    array = json.dumps([a_line(3), a_line(4, external_id=None)])
    answer = post_tasks(array, kind="application/json")
    assert (answer.status_code, answer.json()["created"]) == (201, 2)
    assert Task.objects.count() == 4


def test_one_bad_line_keeps_all_out_unless_partial_is_asked(post_tasks):
    bad = lines(a_line(1), a_line(2, candidates=[{"content": "alone"}])) + "\n{oops"
    refused = post_tasks(bad)
    assert refused.status_code == 400
    reasons = {e["line"]: e["reason"] for e in refused.json()["errors"]}
    assert "has 2 candidates" in reasons[2]
    assert "not JSON" in reasons[3]
    assert not Task.objects.exists()
    kept = post_tasks(bad, "?partial=1")
    assert kept.status_code == 201
    assert (kept.json()["created"], kept.json()["refused"]) == (1, 2)


@pytest.mark.parametrize(
    "data",
    ["", "  \n", "[", "[]", "nonsense", "[1, 2]", '"text"', b"\xff\xfe\x00", "[{}]}", "null"],
)
def test_what_is_no_list_of_tasks_is_a_400(post_tasks, data):
    answer = post_tasks(data)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not Task.objects.exists()


# Bodies that cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "3",
        "{",
        '{"outcome": NaN}',
        '{"outcome": "tie", "rationale": "\\u0000"}',
        '{"outcome": "tie", "rationale": "\\ud800"}',
        '{"outcome": "tie", "\\ud800": 1}',
        '{"outcome": "tie", "flags": ["\\u0000"]}',
        '{"outcome": "tie", "seconds": 1e400}',
        '{"outcome": "tie", "seconds": -1}',
        '{"outcome": ["tie"]}',
        '{"outcome": "preferred", "preferred": {"a": 1}}',
        '{"outcome": "preferred", "preferred": 99999999999999999999999}',
        '{"outcome": "tie", "strength": 1}',
        '{"outcome": "tie", "strenght": 1}',
        b"\xff",
    ],
)
def test_a_bad_judgment_is_a_400_with_a_reason(alice, api, project, post_tasks, data):
    post_tasks(lines(a_line(1)))
    client = api(alice)
    lease = client.post(url("projects", project.slug, "assignments")).json()
    answer = client.post(
        url("assignments", lease["id"], "judgment"), data=data, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("data", ['{"a": "\\u0000"}', '{"\\ud83d": 1}', "[]", "1"])
def test_a_bad_draft_is_a_400(alice, api, project, post_tasks, data):
    post_tasks(lines(a_line(1)))
    client = api(alice)
    lease = client.post(url("projects", project.slug, "assignments")).json()
    answer = client.put(
        url("assignments", lease["id"], "draft"), data=data, content_type="application/json"
    )
    assert answer.status_code == 400


# Export -------------------------------------------------------------------------------------


def test_the_export_streams_every_judgment(alice, remy, api, project, post_tasks):
    post_tasks(lines(a_line(1), a_line(2)))
    client = api(alice)
    lease = client.post(url("projects", project.slug, "assignments")).json()
    client.post(url("assignments", lease["id"], "judgment"), {"outcome": "tie"}, format="json")
    answer = api(remy).get(url("projects", project.slug, "export"), {"format": "preferendum"})
    records = [json.loads(line) for line in answer.getvalue().decode().splitlines()]
    assert [r["external_id"] for r in records] == ["t1", "t2"]
    (judgment,) = records[0]["judgments"]
    assert judgment["annotator"] == alice.pseudonym
    assert judgment["shown"] == [c["id"] for c in lease["task"]["candidates"]]
    unknown = api(remy).get(url("projects", project.slug, "export"), {"format": "x"})
    assert unknown.status_code == 400
