"""The loop with simulated people through the real doors: chat, react, judge, run a round, measure.

One `Loop` is one arm: people with a taste, or people who answer at random. It needs an address, a
key for everybody, and, to measure, the folder in which the instance keeps its models.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean

from alignment.lab import people
from alignment.lab.doors import Chat, DoorError, Rest
from alignment.lab.gold import TASTES
from alignment.lab.measures import compare, gold_of
from alignment.lab.offline import answers_of, prompt_rows, train, write
from inference.starter.manners import held_out_prompts, training_prompts

RESEARCHER = "sim-researcher"
#: Settings of the rounds that differ from the project's: enough new pairs for people to judge.
ROUND = {
    "sample_prompts": 128,
    "eval_prompts": 64,
    "human_pairs": 256,
    "ask": 96,
    "ask_random": 32,
    "sample": {"n": 4, "batch": 256},
    "evaluate": {"batch": 256},
}
ENDED = ("released", "refused", "failed", "cancelled")


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        chats: questions that users ask in a round.
        judged: pairs that annotators judge in a round.
        held_out, samples: prompts the policy is measured on, and answers to each.
        config: settings of the round that differ from the project's.
    """

    rounds: int = 3
    annotators: int = 6
    users: int = 8
    seed: int = 0
    control: bool = False
    project: str = "demo"
    taste: str = "kind"
    chats: int = 48
    judged: int = 280
    held_out: int = 96
    samples: int = 2
    config: dict = field(default_factory=dict)

    def people(self) -> dict[str, str]:
        """Everybody who needs a key, with the scopes."""
        scopes = {RESEARCHER: "research,annotate"}
        scopes |= {person.name: "annotate" for person in self.team}
        return scopes | {person.name: "feedback" for person in self.crowd}

    @property
    def team(self) -> list[people.Annotator]:
        """The annotators."""
        return people.annotators(self.annotators, self.seed, self.taste, self.control)

    @property
    def crowd(self) -> list[people.User]:
        """The users."""
        return people.users(self.users, self.seed, self.taste, self.control)


class Loop:
    """One arm of a simulation."""

    def __init__(
        self,
        plan: Plan,
        url: str,
        keys: dict[str, str],
        models: Path,
        first: Path,
        scratch: Path,
        say: Callable[[str], None] = print,
    ) -> None:
        self.plan, self.url, self.keys, self.say = plan, url, keys, say
        self.models, self.first, self.scratch = models, first, scratch
        self.rng = random.Random(f"loop {plan.seed}")
        self.asked = training_prompts(40)
        self.rng.shuffle(self.asked)
        # Some held-out prompts are imported with the demo project, where a round may sample
        # answers to them; what is measured on must have been seen by no part of the loop.
        imported = set(held_out_prompts())
        self.held = [p for p in held_out_prompts(40) if p not in imported][: plan.held_out]
        self.judgments = self.reactions = 0
        self.seconds: Counter[str] = Counter()
        self.baseline: dict = {}
        self._last: dict | None = None

    async def run(self) -> dict:
        """All rounds; returns the report of this arm."""
        rows = []
        async with Rest(self.url, self.keys[RESEARCHER]) as rest:
            for person in self.plan.team:
                body = {"username": person.name, "role": "annotator"}
                await rest.call("POST", f"/api/projects/{self.plan.project}/members/", json=body)
            await self._timed("tasks", self.import_tasks(rest))
            for number in range(1, self.plan.rounds + 1):
                seen = await self._timed("chat", self._chat(number))
                await self._timed("judge", self._judge(number))
                self.say(
                    f"round {number}: {self.reactions} reactions and {self.judgments} judgments "
                    f"so far; what users were answered has gold reward {seen:+.3f}"
                )
                turn = await self._timed("round", self._round(rest, number))
                row = await self._timed("measure", self._measure(number, turn))
                rows.append(row | {"chat_gold": seen, "verdict": turn["state"]})
                self.say(sentence(rows[-1]))
            await self._served(rows[-1]["model"])
        return {
            "rounds": rows,
            "first": self.baseline,
            "seconds_by_part": {part: round(value, 1) for part, value in self.seconds.items()},
        }

    async def _timed(self, part: str, work):
        started = time.monotonic()
        result = await work
        self.seconds[part] += time.monotonic() - started
        return result

    async def import_tasks(self, rest: Rest) -> None:
        """Import pairs of answers of the first policy, so that round one has enough to judge."""
        prompts = self.asked[: self.plan.judged]
        folder = self.scratch / "tasks"
        run = {
            "task": "sample",
            "seed": self.plan.seed,
            "model": str(self.first),
            "prompts": write(folder / "data" / "prompts.parquet", prompt_rows(prompts)),
            "params": {"n": 2, "max_new_tokens": 160, "batch": 256},
        }
        await asyncio.to_thread(train, folder, run, self.scratch / "cache")
        answers = answers_of(folder / "artefact" / "samples.parquet")
        tasks = [
            {
                "external_id": f"simulation-{index}",
                "kind": "pairwise",
                "prompt": [{"role": "user", "content": prompt}],
                "candidates": [{"content": text, "model": "starter"} for text in sorted(pair)],
                "overlap": 1,
            }
            for index, (prompt, pair) in enumerate(answers.items())
            if len(set(pair)) > 1
        ]
        await rest.call("POST", f"/api/projects/{self.plan.project}/tasks/", json=tasks)

    async def _chat(self, number: int) -> float:
        """Users ask and react; returns the mean gold reward of what they were answered."""
        share = [self.plan.chats // self.plan.users] * self.plan.users
        for index in range(self.plan.chats % self.plan.users):
            share[index] += 1
        seen: list[float] = []
        await _together(
            self._user(number, user, count, seen)
            for user, count in zip(self.plan.crowd, share, strict=True)
        )
        return round(fmean(seen), 4)

    async def _user(self, number: int, user: people.User, count: int, seen: list[float]) -> None:
        rng = random.Random(f"{self.plan.seed} {number} {user.name}")
        async with Rest(self.url, self.keys[user.name]) as rest:
            for _ in range(count):
                prompt = rng.choice(self.asked)
                async with Chat(rest) as chat:
                    answer = await chat.ask(prompt)
                    seen.append(TASTES[self.plan.taste].of(prompt, answer.text))
                    response = user.respond(prompt, answer.text, rng)
                    await self._react(chat, answer.id, response)
                    if response.regenerates:
                        answer = await chat.regenerate(answer.id)
                        seen.append(TASTES[self.plan.taste].of(prompt, answer.text))
                        await self._react(chat, answer.id, user.respond(prompt, answer.text, rng))

    async def _react(self, chat: Chat, message: str, response: people.Response) -> None:
        if response.reaction is None:
            return
        await chat.react(message, response.reaction)
        if response.retracts:
            await chat.react(message, response.reaction, on=False)
        else:
            self.reactions += 1

    async def _judge(self, number: int) -> None:
        """Annotators work until the round's share is judged or no task is left."""
        left = [self.plan.judged]
        await _together(self._annotator(number, person, left) for person in self.plan.team)

    async def _annotator(self, number: int, person: people.Annotator, left: list[int]) -> None:
        rng = random.Random(f"{self.plan.seed} {number} {person.name}")
        async with Rest(self.url, self.keys[person.name]) as rest:
            while left[0] > 0:
                left[0] -= 1
                lease = await rest.claim(self.plan.project)
                if lease is None:
                    left[0] += 1
                    return
                task = lease["task"]
                shown = task["candidates"]
                texts = [str(candidate["content"]) for candidate in shown]
                verdict = person.judge(task["prompt"], texts, rng)
                body = {"outcome": verdict.outcome, "seconds": round(rng.uniform(3, 30), 1)}
                if verdict.preferred is not None:
                    body |= {"preferred": shown[verdict.preferred]["id"]}
                    body |= {"strength": verdict.strength}
                await rest.judge(lease["id"], body)
                self.judgments += 1

    async def _round(self, rest: Rest, number: int) -> dict:
        """Start a round and wait for its end; DoorError with the reason when it fails."""
        config = {"seed": self.plan.seed * 1000 + number} | ROUND | self.plan.config
        body = {"project": self.plan.project, "config": config}
        turn = await rest.call("POST", "/api/rounds/", json=body)
        while turn["state"] not in ENDED:
            await asyncio.sleep(0.5)
            turn = await rest.call("GET", f"/api/rounds/{turn['id']}/")
        if turn["state"] in ("failed", "cancelled"):
            raise DoorError(f"round {number} {turn['state']} at {turn['step']}: {turn['error']}")
        live = await self._live(rest)
        self.say(f"round {number} {turn['state']}; {live} serves")
        return turn | {"live": live}

    async def _live(self, rest: Rest) -> str:
        """Name of the policy that serves."""
        found = await rest.call("GET", "/api/models/", params={"project": self.plan.project})
        return next(model["name"] for model in found if "live" in model["serving"])

    async def _served(self, name: str) -> None:
        """See that the live chat answers by the model that is said to serve."""
        async with Rest(self.url, self.keys[self.plan.crowd[0].name]) as rest, Chat(rest) as chat:
            answer = await chat.ask(self.held[0])
        if answer.model != name:
            raise DoorError(f"the chat answered by {answer.model}, although {name} should serve")

    async def _measure(self, number: int, turn: dict) -> dict:
        """Gold reward of the live policy against the first one on the held-out prompts."""
        metrics = turn["result"]["metrics"]
        row = {
            "round": number,
            "model": turn["live"],
            "judgments": self.judgments,
            "reactions": self.reactions,
            "rm_accuracy": metrics.get("rm_accuracy"),
        }
        if self._last is None or self._last["model"] != turn["live"]:
            measured = await asyncio.to_thread(self._evaluate, number, turn["live"])
            self._last = {"model": turn["live"]} | measured
        return row | self._last

    def _evaluate(self, number: int, live: str) -> dict:
        folder = self.scratch / f"measure-{number}"
        own = self.models / live
        changed = own.is_dir()
        measured = train(
            folder,
            {
                "task": "evaluate",
                "kind": "policy",
                "seed": 7,
                "model": str(own if changed else self.first),
                "baseline": str(self.first),
                "reward_model": str(self.models / f"{self.plan.project}-r{number}-reward"),
                "prompts": write(folder / "data" / "prompts.parquet", prompt_rows(self.held)),
                "params": {"n": self.plan.samples, "max_new_tokens": 160, "batch": 256},
            },
            self.scratch / "cache",
        )
        answered = folder / "artefact" / "answers.parquet"
        taste = TASTES[self.plan.taste]
        first = gold_of(taste, answers_of(answered, "baseline"))
        # The first policy against itself is even by definition; two draws would only add noise.
        own_gold = gold_of(taste, answers_of(answered, "model")) if changed else first
        result = asdict(compare(own_gold, first))
        if not self.baseline:
            alone = compare(first, first)
            self.baseline = {
                "gold_mean": round(alone.gold_mean, 4),
                "gold_ci": [round(value, 4) for value in alone.gold_ci],
                "mean_tokens": measured["baseline_mean_tokens"],
            }
        rounded = {
            key: [round(v, 4) for v in value] if isinstance(value, tuple) else round(value, 4)
            for key, value in result.items()
        }
        tokens = measured["mean_tokens" if changed else "baseline_mean_tokens"]
        return rounded | {"kl": measured["kl"] if changed else 0.0, "mean_tokens": tokens}


async def _together(work: Iterable) -> None:
    """All of it at once; the first failure ends the rest."""
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


def sentence(row: dict) -> str:
    """One round in one line."""
    low, high = row["gain_ci"]
    accuracy = "-" if row["rm_accuracy"] is None else f"{row['rm_accuracy']:.3f}"
    return (
        f"round {row['round']} ({row['verdict']}): {row['judgments']} judgments, "
        f"{row['reactions']} reactions, reward model {accuracy}, "
        f"gold {row['gold_mean']:+.3f} ({row['gain']:+.3f} [{low:+.3f}, {high:+.3f}] over the "
        f"first), win rate {row['win_rate']:.3f}, KL {row['kl']:.1f}, "
        f"{row['mean_tokens']:.1f} tokens"
    )
