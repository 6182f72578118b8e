"""REST, pages, socket and commands of the research side: success beside refusal."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from channels.testing import WebsocketCommunicator
from django.core.management import CommandError, call_command

from alignment.consumers import ConsoleConsumer
from alignment.models import Decision, Round, Snapshot
from alignment.services import rounds, runs, snapshots
from inference.models import ModelVersion
from inference.selectors import live_policy
from tests.alignment.test_rounds import SMALL, play

PAGES = ["", "models/", "runs/", "data/"]


# REST ---------------------------------------------------------------------------------------


def test_a_researcher_takes_a_snapshot_and_queues_a_run_on_it(judged, remy, api, sent):
    client = api(remy, "research")
    taken = client.post("/api/snapshots/", {"project": "taste"}, format="json")
    assert taken.status_code == 201, taken.json()
    assert taken.json()["counts"]["preference"]["pairs"] == 150
    body = {"recipe": "reward-bt", "snapshot": taken.json()["hash"], "params": {"members": 2}}
    queued = client.post("/api/runs/", body, format="json")
    assert queued.status_code == 201, queued.json()
    assert queued.json()["config"]["params"]["members"] == 2
    seen = client.get(f"/api/runs/{queued.json()['id']}/").json()
    assert (seen["state"], seen["recipe"]) == ("queued", "reward-bt")


def test_a_round_is_started_read_and_cancelled_over_rest(judged, remy, api, sent):
    client = api(remy, "research")
    begun = client.post("/api/rounds/", {"project": "taste", "config": SMALL}, format="json")
    assert begun.status_code == 201, begun.json()
    again = client.post("/api/rounds/", {"project": "taste"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    address = f"/api/rounds/{begun.json()['id']}/"
    assert client.get(address).json()["state"] == "queued"
    assert client.post(f"{address}cancel/").json()["state"] == "cancelled"
    assert client.post(f"{address}retry/").json()["state"] == "queued"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/snapshots/", {}, "project"),
        ("/api/snapshots/", {"project": "taste", "query": {"wish": 1}}, "wish"),
        ("/api/runs/", {"recipe": "no-such", "snapshot": "x"}, "snapshot"),
        ("/api/rounds/", {"project": "taste", "config": {"seed": -1}}, "config.seed"),
        ("/api/rounds/", {"project": "taste", "config": {"sample": 3}}, "config.sample"),
        ("/api/rounds/", {"project": "taste", "config": []}, "config"),
    ],
)
def test_a_bad_body_is_answered_with_the_field_that_is_wrong(judged, remy, api, path, body, field):
    answer = api(remy, "research").post(path, body, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]


def test_what_does_not_exist_is_not_found(judged, remy, api):
    client = api(remy, "research")
    assert client.post("/api/rounds/", {"project": "nowhere"}, format="json").status_code == 404
    assert client.get(f"/api/runs/{uuid4()}/").status_code == 404
    assert client.get("/api/models/").status_code == 404


@pytest.mark.parametrize(
    "path", ["/api/snapshots/", "/api/runs/", "/api/rounds/", f"/api/models/{uuid4()}/promote/"]
)
def test_annotators_strangers_and_narrow_keys_are_refused(judged, alice, remy, api, path):
    body = {"project": "taste"}
    assert api().post(path, body, format="json").status_code == 401
    assert api(alice).post(path, body, format="json").status_code == 403
    assert api(remy, "annotate").post(path, body, format="json").status_code == 403
    assert not Snapshot.objects.exists()
    assert not Round.objects.exists()


def test_a_person_promotes_over_the_gate_and_takes_it_back(judged, remy, api, quick_trainer):
    quick_trainer(evaluate="worse")
    play(judged)
    refused = ModelVersion.objects.get(name="taste-r1")
    client = api(remy, "research")
    address = f"/api/models/{refused.pk}"
    body = {"project": "taste", "reason": "read forty answers; they are better"}
    assert (
        client.post(f"{address}/promote/", {"project": "taste"}, format="json").status_code == 400
    )
    promoted = client.post(f"{address}/promote/", body, format="json")
    assert promoted.json()["model"] == "taste-r1"
    assert Decision.objects.filter(action="overrule", by=remy, model=refused).exists()
    back = client.post(f"{address}/rollback/", body | {"reason": "too curt"}, format="json")
    assert back.json()["model"] == "first"
    assert live_policy(project="taste").name == "first"
    twice = client.post(f"{address}/rollback/", body, format="json")
    assert twice.status_code == 409


def test_the_models_list_tells_each_models_lineage(judged, remy, api, quick_trainer):
    turn = play(judged)
    found = {m["name"]: m for m in api(remy).get("/api/models/?project=taste").json()}
    assert set(found) == {"first", "taste-r1", "taste-r1-reward"}
    assert found["taste-r1"]["serving"] == ["live"]
    lineage = found["taste-r1"]["lineage"]
    assert (lineage["parent"], lineage["judgments"], lineage["people"]) == ("first", 150, 3)
    assert lineage["snapshot_hash"] == turn.snapshot.digest


# Pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_something_before_the_first_round(project, remy, signed_in, page):
    answer = signed_in(remy).get(f"/console/taste/{page}")
    assert answer.status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_the_console_is_for_researchers(project, alice, mallory, client, signed_in, page):
    address = f"/console/taste/{page}"
    assert client.get(address).status_code == 302
    assert signed_in(alice).get(address).status_code == 403
    assert signed_in(mallory).get(address).status_code == 403


def test_the_pages_of_a_finished_round_show_its_verdict_and_where_it_comes_from(
    judged, remy, signed_in, quick_trainer
):
    turn = play(judged)
    browser = signed_in(remy)
    page = browser.get("/console/taste/rounds/1/").content.decode()
    assert "passed every criterion" in page
    assert "The lower bound of the win rate is 0.6, which is at least 0.5." in page
    assert turn.snapshot.digest[:12] in page
    models = browser.get("/console/taste/models/").content.decode()
    assert "taste-r1" in models
    assert "150" in models
    run = turn.runs.get(task="policy")
    assert "<svg" in browser.get(f"/console/taste/runs/{run.pk}/").content.decode()
    taken = browser.get(f"/console/taste/data/{turn.snapshot.pk}/").content.decode()
    assert turn.snapshot.digest in taken
    assert "taste-r1-reward" in taken


def test_a_failed_round_shows_its_reason_and_a_way_on(judged, remy, signed_in, quick_trainer):
    quick_trainer(policy="crash")
    turn = play(judged)
    browser = signed_in(remy)
    page = browser.get("/console/taste/rounds/1/").content.decode()
    assert "the loss is not a number at step 3" in page
    assert "Try again" in page
    run = turn.runs.get(task="policy")
    assert "working on policy" in browser.get(f"/console/taste/runs/{run.pk}/").content.decode()


def test_the_button_runs_a_round_without_scripts(judged, remy, signed_in, sent):
    browser = signed_in(remy)
    assert 'id="run-round"' in browser.get("/console/taste/").content.decode()
    begun = browser.post("/console/taste/rounds/", follow=True)
    assert begun.redirect_chain[-1][0] == "/console/taste/rounds/1/"
    assert Round.objects.get().requested_by == remy
    again = browser.post("/console/taste/rounds/", follow=True).content.decode()
    assert "one round at a time" in again
    browser.post("/console/taste/rounds/1/cancel/")
    assert Round.objects.get().state == "cancelled"


def test_a_promotion_from_the_page_asks_for_a_reason(judged, remy, signed_in, quick_trainer):
    quick_trainer(evaluate="worse")
    play(judged)
    browser = signed_in(remy)
    refused = browser.post("/console/taste/models/taste-r1/promote/", follow=True)
    assert "Say why" in refused.content.decode()
    assert live_policy(project="taste").name == "first"
    browser.post("/console/taste/models/taste-r1/promote/", {"reason": "it is better"})
    assert live_policy(project="taste").name == "taste-r1"
    browser.post("/console/taste/models/taste-r1/rollback/", {"reason": "it is not"})
    assert live_policy(project="taste").name == "first"


def test_hostile_text_from_a_run_stays_text(judged, remy, signed_in, quick_trainer):
    turn = play(judged)
    run = turn.runs.get(task="policy")
    run.log = run.error = "<script>alert(1)</script>"
    run.save()
    page = signed_in(remy).get(f"/console/taste/runs/{run.pk}/").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


# Socket -------------------------------------------------------------------------------------


def console(user, project: str = "taste") -> WebsocketCommunicator:
    socket = WebsocketCommunicator(ConsoleConsumer.as_asgi(), f"/ws/console/?project={project}")
    socket.scope["user"] = user
    return socket


@pytest.mark.django_db(transaction=True)
async def test_the_socket_tells_how_things_stand_and_then_what_changes(judged, remy):
    from asgiref.sync import sync_to_async

    socket = console(remy)
    await socket.connect(10)
    first = await socket.receive_json_from(10)
    assert first["type"] == "snapshot"
    assert first["counts"]["judgments"] == 150
    assert first["round"] is None
    turn = await sync_to_async(rounds.start)(project=judged, send=False)
    seen = {}
    while seen.get("type") != "round":
        seen = await socket.receive_json_from(10)
    assert (seen["round"]["number"], seen["round"]["state"]) == (turn.number, "queued")
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("who", "project", "code"), [("alice", "taste", 4403), ("remy", "x", 4404)]
)
async def test_the_socket_refuses_people_and_projects_it_should(
    request, project, alice, remy, who, code
):
    name = "taste" if code == 4403 else "nowhere"
    socket = console({"alice": alice, "remy": remy}[who], name)
    await socket.connect(10)
    closed = await socket.receive_output(10)
    assert (closed["type"], closed["code"]) == ("websocket.close", code)


# Commands -----------------------------------------------------------------------------------


def command(*argv: str) -> str:
    out = StringIO()
    call_command(*argv, stdout=out)
    return out.getvalue()


def last_object(text: str) -> dict:
    return json.loads(text.strip().splitlines()[-1])


def test_the_snapshot_command_prints_id_and_hash(judged):
    printed = command("snapshot", "--project", "taste").split()
    taken = Snapshot.objects.get()
    assert printed == [str(taken.pk), taken.digest]


def test_the_round_command_ends_with_one_object(judged, quick_trainer):
    config = json.dumps(SMALL)
    result = last_object(
        command("run_round", "--project", "taste", "--here", "--config", config, "--json")
    )
    assert (result["verdict"], result["model"]) == ("released", "taste-r1")
    assert result["metrics"]["win_rate"] == 0.7
    assert result["metrics"]["rm_accuracy"] == 0.81


def test_the_round_command_fails_when_the_round_does(project, quick_trainer):
    with pytest.raises(CommandError, match="judged pairs"):
        command("run_round", "--project", "taste", "--here")


def test_the_train_command_makes_a_model_from_a_snapshot(judged, quick_trainer):
    taken = snapshots.take(project=judged)
    result = last_object(
        command("train", "reward-bt", "--snapshot", str(taken.pk), "--here", "--json")
    )
    assert result["verdict"] == "done"
    assert ModelVersion.objects.filter(name=result["model"], kind="reward").exists()


def test_the_train_command_takes_a_recipe_file_and_names_what_is_wrong(judged, tmp_path):
    taken = snapshots.take(project=judged)
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nstages:\n  reward: {membres: 3}\n")
    with pytest.raises(CommandError, match="membres"):
        command("train", str(path), "--snapshot", taken.digest, "--here")


def test_the_evaluate_command_scores_only_prompts_that_were_held_out(
    judged, quick_trainer, tmp_path
):
    taken = snapshots.take(project=judged)
    run = runs.create(snapshot=taken, recipe="reward-bt", send=False)
    runs.execute(str(run.pk))
    run.refresh_from_db()
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Is it {n}?", "chosen": "yes", "rejected": "no"} for n in range(100)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    argv = ("evaluate", run.model.name, "--data", str(path), "--format", "trl", "--json")
    held = last_object(command(*argv))
    assert held["held_out_only"] is True
    assert 5 <= held["n"] <= 40
    assert held["left_out"]["prompt not held out"] == 100 - held["n"]
    assert set(held["baselines"]) == {"chance", "longer", "embedding_logreg"}
    assert last_object(command(*argv, "--all"))["n"] == 100


@pytest.mark.parametrize(
    ("model", "form", "says"),
    [
        ("no-such", "trl", "no model"),
        ("first", "trl", "is a policy"),
        ("first", "smoke-signals", "no import format"),
    ],
)
def test_the_evaluate_command_says_what_it_cannot_do(judged, tmp_path, model, form, says):
    path = tmp_path / "pairs.jsonl"
    path.write_text("{}\n")
    with pytest.raises(CommandError, match=says):
        command("evaluate", model, "--data", str(path), "--format", form)
