"""Projects and people through the REST doors."""

import json

import pytest
from django.test import Client

from annotation.models import Invite, Membership, Project
from annotation.services import projects

pytestmark = pytest.mark.django_db


@pytest.fixture
def door(remy, api, project):
    return api(remy), f"/api/projects/{project.slug}/"


@pytest.fixture
def lena(project, make_user):
    user = make_user("lena", "annotator")
    projects.add_member(project=project, user=user, role="researcher")
    return user


def test_settings_are_changed_and_answered(door, project, fill):
    client, address = door
    fill(1)
    answer = client.patch(
        address,
        {"overlap": 3, "apply_to_open": True, "gold_rate": 0.1, "languages": ["AR"]},
        format="json",
    )
    assert answer.status_code == 200
    assert (answer.json()["overlap"], answer.json()["languages"]) == (3, ["ar"])
    project.refresh_from_db()
    assert (project.overlap, project.gold_rate) == (3, 0.1)
    assert project.tasks.get().overlap == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"overlap": 0}, "overlap"),
        ({"overlap": "2"}, "overlap"),
        ({"slug": "other"}, "slug"),
        ({"project": 1}, "project"),
        ({"by": 1}, "by"),
        ({"apply_to_open": "yes"}, "apply_to_open"),
        ({"name": None}, "name"),
        ({"name": "half \ud83d"}, "name"),
        ({"kinds": [["pairwise"]]}, "kinds"),
        ({"gold_rate": 10**400}, "gold_rate"),
        ({"languages": "en"}, "languages"),
        ({"order": ["depth"]}, "order"),
        ({"is_paused": 1}, "is_paused"),
        ([], "body"),
    ],
)
def test_a_bad_setting_is_named(door, project, body, field):
    client, address = door
    answer = client.patch(address, json.dumps(body), content_type="application/json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert Project.objects.get().overlap == 1


def test_members_are_listed_for_those_who_manage(door, alice, api):
    client, address = door
    names = [row["username"] for row in client.get(f"{address}members/").json()]
    assert names == ["alice", "ben"]
    assert api(alice).get(f"{address}members/").status_code == 403


def test_a_link_is_made_and_bad_ones_are_refused(door):
    client, address = door
    made = client.post(f"{address}invites/", {"role": "reviewer", "uses": 3}, format="json")
    assert made.status_code == 201
    assert made.json()["link"].startswith("http://testserver/join/")
    for body, field in (
        ({"role": "admin"}, "role"),
        ({"role": ["annotator"]}, "role"),
        ({"uses": 0}, "uses"),
        ({"days": "7"}, "days"),
        ({"skills": "law"}, "skills"),
        ({"skills": ["two words"]}, "skills"),
        ({"note": 3}, "note"),
        ({"project": 1}, "project"),
    ):
        answer = client.post(f"{address}invites/", body, format="json")
        assert answer.status_code == 400, body
        assert field in answer.json()["fields"]
    assert Invite.objects.count() == 1


def test_a_lead_uses_the_doors_in_a_browser_and_not_with_a_key(lena, api, project, fill):
    fill(1)
    address = f"/api/projects/{project.slug}/"
    browser = Client()
    browser.force_login(lena)
    assert browser.get(f"{address}members/").status_code == 200
    assert b"".join(browser.get(f"{address}export/").streaming_content)
    assert api(lena).get(f"{address}members/").status_code == 403
    assert api(lena).get(f"{address}export/").status_code == 403
    other = projects.create_project(slug="other", kinds=["pairwise"])
    assert browser.get(f"/api/projects/{other.slug}/export/").status_code == 404


def test_a_member_who_only_judges_is_refused_in_a_browser_too(alice, project):
    browser = Client()
    browser.force_login(alice)
    for tail in ("members/", "export/"):
        assert browser.get(f"/api/projects/{project.slug}/{tail}").status_code == 403
    answer = browser.patch(
        f"/api/projects/{project.slug}/", {"overlap": 9}, content_type="application/json"
    )
    assert answer.status_code == 403
    assert Membership.objects.get(user=alice).role == "annotator"


def test_a_lead_brings_a_file_in_from_the_browser_and_a_member_does_not(lena, alice, project):
    address = f"/api/projects/{project.slug}/import/"
    rows = [{"prompt": f"Q{n}", "chosen": "a", "rejected": "b"} for n in range(3)]
    body = "\n".join(json.dumps(row) for row in rows)

    def send(person, tail=""):
        browser = Client()
        browser.force_login(person)
        return browser.post(address + tail, body, content_type="application/octet-stream")

    assert send(alice).status_code == 403
    assert send(alice, "preview/").status_code == 403
    looked = send(lena, "preview/")
    assert (looked.status_code, looked.json()["format"], looked.json()["good"]) == (200, "trl", 3)
    assert not project.tasks.exists()
    assert send(lena).status_code == 201
    assert project.tasks.count() == 3
