"""One conversation as a researcher sees it: the tree, and what was made of it."""

from collections import defaultdict
from uuid import UUID

from annotation.models import Project
from config.models import User
from feedback.models import Battle, Conversation, Event, Handover, Image, Message, ReportRuling
from feedback.present import message_json, trimmed_note
from feedback.services import reading
from feedback.tree import Tree

#: What a model was told to do, as it is shown.
SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")


def open_one(*, project: Project, by: User, conversation_id: UUID) -> dict:
    """The whole conversation; without words where there is no consent. The look is written down.

    Raises Conversation.DoesNotExist for those of other projects.
    """
    found = Conversation.objects.select_related("owner", "project").get(
        project=project, pk=conversation_id
    )
    reading.note(
        project=project, by=by, action="opened", conversation=found.pk, words=found.consent
    )
    return told(found)


def open_picture(*, project: Project, by: User, conversation_id: UUID, image_id: UUID) -> Image:
    """A picture of a question. Raises DoesNotExist, also where there is no consent."""
    image = Image.objects.get(
        pk=image_id,
        message__conversation=conversation_id,
        message__conversation__project=project,
        message__conversation__consent=True,
    )
    reading.note(
        project=project, by=by, action="picture", conversation=conversation_id, words=True,
        what={"image": str(image_id)},
    )  # fmt: skip
    return image


def told(found: Conversation) -> dict:
    """What is told of a conversation: see `reading` for what is left out without consent."""
    tree = Tree.of(found.pk)
    arms = dict(found.messages.exclude(deployment=None).values_list("pk", "deployment__arm"))
    events = _events(found)
    sides = _sides(found)
    return {
        "id": str(found.pk),
        "project": found.project.slug,
        "title": found.title if found.consent else None,
        "consent": found.consent,
        "source": found.source,
        "person": reading.person_name(found),
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "leaf": str(found.leaf_id) if found.leaf_id else None,
        "messages": [
            _message(one, tree, found.consent)
            | {
                "arm": arms.get(one.pk),
                "events": events.get(one.pk, []),
                "side": sides.get(one.pk),
            }
            for one in tree.messages.values()
        ],
        "sent": [
            {
                "project": one.target.slug,
                "task": one.task_id,
                "state": one.task.state if one.task else "taken back",
                "by": one.by.pseudonym if one.by else (one.rule.pick if one.rule else None),
                "marks": one.marks,
                "created_at": one.created_at,
            }
            for one in Handover.objects.filter(conversation=found).select_related(
                "target", "task", "by", "rule"
            )
        ],
    }


def _message(one: Message, tree: Tree, consent: bool) -> dict:
    shown = message_json(one, siblings=tree.siblings(one))
    kept = {name: shown[name] for name in ("id", "parent", "role", "state", "siblings", "error")}
    siblings = tree.siblings(one)
    place = siblings.index(one.pk)
    return kept | {
        "text": one.text if consent else None,
        "html": shown["html"] if consent else None,
        "images": shown["images"] if consent else len(shown["images"]),
        "characters": len(one.text),
        "model": one.model_version.name if one.model_version else None,
        "sampling": {name: one.sampling[name] for name in SAMPLING if name in one.sampling},
        "note": trimmed_note(one.sampling.get("trimmed")),
        "prompt_tokens": one.prompt_tokens,
        "completion_tokens": one.completion_tokens,
        "first_token_ms": one.first_token_ms,
        "duration_ms": one.duration_ms,
        "created_at": one.created_at,
        "place": place + 1,
        "before": str(tree.leaf_below(siblings[place - 1])) if place else None,
        "after": str(tree.leaf_below(siblings[place + 1])) if place + 1 < len(siblings) else None,
    }


def _events(found: Conversation) -> dict[UUID, list[dict]]:
    """Everything that was signalled, with its weight and the reasons; comments with consent."""
    rows = (
        Event.objects.filter(message__conversation=found)
        .select_related("trust", "ruling")
        .order_by("pk")
    )
    by_message = defaultdict(list)
    for one in rows:
        trust = getattr(one, "trust", None)
        by_message[one.message_id].append(
            {
                "id": one.pk,
                "kind": one.kind,
                "reaction": one.reaction,
                "reasons": one.reasons,
                "comment": one.comment if found.consent else None,
                "duration_ms": one.duration_ms,
                "share_seen": one.share_seen,
                "client_time": one.client_time,
                "server_time": one.server_time,
                "weight": one.weight * (trust.weight if trust else 1.0),
                "doubts": trust.doubts if trust else [],
                "ruling": _ruling(one),
            }
        )
    return by_message


def _ruling(event: Event) -> str | None:
    try:
        return event.ruling.verdict
    except ReportRuling.DoesNotExist:
        return None


def _sides(found: Conversation) -> dict[UUID, dict]:
    """For answers of a comparison: their side, and the vote with how far it counts."""
    sides = {}
    for battle in Battle.objects.filter(conversation=found).select_related("vote"):
        vote = getattr(battle, "vote", None)
        for side in ("left", "right"):
            sides[getattr(battle, f"{side}_id")] = {
                "side": side,
                "outcome": vote.outcome if vote else None,
                "weight": vote.weight if vote else None,
                "doubts": vote.doubts if vote else [],
            }
    return sides


def path_to(messages: list[dict], leaf: str | None) -> list[dict]:
    """The messages from the root to `leaf`; to the newest one where there is no such leaf."""
    by_id = {one["id"]: one for one in messages}
    at = leaf if leaf in by_id else (messages[-1]["id"] if messages else None)
    path = []
    while at is not None:
        path.append(by_id[at])
        at = by_id[at]["parent"]
    return path[::-1]
