"""Weights of reactions and votes: computed by a worker, kept beside the events, never in them."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from annotation.models import Project
from config.models import User
from feedback.models import Event, ReactionTrust, Vote
from feedback.selectors import guest_pseudonym
from feedback.trust import habits
from feedback.trust.acts import Acts, Doubts
from feedback.trust.weigh import Weighed, judge_groups, rates, weigh
from feedback.vocabulary import NEGATIVE, POSITIVE

#: How far back acts are weighed; older weights stay as they are.
DAYS = 30
BATCH = 2000
CHUNK = 20_000
SHOWN_PEOPLE = 50
#: Sides are drawn, so an honest voter's share of left ones is near a half: Beta(20, 20).
BY_CHANCE = (20.0, 20.0)
_POSITION = "feedback-trust-position"
_SIDES = {"left": 1, "right": -1}


class _Names:
    """Small whole numbers for anything, and the way back."""

    def __init__(self) -> None:
        self.known: dict = {}

    def of(self, thing: object) -> int:
        return self.known.setdefault(thing, len(self.known))

    def back(self) -> list:
        return list(self.known)


def weigh_all(*, now: datetime | None = None) -> int:
    """Weigh every project that has reactions or votes; returns how many there were."""
    newest = Event.objects.aggregate(id=Max("pk"))["id"]
    position = [newest, str(Vote.objects.aggregate(at=Max("created_at"))["at"])]
    if cache.get(_POSITION) == position:
        return 0  # nobody has said anything since; the window's far end can wait
    done = 0
    for project in Project.objects.filter(conversations__isnull=False).distinct():
        weigh_project(project=project, now=now)
        done += 1
    cache.set(_POSITION, position, 3600)
    return done


def weigh_project(*, project: Project, now: datetime | None = None) -> dict:
    """Weigh the project's newest 30 days anew and keep the result; returns the report.

    The report is what `report` gives: counts by reason, groups found, and P[Love] by model with
    and without the weights.
    """
    since = (now or timezone.now()) - timedelta(days=DAYS)
    ids, models, acts = _reactions(project, since)
    found = weigh(acts)
    _keep_reactions(project, since, ids, found)
    votes = _weigh_votes(project, since)
    told = _report(acts, found, ids, models) | {"votes": votes}
    told["computed_at"] = timezone.now().isoformat()
    told["days"] = DAYS
    cache.set(_key(project), told, None)
    return told


def report(*, project: Project) -> dict | None:
    """The newest report, or None before the first weighing."""
    return cache.get(_key(project))


def doubted(*, project: Project, before: int | None = None, limit: int = 100) -> list[dict]:
    """Reactions that count less than fully, newest first, with the reasons."""
    rows = (
        ReactionTrust.objects.filter(event__message__conversation__project=project)
        .select_related("event__actor", "event__message__model_version")
        .order_by("-event_id")
    )
    if before is not None:
        rows = rows.filter(event_id__lt=before)
    return [
        {
            "event": row.event_id,
            "person": _pseudonym(row.event.actor, row.event.guest),
            "model": row.event.message.model_version and row.event.message.model_version.name,
            "reaction": row.event.reaction,
            "created_at": row.event.server_time.isoformat(),
            "weight": row.weight,
            "doubts": row.doubts,
        }
        for row in rows[:limit]
    ]


#: The reactions of a window as numbers. Whoever is behind an API key is told apart by the
#: conversation, for the key is a site's and the people are its visitors. `seen` is null where the
#: door has never reported what was on screen.
_ACTS = """
    WITH looked AS (
        SELECT e.message_id, m.conversation_id FROM feedback_event e
        JOIN feedback_message m ON m.id = e.message_id
        JOIN feedback_conversation c ON c.id = m.conversation_id
        WHERE e.kind IN ('exposure', 'dwell') AND e.server_time >= %(since)s
            AND c.project_id = %(project)s
    )
    SELECT e.id,
        hashtextextended(CASE WHEN c.source = 'api' THEN 'c' || c.id
            ELSE coalesce('u' || e.actor_id, 'g' || e.guest) END, 0),
        hashtextextended(m.model_version_id::text, 0),
        CASE WHEN e.reaction = ANY(%(good)s) THEN 1 WHEN e.reaction = ANY(%(bad)s) THEN -1
            ELSE 0 END,
        extract(epoch FROM e.server_time)::float8,
        coalesce(extract(epoch FROM e.server_time - m.finished_at), 'NaN')::float8,
        CASE WHEN m.conversation_id NOT IN (SELECT conversation_id FROM looked) THEN 'NaN'::float8
            WHEN m.id IN (SELECT message_id FROM looked) THEN 1 ELSE 0 END::float8
    FROM feedback_event e
    JOIN feedback_message m ON m.id = e.message_id
    JOIN feedback_conversation c ON c.id = m.conversation_id
    WHERE e.kind = 'reaction' AND e.server_time >= %(since)s AND c.project_id = %(project)s
        AND m.model_version_id IS NOT NULL
    ORDER BY e.id
"""
_TYPES = (np.int64, np.int64, np.int64, np.int8, np.float64, np.float64, np.float64)


def _reactions(project: Project, since: datetime) -> tuple[np.ndarray, np.ndarray, Acts]:
    """Event ids, hashes of the model versions, and the reactions given since then as columns.

    Read in chunks into plain numbers: some fifty bytes a reaction.
    """
    values = {"since": since, "project": project.pk, "good": list(POSITIVE), "bad": list(NEGATIVE)}
    chunks: list[list[np.ndarray]] = []
    with connection.chunked_cursor() as cursor:
        cursor.execute(_ACTS, values)
        while rows := cursor.fetchmany(CHUNK):
            columns = zip(zip(*rows, strict=True), _TYPES, strict=True)
            chunks.append([np.array(column, dtype=kind) for column, kind in columns])
    if not chunks:
        chunks = [[np.array([], dtype=kind) for kind in _TYPES]]
    ids, actor, target, *rest = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    models, target = np.unique(target, return_inverse=True)
    _, actor = np.unique(actor, return_inverse=True)
    return ids, models, Acts(actor, target, *rest)


@transaction.atomic
def _keep_reactions(project: Project, since: datetime, ids: np.ndarray, found: Weighed) -> None:
    """Write what changed: rows for the doubted, none for the others."""
    weights = found.weights
    wanted = {
        int(ids[n]): (float(weights[n]), found.doubts.reasons(n))
        for n in found.doubts.found
        if weights[n] < 1
    }
    stored = ReactionTrust.objects.filter(
        event__server_time__gte=since, event__message__conversation__project=project
    )
    known = {row.event_id: (row.weight, row.doubts) for row in stored.iterator(chunk_size=BATCH)}
    gone = [event for event in known if event not in wanted]
    for start in range(0, len(gone), BATCH):
        ReactionTrust.objects.filter(event_id__in=gone[start : start + BATCH]).delete()
    changed = [
        ReactionTrust(event_id=event, weight=weight, doubts=doubts, computed_at=timezone.now())
        for event, (weight, doubts) in wanted.items()
        if known.get(event) != (weight, doubts)
    ]
    ReactionTrust.objects.bulk_create(
        changed,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["event"],
        update_fields=["weight", "doubts", "computed_at"],
    )


def _weigh_votes(project: Project, since: datetime) -> dict:
    """Weigh the votes: habits by side (always left?), groups by the model they vote for."""
    votes = list(
        Vote.objects.filter(created_at__gte=since, battle__conversation__project=project)
        .select_related("battle__conversation", "battle__left", "battle__right")
        .order_by("created_at", "pk")
    )
    people, models = _Names(), _Names()
    rows = []
    for vote in votes:
        battle, talk = vote.battle, vote.battle.conversation
        winner = battle.right if vote.outcome == "right" else battle.left
        ended = max(
            (one.finished_at for one in (battle.left, battle.right) if one.finished_at),
            default=None,
        )
        wait = (vote.created_at - ended).total_seconds() if ended else np.nan
        rows.append(
            (people.of((talk.owner_id, talk.guest)), models.of(winner.model_version_id),
             _SIDES.get(vote.outcome, 0), vote.created_at.timestamp(), wait)
        )  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    by_side = Acts(*(np.array(column) for column in columns))
    by_winner = Acts(
        by_side.actor, by_side.target, np.abs(by_side.sign), by_side.time, by_side.wait
    )
    doubts = Doubts(len(votes))
    habits.judge(by_side, doubts, words=("left", "right"), leaning=BY_CHANCE)
    groups = judge_groups(by_winner, doubts) if len(votes) else []
    changed = []
    for n, vote in enumerate(votes):
        kept = [one for one in vote.doubts if one["code"] == "named"]
        reasons = kept + doubts.reasons(n)
        weight = float(np.prod([one["factor"] for one in reasons]))
        if (vote.weight, vote.doubts) != (weight, reasons):
            vote.weight, vote.doubts = weight, reasons
            changed.append(vote)
    Vote.objects.bulk_update(changed, ["weight", "doubts"], batch_size=BATCH)
    return {
        "acts": len(votes),
        "doubted": sum(vote.weight < 1 for vote in votes),
        "weight": round(sum(vote.weight for vote in votes), 3),
        "groups": len(groups),
    }


def _report(acts: Acts, found: Weighed, ids: np.ndarray, models: np.ndarray) -> dict:
    weights = found.weights
    model_name = _model_names(models)
    plain, weighed = rates(acts), rates(acts, weights)
    codes: dict[str, Counter] = defaultdict(Counter)
    for n, reasons in found.doubts.found.items():
        for code, (factor, _) in reasons.items():
            codes[code]["acts"] += 1
            codes[code]["lost"] += 1 - factor
            codes[code][f"p{acts.actor[n]}"] = 1
    return {
        "acts": len(acts),
        "people": len(np.unique(acts.actor)),
        "doubted": int((weights < 1).sum()),
        "weight": round(float(weights.sum()), 3),
        "codes": [
            {"code": code, "acts": c["acts"], "people": len(c) - 2, "lost": round(c["lost"], 2)}
            for code, c in sorted(codes.items())
        ],
        "groups": [
            {
                "kind": group.kind,
                "people": len(group.actors),
                "counted": round(group.counted, 2),
                "pushes": [
                    {"model": model_name[target], "says": "good" if sign > 0 else "bad"}
                    for target, sign in sorted(group.pushes)
                ],
                "since": _iso(group.since),
                "until": _iso(group.until),
            }
            for group in found.groups
        ],
        "models": [
            {
                "model": model_name[target],
                "acts": int((acts.target == target).sum()),
                "share": weighed[target][0],
                "low": weighed[target][1],
                "high": weighed[target][2],
                "plain_share": plain[target][0],
                "plain_low": plain[target][1],
                "plain_high": plain[target][2],
            }
            for target in sorted(plain, key=lambda one: -weighed[one][0])
            if not np.isnan(weighed[target][0]) and not np.isnan(plain[target][0])
        ],
        "doubted_people": _people(acts, found, ids),
    }


def _model_names(hashes: np.ndarray) -> list[str]:
    """Names of model versions by the hashes that the database gave their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hashtextextended(id::text, 0), name FROM inference_modelversion "
            "WHERE hashtextextended(id::text, 0) = ANY(%s)",
            [hashes.tolist()],
        )
        names = dict(cursor.fetchall())
    return [names.get(int(one), "–") for one in hashes]


def _people(acts: Acts, found: Weighed, ids: np.ndarray) -> list[dict]:
    """Those whose acts lost most, with each reason once."""
    weights = found.weights
    lost = np.bincount(acts.actor, weights=1 - weights)
    counts = np.bincount(acts.actor)
    worst = [int(n) for n in np.argsort(-lost)[:SHOWN_PEOPLE] if lost[n] > 0]
    own_acts = {n: np.flatnonzero(acts.actor == n) for n in worst}
    one_each = [int(ids[own[0]]) for own in own_acts.values()]
    events = Event.objects.select_related("actor").in_bulk(one_each)
    told = []
    for n, own in own_acts.items():
        event = events.get(int(ids[own[0]]))
        reasons: dict[str, str] = {}
        for act in own:
            for one in found.doubts.reasons(int(act)):
                reasons.setdefault(one["code"], one["says"])
        told.append(
            {
                "person": _pseudonym(event.actor, event.guest) if event else "–",
                "acts": int(counts[n]),
                "weight": round(1 - float(lost[n] / counts[n]), 4),
                "reasons": [{"code": code, "says": says} for code, says in reasons.items()],
            }
        )
    return told


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def _pseudonym(user: User | None, guest: str) -> str:
    if user is not None:
        return user.pseudonym
    return guest_pseudonym(guest) if guest else "–"


def _key(project: Project) -> str:
    return f"feedback-trust-{project.pk}"
