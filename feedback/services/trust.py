"""Weights of reactions and votes: computed by a worker, kept beside the events, never in them."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from annotation.models import Project
from config.models import User
from feedback.models import Event, ReactionTrust, Vote
from feedback.selectors import guest_pseudonym
from feedback.trust import brigades, habits
from feedback.trust.acts import Acts, Doubts
from feedback.trust.weigh import Weighed, rates, weigh
from feedback.vocabulary import NEGATIVE, POSITIVE
from inference.models import ModelVersion

#: How far back acts are weighed; older weights stay as they are.
DAYS = 30
BATCH = 2000
SHOWN_PEOPLE = 50
#: Sides are drawn, so an honest voter's share of left ones is near a half: Beta(20, 20).
BY_CHANCE = (20.0, 20.0)
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
    done = 0
    for project in Project.objects.filter(conversations__isnull=False).distinct():
        weigh_project(project=project, now=now)
        done += 1
    return done


def weigh_project(*, project: Project, now: datetime | None = None) -> dict:
    """Weigh the project's newest 30 days anew and keep the result; returns the report.

    The report is what `report` gives: counts by reason, groups found, and P[Love] by model with
    and without the weights.
    """
    since = (now or timezone.now()) - timedelta(days=DAYS)
    people, models = _Names(), _Names()
    ids, acts = _reactions(project, since, people, models)
    found = weigh(acts)
    _keep_reactions(project, since, ids, found)
    votes = _weigh_votes(project, since)
    told = _report(acts, found, people.back(), models.back()) | {"votes": votes}
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


def _reactions(
    project: Project, since: datetime, people: _Names, models: _Names
) -> tuple[list[int], Acts]:
    """Event ids, and the reactions given since then as columns."""
    events = Event.objects.filter(
        kind=Event.Kind.REACTION, server_time__gte=since, message__conversation__project=project
    ).order_by("pk")
    looked_at, reporting = _seen(project, since)
    ids: list[int] = []
    rows: list[tuple] = []
    fields = (
        "pk", "actor_id", "guest", "reaction", "server_time", "message_id",
        "message__model_version_id", "message__finished_at", "message__conversation_id",
    )  # fmt: skip
    for pk, actor, guest, reaction, at, message, model, finished, talk in events.values_list(
        *fields
    ).iterator(chunk_size=BATCH):
        sign = 1 if reaction in POSITIVE else -1 if reaction in NEGATIVE else 0
        wait = (at - finished).total_seconds() if finished else np.nan
        seen = (1.0 if message in looked_at else 0.0) if talk in reporting else np.nan
        ids.append(pk)
        rows.append((people.of((actor, guest)), models.of(model), sign, at.timestamp(), wait, seen))
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 6
    return ids, Acts(*(np.array(column) for column in columns))


def _seen(project: Project, since: datetime) -> tuple[set, set]:
    """Answers that were on a screen, and the conversations whose browser reports that."""
    shown = Event.objects.filter(
        kind__in=[Event.Kind.EXPOSURE, Event.Kind.DWELL],
        server_time__gte=since,
        message__conversation__project=project,
    ).values_list("message_id", "message__conversation_id")
    messages, conversations = set(), set()
    for message, conversation in shown.iterator(chunk_size=BATCH):
        messages.add(message)
        conversations.add(conversation)
    return messages, conversations


@transaction.atomic
def _keep_reactions(project: Project, since: datetime, ids: list[int], found: Weighed) -> None:
    """Write what changed: rows for the doubted, none for the others."""
    weights = found.weights
    wanted = {
        event: (float(weights[n]), found.doubts.reasons(n))
        for n, event in enumerate(ids)
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
    groups = brigades.judge(by_winner, doubts) if len(votes) else []
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


def _report(acts: Acts, found: Weighed, people: list, models: list) -> dict:
    weights = found.weights
    names = dict(
        ModelVersion.objects.filter(pk__in=[one for one in models if one]).values_list("pk", "name")
    )
    model_name = [names.get(one, "–") for one in models]
    plain, weighed = rates(acts), rates(acts, weights)
    codes: dict[str, Counter] = defaultdict(Counter)
    for n, reasons in enumerate(found.doubts.found):
        for code, (factor, _) in reasons.items():
            codes[code]["acts"] += 1
            codes[code]["lost"] += 1 - factor
            codes[code][f"p{acts.actor[n]}"] = 1
    return {
        "acts": len(acts),
        "people": len(people),
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
        "doubted_people": _people(acts, found, people),
    }


def _people(acts: Acts, found: Weighed, people: list) -> list[dict]:
    """Those whose acts lost most, with each reason once."""
    weights = found.weights
    lost = np.bincount(acts.actor, weights=1 - weights, minlength=len(people))
    counts = np.bincount(acts.actor, minlength=len(people))
    worst = [int(n) for n in np.argsort(-lost)[:SHOWN_PEOPLE] if lost[n] > 0]
    users = User.objects.in_bulk([people[n][0] for n in worst if people[n][0]])
    told = []
    for n in worst:
        user, guest = people[n]
        reasons: dict[str, str] = {}
        for act in np.flatnonzero(acts.actor == n):
            for one in found.doubts.reasons(int(act)):
                reasons.setdefault(one["code"], one["says"])
        told.append(
            {
                "person": _pseudonym(users.get(user), guest),
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
