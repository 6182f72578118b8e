"""Errors that a client can cause, without HTTP in them; config.api turns them into answers."""


class DomainError(Exception):
    """Something the asker can mend. `detail` is one sentence; `fields` names what was wrong."""

    code = "invalid"

    def __init__(self, detail: str, *, fields: dict[str, str] | None = None):
        super().__init__(detail)
        self.detail = detail
        self.fields = fields or {}


class Invalid(DomainError):
    """The input breaks a rule (400)."""


class Conflict(DomainError):
    """The input was fine, the moment was not (409)."""

    code = "conflict"


class Busy(DomainError):
    """Full for now; try again after `retry_after` seconds (503)."""

    code = "busy"

    def __init__(self, detail: str, *, retry_after: int = 5):
        super().__init__(detail)
        self.retry_after = retry_after
