"""Backup and restore: an instance comes back as it was, or what is there stays."""

import io
import json
import os
import tarfile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotation.models import Judgment, Project
from annotation.services import exports, log, projects, queue
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from config import backups
from config.models import Role, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at_work(settings, tmp_path):
    """A judged project and an artefact; gives how to say what there is."""
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    model = settings.ARTEFACTS_DIR / "models" / "m1"
    model.mkdir(parents=True)
    (model / "weights.bin").write_bytes(b"\x00weights")
    (settings.ARTEFACTS_DIR / ".half").write_text("being written")
    alice = User.objects.create_user("alice", password="x", role=Role.ANNOTATOR)
    project = projects.create_project(slug="kept", kinds=["pairwise"])
    projects.add_member(project=project, user=alice)
    pair = [CandidateIn("a 👩‍👩‍👧"), CandidateIn("ب")]
    create_tasks(project=project, tasks=[TaskIn("pairwise", "Q?", pair) for _ in range(3)])
    lease = queue.claim(project="kept", by=alice)
    queue.submit(assignment_id=lease.pk, by=alice, body={"outcome": "tie"})
    return project


def told(project: Project) -> bytes:
    form = exports.find("preferendum")
    return b"".join(exports.lines(project=project, form=form))


def backed_up(path) -> str:
    out = io.StringIO()
    call_command("backup", str(path), stdout=out)
    return out.getvalue()


def test_what_is_restored_is_what_was_backed_up(at_work, settings, tmp_path):
    before = told(at_work)
    path = tmp_path / "all.tar"
    assert str(log.head()) == "0:" + "0" * 64
    assert "the log stood at" in backed_up(path)
    assert path.stat().st_mode & 0o077 == 0
    head = log.head()
    # Afterwards the instance goes on, and goes wrong.
    Judgment.objects.all().delete()
    Project.objects.create(slug="later", name="later", kinds=["pairwise"])
    (settings.ARTEFACTS_DIR / "models" / "m1" / "weights.bin").write_bytes(b"other")
    (settings.ARTEFACTS_DIR / "models" / "m2").mkdir()
    out = io.StringIO()
    call_command("restore", str(path), "--replace", stdout=out)
    assert "The log holds what it held" in out.getvalue()
    assert [p.slug for p in Project.objects.all()] == ["kept"]
    assert told(Project.objects.get()) == before
    assert log.head() == head
    assert (settings.ARTEFACTS_DIR / "models" / "m1" / "weights.bin").read_bytes() == b"\x00weights"
    assert not (settings.ARTEFACTS_DIR / "models" / "m2").exists()
    assert not (settings.ARTEFACTS_DIR / ".half").exists()
    # And work goes on from there: numbers are not given out twice.
    alice = User.objects.get(username="alice")
    lease = queue.claim(project="kept", by=alice)
    queue.submit(assignment_id=lease.pk, by=alice, body={"outcome": "tie"})
    call_command("verify_log", stdout=io.StringIO())


def test_a_backup_of_an_older_version_leaves_nothing_of_the_newer_one(at_work, tmp_path):
    before = told(at_work)
    path = tmp_path / "all.tar"
    backed_up(path)
    with connection.cursor() as cursor:  # what a later version might have added since
        cursor.execute(
            "CREATE TABLE annotation_newer (id bigint PRIMARY KEY,"
            " project_id bigint REFERENCES annotation_project)"
        )
        cursor.execute("INSERT INTO annotation_newer VALUES (1, %s)", [at_work.pk])
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied)"
            " VALUES ('annotation', '9999_newer', now())"
        )
    call_command("restore", str(path), "--replace", stdout=io.StringIO())
    assert told(Project.objects.get()) == before
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('annotation_newer')")
        assert cursor.fetchone() == (None,)
        cursor.execute("SELECT count(*) FROM django_migrations WHERE name = '9999_newer'")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("failing", ["the second rename", "the database"])
def test_a_restore_that_fails_halfway_leaves_artefacts_and_database_as_they_were(
    at_work, settings, tmp_path, monkeypatch, failing
):
    path = tmp_path / "all.tar"
    backed_up(path)
    later = settings.ARTEFACTS_DIR / "later.bin"
    later.write_bytes(b"later")
    before = told(at_work)
    rename = os.replace

    def fail(source, target):
        if str(target) == str(settings.ARTEFACTS_DIR) and "replaced" not in str(source):
            raise OSError(28, "No space left on device")
        rename(source, target)

    if failing == "the database":
        monkeypatch.setattr("config.backups._EMPTY", "SELECT 1 / 0")
    else:
        monkeypatch.setattr("config.backups.os.replace", fail)
    with pytest.raises(CommandError, match=r"No space|division by zero"):
        call_command("restore", str(path), "--replace")
    assert later.read_bytes() == b"later"
    assert told(at_work) == before
    assert not list(tmp_path.glob(".*replaced*"))


def test_an_instance_that_holds_data_is_not_replaced_by_accident(at_work, tmp_path):
    path = tmp_path / "all.tar"
    backed_up(path)
    Project.objects.create(slug="later", name="later", kinds=["pairwise"])
    with pytest.raises(CommandError, match="--replace"):
        call_command("restore", str(path))
    assert Project.objects.count() == 2


def test_an_empty_instance_takes_a_backup_without_being_told_to_replace(at_work, tmp_path):
    before = told(at_work)
    path = tmp_path / "all.tar"
    backed_up(path)
    Project.objects.all().delete()
    User.objects.all().delete()
    call_command("restore", str(path), stdout=io.StringIO())
    assert told(Project.objects.get()) == before


def test_a_backup_never_takes_the_place_of_a_file(at_work, tmp_path):
    path = tmp_path / "mine.tar"
    path.write_text("mine")
    with pytest.raises(CommandError, match="there already"):
        backed_up(path)
    assert path.read_text() == "mine"
    with pytest.raises(CommandError, match="No such file"):
        backed_up(tmp_path / "nowhere" / "x.tar")


def rewritten(path, change) -> None:
    """The same tar with its entries passed through `change(name, data)`; None drops one."""
    with tarfile.open(path) as archive:
        entries = [(e.name, archive.extractfile(e).read()) for e in archive]
    with tarfile.open(path, "w") as archive:
        for name, data in entries:
            changed = change(name, data)
            if changed is not None:
                entry = tarfile.TarInfo(changed[0])
                entry.size = len(changed[1])
                archive.addfile(entry, io.BytesIO(changed[1]))


def newer(name: str, data: bytes) -> tuple[str, bytes]:
    if name != backups.MANIFEST:
        return name, data
    manifest = json.loads(data)
    manifest["migrations"].append(["annotation", "9999_from_the_future"])
    return name, json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda n, d: (n, d + b"x") if n.endswith("weights.bin") else (n, d), "was altered"),
        (lambda n, d: (n, b"x" + d[1:]) if n == backups.DUMP else (n, d), "was altered"),
        (lambda n, d: None if n == backups.DUMP else (n, d), "was altered"),
        (lambda n, d: None if n == backups.MANIFEST else (n, d), "no manifest"),
        (lambda n, d: ("artefacts/../../evil", d) if "weights" in n else (n, d), "it holds"),
        (lambda n, d: ("/etc/evil", d) if "weights" in n else (n, d), "it holds"),
        (newer, "newer version"),
    ],
)
def test_a_backup_that_was_altered_is_refused_and_nothing_is_touched(
    at_work, settings, tmp_path, change, reason
):
    path = tmp_path / "all.tar"
    backed_up(path)
    rewritten(path, change)
    before = told(at_work)
    with pytest.raises(CommandError, match=reason):
        call_command("restore", str(path), "--replace")
    assert told(at_work) == before
    assert (settings.ARTEFACTS_DIR / ".half").exists()


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100])
def test_what_is_no_backup_is_refused(at_work, tmp_path, data):
    path = tmp_path / "other.tar"
    path.write_bytes(data)
    with pytest.raises(CommandError, match="no backup"):
        call_command("restore", str(path), "--replace")


def test_a_backup_cut_short_is_refused(at_work, tmp_path):
    path = tmp_path / "all.tar"
    backed_up(path)
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(CommandError, match="no backup"):
        call_command("restore", str(path), "--replace")


def test_tampering_before_the_backup_shows_after_the_restore(at_work, tmp_path):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE annotation_judgment SET rationale = 'never said'")
    path = tmp_path / "all.tar"
    backed_up(path)
    with pytest.raises(CommandError, match="1 altered"):
        call_command("restore", str(path), "--replace", stdout=io.StringIO(), stderr=io.StringIO())
