"""Rules by which conversations become tasks by themselves: which, how many a day, and why."""

import hashlib
import logging
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Max, OuterRef, QuerySet, Subquery, Sum
from django.utils import timezone

from annotation.models import Project
from config.errors import Conflict, Invalid
from config.models import User
from feedback.models import (
    AnswerSpread,
    AnswerTally,
    Conversation,
    Event,
    Handover,
    HandoverRule,
    Image,
    Message,
)
from feedback.services import handover

logger = logging.getLogger(__name__)

#: A conversation has settled when nothing happened in it for so long.
QUIET = timedelta(minutes=30)
#: Older ones are not looked at.
DAYS = 30
LOOKED_AT = 5000
MOST_PER_DAY = 1000
Pick = HandoverRule.Pick


def create(
    *, project: Project, target: Project, by: User, pick: str, kind: str,
    share: float = 1.0, per_day: int = 20,
) -> HandoverRule:  # fmt: skip
    """A rule, active at once. Raises Invalid or Conflict."""
    wrong = {}
    if pick not in Pick.values:
        wrong["pick"] = f"choose from {', '.join(Pick.values)}"
    if kind not in handover.kinds_of(target):
        wrong["kind"] = f"choose from {', '.join(handover.kinds_of(target)) or 'none'}"
    if not 0 < share <= 1:
        wrong["share"] = "must be above 0 and at most 1"
    if not 1 <= per_day <= MOST_PER_DAY:
        wrong["per_day"] = f"must be from 1 to {MOST_PER_DAY}"
    if wrong:
        said = "; ".join(f"{name}: {why}" for name, why in wrong.items())
        raise Invalid(f"The rule cannot be used. {said}.", fields=wrong)
    try:
        with transaction.atomic():
            return HandoverRule.objects.create(
                project=project, target=target, created_by=by, pick=pick, kind=kind, share=share,
                per_day=per_day,
            )  # fmt: skip
    except IntegrityError:
        raise Conflict("There is such a rule already; change that one.") from None


def picks_for(project: Project) -> list[tuple[str, str]]:
    """What rules of a project can pick by, with names: disagreement only once there are scores."""
    scored = AnswerSpread.objects.filter(message__conversation__project=project).exists()
    return [one for one in Pick.choices if scored or one[0] != Pick.DISAGREEMENT]


def run_all() -> int:
    """Carry out every active rule; returns how many conversations were sent. For the worker."""
    rules = HandoverRule.objects.filter(is_active=True, target__archived_at=None)
    sent = 0
    for rule in rules.select_related("project", "target"):
        try:
            sent += len(run(rule).sent)
        except Exception:
            # A target may have ceased to ask this kind; the other rules go on.
            logger.exception("Rule %s could not be carried out", rule.pk)
    return sent


def run(rule: HandoverRule, *, now: datetime | None = None) -> handover.Sent:
    """Send what the rule finds, within what is left of its day."""
    now = now or timezone.now()
    today = Handover.objects.filter(rule=rule, created_at__gt=now - timedelta(days=1)).count()
    done = handover.Sent()
    for found in waiting(rule, now=now):
        if today + len(done.sent) >= rule.per_day:
            break
        one = handover.send(
            project=rule.project, by=None, ids=[found], target=rule.target, kind=rule.kind,
            rule=rule,
        )  # fmt: skip
        done.sent += one.sent
        done.left_out += one.left_out
    HandoverRule.objects.filter(pk=rule.pk).update(ran_at=now)
    return done


def waiting(rule: HandoverRule, *, now: datetime | None = None) -> list:
    """The ids that the rule finds, those to send first in front."""
    settled = _settled(rule.project, rule.target, now or timezone.now())
    ids = list(_PICKS[rule.pick](settled).values_list("pk", flat=True)[:LOOKED_AT])
    kept = [one for one in ids if _draw(rule, one) < rule.share]
    if rule.pick == Pick.RANDOM:
        kept.sort(key=lambda one: _draw(rule, one))
    return kept


def _settled(project: Project, target: Project, now: datetime) -> QuerySet[Conversation]:
    answered = Message.objects.filter(
        conversation=OuterRef("pk"), role="assistant", state__in=["complete", "stopped"]
    )
    return (
        Conversation.objects.filter(
            Exists(answered),
            project=project,
            consent=True,
            updated_at__gte=now - timedelta(days=DAYS),
            updated_at__lt=now - QUIET,
        )
        .exclude(handovers__target=target)
        .exclude(Exists(Image.objects.filter(message__conversation=OuterRef("pk"))))
        .order_by("-updated_at", "-pk")
    )


def _reported(settled: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Reports that no reviewer has dismissed."""
    reports = Event.objects.filter(kind="report", message__conversation=OuterRef("pk"))
    return settled.filter(Exists(reports.exclude(ruling__verdict="dismissed")))


def _low_love(settled: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """More bad reactions than good ones, each as far as it is trusted."""
    answers = Message.objects.filter(conversation=OuterRef(OuterRef("pk"))).values("pk")
    tallies = AnswerTally.objects.filter(message__in=answers).order_by()
    balance = tallies.values("project").annotate(
        total=Sum(F("good_milli") - F("bad_milli"))
    ).values("total")  # fmt: skip
    found = settled.annotate(balance=Subquery(balance))
    return found.filter(balance__lt=0).order_by("balance", "-updated_at", "-pk")


def _disagreement(settled: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Widest spread of an ensemble's scores first, above the mean of all that were scored."""
    scored = AnswerSpread.objects.filter(message__conversation__in=settled.values("pk"))
    spreads = list(scored.values_list("spread", flat=True))
    middle = sum(spreads) / len(spreads) if spreads else 0.0
    found = settled.annotate(spread=Max("messages__spread__spread"))
    return found.filter(spread__gt=middle).order_by("-spread", "-pk")


_PICKS = {
    Pick.REPORTED: _reported,
    Pick.LOW_LOVE: _low_love,
    Pick.DISAGREEMENT: _disagreement,
    Pick.RANDOM: lambda settled: settled,
}


def _draw(rule: HandoverRule, conversation_id) -> float:
    """A number in [0, 1) for a rule and a conversation, always the same."""
    digest = hashlib.sha256(f"{rule.pk} {conversation_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
