"""A project's leaderboard: fitted by a worker from all its votes, read by pages and REST."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.validators import slug_re
from django.db.models import Count, Max, Sum

from annotation.models import Project
from feedback.arena import leaderboard as maths
from feedback.arena.bradley_terry import PRIOR
from feedback.arena.pairing import pair_probabilities
from feedback.models import Battle, Leaderboard, Vote
from feedback.people import Person

_OUTCOMES = {"left": "a", "right": "b", "tie": "tie", "both_bad": "both_bad"}
_COLUMNS = (
    "outcome", "weight", "style_left", "style_right", "battle__left__model_version__name",
    "battle__right__model_version__name", "battle__conversation__owner_id",
    "battle__conversation__guest",
)  # fmt: skip


def votes(*, project_id: int) -> list[maths.Vote]:
    """Every vote of the project with its weight, oldest first."""
    rows = (
        Vote.objects.filter(battle__conversation__project=project_id)
        .order_by("created_at", "pk")
        .values_list(*_COLUMNS)
    )
    return [
        maths.Vote(
            a=left,
            b=right,
            outcome=_OUTCOMES[outcome],
            weight=weight,
            voter=guest or owner,
            style_a=tuple(style_left),
            style_b=tuple(style_right),
        )
        for outcome, weight, style_left, style_right, left, right, owner, guest in rows.iterator()
    ]


def refresh(*, project_id: int, force: bool = False) -> bool:
    """Fit the leaderboard again if votes or weights have changed; returns whether it was."""
    seen = _seen(project_id)
    known = Leaderboard.objects.filter(project=project_id).values_list("seen", flat=True).first()
    if known == seen and not force:
        return False
    found = votes(project_id=project_id)
    anchor = _anchor(project_id)
    names = sorted({name for vote in found for name in (vote.a, vote.b)})
    fitted = maths.board(found, anchor=anchor)
    decided = maths.fit(
        maths.arrays([vote for vote in found if vote.outcome in maths.OUTCOMES], names)
    )
    pairs = {
        "models": names,
        "theta": decided.theta.tolist(),
        "delta": decided.delta,
        "sd": decided.difference_sd().tolist(),
    }
    Leaderboard.objects.update_or_create(
        project_id=project_id,
        defaults={"board": fitted.to_json(), "pairs": pairs, "seen": seen},
    )
    return True


def refresh_all() -> int:
    """Every project that has votes; returns how many leaderboards were fitted again."""
    ids = Battle.objects.order_by().values_list("conversation__project", flat=True).distinct()
    return sum(refresh(project_id=one) for one in ids)


def project_for(*, slug: str, user: AbstractBaseUser | AnonymousUser) -> Project:
    """The project whose leaderboard is asked for: the chat's is everybody's, any other is for those
    who may see that project. Raises Project.DoesNotExist for the rest, and for what is no slug.
    """
    if slug == settings.CHAT_PROJECT:
        return Project.objects.get(slug=slug)
    if not user.is_authenticated or not slug_re.match(slug):
        raise Project.DoesNotExist
    return Project.objects.visible_to(user).distinct().get(slug=slug)


def current(*, project_id: int) -> Leaderboard | None:
    """The newest fit, or None before the first vote was read."""
    return Leaderboard.objects.filter(project=project_id).first()


def chances(*, project_id: int, models: list[str]) -> dict[tuple[str, str], float]:
    """How likely each pair of these models is drawn next: pairs we know little about come often.

    A model the leaderboard has not met yet has the prior's wide interval.
    """
    known = current(project_id=project_id)
    if len(models) == 2:
        return {tuple(models): 1.0}
    theta, sd = np.zeros(len(models)), np.full((len(models),) * 2, np.sqrt(2 / PRIOR))
    delta = None
    if known is not None:
        place = {name: n for n, name in enumerate(known.pairs["models"])}
        delta = known.pairs["delta"]
        for i, one in enumerate(models):
            theta[i] = known.pairs["theta"][place[one]] if one in place else 0.0
        for i, j in combinations(range(len(models)), 2):
            if models[i] in place and models[j] in place:
                sd[i, j] = sd[j, i] = known.pairs["sd"][place[models[i]]][place[models[j]]]
    shares = pair_probabilities(theta, delta, sd)
    return {
        (models[i], models[j]): float(shares[i, j]) for i, j in combinations(range(len(models)), 2)
    }


def votes_given(person: Person) -> int:
    """How many votes this person has given."""
    return Vote.objects.filter(battle__conversation__in=person.conversations.all()).count()


def counts(*, project_ids: Iterable[int]) -> dict[str, int]:
    """Battles and votes of some projects."""
    battles = Battle.objects.filter(conversation__project__in=list(project_ids))
    return {"battles": battles.count(), "votes": battles.filter(vote__isnull=False).count()}


def _seen(project_id: int) -> str:
    """What a fit depends on, in short: the votes and their weights."""
    found = Vote.objects.filter(battle__conversation__project=project_id).aggregate(
        n=Count("pk"), last=Max("created_at"), weight=Sum("weight")
    )
    last = found["last"].isoformat() if found["last"] else ""
    return f"{found['n']} {last} {found['weight'] or 0:.6f}"


def _anchor(project_id: int) -> str | None:
    """The model that stands at 1000: the first that ever fought here."""
    first = (
        Battle.objects.filter(conversation__project=project_id)
        .order_by("created_at", "pk")
        .values_list("left__model_version__name", "right__model_version__name")
        .first()
    )
    return min(first) if first else None
