"""Structured logs: what a line is about (request, round, run, person's project) travels along.

LOG_FORMAT=json writes one object a line, for Loki, CloudWatch and the like; `line` is for people.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_about: ContextVar[dict[str, str]] = ContextVar("log_about", default={})  # noqa: B039 - never changed


@contextmanager
def about(**what: object) -> Iterator[None]:
    """Every line logged inside names these: `with about(round=turn.pk): ...`."""
    token = _about.set({**_about.get(), **{k: str(v) for k, v in what.items() if v is not None}})
    try:
        yield
    finally:
        _about.reset(token)


def known() -> dict[str, str]:
    """What lines logged here are about."""
    return _about.get()


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with what it is about, and its traceback as text."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **known(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Line(logging.Formatter):
    """A line for people, with what it is about in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """The usual line, and the ids at its end."""
        text = super().format(record)
        ids = " ".join(f"{name}={value}" for name, value in known().items())
        return f"{text} [{ids}]" if ids else text
