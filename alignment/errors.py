"""What can stop a snapshot, a run or a round; each is one sentence a person can act on."""

import errno

from config.errors import Conflict, DomainError


class TooLittleData(DomainError):
    """There is not enough to train on yet."""

    code = "too_little_data"


class RunFailed(DomainError):
    """A job ended without a result; `detail` says why."""

    code = "run_failed"


class NoSpace(DomainError):
    """The disk is full."""

    code = "no_space"


class NotNow(Conflict):
    """Something else is under way."""


def in_words(error: Exception) -> str:
    """One sentence for a person, whatever went wrong."""
    if isinstance(error, DomainError):
        return error.detail
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Nothing was released; free some space and try again."
    text = str(error).strip() or "no reason was given"
    return f"{type(error).__name__}: {text}"
