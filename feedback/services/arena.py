"""Side by side: draw two models, ask both, take the vote, and hand it on as a judgment.

A battle is one question with two answers in a conversation of its own (source "side"), so that
streaming, stopping and coming back are the chat's. Its answers carry `"blind"` in their sampling,
and `feedback.present` names no model for those; names are told by `battle_json` after the vote.
"""

import logging
import re
import secrets
from dataclasses import dataclass
from uuid import UUID, uuid5

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from annotation.models import Judgment, Task
from annotation.services import log
from annotation.services.tasks import CandidateIn, JudgmentIn, TaskIn, create_tasks
from config.errors import Busy, Conflict, Invalid
from feedback.arena import style
from feedback.models import Battle, Conversation, Message, Vote
from feedback.people import Person
from feedback.present import message_json
from feedback.selectors import guest_pseudonym
from feedback.services import chat, webhooks
from feedback.services.leaderboard import chances
from feedback.text import checked
from feedback.tree import FINAL, Tree
from inference import selectors as inference
from inference import windows
from inference.models import Deployment

logger = logging.getLogger(__name__)

SOURCE = "side"
ONE_MODEL = (
    "Only one model serves here, so there is nothing to compare. A second one, say as a canary, "
    "opens the comparison."
)
NO_MODEL = "No model serves here yet."
_ASKED = UUID("0d7c39b2-6a52-4d0f-8f1e-9b8a8f0f5a11")
#: Names shorter than this are words too common to give a model away.
NAME_LENGTH = 4
_SIDES = {"left": 0, "right": 1}


@dataclass(frozen=True, slots=True)
class Asked:
    """A battle and its two turns, left first; `created` is false on a repeat."""

    battle: Battle
    turns: tuple[chat.Turn, chat.Turn] | tuple[()]
    created: bool


def contenders(project: str) -> list[Deployment]:
    """What may meet in a battle: one deployment of each model that serves, live arm first."""
    found: dict[UUID, Deployment] = {}
    for deployment in inference.serving(project=project):
        found.setdefault(deployment.model_version_id, deployment)
    return list(found.values())


def why_closed(project: str) -> str:
    """Why no battle can be fought in the project; empty when one can."""
    count = len(contenders(project))
    return "" if count > 1 else ONE_MODEL if count else NO_MODEL


def begin(*, person: Person, consent: bool = True, project: str | None = None) -> Conversation:
    """An empty comparison of this person; without consent its votes stay out of training."""
    return chat.begin(person=person, project=project, consent=consent, source=SOURCE)


def ask(
    *, person: Person, conversation_id: UUID, text: str, request_id: UUID | None = None
) -> Asked:
    """Put one question to two models drawn for it; the same `request_id` asks once.

    Raises Conflict where fewer than two models serve or the last battle waits for its vote, Busy
    when too many of the person's answers are under way, and DoesNotExist for others' comparisons.
    """
    text = checked(text)
    try:
        with transaction.atomic():
            conversation = (
                person.conversations.filter(source=SOURCE)
                .select_for_update(of=("self",))
                .select_related("project")
                .get(pk=conversation_id)
            )
            if request_id and (earlier := _earlier(conversation, request_id)):
                return Asked(earlier, (), created=False)
            return _ask(person, conversation, text, request_id)
    except IntegrityError as exc:
        raise Conflict("This request id has been used for something else.") from exc


def vote(
    *,
    person: Person,
    battle_id: UUID,
    outcome: str,
    client_event: UUID,
    seconds: float | None = None,
) -> tuple[Vote, bool]:
    """Store the person's vote, once; returns it and whether it is new.

    A vote cannot be changed, because the names are known after it. It becomes a pairwise judgment
    at once where the person consents. Raises Invalid for an unknown outcome, Conflict where there
    is nothing to vote on or another vote stands, DoesNotExist for other people's battles.
    """
    if outcome not in Vote.Outcome.values:
        raise Invalid(
            f"Choose one of {', '.join(Vote.Outcome.values)}.", fields={"outcome": "is unknown"}
        )
    with transaction.atomic():
        battle = (
            battles_of(person)
            .select_for_update(of=("self",))
            .select_related(
                "conversation__project",
                "conversation__owner",
                "left__model_version",
                "right__model_version",
            )
            .get(pk=battle_id)
        )
        stood = Vote.objects.filter(battle=battle).first()
        if stood is not None:
            if stood.outcome != outcome:
                raise Conflict("You have voted already; a vote stays as it was given.")
            return stood, False
        answers = (battle.left, battle.right)
        if any(answer.state not in FINAL for answer in answers):
            raise Conflict("Wait until both answers have ended.")
        if is_void(battle):
            raise Conflict("One of the answers is missing, so there is nothing to compare. Ask on.")
        try:
            with transaction.atomic():
                given = Vote.objects.create(
                    battle=battle,
                    outcome=outcome,
                    client_event=client_event,
                    seconds=_seconds(seconds),
                    style_left=style.counts(battle.left.text),
                    style_right=style.counts(battle.right.text),
                    **_unmasked(battle),
                )
        except IntegrityError:
            raise Conflict("This event id has been used for another vote.") from None
        # The conversation goes on from the answer that was liked; from the left one if none was.
        liked = battle.right if outcome == Vote.Outcome.RIGHT else battle.left
        Conversation.objects.filter(pk=battle.conversation_id).update(
            leaf=liked, updated_at=timezone.now()
        )
        hand_over(given)
        webhooks.note_vote(given)
    return given, True


def hand_over(given: Vote) -> bool:
    """Make the vote a pairwise judgment of annotation, if it may be one and is not yet.

    Not without consent, and not in a project that asks no pairs; the vote itself stands anyway.
    """
    battle = given.battle
    conversation = battle.conversation
    may = conversation.consent and "pairwise" in conversation.project.kinds
    if given.judgment_id is not None or not may:
        return False
    answers = (battle.left, battle.right)
    body: dict = {"outcome": given.outcome}
    if given.outcome in _SIDES:
        body = {"outcome": "preferred", "preferred": _SIDES[given.outcome]}
    if given.seconds is not None:
        body["seconds"] = given.seconds
    judgment = JudgmentIn(
        body=body,
        annotator=_pseudonym(conversation),
        pseudonymous=True,
        shown=[0, 1],
        created_at=given.created_at,
        source=Judgment.Source.VOTE,
    )
    task = TaskIn(
        kind="pairwise",
        prompt=Tree.of(conversation.pk).prompt(battle.question_id),
        candidates=[
            CandidateIn(
                content=answer.text,
                model=answer.model_version.name,
                model_version=answer.model_version,
                sampling=answer.sampling,
            )
            for answer in answers
        ],
        overlap=1,
        external_id=external_id(battle.pk),
        metadata={"battle": str(battle.pk), "chance": battle.chance},
        judgments=[judgment],
    )
    create_tasks(project=conversation.project, tasks=[task], source="vote")
    given.judgment = Judgment.objects.get(
        project=conversation.project, task__external_id=task.external_id
    )
    given.save(update_fields=["judgment"])
    return True


def external_id(battle_id: UUID) -> str:
    """What annotation knows the task of a battle by."""
    return f"vote:{battle_id}"


def battles_of(person: Person):
    """The battles of this person: the only door to them."""
    return Battle.objects.filter(conversation__in=person.conversations.filter(source=SOURCE))


def is_void(battle: Battle) -> bool:
    """Whether an answer failed or stayed empty, so that no vote can be given."""
    answers = (battle.left, battle.right)
    return any(
        answer.state == Message.State.FAILED or (answer.state in FINAL and not answer.text.strip())
        for answer in answers
    )


def battle_json(battle: Battle) -> dict:
    """A battle as pages and REST show it; the models' names are there once the vote is."""
    given = getattr(battle, "vote", None)
    answers = {"left": battle.left, "right": battle.right}
    if given is not None:
        state = "voted"
    elif any(answer.state not in FINAL for answer in answers.values()):
        state = "writing"
    else:
        state = "void" if is_void(battle) else "open"
    shown = {side: message_json(answer) for side, answer in answers.items()}
    return {
        "id": str(battle.pk),
        "conversation": str(battle.conversation_id),
        "question": {"id": str(battle.question_id), "text": battle.question.text},
        **{
            side: {name: one[name] for name in ("id", "state", "text", "html", "error", "note")}
            for side, one in shown.items()
        },
        "state": state,
        "vote": given and {"outcome": given.outcome, "created_at": given.created_at.isoformat()},
        "models": given and {side: answer.model_version.name for side, answer in answers.items()},
        "created_at": battle.created_at.isoformat(),
    }


def battles_in(conversation: Conversation) -> list[Battle]:
    """The battles of a conversation, oldest first, with all that `battle_json` reads."""
    return list(
        conversation.battles.select_related(
            "question", "left__model_version", "right__model_version", "vote"
        )
    )


def _earlier(conversation: Conversation, request_id: UUID) -> Battle | None:
    return conversation.battles.filter(question__request_id=request_id).first()


def _ask(person: Person, conversation: Conversation, text: str, request_id: UUID | None) -> Asked:
    last = conversation.battles.select_related("left", "right").order_by("-created_at").first()
    if last is not None and not Vote.objects.filter(battle=last).exists() and not is_void(last):
        raise Conflict("Say first which of the two answers is better; then ask on.")
    under_way = person.messages.filter(state__in=chat.UNFINISHED).count()
    if under_way + 2 > settings.CHAT_PARALLEL:
        raise Busy("Other answers of yours are still being written; wait for them.", retry_after=5)
    drawn, chance = _draw(conversation.project_id, conversation.project.slug)
    tree = Tree.of(conversation.pk)
    now = timezone.now()
    question = Message(
        conversation=conversation,
        parent=_parent(conversation, last),
        role=Message.Role.USER,
        text=text,
        request_id=request_id,
        created_at=now,
        finished_at=now,
    )
    tree.add(question)
    seed = secrets.randbelow(2**31)
    made = [
        _answer(conversation, tree, question, deployment, seed, side)
        for side, deployment in zip(_SIDES, drawn, strict=True)
    ]
    for answer, _ in made:
        tree.add(answer)
    left, right = (answer for answer, _ in made)
    Message.objects.bulk_create([question, left, right])
    battle = Battle.objects.create(
        conversation=conversation, question=question, left=left, right=right, chance=chance
    )
    title_changed = not conversation.title
    if title_changed:
        conversation.title = " ".join(text.split())[: chat.TITLE_LENGTH]
    conversation.leaf = left
    conversation.save(update_fields=["leaf", "title", "updated_at"])
    turns = (
        chat.Turn(conversation, tree, left, question, made[0][1], title_changed=title_changed),
        chat.Turn(conversation, tree, right, None, made[1][1]),
    )
    return Asked(battle, turns, created=True)


def _parent(conversation: Conversation, last: Battle | None) -> Message | None:
    """Where the new question hangs: under the answer the vote chose, beside a void battle."""
    if last is None:
        return None
    if is_void(last):
        return Message.objects.get(pk=last.question_id).parent
    return Message.objects.get(pk=conversation.leaf_id)


def _draw(project_id: int, slug: str) -> tuple[list[Deployment], float]:
    """Two contenders in the order they will stand, and the pair's probability."""
    able = contenders(slug)
    if len(able) < 2:
        raise Conflict(why_closed(slug))
    by_name = {one.model_version.name: one for one in able}
    pairs = chances(project_id=project_id, models=sorted(by_name))
    random = secrets.SystemRandom()
    (pair,) = random.choices(list(pairs), weights=list(pairs.values()))
    sides = [by_name[name] for name in pair]
    random.shuffle(sides)
    return sides, pairs[pair]


def _answer(
    conversation: Conversation,
    tree: Tree,
    question: Message,
    deployment: Deployment,
    seed: int,
    side: str,
) -> tuple[Message, list[dict[str, str]]]:
    """A queued blind answer of this deployment, not yet stored, and its prompt."""
    version = deployment.model_version
    sampling = {
        "temperature": settings.CHAT_TEMPERATURE,
        "top_p": settings.CHAT_TOP_P,
        "max_tokens": settings.CHAT_MAX_TOKENS,
        "seed": seed,
        **version.metadata.get("sampling", {}),
    }
    fitted = windows.fit(version, tree.prompt(question.pk), sampling["max_tokens"])
    sampling |= {"max_tokens": fitted.max_tokens, "blind": True}
    answer = Message(
        pk=uuid5(_ASKED, f"{question.pk} {side}"),
        conversation=conversation,
        parent=question,
        role=Message.Role.ASSISTANT,
        state=Message.State.QUEUED,
        model_version=version,
        deployment=deployment,
        sampling=sampling,
        created_at=timezone.now(),
    )
    return answer, fitted.messages


def _unmasked(battle: Battle) -> dict:
    """Weight 0 for a vote on answers that name a model: it was not blind."""
    text = f"{battle.left.text}\n{battle.right.text}"
    for name in {battle.left.model_version.name, battle.right.model_version.name}:
        if len(name) >= NAME_LENGTH and re.search(
            rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE
        ):
            says = f"An answer names the model '{name}', so the vote was not blind."
            return {"weight": 0.0, "doubts": [{"code": "named", "factor": 0.0, "says": says}]}
    return {}


def _pseudonym(conversation: Conversation) -> str:
    if conversation.owner is not None:
        return conversation.owner.pseudonym
    return guest_pseudonym(conversation.guest)


def _seconds(seconds: object) -> float | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return round(float(seconds), 3) if 0 <= seconds < 86_400 else None


def settle() -> dict[str, int]:
    """Bring annotation in step with the votes: hand over what may be, erase what may no more.

    Votes whose person has consented since are handed over; tasks made of votes whose conversation
    is gone, or whose consent was taken back, are erased with their judgments. For the worker.
    """
    waiting = Vote.objects.filter(judgment=None, battle__conversation__consent=True).select_related(
        "battle__conversation__project", "battle__conversation__owner",
        "battle__left__model_version", "battle__right__model_version",
    )  # fmt: skip
    waiting = waiting.filter(battle__conversation__project__kinds__contains=["pairwise"])
    handed = 0
    for pk in waiting.values_list("pk", flat=True):
        try:
            with transaction.atomic():
                # Another worker, or the vote's own request, may be at this one: leave it to them.
                given = waiting.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk)
                handed += sum(hand_over(one) for one in given)
        except Exception:
            # Whatever is wrong with one vote, the others and the leaderboard go on.
            logger.exception("The vote on battle %s could not be handed over", pk)
    allowed = Vote.objects.filter(judgment__task=OuterRef("pk"), battle__conversation__consent=True)
    lost = Task.objects.filter(~Exists(allowed), source="vote", external_id__startswith="vote:")
    erased = 0
    for pk in lost.values_list("pk", flat=True):
        try:
            with transaction.atomic():
                for task in lost.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk):
                    log.erased([*task.judgments.all(), task], actor="")
                    task.delete()
                    erased += 1
        except Exception:
            logger.exception("Task %s of a vote that is gone could not be erased", pk)
    return {"handed": handed, "erased": erased}
