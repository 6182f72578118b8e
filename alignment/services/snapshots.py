"""Draw a snapshot: an immutable, content-addressed copy of what people said so far."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from alignment.models import Snapshot
from alignment.services import datasheet, files, implied, parquet
from alignment.services.drawing import Drawn, draw
from alignment.services.queries import resolve_query
from alignment.services.shares import SMOOTHING
from annotation import selectors as annotation
from annotation.models import Project
from annotation.services import log
from config.errors import Invalid
from feedback import selectors as feedback

FORMAT = 2


def take(*, project: Project, by=None, query: dict[str, Any] | None = None) -> Snapshot:
    """Write what `query` draws now, or find the snapshot that already holds exactly that.

    The same query over the same rows gives the same bytes, so the same digest and row.
    """
    query = resolve_query(project, query)
    home = Path(settings.ARTEFACTS_DIR) / "snapshots"
    files.need_room(home)
    log.seal()  # so that the position below speaks of all that is committed
    with files.aside(home) as folder:
        with _one_view():
            position = {
                "annotation": annotation.log_position(),
                "feedback": feedback.log_position(),
                "time": _now(),
            }
            drawn = draw(
                folder,
                query,
                position=position["annotation"],
                event=position["feedback"],
            )
        counts, people = drawn.counts(), len(drawn.gathering.people)
        written = {
            path.name: {"sha256": parquet.digest(path), "rows": parquet.count(path)}
            for path in sorted(folder.glob("*.parquet"))
        }
        digest = _digest(query, written)
        manifest = {
            "format": FORMAT,
            "digest": digest,
            "query": query,
            "position": position,
            "counts": counts,
            "people": people,
            "smoothing": SMOOTHING,
            "files": written,
            "created": _now(),
        }
        files.write_json(folder / "manifest.json", manifest)
        sheet = _datasheet(project, manifest, drawn)
        files.write_json(folder / "datasheet.json", sheet)
        (folder / "datasheet.md").write_text(datasheet.markdown(sheet))
        files.write_json(folder / "discounts.json", drawn.discounts)
        files.settle(folder, home / digest)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        snapshot, _ = Snapshot.objects.get_or_create(
            project=project,
            digest=digest,
            defaults={
                "query": query,
                "position": position,
                "location": f"snapshots/{digest}",
                "counts": counts,
                "people": people,
                "names": sorted(drawn.gathering.people),
                "created_by": by,
            },
        )
    return snapshot


def folder_of(snapshot: Snapshot) -> Path:
    """Where the snapshot's files lie. Raises Invalid when they are gone or were altered."""
    folder = files.artefact_path(snapshot.location)
    manifest = files.read_json(folder / "manifest.json")
    if manifest is None:
        raise Invalid(f"The files of {snapshot} are missing from {snapshot.location}.")
    if manifest.get("digest") != snapshot.digest:
        raise Invalid(f"The files in {snapshot.location} are not those of {snapshot}.")
    return folder


def verify(snapshot: Snapshot) -> None:
    """Hash every file again. Raises Invalid naming the one that was altered."""
    folder = folder_of(snapshot)
    manifest = files.read_json(folder / "manifest.json")
    for name, about in manifest["files"].items():
        path = folder / name
        if not path.is_file() or parquet.digest(path) != about["sha256"]:
            raise Invalid(f"{name} of {snapshot} was altered or is missing; take a new snapshot.")


def datasheet_of(snapshot: Snapshot) -> dict[str, Any]:
    """The datasheet. Raises Invalid when the files are gone; empty for one from before there was
    any."""
    return files.read_json(folder_of(snapshot) / "datasheet.json") or {}


def named(snapshot: Snapshot) -> list[str]:
    """The pseudonyms in the files; none when they are gone."""
    folder = files.artefact_path(snapshot.location)
    found: set[str] = set()
    for path in sorted(folder.glob("*.parquet")):
        for column in {"annotator", "person"} & set(parquet.names(path)):
            for batch in parquet.batches(path, [column]):
                found.update(batch[column].to_pylist())
    return sorted(found - {None, ""})


def rebuild(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    """Write a snapshot once more from its query and its positions in the logs.

    Returns the SHA-256 of each file, which is that of the snapshot until someone in it was erased
    or took their consent back. What votes and reactions weighed then is read from the snapshot.
    Raises Invalid for a snapshot that was drawn before the logs had positions.
    """
    position = snapshot.position.get("annotation")
    if not isinstance(position, int):
        raise Invalid(f"{snapshot} was drawn before the log gave positions; take a new one.")
    home = folder_of(snapshot)
    discounts = files.read_json(home / "discounts.json") or {}
    reactions = home / "reaction.parquet"
    if reactions.exists():
        for row in parquet.read(reactions, ["record_id", "weight"]):
            discounts[f"event {row['record_id']}"] = row["weight"]
    discounts |= implied.weights_in(home)
    with _one_view():
        draw(
            folder,
            snapshot.query,
            position=position,
            event=snapshot.position.get("feedback"),
            discounts=discounts,
        )
    return {path.name: parquet.digest(path) for path in sorted(folder.glob("*.parquet"))}


def _datasheet(project: Project, manifest: dict[str, Any], drawn: Drawn) -> dict[str, Any]:
    """What a reader of the data should know, in the order of a page."""
    terms = project.options or {}
    return {
        "digest": manifest["digest"],
        "motivation": f"What people said in {', '.join(manifest['query']['projects'])}, drawn to "
        "train and judge language models.",
        "query": manifest["query"],
        "log_position": manifest["position"],
        "records": manifest["counts"],
        **drawn.gathering.sheet(),
        "agreement": drawn.agreement,
        "weights": {
            kind: {"method": drawn.methods[kind], **_ends(weights)}
            for kind, weights in drawn.weights.items()
            if weights
        },
        "licence": terms.get("licence") or "Not stated: set `licence` in the project's options.",
        "consent": "Chats, reactions and votes are only those of people who let them be used. "
        "Annotators judged under the terms of the project. A person's data leaves every later "
        "snapshot when they are erased.",
        "splits": f"{manifest['query']['eval_share']:.0%} of the prompts are held out, by the hash "
        "of the prompt alone: a prompt never changes sides.",
        "files": manifest["files"],
    }


def _ends(weights: dict[str, float]) -> dict[str, float]:
    return {"people": len(weights), "least": min(weights.values()), "most": max(weights.values())}


def _digest(query: dict[str, Any], written: dict[str, dict[str, Any]]) -> str:
    content = {
        "format": FORMAT,
        "query": query,
        "files": {name: about["sha256"] for name, about in written.items()},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@contextmanager
def _one_view() -> Iterator[None]:
    """All reads in the block see the database as it was at one moment."""
    if connection.in_atomic_block:  # the caller's transaction decides
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _now() -> str:
    return timezone.now().isoformat(timespec="seconds")
