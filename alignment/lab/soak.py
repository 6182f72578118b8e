"""The loop left to itself: people whose taste drifts, triggers, rounds, canaries, promotions, a
roll-back that must come, and faults that must not matter.

Everything goes through the real doors of an instance of its own; what only an operator can do
(setting a rule, registering a ruined policy, killing a process) is done as an operator would.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil

from alignment.lab import loop, people
from alignment.lab.doors import Chat, DoorError, Rest
from alignment.lab.gold import TASTES
from alignment.lab.instance import Instance
from inference.starter import WEIGHTS
from inference.starter.manners import training_prompts

RESEARCHER = "soak-researcher"
#: How long the round that is under way at the end may take to finish.
LAST_ROUND_SECONDS = 300.0
#: Pairs that are there to be judged before the first round.
FIRST_PAIRS = 160
#: A round as small as it can be and still move the policy, released to a canary.
ROUND = {
    "sample_prompts": 48,
    "eval_prompts": 48,
    "human_pairs": 128,
    "ask": 48,
    "ask_random": 16,
    "release": "canary",
    "canary_weight": 400,
    "sample": {"n": 4, "batch": 256},
    "evaluate": {"batch": 256},
    # Few judgments, and a taste that turns: the live comparison is what decides here.
    "gate": {"rm_accuracy": 0.5, "rm_accuracy_low": 0.4, "rm_drop": 0.3, "win_rate_low": 0.4},
    "experiment": {
        "min_conversations": 30,
        "max_conversations": 400,
        "window_s": 12,
        "quick_s": 8,
        "promote": "not_worse",
        "tolerance": 0.25,
        "complained_margin": 0.1,
    },
}

_RULE = """
import json, sys, django
django.setup()
from annotation.models import Project
from alignment.models import Rule
given = json.loads(sys.argv[1])
project = Project.objects.get(slug=given.pop("project"))
Rule.objects.update_or_create(project=project, defaults=given)
"""
_RUINED = """
import json, sys, shutil, pathlib, time, django
django.setup()
from alignment.models import Experiment, Round, Rule
from django.conf import settings
from inference.selectors import live_policy
from inference.services import registry
from alignment.services import files, releases
from annotation.models import Project
project, name = sys.argv[1], sys.argv[2]
def wait_for_end_of(rows, seconds=180):
    until = time.monotonic() + seconds
    while rows.all().exists() and time.monotonic() < until:
        time.sleep(1)
# A round that ends meanwhile would put its own policy in the place of this one.
Rule.objects.filter(project__slug=project).update(enabled=False)
wait_for_end_of(Round.objects.filter(state__in=Round.ACTIVE))
source = pathlib.Path(files.artefact_path(live_policy(project=project).location))
folder = pathlib.Path(settings.ARTEFACTS_DIR) / "models" / name
folder.parent.mkdir(parents=True, exist_ok=True)
shutil.copytree(source, folder)
path = folder / "model.safetensors"
raw = bytearray(path.read_bytes())
size = int.from_bytes(raw[:8], "little")
norm = json.loads(raw[8:8 + size])["model.norm.weight"]
begin, end = norm["data_offsets"]
width = (end - begin) // norm["shape"][0]
for sign in range(8 + size + begin + width - 1, 8 + size + end, width):
    raw[sign] ^= 0x80  # the last norm turned round: the words least meant are said
path.write_bytes(raw)
model = registry.register(name=name, kind="policy", location=folder)
rules = {"min_conversations": 20, "window_s": 12, "quick_s": 8}
releases.canary(project=Project.objects.get(slug=project), model=model, weight=400, by=None,
                reason="a ruined policy, to see that it is taken back", rules=rules)
wait_for_end_of(Experiment.objects.filter(state="running"))
Rule.objects.filter(project__slug=project).update(enabled=True)
"""
_COUNT = """
import json, sys, django
django.setup()
from annotation.models import Judgment
from feedback.models import Event
from alignment.models import Device, Round
given = json.load(open(sys.argv[1]))
stored = [str(pk) for pk in Judgment.objects.values_list("pk", flat=True)]
events = Event.objects.reactions().values_list("message_id", flat=True)
told = {}
for one in events: told[str(one)] = told.get(str(one), 0) + 1
print(json.dumps({
    "judgments_acknowledged": len(given["judgments"]),
    "judgments_lost": len(set(given["judgments"]) - set(stored)),
    "reactions_acknowledged": sum(given["reactions"].values()),
    "reactions_lost": sum(max(0, n - told.get(m, 0)) for m, n in given["reactions"].items()),
    "reactions_twice": sum(max(0, told.get(m, 0) - n) for m, n in given["reactions"].items()),
    "rounds": [[r.number, r.state, r.error] for r in Round.objects.order_by("number")],
    "device_claims": Device.objects.exclude(run=None).count(),
}))
"""


@dataclass(frozen=True)
class Plan:
    """How long, who, and what happens when (as shares of the whole time)."""

    minutes: float = 60.0
    seed: int = 0
    project: str = "demo"
    annotators: int = 4
    users: int = 6
    tastes: tuple[str, str] = ("kind", "terse")
    judgments_a_round: int = 60
    drift_at: float = 0.5
    ruined_at: float = 0.6
    faults: tuple[tuple[float, str], ...] = (
        (0.25, "engine"),
        (0.4, "train"),
        (0.7, "worker"),
        (0.8, "valkey"),
        (0.85, "engine"),
    )


@dataclass
class Record:
    """What happened, second by second."""

    begun: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[float, str, float, bool]] = field(default_factory=list)
    judgments: list[str] = field(default_factory=list)
    reactions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def now(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self.begun, 1)

    def note(self, kind: str, words: str, **more: Any) -> None:
        """Keep an event."""
        self.events.append({"t": self.now(), "kind": kind, "words": words, **more})


class Soak:
    """One soak on a running instance."""

    def __init__(self, plan: Plan, instance: Instance, say: Callable[[str], None]) -> None:
        self.plan, self.instance, self.say = plan, instance, say
        self.record = Record()
        self.team = people.annotators(plan.annotators, plan.seed, plan.tastes[0])
        self.crowd = people.users(plan.users, plan.seed, plan.tastes[0])
        self.keys: dict[str, str] = {}
        self.prompts = training_prompts(20)
        self.seconds = plan.minutes * 60
        self.drifted = False

    def prepare(self) -> None:
        """Keys, members and the rule that begins rounds."""
        scopes = {RESEARCHER: "research,annotate"}
        scopes |= {one.name: "annotate" for one in self.team}
        scopes |= {one.name: "feedback" for one in self.crowd}
        self.keys = self.instance.keys(scopes)
        self._operate(_RULE, json.dumps(self._rule(enabled=True)))

    async def run(self) -> dict[str, Any]:
        """The whole time; returns the timeline."""
        async with Rest(self.instance.url, self.keys[RESEARCHER]) as rest:
            for person in self.team:
                body = {"username": person.name, "role": "annotator"}
                await rest.call("POST", f"/api/projects/{self.plan.project}/members/", json=body)
            await self._first_tasks(rest)
        self.record = Record()
        work = [
            *(self._keep(self._user, place) for place in range(len(self.crowd))),
            *(self._keep(self._annotator, place) for place in range(len(self.team))),
            self._steward(),
            self._schedule(),
        ]
        await asyncio.gather(*work)
        await asyncio.to_thread(self._operate, _RULE, json.dumps(self._rule(enabled=False)))
        await self._last_round()
        return await asyncio.to_thread(self._report)

    async def _last_round(self) -> None:
        """Let the round that is under way come to its end."""
        until = time.monotonic() + LAST_ROUND_SECONDS
        query = {"project": self.plan.project}
        async with Rest(self.instance.url, self.keys[RESEARCHER]) as rest:
            while time.monotonic() < until:
                runs = await rest.call("GET", "/api/runs/", params=query)
                if not any(run["state"] in ("queued", "running") for run in runs):
                    return
                await asyncio.sleep(3.0)

    def _rule(self, *, enabled: bool) -> dict[str, Any]:
        return {
            "project": self.plan.project,
            "enabled": enabled,
            "new_judgments": self.plan.judgments_a_round,
            "rounds_a_day": 500,
            "config": ROUND | {"seed": self.plan.seed},
        }

    async def _first_tasks(self, rest: Rest) -> None:
        """Pairs of answers of the first policy, so that the first round has enough to learn."""
        plan = loop.Plan(seed=self.plan.seed, project=self.plan.project, judged=FIRST_PAIRS)
        scratch = self.instance.folder / "scratch"
        models = self.instance.folder / "artefacts" / "models"
        made = loop.Loop(plan, self.instance.url, self.keys, models, WEIGHTS, scratch, self.say)
        await made.import_tasks(rest)

    def left(self) -> float:
        """Seconds to go."""
        return self.seconds - self.record.now()

    async def _keep(self, work: Callable, place: int) -> None:
        """People come back after an error, as people do; each is counted by its kind."""
        rng = random.Random(f"{self.plan.seed} {work.__name__} {place}")
        while self.left() > 0:
            try:
                await work(place, rng)
            except Exception as error:  # whatever breaks, the person tries again
                self.record.errors[f"{work.__name__[1:]}: {type(error).__name__}"] += 1
                await asyncio.sleep(2.0)

    async def _user(self, place: int, rng: random.Random) -> None:
        user = self.crowd[place]
        async with Rest(self.instance.url, self.keys[user.name]) as rest:
            while self.left() > 0:
                user = self.crowd[place]
                prompt = rng.choice(self.prompts)
                async with Chat(rest) as chat:
                    answer = await chat.ask(prompt)
                    response = user.respond(prompt, answer.text, rng)
                    gold = self.taste.of(prompt, answer.text)
                    loved = response.reaction == "love" and not response.retracts
                    known = (self.record.now(), answer.model or "", gold, loved)
                    self.record.answers.append(known)
                    if response.reaction is not None:
                        await chat.react(answer.id, response.reaction)
                        self.record.reactions[answer.id] += 1
                        if response.retracts:
                            await chat.react(answer.id, response.reaction, on=False)
                            self.record.reactions[answer.id] += 1
                await asyncio.sleep(rng.uniform(0.2, 1.0))

    async def _annotator(self, place: int, rng: random.Random) -> None:
        async with Rest(self.instance.url, self.keys[self.team[place].name]) as rest:
            while self.left() > 0:
                person = self.team[place]
                lease = await rest.claim(self.plan.project)
                if lease is None:
                    await asyncio.sleep(3.0)
                    continue
                shown = lease["task"]["candidates"]
                texts = [str(one["content"]) for one in shown]
                verdict = person.judge(lease["task"]["prompt"], texts, rng)
                body: dict[str, Any] = {"outcome": verdict.outcome, "seconds": 5.0}
                if verdict.preferred is not None:
                    body |= {"preferred": shown[verdict.preferred]["id"]}
                    body |= {"strength": verdict.strength}
                made = await rest.judge(lease["id"], body)
                self.record.judgments.append(str(made["id"]))
                await asyncio.sleep(rng.uniform(0.3, 1.5))

    @property
    def taste(self):
        """What people like now."""
        return TASTES[self.plan.tastes[self.drifted]]

    async def _steward(self) -> None:
        """Write down what the instance decides."""
        seen: set[str] = set()
        rounds: dict[str, str] = {}
        while self.left() > 0:
            try:
                async with Rest(self.instance.url, self.keys[RESEARCHER]) as rest:
                    query = {"project": self.plan.project}
                    for one in reversed(await rest.call("GET", "/api/decisions/", params=query)):
                        if str(one["id"]) in seen:
                            continue
                        seen.add(str(one["id"]))
                        counts = one["numbers"].get("counts", {})
                        words = f"{one['action']} {one['model']}: {one['reason']}"
                        measures = one["numbers"].get("measures", {})
                        self.record.note(
                            "decision", words, action=one["action"], model=one["model"],
                            counts=counts, measures=measures,
                        )  # fmt: skip
                        self.say(f"{self.record.now():7.1f} s  {words[:160]}")
                    for run in await rest.call("GET", "/api/runs/", params=query):
                        at = f"{run['task']} {run['state']}"
                        if rounds.get(run["id"]) != at:
                            rounds[run["id"]] = at
                            self.record.note("run", at, attempt=run["attempt"], error=run["error"])
            except Exception as error:  # an instance under faults answers again later
                self.record.errors[f"steward: {type(error).__name__}"] += 1
            await asyncio.sleep(5.0)

    async def _schedule(self) -> None:
        """The drift, the ruined policy and the faults, each at its time."""
        acts: list[tuple[float, Callable[[], None]]] = [
            (self.plan.drift_at, self._drift),
            (self.plan.ruined_at, self._ruin),
        ]
        acts += [(at, lambda what=what: self._kill(what)) for at, what in self.plan.faults]
        for at, act in sorted(acts, key=lambda item: item[0]):
            await asyncio.sleep(max(0.0, at * self.seconds - self.record.now()))
            try:
                await asyncio.to_thread(act)
            except Exception as error:
                self.record.note("fault", f"An act did not work: {error}"[:1000])
                self.say(f"{self.record.now():7.1f} s  an act did not work: {str(error)[-300:]}")

    def _drift(self) -> None:
        self.drifted = True
        self.team = people.annotators(self.plan.annotators, self.plan.seed, self.plan.tastes[1])
        self.crowd = people.users(self.plan.users, self.plan.seed, self.plan.tastes[1])
        self.record.note("drift", f"People like '{self.plan.tastes[1]}' answers from now on.")
        self.say(f"{self.record.now():7.1f} s  the taste drifts to {self.plan.tastes[1]}")

    def _ruin(self) -> None:
        self._operate(_RUINED, self.plan.project, f"ruined-{self.plan.seed}")
        self.record.note("ruined", "A ruined policy was put on a share of the conversations.")
        self.say(f"{self.record.now():7.1f} s  a ruined policy is tried")

    def _kill(self, what: str) -> None:
        """Kill a process of the instance at once, as a crash or the kernel would."""
        words = {
            "engine": "transformers.cli",
            "train": "-n train@",
            "worker": "-n default@",
            "valkey": "valkey-server",
        }[what]
        folder, sockets = str(self.instance.folder), str(self.instance.where.socket_dir)
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                # Its keeper, which starts it again, names the same command.
                kept = "config.launch" in line
                if words not in line or kept:
                    continue
                if sockets in line or process.environ().get("VAR_DIR") == folder:
                    process.send_signal(signal.SIGKILL)
                    self.record.note("fault", f"killed {what}", pid=process.pid)
                    self.say(f"{self.record.now():7.1f} s  killed {what} ({process.pid})")
                    return
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self.record.note("fault", f"{what} was not there to be killed")

    def _operate(self, program: str, *arguments: str) -> str:
        import sys

        return self.instance._run([sys.executable, "-c", program, *arguments])

    def _report(self) -> dict[str, Any]:
        record = self.record
        path = self.instance.folder / "soak-acknowledged.json"
        told = {"judgments": record.judgments, "reactions": dict(record.reactions)}
        path.write_text(json.dumps(told))
        checks = json.loads(self._operate(_COUNT, str(path)).splitlines()[-1])
        decisions = [one for one in record.events if one["kind"] == "decision"]
        actions: dict[str, int] = defaultdict(int)
        for one in decisions:
            actions[one["action"]] += 1
        return {
            "plan": {"minutes": self.plan.minutes, "seed": self.plan.seed},
            "seconds": record.now(),
            "answers": len(record.answers),
            "decisions": dict(actions),
            "faults": [one for one in record.events if one["kind"] == "fault"],
            "errors_people_saw": dict(record.errors),
            "checks": checks,
            "gold": _buckets(record.answers, self.seconds),
            "events": record.events,
        }


def _buckets(answers, seconds: float, count: int = 60) -> list[dict[str, Any]]:
    """Gold reward and love rate by model in equal spans of time."""
    width = seconds / count
    spans: dict[tuple[int, str], list[tuple[float, bool]]] = defaultdict(list)
    for at, model, gold, loved in answers:
        spans[int(at // width), model].append((gold, loved))
    return [
        {
            "t": round((place + 0.5) * width, 1),
            "model": model,
            "n": len(seen),
            "gold": round(fmean(gold for gold, _ in seen), 4),
            "love": round(fmean(loved for _, loved in seen), 4),
        }
        for (place, model), seen in sorted(spans.items())
    ]


def soak(plan: Plan, *, keep: Path | None = None, say: Callable[[str], None] = print) -> dict:
    """Start an instance, leave it to itself, and report."""
    with Instance(keep) as instance:
        say(f"An instance of its own serves at {instance.url}.")
        work = Soak(plan, instance, say)
        work.prepare()
        try:
            return asyncio.run(work.run())
        except DoorError as error:
            raise RuntimeError(str(error)) from error


def plot(report: dict[str, Any], path: Path) -> Path:
    """Gold reward and love rate by model over time, with decisions, drift and faults marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 1, figsize=(11, 7), sharex=True, layout="constrained")
    for name in dict.fromkeys(row["model"] for row in report["gold"]):
        rows = [row for row in report["gold"] if row["model"] == name]
        for axis, key in zip(axes, ("gold", "love"), strict=True):
            axis.plot(
                [row["t"] / 60 for row in rows], [row[key] for row in rows], "o-", ms=3, label=name
            )
    marks = {"fault": ("tab:red", ":"), "drift": ("black", "--"), "ruined": ("tab:orange", "--")}
    for one in report["events"]:
        style = marks.get(one["kind"])
        if one["kind"] == "decision" and one["action"] in ("promote", "rollback"):
            style = ("tab:green" if one["action"] == "promote" else "tab:purple", "-")
        if style:
            for axis in axes:
                axis.axvline(one["t"] / 60, color=style[0], ls=style[1], lw=1, alpha=0.7)
            words = one.get("action") or one["words"].split(":")[0]
            axes[0].annotate(
                words[:18], (one["t"] / 60, 1), xycoords=("data", "axes fraction"), rotation=90,
                fontsize=7, va="top",
            )  # fmt: skip
    axes[0].set_ylabel("gold reward of answers")
    axes[1].set_ylabel("share loved")
    axes[1].set_xlabel("minutes")
    axes[0].legend(fontsize=7, ncols=3, loc="lower left")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
