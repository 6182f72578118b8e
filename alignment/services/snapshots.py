"""Draw a snapshot: an immutable, content-addressed copy of what people said so far."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from alignment.models import Snapshot
from alignment.services import files, parquet
from alignment.services.records import (
    PAIR,
    PREFERENCE,
    REACTION,
    SMOOTHING,
    Shares,
    preference_row,
    reaction_row,
)
from annotation import selectors as annotation
from annotation.models import Project
from annotation.services import log
from config.errors import Invalid
from feedback import selectors as feedback

FORMAT = 1
KINDS = ("preference", "reaction")


def resolve_query(project: Project, query: dict[str, Any] | None) -> dict[str, Any]:
    """The query with its defaults: projects, kinds, until, eval_share. Raises Invalid."""
    given = dict(query or {})
    resolved = {
        "projects": sorted(set(_names(given.pop("projects", [project.slug]), "projects"))),
        "kinds": sorted(set(_names(given.pop("kinds", list(KINDS)), "kinds"))),
        "until": given.pop("until", None),
        "eval_share": given.pop("eval_share", 0.2),
    }
    wrong: dict[str, str] = dict.fromkeys(given, "is not a known key of a query")
    known = set(
        Project.objects.filter(slug__in=resolved["projects"]).values_list("slug", flat=True)
    )
    missing = sorted(set(resolved["projects"]) - known)
    if missing or not resolved["projects"]:
        wrong["projects"] = f"no such project: {', '.join(missing) or 'none named'}"
    strange = sorted(set(resolved["kinds"]) - set(KINDS))
    if strange or not resolved["kinds"]:
        wrong["kinds"] = f"choose from {', '.join(KINDS)}"
    share = resolved["eval_share"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        wrong["eval_share"] = "must be a number between 0 and 1"
    if resolved["until"] is not None:
        try:
            until = parse_datetime(str(resolved["until"]))
        except ValueError:
            until = None
        if until is None or timezone.is_naive(until):
            wrong["until"] = "must be a date and time with a zone, like 2026-01-31T12:00:00Z"
        else:
            resolved["until"] = until.isoformat()
    if wrong:
        said = "; ".join(f"{key}: {why}" for key, why in wrong.items())
        raise Invalid(f"The query cannot be used. {said}.", fields=wrong)
    return resolved


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
            counts, people = _fill(folder, query, position["annotation"])
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


def rebuild(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    """Write the judgments of a snapshot once more from its query and its position in the log.

    Returns the SHA-256 of each file, which is that of the snapshot until data of a person in it
    was erased. Raises Invalid for a snapshot that was drawn before the log had positions.
    """
    position = snapshot.position.get("annotation")
    if not isinstance(position, int):
        raise Invalid(f"{snapshot} was drawn before the log gave positions; take a new one.")
    query = snapshot.query | {"kinds": ["preference"]}
    with _one_view():
        _fill(folder, query, position)
    return {path.name: parquet.digest(path) for path in sorted(folder.glob("*.parquet"))}


def _fill(folder: Path, query: dict[str, Any], position: int) -> tuple[dict[str, Any], int]:
    projects = Project.objects.filter(slug__in=query["projects"])
    ids = list(projects.order_by("pk").values_list("pk", flat=True))
    until = parse_datetime(query["until"]) if query["until"] else None
    share = query["eval_share"]
    people: set[str] = set()
    prompts: set[str] = set()
    counts: dict[str, Any] = {}

    if "preference" in query["kinds"]:
        shares, tally = Shares(), Counter()
        judged = annotation.preferences(project_ids=ids, until=until, position=position)
        rows = (row for row in (preference_row(r, share) for r in judged) if row)
        watched = _watch(rows, tally, people, prompts, shares)
        parquet.write(folder / "preference.parquet", watched, PREFERENCE)
        again = parquet.read(folder / "preference.parquet")
        pairs = parquet.write(folder / "pairs.parquet", shares.pairs(again), PAIR)
        counts["preference"] = {"records": tally.total(), "pairs": pairs, **_named(tally)}
    if "reaction" in query["kinds"]:
        tally = Counter()
        reacted = feedback.reactions(project_ids=ids, until=until)
        rows = (reaction_row(r, share) for r in reacted)
        watched = _watch(rows, tally, people, prompts, None)
        parquet.write(folder / "reaction.parquet", watched, REACTION)
        counts["reaction"] = {"records": tally.total(), **_named(tally)}
    counts["prompts"] = len(prompts)
    return counts, len(people)


def _watch(
    rows: Iterable[dict[str, Any]],
    tally: Counter,
    people: set[str],
    prompts: set[str],
    shares: Shares | None,
) -> Iterator[dict[str, Any]]:
    for row in rows:
        kind = row.get("outcome") or ("positive" if row["label"] else "negative")
        tally[(row["split"], row.get("source", "reaction"), kind)] += 1
        people.add(row.get("annotator") or row.get("person") or "")
        prompts.add(row["prompt_hash"])
        if shares is not None:
            shares.add(row)
        yield row


def _named(tally: Counter) -> dict[str, dict[str, int]]:
    named: dict[str, Counter] = {"split": Counter(), "source": Counter(), "outcome": Counter()}
    for key, count in tally.items():
        for name, value in zip(named, key, strict=True):
            named[name][value] += count
    return {name: dict(sorted(counter.items())) for name, counter in named.items()}


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


def _names(value: Any, field: str) -> list[str]:
    if isinstance(value, str) or not all(isinstance(item, str) for item in value or []):
        raise Invalid("The query cannot be used.", fields={field: "must be a list of names"})
    return list(value or [])


def _now() -> str:
    return timezone.now().isoformat(timespec="seconds")
