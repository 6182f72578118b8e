"""Where a model comes from and what came of it, as a graph drawn from left to right.

People and their judgments stand on the left, then the snapshot, the run, the model, and on the
right what was trained from it and where it served. Plain geometry: a template draws it.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from django.core.cache import cache
from django.urls import reverse

from alignment.models import Run
from alignment.services import snapshots
from annotation.models import Project
from config.errors import DomainError
from inference.models import Deployment, ModelVersion

COLUMN, ROW, WIDTH, HEIGHT = 210, 52, 180, 38
#: More than this of one kind are told by their number.
SHOWN = 8
ANCESTORS = 30


@dataclass
class Node:
    """A box: `column` counts from the left, `words` is what stands in it."""

    key: str
    kind: str
    words: str
    more: str = ""
    address: str = ""
    column: int = 0
    x: int = 0
    y: int = 0


@dataclass
class Graph:
    """Boxes, and paths between them by key."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: Node, *before: str) -> str:
        """Put a box in, with edges from those before it."""
        self.nodes.setdefault(node.key, node)
        self.edges += [(one, node.key) for one in before if (one, node.key) not in self.edges]
        return node.key


def graph(project: Project, version: ModelVersion) -> Graph:
    """The graph around one model, back to the people and forward to its children."""
    made = Graph()
    here = _model(made, project, version, 3, current=True)
    run = _run_of(version)
    if run is not None:
        _origin(made, project, run, here)
    child = here
    for parent in ancestors(version)[:SHOWN]:
        key = _model(made, project, parent, 2)
        made.edges.append((key, child))
        child = key
    children = version.children.order_by("created_at")
    for child in children[:SHOWN]:
        made.edges.append((here, _model(made, project, child, 4)))
    if (rest := children.count() - SHOWN) > 0:
        made.add(Node("children", "model", f"{rest} more", column=4), here)
    served = Deployment.objects.filter(model_version=version, project=project.slug)
    for one in served.order_by("-started_at")[:3]:
        words = f"{one.get_arm_display()}, {one.weight / 10:g} %"
        made.add(Node(f"d{one.pk}", "served", words, one.get_state_display(), column=4), here)
    return _laid_out(made)


def ancestors(version: ModelVersion) -> list[ModelVersion]:
    """Parent, its parent and so on, the nearest first."""
    found: list[ModelVersion] = []
    parent_id = version.parent_id
    while parent_id is not None and len(found) < ANCESTORS:
        parent = ModelVersion.objects.get(pk=parent_id)
        found.append(parent)
        parent_id = parent.parent_id
    return found


def as_json(project: Project, version: ModelVersion) -> dict[str, Any]:
    """The graph as REST tells it."""
    made = graph(project, version)
    nodes = [
        {"key": n.key, "kind": n.kind, "name": n.words, "about": n.more, "column": n.column}
        for n in made.nodes.values()
    ]
    return {"nodes": nodes, "edges": [{"from": a, "to": b} for a, b in made.edges]}


def people_of(taken) -> list[tuple[str, int]]:
    """Pseudonyms behind a snapshot with how much each said, the busiest first.

    Read from the snapshot's own files, which never change, so it is kept for a day.
    """
    key = f"alignment:people:{taken.pk}"
    known = cache.get(key)
    if known is None:
        counts: Counter = Counter()
        try:
            folder = snapshots.folder_of(taken)
        except DomainError:
            return []
        for name, column in (("preference", "annotator"), ("reaction", "person")):
            path = folder / f"{name}.parquet"
            if path.exists():
                for batch in pq.ParquetFile(path).iter_batches(columns=[column]):
                    counted = batch.column(0).value_counts()
                    for one in counted.to_pylist():
                        if one["values"] is not None:
                            counts[one["values"]] += one["counts"]
        known = counts.most_common()
        cache.set(key, known, 86_400)
    return known


def _origin(made: Graph, project: Project, run: Run, here: str) -> None:
    address = reverse("console-run", args=[project.slug, run.pk])
    round_words = f"round {run.round.number}" if run.round else ""
    before = []
    if run.snapshot is not None:
        taken = run.snapshot
        at = reverse("console-snapshot", args=[project.slug, taken.pk])
        people = people_of(taken)
        boxes = [
            made.add(Node(f"p{name}", "person", name, f"{count} said", column=0))
            for name, count in people[:SHOWN]
        ]
        if len(people) > SHOWN:
            rest = len(people) - SHOWN
            said = sum(count for _, count in people[SHOWN:])
            boxes.append(
                made.add(Node("people", "person", f"{rest} more people", f"{said} said", column=0))
            )
        words = f"snapshot {taken.digest[:8]}"
        records = taken.counts.get("preference", {}).get("records", 0)
        node = Node(f"s{taken.pk}", "snapshot", words, f"{records} judgments", at, 1)
        before.append(made.add(node, *boxes))
    title = f"{run.task} run"
    about = ", ".join(word for word in (run.recipe, round_words) if word)
    made.add(Node(f"r{run.pk}", "run", title, about, address, 2), *before)
    made.edges.append((f"r{run.pk}", here))
    if run.round is not None and run.task == "policy":
        rewarded = run.round.runs.filter(task="reward").select_related("model").first()
        if rewarded is not None and rewarded.model is not None:
            key = _model(made, project, rewarded.model, 1)
            made.edges.append((key, f"r{run.pk}"))


def _model(
    made: Graph, project: Project, version: ModelVersion, column: int, current: bool = False
) -> str:
    at = reverse("console-model", args=[project.slug, version.name])
    kind = "current" if current else "model"
    about = version.get_kind_display()
    return made.add(Node(f"m{version.pk}", kind, version.name, about, at, column))


def _run_of(version: ModelVersion) -> Run | None:
    return Run.objects.filter(model=version).select_related("snapshot", "round").first()


def _laid_out(made: Graph) -> Graph:
    """Give every box its place: columns as they are used, rows in the order of arrival."""
    columns = sorted({node.column for node in made.nodes.values()})
    used = {column: place for place, column in enumerate(columns)}
    heights: Counter = Counter()
    for node in made.nodes.values():
        node.x = 4 + used[node.column] * COLUMN
        node.y = 4 + heights[node.column] * ROW
        heights[node.column] += 1
    tallest = max(heights.values())
    for node in made.nodes.values():
        node.y += (tallest - heights[node.column]) * ROW // 2
    return made


def drawn(made: Graph) -> dict[str, Any]:
    """What the template needs: boxes with their places, edges as SVG paths, the size."""
    paths = []
    for start, end in made.edges:
        a, b = made.nodes[start], made.nodes[end]
        x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT // 2, b.x, b.y + HEIGHT // 2
        if a.x == b.x:  # ancestors stand above each other
            x1, x2 = a.x + WIDTH, b.x + WIDTH
            paths.append(f"M{x1} {y1}C{x1 + 24} {y1} {x2 + 24} {y2} {x2} {y2}")
            continue
        middle = (x1 + x2) // 2
        paths.append(f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
    nodes = list(made.nodes.values())
    return {
        "nodes": nodes,
        "paths": paths,
        "box": {"width": WIDTH, "height": HEIGHT},
        "width": max(n.x for n in nodes) + WIDTH + 32,
        "height": max(n.y for n in nodes) + HEIGHT + 4,
        "says": "; ".join(
            f"{made.nodes[a].words} → {made.nodes[b].words}" for a, b in made.edges[:40]
        ),
    }
