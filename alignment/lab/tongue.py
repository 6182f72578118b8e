"""A small language with a known gold reward, in which claims about preference learning are tried.

An answer is `length` words of a vocabulary of `words`, to a question on one of `topics` topics. The
reference policy is a bigram model with Zipf-like frequencies. The gold reward of an answer is a sum
over its words of a table, gold[topic, word before, word]: how well the word fits the topic, a taste
for its place, and a penalty for what the language hardly ever says. So the mean gold reward of a
bigram policy, its KL to the reference and the best policy at a given KL are exact (forward and
backward recursions over positions), and only sampling and labels are random.

Answers are integer arrays `(N, length)`, topics `(N,)`. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """How large the language is, and how strong the parts of its gold reward are."""

    topics: int = 6
    words: int = 24
    length: int = 8
    zipf: float = 1.2
    topical: float = 0.5
    taste: float = 0.3
    odd: float = 0.4


@dataclass(frozen=True)
class Pairs:
    """Two answers to each of `(P,)` topics, `(P, length)` each."""

    topics: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def __len__(self) -> int:
        return len(self.topics)


class Tongue:
    """The language of a seed: `ref` log-probabilities and `gold` rewards, both `(topics, words + 1,
    words)`; the word before the first is number `words`.
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        rng = np.random.default_rng([seed, 1])
        x, v = shape.topics, shape.words
        frequency = -shape.zipf * np.log(np.arange(1, v + 1))
        grammar = frequency[rng.permuted(np.tile(np.arange(v), (v + 1, 1)), axis=1)]
        logits = grammar[None] + 0.5 * rng.standard_normal((x, 1, v))
        self.ref = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
        usual = np.minimum(0.0, self.ref.mean(0) + np.log(v))
        place = shape.taste * rng.standard_normal((v + 1, v)) + shape.odd * usual
        self.gold = place[None] + shape.topical * rng.standard_normal((x, 1, v))

    def value(self, table: np.ndarray, topics: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Sum of a table over the words of each answer, `(N,)`."""
        before = np.concatenate(
            [np.full((len(answers), 1), self.shape.words), answers[:, :-1]], axis=1
        )
        return table[topics[:, None], before, answers].sum(1)

    def gold_of(self, topics: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Gold reward of each answer, `(N,)`."""
        return self.value(self.gold, topics, answers)

    def sample(self, log_policy: np.ndarray, topics: np.ndarray, rng: np.random.Generator):
        """An answer to each topic by a bigram policy `(topics, words + 1, words)`."""
        cumulative = np.exp(log_policy).cumsum(2)
        cumulative /= cumulative[:, :, -1:]
        answers = np.empty((len(topics), self.shape.length), dtype=np.int64)
        before = np.full(len(topics), self.shape.words)
        for at in range(self.shape.length):
            draw = rng.random((len(topics), 1))
            before = (cumulative[topics, before] < draw).sum(1).clip(max=self.shape.words - 1)
            answers[:, at] = before
        return answers

    def pairs(self, log_policy: np.ndarray, count: int, rng: np.random.Generator) -> Pairs:
        """Two answers to each of `count` questions, the topics in turn."""
        topics = np.arange(count) % self.shape.topics
        first = self.sample(log_policy, topics, rng)
        return Pairs(topics, first, self.sample(log_policy, topics, rng))

    def gap(self, pairs: Pairs) -> np.ndarray:
        """Gold reward of the first answer minus that of the second, `(P,)`."""
        return self.gold_of(pairs.topics, pairs.first) - self.gold_of(pairs.topics, pairs.second)

    def mean_of(self, table: np.ndarray, log_policy: np.ndarray) -> float:
        """Expected sum of a table over answers of a policy, mean over topics, exactly."""
        policy = np.exp(log_policy)
        step = (policy * table).sum(2)
        at, total = np.zeros(step.shape), 0.0
        at[:, -1] = 1.0
        for _ in range(self.shape.length):
            total += float((at * step).sum(1).mean())
            at[:, :-1] = np.einsum("xp,xpw->xw", at, policy)
            at[:, -1] = 0.0
        return total

    def mean_gold(self, log_policy: np.ndarray) -> float:
        """Expected gold reward of a policy."""
        return self.mean_of(self.gold, log_policy)

    def kl(self, log_policy: np.ndarray) -> float:
        """KL of a policy to the reference over whole answers, nats, mean over topics."""
        return self.mean_of(log_policy - self.ref, log_policy)

    def frontier(self, beta: float) -> tuple[float, float]:
        """KL and mean gold reward of the best policy of all at strength `beta`, proportional to ref
        exp(gold / beta): no policy of its KL has more. Exact, by log-normalisers from the last word
        to the first.
        """
        ahead = np.zeros(self.ref.shape[:2])
        steps = []
        for _ in range(self.shape.length):
            logits = self.ref + self.gold / beta + ahead[:, None, : self.shape.words]
            ahead = np.logaddexp.reduce(logits, axis=2)
            steps.append(np.exp(logits - ahead[:, :, None]))
        at = np.zeros(self.ref.shape[:2])
        at[:, -1] = 1.0
        gold = 0.0
        for policy in reversed(steps):
            gold += float((at * (policy * self.gold).sum(2)).sum(1).mean())
            at[:, :-1] = np.einsum("xp,xpw->xw", at, policy)
            at[:, -1] = 0.0
        log_partition = float(ahead[:, -1].mean())
        return gold / beta - log_partition, gold

    def features(self, topics: np.ndarray, answers: np.ndarray) -> Tensor:
        """Counts of word pairs and of (topic, word), `(N, d)` float32: what a reward model sees. A
        linear function of them can be the gold reward.
        """
        v = self.shape.words
        n, rows = len(answers), np.arange(len(answers))[:, None]
        before = np.concatenate([np.full((n, 1), v), answers[:, :-1]], axis=1)
        out = np.zeros((n, (v + 1) * v + self.shape.topics * v), dtype=np.float32)
        np.add.at(out, (rows, before * v + answers), 1.0)
        np.add.at(out, (rows, (v + 1) * v + topics[:, None] * v + answers), 1.0)
        return torch.from_numpy(out)

    def table(self, weights: np.ndarray) -> np.ndarray:
        """Linear weights `(d,)` on `features` as a reward table."""
        v = self.shape.words
        pairs, topical = weights[: (v + 1) * v], weights[(v + 1) * v :]
        return pairs.reshape(1, v + 1, v) + topical.reshape(self.shape.topics, 1, v)


class Writer(nn.Module):
    """A policy of the language that is trained: logits shared by the topics plus each topic's own,
    started at the reference.
    """

    def __init__(self, tongue: Tongue) -> None:
        super().__init__()
        self.tongue = tongue
        self.start = torch.from_numpy(tongue.ref)
        self.shared = nn.Parameter(torch.zeros(1, *tongue.ref.shape[1:], dtype=torch.float64))
        self.own = nn.Parameter(torch.zeros(tongue.ref.shape, dtype=torch.float64))

    def log_policy(self) -> Tensor:
        """Log-probabilities `(topics, words + 1, words)`, with gradient."""
        return (self.start + self.shared + self.own).log_softmax(2)

    def now(self) -> np.ndarray:
        """The same as an array."""
        with torch.no_grad():
            return self.log_policy().numpy()

    def logps(self, topics: np.ndarray, answers: np.ndarray) -> tuple[Tensor, Tensor]:
        """Log-probability of each answer under the policy and under the reference, `(N,)` both."""
        before = np.concatenate(
            [np.full((len(answers), 1), self.tongue.shape.words), answers[:, :-1]], axis=1
        )
        at = (
            torch.from_numpy(topics)[:, None],
            torch.from_numpy(before),
            torch.from_numpy(answers),
        )
        return self.log_policy()[at].sum(1), self.start[at].sum(1)

    def ends(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the objectives on pairs read: policy and reference on first and second answers."""
        first, ref_first = self.logps(pairs.topics, pairs.first)
        second, ref_second = self.logps(pairs.topics, pairs.second)
        return first, second, ref_first, ref_second
