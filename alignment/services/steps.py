"""The steps of a round. Each finds out for itself what is done already, and does the rest.

A step returns `Done` with one sentence for the console, or `Waiting` for a run.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from alignment.errors import RunFailed, TooLittleData
from alignment.models import Decision, Round, Run
from alignment.selectors import unseen_accuracy
from alignment.services import asking, assembly, gating, plan, releases, snapshots
from alignment.stats.gate import Gate, decide
from inference import selectors as inference
from inference.models import ModelVersion
from inference.services import registry

#: The criteria of the gate that a refitted reward model is put to before it is used.
REWARD_RULES = ("rm_accuracy", "rm_accuracy_low", "rm_drop")
#: A group of fewer prompts says too little to refuse a policy by.
GROUP_LEAST = 20


@dataclass(frozen=True)
class Done:
    """The step is finished; the round goes on with the next step, or with `then`."""

    sentence: str
    state: str = "done"
    then: str = ""


@dataclass(frozen=True)
class Waiting:
    """The step waits for a run."""

    run: Run


def snapshot(turn: Round) -> Done:
    """Draw what people said so far, and see that it is enough."""
    if turn.snapshot is None:
        turn.snapshot = snapshots.take(project=turn.project, by=turn.requested_by)
        turn.base = turn.base or _base(turn)
        turn.save(update_fields=["snapshot", "base"])
    counts = turn.snapshot.counts
    judged = counts.get("preference", {})
    pairs, least = judged.get("pairs", 0), turn.config["min_pairs"]
    if pairs < least:
        raise TooLittleData(
            f"There are {pairs} judged pairs in '{turn.project.slug}', and a round begins with "
            f"{least}. Judge {least - pairs} more pairs and start again."
        )
    reactions = counts.get("reaction", {}).get("records", 0)
    return Done(
        f"{judged['records']} judgments on {pairs} pairs and {reactions} reactions "
        f"by {turn.snapshot.people} people."
    )


def reward(turn: Round) -> Done | Waiting:
    """Refit the reward model; one that is not fit for use is not optimised against.

    People are then asked for more judgments, which is what such a reward model needs.
    """
    run = _run(turn, "reward", recipe=turn.config["recipe"], params=turn.config["reward"])
    if run.state != Run.State.DONE:
        return _wait(run)
    numbers = _reward_numbers(turn, run)
    rules = asdict(Gate()) | turn.config["gate"]
    asked = {name: rules[name] for name in REWARD_RULES}
    nothing = dict.fromkeys(rules)
    verdict = decide(numbers, Gate.from_mapping(nothing | asked))
    if not verdict.passed:
        _refuse(turn, run.model, verdict.as_dict(), numbers)
        said = " ".join(verdict.failures)
        return Done(f"Not good enough to optimise against. {said}", "refused", Round.Step.ASK)
    return Done(f"Accuracy on unseen prompts {_with_interval(unseen_accuracy(run), 'accuracy')}.")


def sample(turn: Round) -> Done | Waiting:
    """Answers of the live policy to training prompts, ranked by the reward model."""
    run = _run(turn, "sample", params=turn.config["sample"])
    if run.state != Run.State.DONE:
        return _wait(run)
    found = run.metrics
    return Done(
        f"{found.get('n_samples', 0)} answers to {found.get('n_prompts', 0)} prompts; "
        f"{found.get('n_pairs', 0)} pairs of best and worst."
    )


def policy(turn: Round) -> Done | Waiting:
    """Optimise the policy on judged and sampled pairs."""
    run = _run(turn, "policy", recipe=turn.config["recipe"], params=turn.config["policy"])
    if run.state != Run.State.DONE:
        return _wait(run)
    return Done(
        f"{run.metrics.get('steps', 0)} steps on {run.metrics.get('n_train', 0)} pairs; "
        f"KL to the start {run.metrics.get('kl') or 0:.2f} nats an answer."
    )


def evaluate(turn: Round) -> Done | Waiting:
    """Compare the new policy with the live one on held-out prompts."""
    run = _run(turn, "evaluate", params=turn.config["evaluate"])
    if run.state != Run.State.DONE:
        return _wait(run)
    return Done(
        f"Win rate against {turn.base} {_with_interval(run.metrics, 'win_rate')} "
        f"on {run.metrics.get('n_prompts', 0)} held-out prompts."
    )


def gate(turn: Round) -> Done:
    """Put the numbers to the rule."""
    if not turn.gate.get("criteria"):
        compared = turn.runs.get(task="evaluate").metrics
        groups = compared.get("by_group") or {}
        told = {name: group for name, group in groups.items() if group["n"] >= GROUP_LEAST}
        numbers = compared | {"by_group": told}
        numbers |= _reward_numbers(turn, turn.runs.get(task="reward"))
        numbers |= {"proxy_correlation": gating.fresh_judgments(turn)}
        verdict = decide(numbers, Gate.from_mapping(turn.config["gate"])).as_dict()
        if verdict["passed"]:
            turn.gate = verdict
            turn.save(update_fields=["gate"])
        else:
            _refuse(turn, assembly.made_by(turn, "policy"), verdict, numbers)
    if turn.gate["passed"]:
        return Done(turn.gate.get("words", "Every criterion holds."))
    failed = [line["sentence"] for line in turn.gate["criteria"] if not line["passed"]]
    return Done(turn.gate.get("words", f"Refused. {' '.join(failed)}"), "refused")


def deploy(turn: Round) -> Done:
    """Let the new policy serve, if the gate let it through."""
    if not turn.gate["passed"]:
        return Done(f"{turn.base} goes on serving.", "skipped")
    model = assembly.made_by(turn, "policy")
    _same_as_registered(model)
    sentence = releases.release(turn=turn, model=model)
    return Done(sentence)


def ask(turn: Round) -> Done | Waiting:
    """Make annotation tasks of fresh answers, so that people judge the policy that serves."""
    if not turn.config["ask"] + turn.config["ask_random"]:
        return Done("Nobody is asked, as the settings say.", "skipped")
    if "pairwise" not in turn.project.kinds:
        return Done("Nobody is asked: this project has no pairwise tasks.", "skipped")
    serving = assembly.made_by(turn, "policy") if turn.gate["passed"] else turn.base
    run = _run(turn, "ask", params=plan.asking(turn.config), base=serving)
    if run.state != Run.State.DONE:
        return _wait(run)
    asked = asking.ask(turn=turn, run=run)
    return Done(f"{asked} new pairs wait for judgment.")


DO: dict[str, Callable[[Round], Done | Waiting]] = {
    Round.Step.SNAPSHOT: snapshot,
    Round.Step.REWARD: reward,
    Round.Step.SAMPLE: sample,
    Round.Step.POLICY: policy,
    Round.Step.EVALUATE: evaluate,
    Round.Step.GATE: gate,
    Round.Step.DEPLOY: deploy,
    Round.Step.ASK: ask,
}


def _run(
    turn: Round,
    task: str,
    *,
    params: dict[str, Any],
    recipe: str = "",
    base: ModelVersion | None = None,
) -> Run:
    """The round's run of this task, made at the first asking."""
    learns = task in ("reward", "policy")
    run, _ = Run.objects.get_or_create(
        round=turn,
        task=task,
        defaults={
            "project": turn.project,
            "recipe": recipe,
            "config": {"seed": turn.config["seed"], "params": params},
            "snapshot": turn.snapshot if learns else None,
            "base": base or (None if task == "reward" else turn.base),
            "requested_by": turn.requested_by,
        },
    )
    return run


def _wait(run: Run) -> Waiting:
    if run.state == Run.State.FAILED:
        raise RunFailed(run.error or "The run failed without a reason.")
    if run.state == Run.State.CANCELLED:
        raise RunFailed("The run was cancelled.")
    return Waiting(run)


def _base(turn: Round) -> ModelVersion:
    """The policy that the round improves and must beat."""
    if turn.config["start_from"] == "first":
        return registry.ensure_starter()
    live = inference.live_policy(project=turn.project.slug)
    if live is None:
        raise RunFailed(f"No policy serves '{turn.project.slug}'; deploy one first.")
    return live


def _reward_numbers(turn: Round, run: Run) -> dict[str, Any]:
    before = (
        Run.objects.filter(
            project=turn.project,
            task="reward",
            state=Run.State.DONE,
            round__state=Round.State.RELEASED,
            round__number__lt=turn.number,
        )
        .order_by("-round__number")
        .first()
    )
    found = unseen_accuracy(run)
    return {
        "rm_accuracy": found.get("accuracy"),
        "rm_accuracy_ci": found.get("accuracy_ci"),
        # A run from before this was measured held out few pairs: not to be compared with.
        "rm_accuracy_last": (before.metrics.get("unseen") or {}).get("accuracy")
        if before
        else None,
    }


def _refuse(
    turn: Round, model: ModelVersion, verdict: dict[str, Any], numbers: dict[str, Any]
) -> None:
    failed = [line["sentence"] for line in verdict["criteria"] if not line["passed"]]
    with transaction.atomic():
        turn.gate = verdict
        turn.save(update_fields=["gate"])
        Decision.objects.get_or_create(
            round=turn,
            action=Decision.Action.REFUSE,
            defaults={
                "project": turn.project,
                "model": model,
                "reason": " ".join(failed),
                "numbers": {"criteria": verdict["criteria"], "measured": numbers},
            },
        )


def _same_as_registered(model: ModelVersion) -> None:
    """Raise RunFailed when the files of a model are not what was put on record."""
    folder = assembly.model_folder(model)
    if registry.artefact_digest(Path(folder)) != model.digest:
        raise RunFailed(f"The files of '{model}' were altered since they were made; not released.")


def _with_interval(metrics: dict[str, Any], name: str) -> str:
    value, interval = metrics.get(name), metrics.get(f"{name}_ci")
    if value is None:
        return "not measured"
    if not interval or None in interval:
        return f"{value:.3f}"
    return f"{value:.3f} (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"
