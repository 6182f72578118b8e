"""How much of a chat a model can read, and what is left out when it is too long.

The rule: the system message and the newest message stay; of the rest the oldest go first, a
question together with its answer. Where the newest message alone is too long, its end is kept.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.models import ModelVersion

#: Marks a chat template puts around one message, in tokens; a generous guess.
PER_MESSAGE = 8
#: Characters in a token where the tokenizer cannot be read; low, so that the guess is safe.
CHARACTERS_PER_TOKEN = 2.5


@dataclass(frozen=True, slots=True)
class Fitted:
    """The messages that fit, and how many messages and characters were left out."""

    messages: list[dict[str, Any]]
    max_tokens: int
    dropped_messages: int = 0
    dropped_characters: int = 0


def window(model_version: ModelVersion) -> int | None:
    """Tokens the model can hold, question and answer together; None when unknown."""
    return model_version.metadata.get("context_window")


def fit(model_version: ModelVersion, messages: list[dict[str, Any]], max_tokens: int) -> Fitted:
    """Trim `messages` (content is text) so that an answer of `max_tokens` still has room.

    In a small window the answer is given at most half of it.
    """
    size = window(model_version)
    if size is None:
        return Fitted(messages, max_tokens)
    max_tokens = min(max_tokens, size // 2)
    room = size - max_tokens - PER_MESSAGE
    costs = [PER_MESSAGE + count_tokens(model_version, one["content"]) for one in messages]
    if sum(costs) <= room:
        return Fitted(messages, max_tokens)
    first = 1 if messages[0]["role"] == "system" else 0
    keep = set(range(first)) | {len(messages) - 1}
    left = room - sum(costs[index] for index in keep)
    for index in range(len(messages) - 2, first - 1, -1):
        if costs[index] > left:
            break
        left -= costs[index]
        keep.add(index)
    # What is kept of the middle begins with a question, as templates expect.
    middle = [index for index in sorted(keep) if first <= index < len(messages) - 1]
    for index in middle:
        if messages[index]["role"] == "user":
            break
        keep.discard(index)
    kept = [messages[index] for index in sorted(keep)]
    lost = 0
    if left < 0:
        last = kept[-1]
        shorter = _ending(model_version, last["content"], costs[-1] - PER_MESSAGE + left)
        lost = len(last["content"]) - len(shorter)
        kept[-1] = {**last, "content": shorter}
    return Fitted(kept, max_tokens, len(messages) - len(kept), lost)


def count_tokens(model_version: ModelVersion, text: str) -> int:
    """Tokens of `text`, by the model's own tokenizer where its file can be read."""
    tokenizer = _tokenizer(model_version.location)
    if tokenizer is None:
        return int(len(text) / CHARACTERS_PER_TOKEN) + 1
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def _ending(model_version: ModelVersion, text: str, tokens: int) -> str:
    """The end of `text` that fits in `tokens`; at least one character."""
    tokens = max(1, tokens)
    tokenizer = _tokenizer(model_version.location)
    if tokenizer is None:
        return text[-max(1, int(tokens * CHARACTERS_PER_TOKEN)) :]
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    return text[offsets[-tokens][0] :] if len(offsets) > tokens else text


@lru_cache(maxsize=8)
def _tokenizer(location: str):
    # `tokenizers` is the small Rust library; it brings no torch into the web process.
    from tokenizers import Tokenizer

    path = Path(location) / "tokenizer.json"
    if not path.is_file():
        return None
    return Tokenizer.from_file(str(path))
