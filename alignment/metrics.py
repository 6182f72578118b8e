"""What Prometheus reads of rounds, runs and live comparisons: asked of the database at a scrape,
and no oftener than every ten seconds."""

import logging
import threading
from collections.abc import Iterator
from time import monotonic

from django.db import DatabaseError
from django.db.models import Count, Max
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

KEEP_SECONDS = 10.0


class Loop(Collector):
    """Gauges of the loop, the same in every web process."""

    def __init__(self) -> None:
        self._kept: list[Metric] = []
        self._at = -KEEP_SECONDS
        self._lock = threading.Lock()

    def describe(self) -> list[Metric]:
        """Nothing is asked at start-up, before there are tables."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges as of at most ten seconds ago."""
        with self._lock:
            if monotonic() - self._at >= KEEP_SECONDS:
                try:
                    self._kept = list(_asked())
                    self._at = monotonic()
                except DatabaseError:
                    logger.warning("Metrics of the loop could not be read.", exc_info=True)
                    self._kept = []
        yield from self._kept


def _asked() -> Iterator[Metric]:
    from alignment.models import Decision, Experiment, Round, Run
    from inference.models import Deployment

    rounds = GaugeMetricFamily("preferendum_rounds", "Rounds.", labels=["project", "state"])
    for slug, state, n in _counted(Round, "project__slug", "state"):
        rounds.add_metric([slug, state], n)
    yield rounds
    runs = GaugeMetricFamily("preferendum_runs", "Runs.", labels=["task", "state"])
    for task, state, n in _counted(Run, "task", "state"):
        runs.add_metric([task, state], n)
    yield runs
    beats = GaugeMetricFamily(
        "preferendum_run_heartbeat_timestamp_seconds",
        "The oldest heartbeat of a running run.",
    )
    oldest = Run.objects.filter(state="running").order_by("heartbeat_at").first()
    if oldest is not None and oldest.heartbeat_at is not None:
        beats.add_metric([], oldest.heartbeat_at.timestamp())
    yield beats
    decisions = GaugeMetricFamily(
        "preferendum_decisions", "Decisions.", labels=["project", "action"]
    )
    for slug, action, n in _counted(Decision, "project__slug", "action"):
        decisions.add_metric([slug, action], n)
    yield decisions
    ended = GaugeMetricFamily(
        "preferendum_last_release_timestamp_seconds",
        "When a policy was last released or promoted.",
        labels=["project"],
    )
    released = Decision.objects.filter(action__in=["release", "promote"]).order_by()
    for row in released.values("project__slug").annotate(at=Max("created_at")):
        ended.add_metric([row["project__slug"]], row["at"].timestamp())
    yield ended
    share = GaugeMetricFamily(
        "preferendum_traffic_share", "Share of conversations.", labels=["project", "arm", "model"]
    )
    for one in Deployment.objects.filter(state="serving").select_related("model_version"):
        share.add_metric([one.project, one.arm, one.model_version.name], one.weight / 1000)
    yield share
    rate = GaugeMetricFamily(
        "preferendum_experiment_rate",
        "A measure of a live comparison, share of conversations.",
        labels=["project", "measure", "arm"],
    )
    gap = GaugeMetricFamily(
        "preferendum_experiment_difference",
        "Candidate minus live: the middle and the bounds of the confidence sequence.",
        labels=["project", "measure", "bound"],
    )
    running = Experiment.objects.filter(state="running").select_related("project")
    for one in running.defer("path"):
        for name, measured in (one.outcome.get("measures") or {}).items():
            for arm in ("control", "candidate"):
                if measured.get(arm) is not None:
                    rate.add_metric([one.project.slug, name, arm], measured[arm])
            for bound in ("low", "difference", "high"):
                if name != "votes" and measured.get(bound) is not None:
                    gap.add_metric([one.project.slug, name, bound], measured[bound])
    yield rate
    yield gap


def _counted(model, *names: str):
    return model.objects.order_by().values_list(*names).annotate(n=Count("pk"))


def register() -> None:
    """Put the gauges before Prometheus, once a process."""
    if not getattr(register, "done", False):
        REGISTRY.register(Loop())
        register.done = True
