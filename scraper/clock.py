"""The real clock. Tests pass ``scraper.testing.FakeClock`` instead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

AHEAD = 5.0
"""Seconds by which the wall clock must be ahead before it is followed; less is drift, and steady time is worth more."""


class SystemClock:
    """Wall time for dates in the database, monotonic time for gaps and timers.

    The wall clock is followed forward only: an hour that it is set back while we crawl must not make a page wait,
    but a machine that slept for an hour has missed an hour.
    """

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()

    def time(self) -> float:
        now, wall = self._epoch + time.monotonic(), time.time()
        if wall - now < AHEAD:
            return now
        self._epoch += wall - now
        return wall

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0.0, when - time.monotonic()), callback)
