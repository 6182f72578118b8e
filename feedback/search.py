"""Find a person's own conversations by words in the title or in what was said."""

from django.db.models import Exists, OuterRef, Q

from feedback.models import Conversation, Message

MAX_WORDS = 8
MAX_LENGTH = 200
AROUND = 40


def search(conversations, words: str, *, limit: int) -> list[tuple[Conversation, str]]:
    """Those that have every word somewhere, newest first, each with the place it was found.

    `conversations` is a queryset, so that nobody searches what is not theirs. Upper and lower
    case are the same. The place is "" where only the title has the word.
    """
    wanted = words.replace("\x00", "")[:MAX_LENGTH].split()[:MAX_WORDS]
    said = Message.objects.filter(conversation=OuterRef("pk")).exclude(role=Message.Role.SYSTEM)
    for word in wanted:
        conversations = conversations.filter(
            Q(title__icontains=word) | Exists(said.filter(text__icontains=word))
        )
    found = list(conversations[:limit])
    places = _places(found, wanted[0]) if wanted else {}
    return [(one, places.get(one.pk, "")) for one in found]


def _places(found: list[Conversation], word: str) -> dict:
    """The words around the first message of each that has `word`: one query."""
    texts = (
        Message.objects.filter(conversation__in=found, text__icontains=word)
        .exclude(role=Message.Role.SYSTEM)
        .order_by("conversation_id", "created_at", "pk")
        .distinct("conversation_id")
        .values_list("conversation_id", "text")
    )
    return {conversation_id: excerpt(text, word) for conversation_id, text in texts}


def excerpt(text: str, word: str) -> str:
    """`text` on one line, cut to the surroundings of `word`."""
    line = " ".join(text.split())
    at = max(0, line.lower().find(word.lower()))
    start, end = max(0, at - AROUND), at + len(word) + AROUND
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"
