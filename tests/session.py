"""A pytest plugin loaded before settings are read: a data folder and services of its own.

Tests use a temporary VAR_DIR, so they run beside a serving instance. PostgreSQL and Valkey are
the embedded ones, started once and only when a collected test needs them; a DATABASE_URL or
REDIS_URL in the environment is used instead.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

_NEEDS_SERVICES = {"db", "transactional_db", "live_server", "services", "_django_db_helper"}
_NEEDED_BY_MARK = {"django_db", "browser", "engine"}

_stack = ExitStack()


def _environment() -> None:
    """Point every setting at this session; what a developer has exported does not leak in."""
    for name in ("PORT", "ENGINE_URL", "ENGINE_KEY", "PREFERENDUM_MODEL", "DEBUG", "LOG_LEVEL"):
        os.environ.pop(name, None)
    folder = tempfile.mkdtemp(prefix="preferendum-test-")
    _stack.callback(shutil.rmtree, folder, ignore_errors=True)
    Path(folder, "static").mkdir()  # collected static files, which WhiteNoise wants to see
    os.environ.update(
        VAR_DIR=folder,
        SECRET_KEY="only-for-tests",
        OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1",
        TOKENIZERS_PARALLELISM="false",
        DJANGO_ALLOW_ASYNC_UNSAFE="",
    )


_environment()


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Cheap passwords and plain static files: tests need neither slow hashes nor a manifest."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that read published data where there is none beside the checkout."""
    from tests.published import DATA

    if DATA.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("published")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the services when a test to be run needs them."""
    if session.config.option.collectonly or not any(map(_needs_services, session.items)):
        return
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return
    from config.embedded import locations
    from config.embedded.services import running

    where = locations(os.environ["VAR_DIR"])
    _stack.callback(shutil.rmtree, where.socket_dir, ignore_errors=True)
    _stack.enter_context(running(where, durable=False))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything must run (CI is set), a skipped test fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped and os.environ.get("CI") and session.exitstatus == 0:
        reporter.write_line(f"\n{skipped} tests were skipped, and none may be here.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def at_the_end(process: subprocess.Popen) -> None:
    """End a server that a test started in place of one of the session's."""

    def stop() -> None:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        process.wait(15)

    _stack.callback(stop)


def pytest_unconfigure() -> None:
    """Stop the services and remove the folder."""
    _stack.close()


def _needs_services(item: pytest.Item) -> bool:
    if _NEEDS_SERVICES & set(getattr(item, "fixturenames", ())):
        return True
    return any(item.get_closest_marker(name) for name in _NEEDED_BY_MARK)
