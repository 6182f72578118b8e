"""Where rollouts come from: an engine behind the OpenAI protocol or a function in this process.

Both give the same `Rollout`s, so a trainer does not know which it has. Engine log-probabilities are
kept beside the tokens, for the importance weights of `policy_gradient.engine_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Chat = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Sampling:
    """How to sample: n answers a prompt, the usual numbers, a seed."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Rollout:
    """One sampled answer.

    `token_ids` and `logps` (log-probability of each under the sampler, before temperature) are
    empty where the sampler does not tell; `finished` is False if the answer was cut; `version`
    names the weights it came from.
    """

    prompt: Chat
    text: str
    token_ids: tuple[int, ...] = ()
    logps: tuple[float, ...] = ()
    finished: bool = True
    version: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)


class Sampler(Protocol):
    """Something that answers prompts: `n` rollouts a prompt, in the order of the prompts."""

    def __call__(self, prompts: Sequence[Chat], sampling: Sampling) -> list[list[Rollout]]:
        """Sample; raises whatever the source raises."""


class InProcess:
    """A sampler from a function (chat, sampling, seed of the prompt) -> rollouts, one prompt a
    call.
    """

    def __init__(self, answer: Callable[[Chat, Sampling, int], Sequence[Rollout]]) -> None:
        self.answer = answer

    def __call__(self, prompts: Sequence[Chat], sampling: Sampling) -> list[list[Rollout]]:
        """Every prompt has a seed of its own, so its answers do not depend on its neighbours."""
        out = []
        for at, prompt in enumerate(prompts):
            rows = list(self.answer(prompt, sampling, sampling.seed + at))
            if len(rows) != sampling.n:
                raise ValueError(f"asked for {sampling.n} answers, got {len(rows)}")
            out.append(rows)
        return out


class OpenAIEngine:
    """A sampler over the chat-completions call of the OpenAI protocol.

    `post` sends a JSON body to the engine's /v1/chat/completions and returns the JSON answer: the
    caller owns addresses, keys, retries. `version` is the model's versioned name; a name that is
    never used again keeps an engine's caches honest. Log-probabilities and `token_ids` (vLLM's
    `return_token_ids`) are asked for, and left empty where the engine has none.
    """

    def __init__(self, post: Callable[[dict[str, Any]], dict[str, Any]], version: str) -> None:
        self.post, self.version = post, version

    def __call__(self, prompts: Sequence[Chat], sampling: Sampling) -> list[list[Rollout]]:
        """One call a prompt."""
        return [self._ask(prompt, sampling, at) for at, prompt in enumerate(prompts)]

    def _ask(self, prompt: Chat, sampling: Sampling, at: int) -> list[Rollout]:
        body = {
            "model": self.version,
            "messages": list(prompt),
            "n": sampling.n,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens,
            "seed": sampling.seed + at,
            "logprobs": True,
            "return_token_ids": True,
        }
        answer = self.post(body)
        choices = sorted(answer.get("choices") or [], key=lambda c: c.get("index", 0))
        if len(choices) != sampling.n:
            raise ValueError(f"asked the engine for {sampling.n} answers, got {len(choices)}")
        return [self._rollout(prompt, choice) for choice in choices]

    def _rollout(self, prompt: Chat, choice: dict[str, Any]) -> Rollout:
        content = (choice.get("logprobs") or {}).get("content") or []
        ids = tuple(choice.get("token_ids") or ())
        logps = tuple(float(c["logprob"]) for c in content)
        # A value for each token or none at all: a partial row would pair values with wrong tokens.
        if ids and len(logps) != len(ids):
            logps = ()
        return Rollout(
            prompt,
            choice["message"].get("content") or "",
            ids,
            logps,
            choice.get("finish_reason") == "stop",
            self.version,
        )
