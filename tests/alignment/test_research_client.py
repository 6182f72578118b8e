"""The Python client and the command beside it, through the doors a researcher's script uses."""

import json
from io import StringIO

import httpx
import pytest
from django.core.management import CommandError, call_command

from alignment.models import Decision, Experiment
from alignment.remote import Preferendum, Refused
from tests.alignment.test_rounds import SMALL, play


class Through(httpx.BaseTransport):
    """Hands a request to Django's test client, so that no server need run."""

    def __init__(self, client):
        self.client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.client.generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type=request.headers.get("content-type", "application/json"),
            HTTP_AUTHORIZATION=request.headers["authorization"],
        )
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return httpx.Response(answer.status_code, content=body, headers=dict(answer.items()))


@pytest.fixture
def server(judged, remy, key_of, client):
    with Preferendum("http://server", key_of(remy, "research"), transport=Through(client)) as made:
        yield made


def test_a_script_trains_follows_and_reads_what_came_of_it(server, judged, sent):
    taken = server.snapshot("taste")
    assert "dpo" in {one["name"] for one in server.recipes()}
    fields = {one["name"]: one for one in server.form("dpo")["fields"]}
    assert (fields["lr"]["kind"], fields["lr"]["low"]) == ("number", 0.0)
    guess = server.estimate("dpo", taken["id"], params={"epochs": 2})
    assert guess["rows"] == 150
    assert guess["seconds_range"][0] < guess["seconds"] < guess["seconds_range"][1]
    run = server.train("dpo", taken["id"], params={"epochs": 2}, seed=3)
    assert [one["id"] for one in server.runs("taste")] == [run["id"]]
    assert len(server._get("/api/runs/", project="taste", offset="9" * 30)) == 1
    assert server.cancel_run(run["id"])["state"] == "cancelled"
    assert server.wait_run(run["id"], seconds=0)["config"]["seed"] == 3
    turn = server.start_round("taste", SMALL)
    with pytest.raises(TimeoutError, match="queued"):
        server.wait_round(turn["id"], seconds=0)
    with pytest.raises(Refused) as refused:
        server.train("no-such", taken["id"])
    assert (refused.value.status, "recipe" in refused.value.fields) == (400, True)


def test_a_script_compares_decides_and_downloads(server, judged, quick_trainer, tmp_path):
    play(judged)
    model = server.model("taste", "taste-r1")
    assert "people" not in server.lineage(model["id"])
    kinds = {one["kind"] for one in server.lineage(model["id"])["nodes"]}
    assert {"person", "snapshot", "run"} <= kinds
    assert server.card(model["id"]).startswith("---\nmodel_name: taste-r1")
    found = server.compare("taste", "taste-r1", "first")
    assert found["win_rates"][0]["against"][1]["measured"]["value"] == 0.7
    files = server.download(model["id"], tmp_path / "copy")
    assert {one.name for one in files} >= {"README.md", "model.safetensors"}
    first = server.model("taste", "first")
    begun = server.canary(first["id"], "taste", weight=100, reason="look back")
    assert begun["share"] == 0.1
    assert next(server.experiments("taste"))["id"] == begun["id"]
    server.retire(first["id"], "taste", reason="seen enough")
    assert [one["action"] for one in server.decisions("taste")][:2] == ["retire", "canary"]
    server.hold_out(first["id"], "taste", weight=20, reason="to see over months")
    with pytest.raises(Refused, match="500"):
        server.canary(first["id"], "taste", weight=900, reason="too much")
    with pytest.raises(KeyError):
        server.model("taste", "nobody")


def test_the_command_decides_and_tells_how_it_stands(judged, quick_trainer):
    play(judged)

    def release(*words, **options):
        out = StringIO()
        call_command("release", *words, project="taste", json=True, stdout=out, **options)
        return json.loads(out.getvalue().splitlines()[-1])

    stands = release("canary", "first", percent=5, reason="look back")
    assert {one["arm"]: one["share"] for one in stands["serving"]} == {"live": 0.95, "canary": 0.05}
    assert stands["experiment"]["candidate"] == "first"
    assert release("retire", "first", reason="enough")["experiment"] is None
    assert Experiment.objects.get().state == "retired"
    assert release("rollback", "taste-r1", reason="older was better")["serving"][0]["model"] == (
        "first"
    )
    assert Decision.objects.filter(action="rollback").count() == 1
    with pytest.raises(CommandError, match="Say why"):
        release("promote", "taste-r1")
    with pytest.raises(CommandError, match="There is no model"):
        release("promote", "wish", reason="x")
