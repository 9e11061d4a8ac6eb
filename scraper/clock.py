"""The real clock. Tests pass ``scraper.testing.FakeClock`` instead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class SystemClock:
    """Wall time for dates in the database, monotonic time for gaps and timers.

    The wall clock is read once: an hour that it is set back or forward while we crawl must not make a page wait.
    """

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()

    def time(self) -> float:
        return self._epoch + time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0.0, when - time.monotonic()), callback)
