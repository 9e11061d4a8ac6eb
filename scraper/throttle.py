"""How hard each host may be asked: fixed limits, and the rest that a server asks for by Retry-After."""

from __future__ import annotations

from scraper.errors import FetchError
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
        if error is None or error.retry_after is None or error.status not in (429, 503):
            return 0.0
        return min(max(error.retry_after, 0.0), self._longest)
