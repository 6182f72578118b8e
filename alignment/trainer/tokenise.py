"""Chat prompts and answers as token ids, the way the policy is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .data import BadRow, clean


@dataclass
class ChatTokenizer:
    """Token ids of prompts and answers.

    An over-long prompt loses its start, an over-long answer its end (and then has no end token).
    """

    tokenizer: Any
    eos_id: int
    max_prompt: int
    max_completion: int
    max_total: int = 1 << 20

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer brings a chat template."""
        return getattr(self.tokenizer, "chat_template", None) is not None

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of a prompt with the opening of the assistant's turn; `BadRow` where the template
        refuses it.
        """
        if self.has_template:
            from jinja2.exceptions import TemplateError

            try:
                ids = self.tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, tokenize=True, return_dict=False
                )
            except TemplateError as error:
                raise BadRow(f"the chat template refuses the prompt: {error}") from None
        else:
            text = "".join(f"{m['role']}: {m['content']}\n" for m in messages) + "assistant:"
            ids = self.tokenizer(text).input_ids
        limit = min(self.max_prompt, max(self.max_total - 1, 1))
        if not ids:
            raise BadRow("the prompt has no tokens")
        return list(ids[-limit:])

    def answer(self, text: str, prompt_length: int = 0) -> list[int]:
        """Ids of an answer and its end token; text that looks like a special token stays text."""
        ids = self.tokenizer(
            clean(text), add_special_tokens=False, split_special_tokens=True
        ).input_ids
        return self.fit([*ids, self.eos_id], prompt_length)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """First and last character of each of an answer's tokens; `BadRow` where the tokenizer
        cannot tell.
        """
        try:
            found = self.tokenizer(
                clean(text),
                add_special_tokens=False,
                split_special_tokens=True,
                return_offsets_mapping=True,
            )
        except NotImplementedError:
            raise BadRow("this tokenizer cannot place spans: give token rewards") from None
        return [tuple(o) for o in found["offset_mapping"]]

    def fit(self, ids: list[int], prompt_length: int = 0) -> list[int]:
        """Answer ids cut to the room there is."""
        return ids[: min(self.max_completion, max(self.max_total - prompt_length, 1))]
