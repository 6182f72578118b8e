"""P[Love] of each model in a project, for all answers that were seen, also where nobody reacted."""

from datetime import timedelta

import numpy as np
from django.core.cache import cache
from django.utils import timezone

from annotation.models import Project
from feedback.love import measure
from feedback.love.model import Seen, fit
from feedback.models import Event, Message
from feedback.tree import FINAL
from feedback.vocabulary import NEGATIVE, POSITIVE

DAYS = 30
#: Answers read at most, the newest ones.
MOST = 20_000
#: Reactions of either kind without which nothing is fitted.
LEAST = 30
FEW = "Too few reactions yet: {good} good and {bad} bad ones, {least} of each are needed."


def estimate_all() -> int:
    """Every project that has reactions; returns how many there were."""
    with_reactions = Project.objects.filter(
        conversations__messages__events__kind=Event.Kind.REACTION
    ).distinct()
    return sum(1 for project in with_reactions if estimate(project=project))


def estimate(*, project: Project) -> dict:
    """Fit P[Love] on consented reactions with their trust, and average it by model.

    The report has, by model, the mean predicted P[Love] over all answers seen with a 95 % interval
    over people; how many react (`reach`), the effective number of reactions after weighting, and
    the held-out AUROC and calibration error. Kept for `report`. For the worker: reads scikit-learn.
    """
    seen, models = _seen(project)
    loved = seen.loved[np.isfinite(seen.loved)]
    good, bad = int((loved > 0.5).sum()), int((loved <= 0.5).sum())
    told = {"answers": len(seen.loved), "good": good, "bad": bad, "days": DAYS, "models": []}
    told["computed_at"] = timezone.now().isoformat()
    if min(good, bad) < LEAST:
        told["note"] = FEW.format(good=good, bad=bad, least=LEAST)
    else:
        told |= _fitted(seen, models)
    cache.set(_key(project), told, None)
    return told


def report(*, project: Project) -> dict | None:
    """The newest estimate, or None before the first."""
    return cache.get(_key(project))


def _fitted(seen: Seen, models: np.ndarray) -> dict:
    found = fit(seen)
    p = found.predict(seen.prompts, seen.answers)
    known = np.isfinite(found.held_out)
    y, held_out = seen.loved[known] > 0.5, found.held_out[known]
    by_model = []
    for name in np.unique(models):
        own = models == name
        mean, low, high = measure.interval(np.mean, p[own], group=seen.group[own])
        by_model.append(
            {"model": str(name), "answers": int(own.sum()), "love": mean, "low": low, "high": high}
        )
    auroc, low, high = measure.interval(measure.auroc, y, held_out, group=seen.group[known])
    return {
        "models": sorted(by_model, key=lambda one: -one["love"]),
        "reach": found.reach,
        "effective": found.effective,
        "auroc": {"value": auroc, "low": low, "high": high},
        "ece": measure.ece(y, held_out),
        "calibration": found.calibration.kind,
    }


def _seen(project: Project) -> tuple[Seen, np.ndarray]:
    """The newest answers that were on a screen or reacted to, and who wrote them."""
    since = timezone.now() - timedelta(days=DAYS)
    telling = [Event.Kind.EXPOSURE, Event.Kind.DWELL, Event.Kind.REACTION]
    shown = Event.objects.filter(
        kind__in=telling, server_time__gte=since, message__conversation__project=project
    )
    answers = list(
        Message.objects.filter(
            pk__in=shown.values("message_id"),
            role=Message.Role.ASSISTANT,
            state__in=FINAL,
            conversation__consent=True,
            model_version__isnull=False,
        )
        .exclude(text="")
        .order_by("-created_at", "pk")
        .values_list(
            "pk", "text", "parent__text", "model_version__name", "conversation__owner_id",
            "conversation__guest",
        )[:MOST]
    )  # fmt: skip
    standing = _standing([row[0] for row in answers])
    judged = [standing.get(row[0], (np.nan, 1.0)) for row in answers]
    people = np.array([f"{owner or ''} {guest}" for *_, owner, guest in answers])
    seen = Seen(
        prompts=[row[2] or "" for row in answers],
        answers=[row[1] for row in answers],
        loved=np.array([loved for loved, _ in judged], dtype=float),
        trust=np.array([trust for _, trust in judged], dtype=float),
        group=people,
    )
    return seen, np.array([row[3] for row in answers])


def _standing(ids: list) -> dict:
    """By answer: 1.0 or 0.0 for the newest reaction that stands, and how far it counts."""
    told: dict = {}
    for start in range(0, len(ids), 2000):
        rows = (
            Event.objects.reactions()
            .filter(message_id__in=ids[start : start + 2000])
            .order_by("pk")
            .values_list("message_id", "kind", "reaction", "weight", "trust__weight")
        )
        for message, kind, reaction, weight, trust in rows:
            own = told.setdefault(message, {})
            own.pop(reaction, None)
            if kind == Event.Kind.REACTION and reaction in POSITIVE | NEGATIVE:
                own[reaction] = (
                    float(reaction in POSITIVE), weight * (1.0 if trust is None else trust)
                )  # fmt: skip
    return {message: list(own.values())[-1] for message, own in told.items() if own}


def _key(project: Project) -> str:
    return f"feedback-love-{project.pk}"
