"""A thin Python client of the research doors; needs `httpx` alone, so this one file may be copied.

    from alignment.remote import Preferendum

    with Preferendum("http://127.0.0.1:8000", key) as server:
        taken = server.snapshot("demo")
        print(server.estimate("dpo", taken["id"], params={"epochs": 2}))
        run = server.wait_run(server.train("dpo", taken["id"], params={"epochs": 2})["id"])
        model = server.model("demo", run["model"])
        server.canary(model["id"], "demo", weight=100, reason="looks better on paper")

Every method answers with what the door answers (see /api/docs/); a refusal raises `Refused` with
the sentence and the fields.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Preferendum", "Refused"]

ENDED = ("done", "failed", "cancelled", "released", "refused")


class Refused(Exception):
    """The server said no: `status`, `detail` as one sentence, `fields` by name."""

    def __init__(self, status: int, detail: str, fields: dict[str, Any]) -> None:
        super().__init__(detail)
        self.status, self.detail, self.fields = status, detail, fields


class Preferendum:
    """A connection to one server with one access key of scope `research`."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Preferendum:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Data and training

    def snapshot(self, project: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take a snapshot of a project's judgments and reactions."""
        return self._post("/api/snapshots/", {"project": project, "query": query or {}})

    def recipes(self) -> list[dict[str, Any]]:
        """The recipes there are."""
        return self._get("/api/recipes/")["recipes"]

    def form(self, recipe: str, objective: str = "") -> dict[str, Any]:
        """A recipe's fields with defaults, ranges and help."""
        return self._get(f"/api/recipes/{recipe}/", objective=objective)

    def estimate(self, recipe: str, snapshot: str, **more: Any) -> dict[str, Any]:
        """What a run would take; `params`, `base` and `seed` as in `train`."""
        return self._post("/api/runs/estimate/", {"recipe": recipe, "snapshot": snapshot, **more})

    def train(self, recipe: str, snapshot: str, **more: Any) -> dict[str, Any]:
        """Queue a run; `params` differ from the recipe's, `base` is a model's name, `seed`."""
        return self._post("/api/runs/", {"recipe": recipe, "snapshot": snapshot, **more})

    def runs(self, project: str) -> Iterator[dict[str, Any]]:
        """The runs of a project, newest first."""
        return self._all("/api/runs/", project=project)

    def run(self, run: str) -> dict[str, Any]:
        """How a run stands."""
        return self._get(f"/api/runs/{run}/")

    def cancel_run(self, run: str) -> dict[str, Any]:
        """Stop a run."""
        return self._post(f"/api/runs/{run}/cancel/", {})

    def wait_run(self, run: str, *, seconds: float = 3600, every: float = 1.0) -> dict[str, Any]:
        """The run once it has ended; TimeoutError when it has not in time."""
        return self._wait(f"/api/runs/{run}/", seconds, every)

    def start_round(self, project: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
        """Start a round with the settings that differ from the project's."""
        return self._post("/api/rounds/", {"project": project, "config": config or {}})

    def round(self, turn: str) -> dict[str, Any]:
        """How a round stands."""
        return self._get(f"/api/rounds/{turn}/")

    def wait_round(self, turn: str, *, seconds: float = 3600, every: float = 1.0) -> dict[str, Any]:
        """The round once it has ended; TimeoutError when it has not in time."""
        return self._wait(f"/api/rounds/{turn}/", seconds, every)

    # Models

    def models(self, project: str) -> list[dict[str, Any]]:
        """The newest models of a project with their lineage."""
        return self._get("/api/models/", project=project)

    def model(self, project: str, name: str) -> dict[str, Any]:
        """A model by name; KeyError where the project has none of it."""
        for found in self.models(project):
            if found["name"] == name:
                return found
        raise KeyError(name)

    def lineage(self, model: str) -> dict[str, Any]:
        """The graph from people to a model and on."""
        return self._get(f"/api/models/{model}/lineage/")

    def card(self, model: str) -> str:
        """The model card, Markdown."""
        return self._get(f"/api/models/{model}/card/")["markdown"]

    def compare(self, project: str, *names: str) -> dict[str, Any]:
        """Win rates, and answers to the same prompts."""
        return self._get("/api/models/compare/", project=project, model=list(names))

    def download(self, model: str, folder: str | Path) -> list[Path]:
        """Fetch a model's files into a folder; their paths."""
        root, written = Path(folder).resolve(), []
        for one in self._get(f"/api/models/{model}/files/")["files"]:
            target = (root / one["path"]).resolve()
            if not target.is_relative_to(root):
                raise ValueError(f"{one['path']} does not lie in the artefact")
            target.parent.mkdir(parents=True, exist_ok=True)
            with (
                self._http.stream("GET", f"/api/models/{model}/files/{one['path']}") as answer,
                target.open("wb") as file,
            ):
                if answer.status_code != 200:
                    answer.read()
                    _checked(answer)
                for block in answer.iter_bytes():
                    file.write(block)
            written.append(target)
        return written

    # Release

    def promote(self, model: str, project: str, *, reason: str) -> dict[str, Any]:
        """Make a policy the live one."""
        return self._decide(model, "promote", project, reason)

    def rollback(self, model: str, project: str, *, reason: str) -> dict[str, Any]:
        """Serve again what was live before `model`."""
        return self._decide(model, "rollback", project, reason)

    def canary(
        self,
        model: str,
        project: str,
        *,
        weight: int,
        reason: str,
        rules: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Compare a policy with the live one on a share of the conversations."""
        return self._decide(model, "canary", project, reason, weight=weight, rules=rules or {})

    def hold_out(self, model: str, project: str, *, weight: int, reason: str) -> dict[str, Any]:
        """Keep a share of the conversations on a policy."""
        return self._decide(model, "holdout", project, reason, weight=weight)

    def retire(self, model: str, project: str, *, reason: str) -> None:
        """Take a canary or hold-out out of service."""
        self._decide(model, "retire", project, reason)

    def experiments(self, project: str) -> Iterator[dict[str, Any]]:
        """The live comparisons of a project, newest first."""
        return self._all("/api/experiments/", project=project)

    def decisions(self, project: str) -> Iterator[dict[str, Any]]:
        """Every decision with its numbers, newest first."""
        return self._all("/api/decisions/", project=project)

    # The wire

    def _decide(self, model: str, action: str, project: str, reason: str, **more: Any) -> Any:
        body = {"project": project, "reason": reason, **more}
        return self._post(f"/api/models/{model}/{action}/", body)

    def _get(self, path: str, **query: Any) -> Any:
        return _checked(self._http.get(path, params={k: v for k, v in query.items() if v}))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _checked(self._http.post(path, json=body))

    def _all(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        offset = 0
        while rows := self._get(path, offset=offset, **query):
            yield from rows
            offset += len(rows)
            if len(rows) < 200:
                return

    def _wait(self, path: str, seconds: float, every: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            found = self._get(path)
            if found["state"] in ENDED:
                return found
            if time.monotonic() > until:
                raise TimeoutError(f"{path} is {found['state']} after {seconds:g} s.")
            time.sleep(every)


def _checked(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        body = answer.json()
    except ValueError:
        body = {}
    detail = body.get("detail") or f"The server answered with status {answer.status_code}."
    raise Refused(answer.status_code, str(detail), body.get("fields") or {})
