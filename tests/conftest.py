"""The cast and the doors that tests of every area share.

alice and ben annotate, rita reviews, remy researches, adam administers; mallory is signed in
but belongs to no project.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from rest_framework.test import APIClient

from config.embedded import locations
from config.models import AccessKey, Role, User

PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The embedded server goes with its data at the end, so nothing need be dropped before."""
    return not os.environ.get("DATABASE_URL")


@pytest.fixture(scope="module")
def data_folder() -> Iterator[Path]:
    """A folder for a data folder of its own, with what it leaves in /tmp removed at the end.

    Not pytest's: PostgreSQL runs as another user when root tests, and every other session of
    pytest shuts that user out of pytest's folder again.
    """
    folder = Path(tempfile.mkdtemp(prefix="preferendum-test-"))
    yield folder
    for var_dir in (folder, *folder.rglob("var*")):
        shutil.rmtree(locations(var_dir).socket_dir, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def services() -> None:
    """Ask for PostgreSQL and Valkey in a test that uses no database (tests/session.py)."""


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """A person with a role: `make_user("carol", Role.ANNOTATOR)`."""

    def make(username: str, role: str = Role.MEMBER) -> User:
        return User.objects.create_user(username, password=PASSWORD, role=role)

    return make


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("alice", Role.ANNOTATOR)


@pytest.fixture
def ben(make_user: Callable[..., User]) -> User:
    return make_user("ben", Role.ANNOTATOR)


@pytest.fixture
def rita(make_user: Callable[..., User]) -> User:
    return make_user("rita", Role.REVIEWER)


@pytest.fixture
def remy(make_user: Callable[..., User]) -> User:
    return make_user("remy", Role.RESEARCHER)


@pytest.fixture
def adam(make_user: Callable[..., User]) -> User:
    return make_user("adam", Role.ADMIN)


@pytest.fixture
def mallory(make_user: Callable[..., User]) -> User:
    return make_user("mallory", Role.MEMBER)


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    """A browser-like client with a session: `signed_in(alice).get("/annotate/")`."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def key_of(db: None) -> Callable[..., str]:
    """The secret of a new access key: `key_of(alice, "annotate")`."""

    def issue(user: User, *scopes: str) -> str:
        return AccessKey.objects.issue(user=user, scopes=list(scopes))[1]

    return issue


@pytest.fixture
def api(key_of: Callable[..., str]) -> Callable[..., APIClient]:
    """A REST client with a bearer key: `api(alice, "annotate").post(...)`.

    Without scopes the key may do all that the person may; without a person nobody is signed in.
    """

    def connect(user: User | None = None, *scopes: str) -> APIClient:
        client = APIClient()
        if user is not None:
            secret = key_of(user, *(scopes or sorted(user.scopes)))
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return connect
