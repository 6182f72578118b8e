"""A conversation's messages as a tree: paths, siblings, and the prompt a model is given."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from feedback.models import Image, Message

FINAL = frozenset({Message.State.COMPLETE, Message.State.STOPPED, Message.State.FAILED})


class Tree:
    """All messages of one conversation, in the order they were made."""

    def __init__(self, messages: Iterable[Message]):
        self.messages = {message.pk: message for message in messages}
        self._children: dict[UUID | None, list[UUID]] = defaultdict(list)
        for message in self.messages.values():
            self._children[message.parent_id].append(message.pk)

    @classmethod
    def of(cls, conversation_id: UUID) -> "Tree":
        """Read the tree, and which pictures are in its questions: two queries."""
        found = Message.objects.filter(conversation=conversation_id).select_related("model_version")
        tree = cls(found.order_by("created_at", "pk"))
        pictures = Image.objects.filter(message__conversation=conversation_id).defer("data")
        for image in pictures:
            message = tree.messages.get(image.message_id)
            if message is not None:
                message.pictures = [*getattr(message, "pictures", ()), image]
        return tree

    def add(self, message: Message) -> None:
        """Take in a message made just now."""
        self.messages[message.pk] = message
        self._children[message.parent_id].append(message.pk)

    def siblings(self, message: Message) -> list[UUID]:
        """The message and the alternatives to it, oldest first."""
        return self._children[message.parent_id]

    def children(self, message_id: UUID | None) -> list[UUID]:
        """What follows a message, oldest first."""
        return self._children.get(message_id, [])

    def path(self, message_id: UUID | None) -> list[Message]:
        """From the root to this message."""
        path = []
        while message_id is not None:
            message = self.messages[message_id]
            path.append(message)
            message_id = message.parent_id
        return path[::-1]

    def leaf_below(self, message_id: UUID) -> UUID:
        """The newest leaf under a message, which is where choosing it leads."""
        while self._children.get(message_id):
            message_id = self._children[message_id][-1]
        return message_id

    def answer_to(self, question_id: UUID, leaf_id: UUID | None) -> Message | None:
        """The answer under a question: the one on the way to the leaf, else the newest."""
        answers = [self.messages[one] for one in self._children.get(question_id, ())]
        on_path = {one.pk for one in self.path(leaf_id)}
        return next((one for one in answers if one.pk in on_path), answers[-1] if answers else None)

    def prompt(self, message_id: UUID | None, *, pictures: bool = False) -> list[dict]:
        """What a model reads to answer `message_id`: the path in chat form.

        An answer that failed is left out; two messages of one role in a row are joined, because
        chat templates want them to alternate. With `pictures`, a message has those of its
        questions under `images`.
        """
        prompt: list[dict] = []
        for message in self.path(message_id):
            if message.state == Message.State.FAILED or not message.text:
                continue
            if prompt and prompt[-1]["role"] == message.role:
                joined = f"{prompt[-1]['content']}\n\n{message.text}"
                prompt[-1] = {**prompt[-1], "content": joined}
            else:
                prompt.append({"role": str(message.role), "content": message.text})
            shown = getattr(message, "pictures", ()) if pictures else ()
            if shown:
                prompt[-1]["images"] = [*prompt[-1].get("images", ()), *shown]
        return prompt
