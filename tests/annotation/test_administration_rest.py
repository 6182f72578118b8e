"""What the browser can do to a project, REST can do; and each change is in the log."""

import pytest

from annotation.models import Judgment, LogEntry, Membership, Project
from annotation.services import log_check, projects

pytestmark = pytest.mark.django_db


@pytest.fixture
def remote(remy, api):
    return api(remy, "research", "annotate")


@pytest.fixture
def asking(remy):
    return projects.create_project(slug="asking", kinds=["principle"], by=remy)


def logged(subject: str) -> list[tuple[str, str]]:
    rows = LogEntry.objects.filter(subject=subject).order_by("id")
    return list(rows.values_list("action", "actor"))


def test_principles_are_listed_added_revised_and_retired(asking, remote, remy):
    address = "/api/projects/asking/principles/"
    there = remote.get(address).json()
    assert there
    assert all(one["active"] for one in there)
    made = remote.post(address, {"key": "shortness", "text": "Is it brief?"}, format="json")
    assert (made.status_code, made.json()["version"]) == (201, 1)
    again = remote.post(address, {"key": "shortness", "text": "Is it short?"}, format="json").json()
    assert (again["version"], again["active"]) == (2, True)
    assert remote.delete(f"{address}shortness/").status_code == 204
    assert remote.delete(f"{address}shortness/").status_code == 404
    mine = [one for one in remote.get(address).json() if one["key"] == "shortness"]
    assert [(one["version"], one["active"]) for one in mine] == [(2, False), (1, False)]
    assert logged("principle") == [
        ("created", remy.pseudonym), ("created", remy.pseudonym), ("changed", remy.pseudonym)
    ]  # fmt: skip
    for wrong in (
        {"key": "shortness"},
        {"key": "A B", "text": "x"},
        {"key": "a", "text": "b", "c": 1},
    ):
        assert remote.post(address, wrong, format="json").status_code == 400


def test_a_project_is_paused_resumed_archived_and_restored(project, remote, remy):
    for act, paused, archived in (
        ("pause", True, False), ("pause", True, False), ("resume", False, False),
        ("archive", False, True), ("restore", True, False),
    ):  # fmt: skip
        answer = remote.post(f"/api/projects/helpful/{act}/")
        assert answer.status_code == 200
        assert (answer.json()["paused"], answer.json()["archived"]) == (paused, archived)
    assert logged("project")[1:] == [("changed", remy.pseudonym)] * 4  # the second pause is none


def test_a_project_is_cloned(project, fill, remote):
    fill(2)
    body = {"slug": "second", "name": "Second", "with_tasks": True}
    answer = remote.post("/api/projects/helpful/clone/", body, format="json")
    assert (answer.status_code, answer.json()["slug"]) == (201, "second")
    assert Project.objects.get(slug="second").tasks.count() == 2
    assert not Judgment.objects.exists()
    for wrong in ({"slug": "helpful"}, {"slug": "x", "with_tasks": "yes"}, {}):
        answer = remote.post("/api/projects/helpful/clone/", wrong, format="json")
        assert answer.status_code in (400, 409)


def test_members_are_changed_and_removed_and_links_listed_and_revoked(project, remote, remy, alice):
    address = f"/api/projects/helpful/members/{alice.username}/"
    change = {"paused": True, "skills": ["lang:ar"], "role": "reviewer"}
    changed = remote.patch(address, change, format="json").json()
    assert (changed["paused"], changed["skills"], changed["role"]) == (
        True,
        ["lang:ar"],
        "reviewer",
    )
    for wrong in ({"paused": "yes"}, {"role": "king"}, {"skills": "a"}, {"name": "x"}):
        assert remote.patch(address, wrong, format="json").status_code == 400
    assert remote.delete(address).status_code == 204
    assert remote.delete(address).status_code == 404
    assert not Membership.objects.filter(user=alice).exists()
    assert [entry for entry in logged("membership") if entry[1]] == [
        ("changed", remy.pseudonym), ("erased", remy.pseudonym)
    ]  # fmt: skip
    links = "/api/projects/helpful/invites/"
    made = remote.post(links, {"note": "for Lena"}, format="json").json()
    [listed] = remote.get(links).json()
    assert (listed["id"], listed["note"], "link" in listed) == (made["id"], "for Lena", False)
    assert remote.delete(f"{links}{made['id']}/").status_code == 204
    assert remote.get(links).json() == []
    assert log_check.verify().intact


def test_annotators_and_strangers_administer_nothing(project, alice, mallory, api):
    for person, refused in ((alice, 403), (mallory, 403)):
        rest = api(person)
        for address in ("pause", "archive", "clone", "principles"):
            assert rest.post(f"/api/projects/helpful/{address}/").status_code == refused
