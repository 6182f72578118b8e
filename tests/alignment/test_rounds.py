"""The round: from judgments to a model in service, or to a sentence that says why not."""

import pytest

from alignment import selectors
from alignment.errors import NotNow
from alignment.models import Decision, Round, Run
from alignment.services import rounds
from annotation.models import Task
from config.errors import Conflict, Invalid
from inference.models import ModelVersion
from inference.selectors import live_policy
from inference.services import deployments

SMALL = {"sample_prompts": 12, "eval_prompts": 30, "ask": 4, "ask_random": 2}


def play(project, **config) -> Round:
    """A round from start to end in this process."""
    turn = rounds.start(project=project, config=SMALL | config, send=False)
    rounds.work(turn.pk)
    turn.refresh_from_db()
    return turn


def test_a_round_makes_a_policy_that_serves_and_tells_where_it_came_from(judged, quick_trainer):
    turn = play(judged)
    assert turn.state == Round.State.RELEASED, turn.error
    assert [noted["state"] for noted in turn.steps.values()] == ["done"] * 8
    live = live_policy(project="taste")
    assert live.name == "taste-r1"
    assert live.parent.name == "first"
    origin = selectors.lineage(live)
    assert origin["snapshot_hash"] == turn.snapshot.digest
    assert (origin["judgments"], origin["people"]) == (150, 3)
    decision = Decision.objects.get()
    assert (decision.action, decision.model) == ("release", live)
    assert {line["name"] for line in decision.numbers["criteria"]} >= {"win_rate", "kl"}


def test_people_are_asked_about_the_new_policy_where_the_ensemble_disagrees(judged, quick_trainer):
    before = set(Task.objects.values_list("pk", flat=True))
    turn = play(judged)
    asked = Task.objects.exclude(pk__in=before).order_by("-priority")
    assert [task.metadata["arm"] for task in asked].count("disagreement") == 4
    assert [task.metadata["arm"] for task in asked].count("random") == 2
    assert asked[0].priority == 1.0
    authors = {c.model_version.name for task in asked for c in task.candidates.all()}
    assert authors == {"taste-r1"}
    assert all(task.taken == 0 and task.metadata["round"] == turn.number for task in asked)


def test_the_next_round_starts_from_the_policy_that_serves(judged, quick_trainer):
    play(judged)
    second = play(judged)
    assert second.number == 2
    assert second.base.name == "taste-r1"
    assert live_policy(project="taste").parent.name == "taste-r1"


def test_training_never_sees_a_held_out_prompt(judged, quick_trainer, settings):
    from alignment.services import parquet

    turn = play(judged)
    runs = {run.task: run for run in turn.runs.all()}

    def hashes(task: str, name: str) -> set[str]:
        path = settings.RUNS_DIR / str(runs[task].pk) / "data" / name
        return {row["prompt_hash"] for row in parquet.read(path)}

    held_out = hashes("evaluate", "prompts.parquet")
    assert held_out
    assert not held_out & hashes("sample", "prompts.parquet")
    assert not held_out & hashes("ask", "prompts.parquet")
    path = settings.RUNS_DIR / str(runs["policy"].pk) / "data" / "pairs.parquet"
    trained = {r["prompt_hash"] for r in parquet.read(path) if r["split"] == "train"}
    assert trained
    assert not held_out & trained


def test_a_policy_that_is_not_better_is_refused_and_the_live_one_stays(judged, quick_trainer):
    quick_trainer(evaluate="worse")
    turn = play(judged)
    assert turn.state == Round.State.REFUSED
    assert live_policy(project="taste").name == "first"
    decision = Decision.objects.get()
    assert (decision.action, decision.model.name) == ("refuse", "taste-r1")
    assert "win rate" in decision.reason
    assert turn.steps["deploy"]["state"] == "skipped"
    # People are asked about the policy that goes on serving.
    fresh = Task.objects.filter(source="round").first()
    assert {c.model_version.name for c in fresh.candidates.all()} == {"first"}


def test_a_reward_model_that_guesses_is_not_optimised_against_and_people_are_asked(
    judged, quick_trainer
):
    quick_trainer(reward="guesses")
    turn = play(judged)
    assert turn.state == Round.State.REFUSED
    assert set(turn.runs.values_list("task", flat=True)) == {"reward", "ask"}
    decision = Decision.objects.get()
    assert (decision.action, decision.model.name) == ("refuse", "taste-r1-reward")
    assert "accuracy" in decision.reason
    assert Task.objects.filter(source="round").count() == 6


def test_asking_that_fails_does_not_undo_a_release(judged, quick_trainer, monkeypatch):
    from alignment.services import asking

    def no_room(**anything):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(asking, "ask", no_room)
    turn = play(judged)
    assert turn.state == Round.State.RELEASED
    assert turn.steps["ask"]["state"] == "failed"
    assert "disk is full" in turn.steps["ask"]["sentence"]
    assert live_policy(project="taste").name == "taste-r1"


def test_too_few_judgments_end_the_round_with_what_is_missing(project, quick_trainer):
    turn = play(project)
    assert turn.state == Round.State.FAILED
    assert "0 judged pairs" in turn.error
    assert "Judge 20 more pairs" in turn.error
    assert not Run.objects.exists()


def test_a_project_without_a_policy_says_so(judged, quick_trainer):
    deployments.undeploy(project="taste", arm="live")
    turn = play(judged)
    assert turn.state == Round.State.FAILED
    assert "deploy one first" in turn.error


def test_a_crashed_trainer_fails_the_round_with_its_reason_and_its_log(judged, quick_trainer):
    quick_trainer(policy="crash")
    turn = play(judged)
    assert turn.state == Round.State.FAILED
    assert turn.error == "the loss is not a number at step 3"
    run = turn.runs.get(task="policy")
    assert (run.state, run.model) == ("failed", None)
    assert "working on policy" in run.log
    assert live_policy(project="taste").name == "first"


def test_a_failed_round_can_be_taken_up_again_where_it_failed(judged, quick_trainer):
    quick_trainer(policy="crash")
    turn = play(judged)
    done = dict(turn.runs.filter(state="done").values_list("task", "finished_at"))
    quick_trainer()
    rounds.retry(turn=turn)
    rounds.work(turn.pk)
    turn.refresh_from_db()
    assert turn.state == Round.State.RELEASED
    assert dict(turn.runs.filter(task__in=done).values_list("task", "finished_at")) == done


def test_a_trainer_that_is_killed_is_started_again_and_the_round_goes_on(judged, quick_trainer):
    quick_trainer(policy="die once")
    turn = play(judged)
    assert turn.state == Round.State.RELEASED
    assert turn.runs.get(task="policy").attempt == 2


def test_an_artefact_that_is_missing_is_not_released(judged, quick_trainer):
    quick_trainer(policy="no artefact")
    turn = play(judged)
    assert turn.state == Round.State.FAILED
    assert "left no artefact" in turn.error
    assert live_policy(project="taste").name == "first"


def test_an_altered_artefact_is_not_released(judged, quick_trainer, monkeypatch):
    from alignment.services import steps

    real = steps.gate

    def gate_then_damage(turn):
        outcome = real(turn)
        model = ModelVersion.objects.get(name="taste-r1")
        with open(f"{model.location}/model.safetensors", "ab") as file:
            file.write(b"damage")
        return outcome

    monkeypatch.setitem(steps.DO, "gate", gate_then_damage)
    turn = play(judged)
    assert turn.state == Round.State.FAILED
    assert "altered" in turn.error
    assert live_policy(project="taste").name == "first"


def test_only_one_round_at_a_time_in_a_project(judged):
    first = rounds.start(project=judged, send=False)
    with pytest.raises(NotNow, match="one round at a time"):
        rounds.start(project=judged, send=False)
    rounds.cancel(turn=first)
    assert rounds.start(project=judged, send=False).number == 2


def test_a_cancelled_round_stops_and_changes_nothing(judged, quick_trainer):
    turn = rounds.start(project=judged, send=False)
    rounds.cancel(turn=turn)
    rounds.work(turn.pk)
    turn.refresh_from_db()
    assert turn.state == Round.State.CANCELLED
    assert not Run.objects.exists()
    with pytest.raises(Conflict):
        rounds.cancel(turn=turn)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"sample_promts": 3}, "config.sample_promts"),
        ({"sample_prompts": 0}, "config.sample_prompts"),
        ({"gate": {"beauty": 1}}, "config.gate"),
        ({"policy": {"lr": -1}}, "policy.lr"),
        ({"recipe": "reward-bt"}, "config.recipe"),
        ({"recipe": "no-such"}, "recipe"),
        ({"release": "everyone"}, "config.release"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_starts(project, config, field):
    with pytest.raises(Invalid) as refused:
        rounds.start(project=project, config=config, send=False)
    assert field in refused.value.fields
    assert not Round.objects.exists()


def test_a_canary_gets_its_share_and_the_live_policy_the_rest(judged, quick_trainer):
    turn = play(judged, release="canary", canary_weight=150)
    assert turn.state == Round.State.RELEASED
    arms = {d.arm: (d.model_version.name, d.weight) for d in serving("taste")}
    assert arms == {"live": ("first", 850), "canary": ("taste-r1", 150)}


def serving(project: str):
    from inference.selectors import serving as of

    return of(project=project)


def test_doing_a_finished_step_again_changes_nothing(judged, quick_trainer):
    from alignment.services import steps

    turn = play(judged)
    tasks, decisions = Task.objects.count(), Decision.objects.count()
    models = ModelVersion.objects.count()
    for step in Round.Step.values:
        steps.DO[step](Round.objects.get(pk=turn.pk))
    assert (Task.objects.count(), Decision.objects.count()) == (tasks, decisions)
    assert ModelVersion.objects.count() == models
