"""From chat to annotation: conversations become tasks, masked, with consent, once a project.

What is left out, and why: conversations without consent or with pictures (which cannot be
masked), those in which nothing was answered or something is still being written, those that the
project has already, and for comparing kinds those with one answer only.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Q

from annotation.models import Project, Task
from annotation.services import log
from annotation.services.checking import CANDIDATES
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from config.errors import Invalid
from config.models import User
from feedback.masking import Masked, Masker
from feedback.models import Conversation, Event, Handover, HandoverRule, Image, Message
from feedback.services import reading
from feedback.tree import FINAL, Tree
from feedback.vocabulary import NEGATIVE

SOURCE = "chat"
#: Kinds that need something of a task which a conversation does not have.
NOT_ASKED = frozenset({"triplet"})
MOST = 200
_TASKS = UUID("b7a0c2fe-5a0e-4a52-8b0e-0d6c5d0d7a11")
CAVEAT = (
    "The rules find e-mail addresses, phone numbers, cards, bank accounts, addresses of machines "
    "and streets, keys, and names that people give as their own. They miss names told in another "
    "way and all that only a reader recognises: look before you send."
)


class Unfit(Exception):
    """Why a conversation cannot become this task."""


@dataclass(slots=True)
class Prepared:
    """A conversation as its task will be; `turns` and `answers` are for looking at it."""

    conversation: Conversation
    task: TaskIn
    turns: list[tuple[str, Masked]]
    answers: list[tuple[Message, Masked]]
    marks: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Sent:
    """What became tasks, and what did not and why."""

    sent: list[Handover] = field(default_factory=list)
    left_out: list[tuple[UUID, str]] = field(default_factory=list)


def kinds_of(target: Project) -> list[str]:
    """The kinds a project can ask of a conversation."""
    return [kind for kind in target.kinds if kind not in NOT_ASKED]


def preview(
    *, project: Project, by: User, ids: Iterable[UUID], target: Project, kind: str
) -> tuple[list[Prepared], list[tuple[UUID, str]]]:
    """The tasks that `send` would make, and what it would leave out. Nothing is made."""
    ready, left_out = [], []
    for found, why in _chosen(project, ids, target, kind):
        try:
            if why:
                raise Unfit(why)
            ready.append(prepare(found, kind))
        except Unfit as exc:
            left_out.append((found.pk, str(exc)))
    what = {
        "target": target.slug,
        "kind": kind,
        "conversations": [str(r.conversation.pk) for r in ready],
    }
    reading.note(project=project, by=by, action="previewed", words=bool(ready), what=what)
    return ready, left_out


def send(
    *,
    project: Project,
    by: User | None,
    ids: Iterable[UUID],
    target: Project,
    kind: str,
    rule: HandoverRule | None = None,
) -> Sent:
    """Make tasks of conversations, each in a transaction of its own; sending again adds none."""
    done = Sent()
    for found, why in _chosen(project, ids, target, kind):
        try:
            if why:
                raise Unfit(why)
            done.sent.append(_send_one(found.pk, by, target, kind, rule))
        except Unfit as exc:
            done.left_out.append((found.pk, str(exc)))
    if done.sent:
        what = {
            "target": target.slug,
            "kind": kind,
            "conversations": [str(one.conversation_id) for one in done.sent],
        }
        who = by if by is not None else f"rule: {rule.pick}"
        reading.note(project=project, by=who, action="sent", words=True, what=what)
    return done


@transaction.atomic
def _send_one(
    conversation_id: UUID, by: User | None, target: Project, kind: str, rule: HandoverRule | None
) -> Handover:
    # Held, so that consent cannot be taken back and nobody else sends it meanwhile.
    found = Conversation.objects.select_for_update(of=("self",)).get(pk=conversation_id)
    if not found.consent:
        raise Unfit("there is no consent")
    if Handover.objects.filter(conversation=found, target=target).exists():
        raise Unfit("the project has it already")
    ready = prepare(found, kind)
    ready.task.external_id = external = f"chat:{uuid5(_TASKS, f'{found.pk} {target.pk}')}"
    if rule is not None:
        ready.task.metadata["why"] = rule.pick
    try:
        create_tasks(project=target, tasks=[ready.task], source=SOURCE)
    except Invalid as exc:
        raise Unfit(exc.detail) from None
    return Handover.objects.create(
        conversation=found,
        target=target,
        task=Task.objects.get(project=target, external_id=external),
        rule=rule,
        by=by,
        marks=ready.marks,
    )


def prepare(found: Conversation, kind: str) -> Prepared:
    """The task of a conversation, masked. Raises Unfit with the reason.

    Asked about is the answer that was reported last, else disliked last, else the last one on the
    branch in view; comparing kinds get the other answers to the same question, too.
    """
    tree = Tree.of(found.pk)
    messages = list(tree.messages.values())
    if any(one.state not in FINAL for one in messages):
        raise Unfit("an answer is still being written")
    if Image.objects.filter(message__conversation=found).exists():
        raise Unfit("it has pictures, which cannot be masked")
    focus = _focus(found, tree)
    if focus is None:
        raise Unfit("nothing was answered")
    owner = found.owner
    names = [owner.get_full_name(), owner.username] if owner else []
    masker = Masker([one.text for one in messages], names=[one for one in names if one])
    turns = [(one["role"], masker.mask(one["content"])) for one in tree.prompt(focus.parent_id)]
    answers = _answers(tree, focus, masker, CANDIDATES.get(kind, (1, 1)))
    marks = dict(sum((one.counts for _, one in [*turns, *answers]), Counter()))
    task = TaskIn(
        kind=kind,
        prompt=[{"role": role, "content": one.text} for role, one in turns],
        candidates=[
            CandidateIn(
                content=masked.text,
                model=message.model_version.name,
                model_version=message.model_version,
                sampling={
                    k: v for k, v in message.sampling.items() if k not in ("blind", "trimmed")
                },
            )
            for message, masked in answers
        ],
        metadata={"from": "chat", "marks": marks},
    )
    return Prepared(found, task, turns, answers, marks)


def _focus(found: Conversation, tree: Tree) -> Message | None:
    told = Event.objects.filter(message__conversation=found).order_by("-pk")
    wanted = [
        told.filter(kind="report"),
        reading.standing_events()
        .filter(message__conversation=found, reaction__in=NEGATIVE)
        .order_by("-pk"),
    ]
    for events in wanted:
        for message_id in events.values_list("message_id", flat=True):
            if _is_answer(tree.messages[message_id]):
                return tree.messages[message_id]
    return next((one for one in reversed(tree.path(found.leaf_id)) if _is_answer(one)), None)


def _answers(
    tree: Tree, focus: Message, masker: Masker, bounds: tuple[int, int]
) -> list[tuple[Message, Masked]]:
    least, most = bounds
    others = [tree.messages[one] for one in reversed(tree.siblings(focus)) if one != focus.pk]
    answers, texts = [], set()
    for one in [focus, *filter(_is_answer, others)]:
        masked = masker.mask(one.text)
        if masked.text not in texts and len(answers) < most:
            texts.add(masked.text)
            answers.append((one, masked))
    if len(answers) < least:
        raise Unfit("there is one answer only, and nothing to compare it with")
    return answers


def _is_answer(one: Message) -> bool:
    is_read = one.state in (Message.State.COMPLETE, Message.State.STOPPED)
    return one.role == "assistant" and is_read and bool(one.text) and one.model_version is not None


def _chosen(project: Project, ids: Iterable[UUID], target: Project, kind: str):
    """Each conversation of the project with why it is left out, so far as can be told at once."""
    ids = list(dict.fromkeys(ids))
    if len(ids) > MOST:
        raise Invalid(f"At most {MOST} conversations at once; nothing was sent.")
    if kind not in kinds_of(target):
        raise Invalid(
            f"'{target.slug}' cannot ask '{kind}' of a conversation.",
            fields={"kind": f"choose from {', '.join(kinds_of(target)) or 'none'}"},
        )
    there = Conversation.objects.filter(project=project).select_related("owner").in_bulk(ids)
    if len(there) != len(ids):
        raise Invalid("A conversation is not in this project, or was deleted.")
    has = set(
        Handover.objects.filter(conversation__in=ids, target=target).values_list(
            "conversation_id", flat=True
        )
    )
    for one in ids:
        why = "the project has it already" if one in has else ""
        yield there[one], why if there[one].consent else "there is no consent"


@transaction.atomic
def take_back(*, conversation_ids: Iterable[UUID], actor: str = "") -> dict[str, int]:
    """Take tasks back whose conversation goes or whose consent does.

    What nobody has judged or holds is erased; what somebody holds or judged is asked of nobody
    else (the masked words stay under the judgments that were made of them).
    """
    return _take_back(Task.objects.filter(handover__conversation__in=list(conversation_ids)), actor)


def settle() -> dict[str, int]:
    """Take back what lost its conversation or its consent in any other way. For the worker."""
    lost = Task.objects.filter(source=SOURCE, external_id__startswith="chat:").exclude(
        handover__conversation__consent=True
    )
    open_or_free = Q(state=Task.State.OPEN) | Q(state=Task.State.WITHDRAWN, judgments=None)
    with transaction.atomic():
        return _take_back(lost.filter(open_or_free), "")


def _take_back(tasks, actor: str) -> dict[str, int]:
    tasks = list(Task.objects.select_for_update().filter(pk__in=tasks.values("pk")))
    judged = set(
        Task.objects.filter(pk__in=[t.pk for t in tasks], judgments__isnull=False).values_list(
            "pk", flat=True
        )
    )
    held = set(
        Task.objects.filter(pk__in=[t.pk for t in tasks], assignments__state="leased").values_list(
            "pk", flat=True
        )
    )
    free = [one for one in tasks if one.pk not in judged | held]
    log.erased(free, actor=actor)
    Task.objects.filter(pk__in=[one.pk for one in free]).delete()
    kept = Task.objects.filter(pk__in=judged | held, state=Task.State.OPEN)
    return {"erased": len(free), "withdrawn": kept.update(state=Task.State.WITHDRAWN)}
