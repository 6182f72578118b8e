"""Whether this process lives (/healthz), can serve (/readyz), and what it counts (/metrics)."""

import logging
from collections.abc import Callable

import httpx
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    cache.get("readyz")


def _engine() -> None:
    """One engine of the pool is enough."""
    failure: Exception | None = None
    for url in settings.ENGINE_URLS or [settings.ENGINE_URL]:
        try:
            httpx.get(f"{url}/health", timeout=2.0, trust_env=False).raise_for_status()
        except httpx.HTTPError as exc:
            failure = exc
        else:
            return
    if failure is not None:
        raise failure


def _schema() -> None:
    """Tables older than the code would answer with errors, so such a process is not ready."""
    from django.db.migrations.executor import MigrationExecutor

    if _schema_ok[0]:
        return  # migrations are never taken back under a running process
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise RuntimeError("migrations wait to be applied")
    _schema_ok[0] = True


_schema_ok = [False]


#: What is asked, and whether the pages are of any use without it.
PARTS: dict[str, tuple[Callable[[], None], bool]] = {
    "database": (_database, True),
    "schema": (_schema, True),
    "broker": (_broker, True),
    "engine": (_engine, False),
}


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 for as long as the process answers; asks nothing else, so it never restarts a web
    process because the database is away."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests can be served, 503 otherwise; the body tells which part is away.

    Without the engine people can still judge and read, so its absence is told, not fatal.
    """
    parts, ready = {}, True
    for name, (ask, needed) in PARTS.items():
        try:
            ask()
            parts[name] = "ok"
        except Exception as exc:
            logger.warning("readyz: %s is away: %s", name, exc)
            parts[name] = "away"
            ready = ready and not needed
    return JsonResponse({"ready": ready, **parts}, status=200 if ready else 503)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Counters of this process in Prometheus' text format."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
