"""The prompts of a project: imported ones, those of its tasks, and those people asked in chats."""

import hashlib
import heapq
from collections.abc import Iterator
from typing import Any

from alignment.services.records import prompt_json, split_of
from annotation.models import Project, PromptItem, Task
from annotation.prompts import prompt_hash as prompt_hash_of
from feedback import selectors as feedback

#: How many of the newest chat prompts take part.
RECENT_CHATS = 5000
#: What sources call the prompts they hold back; such a prompt is never trained on.
HELD_OUT = frozenset(
    {"test", "eval", "dev", "valid", "validation", "heldout", "held-out", "held_out"}
)


def choose(
    project: Project, *, split: str, eval_share: float, limit: int, seed: str
) -> list[dict[str, Any]]:
    """At most `limit` different prompts of one split, picked by hash with `seed`.

    Rows have prompt_id, prompt (JSON), prompt_hash and group. The same seed over the same prompts
    gives the same choice; a prompt that joins later moves only those it displaces. The hash says
    which split a prompt is in, unless its source held it back (`HELD_OUT`).
    """

    def key(found: tuple[str, str, Any]) -> bytes:
        return hashlib.sha256(f"{seed}:{found[0]}".encode()).digest()

    held_back = _held_back(project)

    def side(prompt_hash: str) -> str:
        return "eval" if prompt_hash in held_back else split_of(prompt_hash, eval_share)

    ours = (found for found in _hashes(project) if side(found[0]) == split)
    picked = heapq.nsmallest(limit, ours, key=key)
    prompts = {prompt_hash: prompt for prompt_hash, _, prompt in picked if prompt is not None}
    for model in (PromptItem, Task):
        missing = [prompt_hash for prompt_hash, *_ in picked if prompt_hash not in prompts]
        prompts |= dict(
            model.objects.filter(project=project, prompt_hash__in=missing)
            .order_by("prompt_hash", "pk")
            .distinct("prompt_hash")
            .values_list("prompt_hash", "prompt")
        )
    return [
        {
            "prompt_id": prompt_hash[:16],
            "prompt": prompt_json(prompts[prompt_hash]),
            "prompt_hash": prompt_hash,
            "group": group or None,
        }
        for prompt_hash, group, _ in picked
        if _answerable(prompts.get(prompt_hash))
    ]


def _held_back(project: Project) -> set[str]:
    """Hashes of the imported prompts that their source held back."""
    marked = project.prompt_items.exclude(split="").values_list("prompt_hash", "split")
    return {
        prompt_hash
        for prompt_hash, split in marked.iterator(chunk_size=5000)
        if split.strip().lower() in HELD_OUT
    }


def _hashes(project: Project) -> Iterator[tuple[str, str, Any]]:
    """Each prompt once: its hash, its group, and the prompt itself where it is at hand."""
    seen: set[str] = set()
    items = project.prompt_items.values_list("prompt_hash", "group")
    for prompt_hash, group in items.iterator(chunk_size=5000):
        seen.add(prompt_hash)
        yield prompt_hash, group, None
    for prompt in feedback.prompts(project_ids=[project.pk], limit=RECENT_CHATS):
        if (hashed := prompt_hash_of(prompt)) not in seen:
            seen.add(hashed)
            yield hashed, "", prompt
    tasks = (
        Task.objects.filter(project=project)
        .exclude(state="withdrawn")
        .order_by("prompt_hash")
        .values_list("prompt_hash", flat=True)
        .distinct()
    )
    for prompt_hash in tasks.iterator(chunk_size=5000):
        if prompt_hash not in seen:
            yield prompt_hash, "", None


def _answerable(prompt: Any) -> bool:
    """Whether the prompt ends with a turn that an answer can follow."""
    last = prompt[-1] if isinstance(prompt, list) and prompt else None
    return isinstance(last, dict) and last.get("role") == "user"
