"""What the generation server can do to a request, in words for the person who asked."""

from config.errors import Busy, Conflict


class EngineBusy(Busy):
    """All places are taken and the waiting line is full; `position` is where the request stood."""

    code = "engine_busy"

    def __init__(self, detail: str, *, retry_after: int, position: int):
        super().__init__(detail, retry_after=retry_after)
        self.position = position


class EngineDown(Busy):
    """The generation server cannot be reached, or ended in the middle of an answer."""

    code = "engine_down"


class EngineTimeout(Busy):
    """The generation server took longer than a deadline allows."""

    code = "engine_timeout"


class EngineRefused(Conflict):
    """The generation server understood the request and will not do it."""

    code = "engine_refused"
