"""How hard each host may be asked: fixed limits, and the rest that a server asks for by Retry-After."""

from __future__ import annotations

from scraper.errors import FetchError, RobotsDenied
from scraper.page import HostLimits, Seen
from scraper.settings import Settings


class FixedThrottle:
    """The same limits for every host; a host that answers 429 or 503 with Retry-After rests so long."""

    def __init__(self, settings: Settings) -> None:
        self._limits = HostLimits(settings.concurrency_per_host, settings.delay, settings.jitter)
        self._longest = settings.retry_after_max

    def limits(self, host: str) -> HostLimits:
        return self._limits

    def observe(self, host: str, seen: Seen, error: FetchError | None) -> float:
        wait = seen.retry_after
        if wait is None and error is not None:
            # Until robots.txt is asked for again, no page of the host can be.
            wait = error.retry_after if error.status in (429, 503) or isinstance(error, RobotsDenied) else None
        return min(max(wait, 0.0), self._longest) if wait is not None else 0.0
