"""The console: compose, estimate, compare, lineage, cards, files; few queries whatever there is."""

import re

import pytest
from django.test.utils import CaptureQueriesContext

from alignment import lineage
from alignment.models import Experiment, Run
from alignment.services import releases, snapshots
from inference.models import ModelVersion
from tests.alignment.test_rounds import play


def form_of(page: str) -> dict[str, str]:
    """The fields of the compose form as a browser would send them."""
    body = page.split('id="compose"')[1]
    found = dict(re.findall(r'<input class="input"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', body))
    for name, options in re.findall(r'<select class="input" name="([^"]+)">(.*?)</select>', body):
        picked = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        first = re.search(r'<option(?: value="([^"]*)")?>([^<]*)', options)
        value, words = (picked or first).groups()
        found[name] = words if value is None else value
    return found


@pytest.fixture
def desk(judged, remy, signed_in):
    return signed_in(remy)


def test_a_run_is_composed_estimated_and_started(desk, judged, remy, sent):
    taken = snapshots.take(project=judged, by=remy)
    page = desk.get("/console/taste/compose/?recipe=dpo").content.decode()
    given = form_of(page) | {"recipe": "dpo", "snapshot": str(taken.pk)}
    assert given["objective"] == "dpo"
    assert given["objective_params.beta"] == "0.1"
    guess = desk.post("/console/taste/compose/", given | {"action": "estimate"})
    assert guess.status_code == 200
    assert "first guess" in guess.content.decode()
    assert "on 150 pairs" in guess.content.decode()
    assert not Run.objects.exists()
    begun = desk.post(
        "/console/taste/compose/", given | {"action": "start", "lr": "0.0005", "seed": "7"}
    )
    assert begun.status_code == 302
    run = Run.objects.get()
    assert (run.recipe, run.config["seed"], run.config["params"]["lr"]) == ("dpo", 7, 0.0005)


def test_another_objective_brings_its_own_settings(desk, judged):
    given = {"recipe": "dpo", "objective": "ipo", "action": "objective"}
    page = desk.post("/console/taste/compose/", given).content.decode()
    assert "<option selected>ipo</option>" in page
    assert "objective_params.tau" in page or "objective_params.beta" in page


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"lr": "-1"}, "policy.lr"), ({"batch": "many"}, "must be a whole number"),
     ({"objective_params.beta": "-3"}, "objective_params.beta"),
     ({"objective": "wish"}, "objective"), ({"seed": "9" * 5000}, "seed")],
)  # fmt: skip
def test_a_field_that_cannot_be_used_is_named_and_nothing_starts(desk, judged, remy, wrong, words):
    taken = snapshots.take(project=judged, by=remy)
    page = desk.get("/console/taste/compose/").content.decode()
    given = form_of(page) | {"recipe": "dpo", "snapshot": str(taken.pk), "action": "start"}
    answer = desk.post("/console/taste/compose/", given | wrong)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Run.objects.exists()


def test_a_models_page_tells_its_lineage_its_card_and_gives_its_files(desk, judged, quick_trainer):
    turn = play(judged)
    page = desk.get("/console/taste/models/taste-r1/").content.decode()
    for words in ("taste-r1-reward", "round 1", turn.snapshot.digest[:8], "150 judgments"):
        assert words in page
    made = lineage.as_json(judged, ModelVersion.objects.get(name="taste-r1"))
    kinds = {node["kind"] for node in made["nodes"]}
    assert {"person", "snapshot", "run", "current", "model", "served"} <= kinds
    people = [node for node in made["nodes"] if node["kind"] == "person"]
    assert len(people) == 3
    forward = lineage.as_json(judged, ModelVersion.objects.get(name="first"))
    assert "taste-r1" in {node["name"] for node in forward["nodes"]}
    card = desk.get("/console/taste/models/taste-r1/card.md").content.decode()
    assert "Win rate against its parent, held out | 0.700 | 0.600 to 0.800" in card
    born = desk.get("/console/taste/models/taste-r1/files/README.md")
    assert b"# taste-r1" in b"".join(born.streaming_content)
    for path in ("../../secret", "nothing.bin", "../taste-r1-reward/README.md"):
        assert desk.get(f"/console/taste/models/taste-r1/files/{path}").status_code == 404
    assert desk.get("/console/taste/models/no-such/").status_code == 404


def test_runs_and_models_stand_side_by_side(desk, judged, quick_trainer):
    turn = play(judged)
    runs = {run.task: run for run in turn.runs.all()}
    address = f"/console/taste/runs/compare/?run={runs['policy'].pk}&run={runs['reward'].pk}"
    page = desk.get(f"{address}&run=nonsense").content.decode()
    assert page.count('class="plot-cell"') >= 4
    assert "data-any-run" in page
    assert "<html" not in desk.get(f"{address}&part=live").content.decode()
    page = desk.get("/console/taste/compare-models/?model=first&model=taste-r1").content.decode()
    assert "0.700" in page  # the row's model against the column's
    assert "0.300" in page
    assert "not evaluated on the same prompts" in page


def test_a_canary_is_begun_followed_and_retired_in_the_console(desk, judged, quick_trainer):
    quick_trainer(evaluate="worse")
    play(judged)
    address = "/console/taste/models/taste-r1"
    refused = desk.post(f"{address}/canary/", {"reason": "", "percent": "10"}, follow=True)
    assert "Say why" in refused.content.decode()
    assert desk.post(f"{address}/canary/", {"reason": "x", "percent": "90"}).status_code == 302
    assert not Experiment.objects.exists()
    begun = desk.post(f"{address}/canary/", {"reason": "look closer", "percent": "10"}, follow=True)
    assert "beside first" in begun.content.decode()
    made = Experiment.objects.get()
    assert (made.candidate.weight, made.share) == (100, 0.1)
    assert judged.decisions.filter(action="overrule").exists()  # the gate had refused it
    assert desk.get("/console/taste/experiments/").status_code == 200
    made.path = [
        {"n": n, "loved": [0.1, 0.1 - 1 / n, 0.1 + 1 / n], "votes": [None, 0, 1]} for n in (9, 90)
    ]
    made.save()
    assert "plot__band" in desk.get(f"/console/taste/experiments/{made.pk}/").content.decode()
    desk.post(f"{address}/retire/", {"reason": "enough"})
    made.refresh_from_db()
    assert made.state == "retired"


@pytest.mark.parametrize("page", ["models/", "runs/", "experiments/", "", "compose/"])
def test_a_page_asks_as_often_for_fifty_models_as_for_one(
    desk, judged, quick_trainer, remy, page, django_assert_max_num_queries
):
    from django.db import connection

    play(judged)
    address = f"/console/taste/{page}"
    desk.get(address)
    with CaptureQueriesContext(
        connection,
    ) as few:
        desk.get(address)
    original = ModelVersion.objects.get(name="taste-r1")
    for n in range(20):
        copy = ModelVersion.objects.create(
            name=f"copy-{n}", kind="policy", parent=original, location=original.location,
            digest=original.digest,
        )  # fmt: skip
        Run.objects.create(project=judged, task="policy", state="done", model=copy)
    releases.canary(project=judged, model=copy, weight=10, by=remy, reason="many")
    with django_assert_max_num_queries(len(few) + 4):
        assert desk.get(address).status_code == 200
