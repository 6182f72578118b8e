"""`python -m inference.engine`: keep `transformers serve` running on ENGINE_URL's port.

It is started, warmed with the models that serve, and started again when it ends or no longer
answers. Where ENGINE_URL names a server that somebody else runs, this process only waits.
"""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx

logger = logging.getLogger("inference.engine")

POLL_SECONDS = 2.0
KEEP_WARM_SECONDS = 60.0
START_SECONDS = 180.0
#: Reading weights and a busy machine can hold the health check up; longer than this is a hang.
HANG_SECONDS = 60.0
IDLE_UNLOAD_SECONDS = 900
LOG_LIMIT = 10_000_000


class Supervisor:
    """One child process, restarted with growing pauses; stops on SIGTERM and SIGINT."""

    def __init__(self, url: str, command: list[str], log_path: Path):
        self.url = url
        self.command = command
        self.log_path = log_path
        self.stopping = threading.Event()
        self.child: subprocess.Popen | None = None

    def run(self) -> int:
        """Supervise until asked to stop."""
        pause = 0.5
        while not self.stopping.is_set():
            started = monotonic()
            self._start()
            cause = self._watch()
            self._end_child()
            if self.stopping.is_set():
                break
            pause = 0.5 if monotonic() - started > 120 else min(30.0, pause * 2)
            logger.warning(
                "Generation %s; starting it again in %.0f s. Its last words: %s",
                cause, pause, self.log_path,
            )  # fmt: skip
            self.stopping.wait(pause)
        return 0

    def stop(self, *_: object) -> None:
        self.stopping.set()

    def _start(self) -> None:
        from config.embedded.processes import dies_with_parent

        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        large = self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT
        with self.log_path.open("wb" if large else "ab") as log:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )

    def _watch(self) -> str:
        """Wait for the child's end or a hang; returns which, in words."""
        well = warmed = None
        begun = monotonic()
        while not self.stopping.wait(POLL_SECONDS if well else 0.25):
            status = self.child.poll()
            if status is not None:
                return f"ended with status {status}"
            now = monotonic()
            if self._is_well():
                well = monotonic()
                if warmed is None or now - warmed > KEEP_WARM_SECONDS:
                    self._warm(first=warmed is None)
                    warmed = monotonic()
            elif well is None and now - begun > START_SECONDS:
                return f"did not come up within {START_SECONDS:.0f} s"
            elif well is not None and now - well > HANG_SECONDS:
                return f"has not answered for {HANG_SECONDS:.0f} s"
        return "was asked to stop"

    def _is_well(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def _warm(self, *, first: bool) -> None:
        """Load what serves, so that it is not dropped as idle; at first also say a word with it."""
        from django.db import ProgrammingError

        try:
            asyncio.run(_warm(say_something=first))
        except ProgrammingError:
            # At a first start generation is up before the set-up has made its tables.
            logger.info("Generation waits for the set-up to say what serves.")
        except Exception as exc:
            # Whatever it is (no database, a model that cannot be read), chats tell of it too.
            logger.warning("Generation could not be warmed: %s", exc)

    def _end_child(self) -> None:
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def command(url: str) -> list[str]:
    """The command line of the generation server at `url`; ENGINE_ARGS adds to it."""
    parts = urlsplit(url)
    return [
        *(sys.executable, "-m", "transformers.cli.transformers", "serve"),
        *("--host", parts.hostname or "127.0.0.1", "--port", str(parts.port or 80)),
        *("--model-timeout", str(IDLE_UNLOAD_SECONDS)),
        # Processors without bfloat16 units emulate it; 32 bits are faster there.
        *(() if any(Path("/dev").glob("nvidia*")) else ("--dtype", "float32")),
        *os.environ.get("ENGINE_ARGS", "").split(),
    ]


def _environment() -> dict[str, str]:
    # Half the cores: more threads than free cores wait for each other at every token.
    threads = max(1, min(4, (os.cpu_count() or 1) // 2))
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {"OMP_NUM_THREADS": str(threads), **os.environ, **offline}


async def _warm(*, say_something: bool) -> None:
    from asgiref.sync import sync_to_async

    from config.errors import DomainError
    from inference import client

    try:
        for version in await sync_to_async(_versions)():
            try:
                await client.load(version, again=True)
                if say_something:
                    words = [{"role": "user", "content": "Hello"}]
                    await client.complete(
                        model_version=version, messages=words, sampling={"max_tokens": 2}
                    )
                    logger.info("Generation is ready with %s.", version.name)
            except DomainError as exc:
                logger.warning("%s: %s", version.name, exc.detail)
    finally:
        await client.close()


def _versions() -> list:
    """The versions that serve anywhere, the live ones first."""
    from django.db import connection

    from inference.models import Deployment

    try:
        serving = Deployment.objects.filter(state=Deployment.State.SERVING)
        rows = list(serving.select_related("model_version"))
    finally:
        connection.close()
    rows.sort(key=lambda deployment: deployment.arm != Deployment.Arm.LIVE)
    return list({row.model_version_id: row.model_version for row in rows}.values())


def is_ours(url: str, port: int) -> bool:
    """Whether the generation server at `url` is ours to run: the default place, on this machine."""
    if os.environ.get("ENGINE_URLS"):
        return False  # a pool that somebody else runs
    parts = urlsplit(url)
    here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return here and (parts.port == port + 1 or not os.environ.get("ENGINE_URL"))


def main() -> int:
    """Run until asked to stop; returns the exit status."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings

    log_path = settings.VAR_DIR / "log" / "engine.log"
    supervisor = Supervisor(settings.ENGINE_URL, command(settings.ENGINE_URL), log_path)
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    if not is_ours(settings.ENGINE_URL, settings.PORT):
        logger.info("Generation is served elsewhere (ENGINE_URL); nothing to run here.")
        supervisor.stopping.wait()
        return 0
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
