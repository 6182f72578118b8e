"""Every address of annotation, tried by those who have no business there.

mallory has an account and nothing else; ben annotates, elsewhere; alice annotates in the project;
lena runs it and nothing else. A new address needs a line in RULES, or these tests fail.
"""

from uuid import UUID

import pytest
from django.apps import apps
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from rest_framework.test import APIClient

from annotation import urls
from annotation.models import Membership, Note
from annotation.services import people, projects, queue
from annotation.services.tasks import create_tasks
from config.models import AccessKey
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db

#: Who gets in. "open": anyone; "account": anyone signed in; "annotator" and so on: that role in the
#: house; "reviewer": reviews the project; "member": a place in it; "manager": runs it; "own": whose
#: object it is; "picture": members, of one that is there; "... sends", "... changes": takes no GET.
RULES = {
    "annotate": "annotator",
    "annotate-work": "member",
    "annotate-step": "member",
    "annotate-media": "picture",
    "manage": "lead",
    "manage-new": "researcher",
    "manage-markdown": "lead",
    "manage-accounts": "admin",
    "manage-account": "admin",
    "erase-account": "admin",
    "manage-project": "manager",
    "manage-settings": "manager",
    "manage-principles": "manager",
    "manage-state": "manager",
    "manage-clone": "manager",
    "manage-preview": "manager",
    "manage-preview-step": "manager",
    "manage-people": "manager",
    "manage-member": "manager",
    "manage-invite": "manager",
    "manage-revoke": "manager",
    "manage-data": "manager",
    "manage-tasks": "manager",
    "manage-task": "manager",
    "account": "account",
    "make-key": "own",
    "revoke-key": "own",
    "my-work": "annotator",
    "my-work-undo": "own",
    "join": "open",
    # Reviewing
    "annotate-me": "account",
    "review": "lead",
    "review-quality": "reviewer",
    "review-table": "reviewer",
    "review-person": "reviewer sends",
    "review-task": "reviewer sends",
    "review-desk": "reviewer sends",
    "review-step": "reviewer sends",
    # REST
    "projects": "annotator",
    "project": "member",
    "project-tasks": "manager",
    "project-media": "manager",
    "project-members": "manager",
    "project-member": "manager changes",
    "project-invites": "manager",
    "project-invite": "manager changes",
    "project-principles": "manager",
    "project-principle": "manager changes",
    "project-clone": "researcher",
    "project-pause": "manager",
    "project-resume": "manager",
    "project-archive": "manager",
    "project-restore": "manager",
    "project-import": "manager",
    "project-import-preview": "manager",
    "project-export": "manager",
    "claim": "member",
    "submit": "own",
    "draft": "own",
    "skip": "own",
    "release": "own",
    "heartbeat": "own",
    "judgment": "own",
    "project-quality": "member",
    "verdict": "reviewer sends",
    "explanation": "own",
}
#: Who is refused under each rule.
REFUSED = {
    "open": (),
    "account": ("nobody",),
    "annotator": ("nobody", "mallory"),
    "lead": ("nobody", "mallory", "ben", "alice"),
    "researcher": ("nobody", "mallory", "ben", "alice", "lena"),
    "admin": ("nobody", "mallory", "ben", "alice", "lena", "remy"),
    "member": ("nobody", "mallory", "ben"),
    "reviewer": ("nobody", "mallory", "ben", "alice"),
    "reviewer sends": ("nobody", "mallory", "ben", "alice"),
    "manager": ("nobody", "mallory", "ben", "alice"),
    "manager changes": ("nobody", "mallory", "ben", "alice"),
    "own": ("nobody", "mallory", "ben"),
    "picture": ("nobody", "mallory", "ben"),
}
#: Pages that those who belong there can simply open.
OPENED_BY = {
    "annotator": "ben",
    "member": "alice",
    "reviewer": "lena",
    "manager": "lena",
    "lead": "lena",
    "researcher": "remy",
    "admin": "adam",
    "account": "mallory",
    "open": "nobody",
}
METHODS = ("get", "post", "put", "patch", "delete")


def patterns(found):
    for one in found:
        if isinstance(one, URLPattern):
            yield one
        else:
            yield from patterns(one.url_patterns)


ADDRESSES = {one.name: one for one in patterns(urls.urlpatterns)}


def refusals():
    for name, rule in RULES.items():
        for person in REFUSED[rule]:
            yield pytest.param(name, person, id=f"{name}-{person}")


@pytest.fixture
def examples(alice, lena, remy, project) -> dict[str, object]:
    """An object of each kind that an address can name: all of alice's, in the project."""
    create_tasks(project=project, tasks=[a_pair(n) for n in range(3)])
    lease = queue.claim(project=project.slug, by=alice)
    body = {"outcome": "tie"}
    judgment = queue.submit(assignment_id=lease.pk, by=alice, body=body, key="k").judgment
    held = queue.claim(project=project.slug, by=alice)
    invite, secret = people.invite(project=project, by=remy, uses=50)
    key, _ = AccessKey.objects.issue(user=alice, scopes=["annotate"])
    note = Note.objects.create(project=project, to=alice, by=remy, text="Hm.", judgment=judgment)
    return {
        "slug": project.slug,
        "task_id": judgment.task_id,
        "member_id": Membership.objects.get(user=alice).pk,
        "invite_id": invite.pk,
        "user_id": alice.pk,
        "key_id": key.pk,
        "assignment_id": held.pk,
        "judgment_id": judgment.pk,
        "note_id": note.pk,
        "username": alice.username,
        "key": "measures",
        "secret": secret,
        "media_id": UUID(int=7),
        "name": "measures",
    }


@pytest.fixture
def project(alice, lena):
    made = projects.create_project(slug="closed", kinds=["pairwise"])
    projects.add_member(project=made, user=alice)
    projects.add_member(project=made, user=lena, role="researcher")
    return made


@pytest.fixture
def lena(make_user):
    return make_user("lena", "annotator")


@pytest.fixture
def people_by_name(mallory, ben, alice, lena, remy, adam):
    cast = (mallory, ben, alice, lena, remy, adam)
    return {"nobody": None} | {user.username: user for user in cast}


def address(name: str, examples: dict) -> str:
    needed = [key for _, names in _possibilities(name) for key in names]
    return reverse(name, kwargs={key: examples[key] for key in needed})


def _possibilities(name: str):
    return get_resolver().reverse_dict.getlist(name)[0][0]


def rows() -> dict[str, int]:
    return {
        model.__name__: model.objects.count()
        for app in ("annotation", "config")
        for model in apps.get_app_config(app).get_models()
    }


def test_every_address_has_a_rule_and_every_rule_an_address():
    assert set(RULES) == set(ADDRESSES)


@pytest.mark.parametrize(("name", "person"), list(refusals()))
def test_who_has_no_business_there_is_refused_and_changes_nothing(
    name, person, examples, people_by_name
):
    client = Client()
    if people_by_name[person] is not None:
        client.force_login(people_by_name[person])
    where, before = address(name, examples), rows()
    answers = {
        method: getattr(client, method)(where, "{}", content_type="application/json")
        if method != "get"
        else client.get(where)
        for method in METHODS
    }
    for method, answer in answers.items():
        away = answer.status_code == 302 and answer.headers["Location"].startswith("/login/")
        assert away or answer.status_code in (401, 403, 404, 405), (method, answer.status_code)
    refused = [a.status_code for a in answers.values() if a.status_code != 405]
    assert refused, "some method must have been answered by a refusal, not all by 405"
    assert rows() == before


@pytest.mark.parametrize(
    "name", [name for name, rule in RULES.items() if rule in OPENED_BY], ids=str
)
def test_who_belongs_there_gets_in(name, examples, people_by_name):
    person = people_by_name[OPENED_BY[RULES[name]]]
    client = Client()
    if person is not None:
        client.force_login(person)
    answer = client.get(address(name, examples))
    if answer.status_code == 405:  # a door for sending only
        answer = client.post(address(name, examples), {}, content_type="application/json")
        assert answer.status_code in (200, 201, 204, 302, 400, 404, 415), answer.status_code
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule == "manager"])
def test_a_key_without_the_scope_opens_nothing_that_is_managed(name, examples, lena):
    """A key of a project's own researcher stays below the scope research."""
    secret = AccessKey.objects.issue(user=lena, scopes=["annotate", "research"])[1]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    for method in ("get", "post"):
        answer = getattr(client, method)(address(name, examples))
        away = answer.status_code == 302 and answer.headers["Location"].startswith("/login/")
        assert away or answer.status_code in (401, 403, 405), (method, answer.status_code)


def test_objects_are_found_in_their_own_project_only(examples, remy):
    other = projects.create_project(slug="other", kinds=["pairwise"])
    client = Client()
    client.force_login(remy)
    for name in ("manage-task", "manage-member", "manage-revoke"):
        where = address(name, examples | {"slug": other.slug})
        assert client.get(where).status_code in (404, 405)
        assert client.post(where, {"do": "withdraw"}).status_code == 404
