"""Workers: as many as ``concurrency``, and one more for each visit that hangs.

A visit that takes longer than ``LENT_AFTER`` to a host that has not answered yet, or than ``HANGS_AFTER`` to any, lends
its place: another worker begins, so that hosts that are stuck take nothing from the others. As the places come back,
the surplus leaves. A single worker stays alone: one request at once is what was asked for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from scraper.page import Lease
from scraper.ports import Clock, Timer

LENT_AFTER = 2.0
HANGS_AFTER = 10.0
"""Seconds of a visit after which somebody else may use its place: of a host that has not answered yet, and of any."""


class Workers:
    """Args:
    usual: workers while no visit hangs.
    most: workers at any time.
    work: one of them, by its number; a number is used again once its worker has left.
    silent: whether the host of a lease has not answered yet.
    """

    def __init__(
        self,
        usual: int,
        most: int,
        clock: Clock,
        work: Callable[[int], Coroutine[Any, Any, None]],
        silent: Callable[[Lease], bool],
    ) -> None:
        self.visiting: dict[int, Lease] = {}
        """What each worker visits, the visits that began first before the others."""
        self._usual = usual
        self._most = most
        self._clock = clock
        self._work = work
        self._silent = silent
        self._begun: dict[int, float] = {}
        self._lent: set[int] = set()
        self.cancelled = False
        """Whether ``cancel`` was called."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._timer: Timer | None = None

    @property
    def number(self) -> int:
        """Workers now."""
        return len(self._tasks)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """The usual number, in this group."""
        self._group = group
        self._fill()

    def visits(self, number: int, lease: Lease) -> None:
        """A visit begins."""
        self.visiting[number] = lease
        self._begun[number] = self._clock.monotonic()
        if self._timer is None and self._most > self._usual:
            self._arm(self._begun[number] + LENT_AFTER)

    def ends(self, number: int) -> None:
        """Its visit is over. If its place was lent it comes back: whoever is one too many leaves after a visit, so
        that never more than the usual number is idle."""
        del self.visiting[number]
        self._lent.discard(number)

    @property
    def _places(self) -> int:
        return min(self._usual + len(self._lent), self._most)

    def may_leave(self, number: int) -> bool:
        """Asked by each worker between two visits: True when it is one too many, and has been struck off."""
        if len(self._tasks) <= self._usual + len(self._lent):
            return False
        del self._tasks[number]
        return True

    def cancel(self) -> None:
        """Those that visit."""
        self.cancelled = True
        for number in self.visiting:
            self._tasks[number].cancel()

    async def over(self) -> None:
        """Wait until all have ended."""
        while left := [task for task in self._tasks.values() if not task.done()]:
            await asyncio.wait(left)

    def stop(self) -> None:
        """Lend no more places."""
        self._group = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Lend the places of visits that hang; come back when the next would."""
        self._timer = None
        now, again = self._clock.monotonic(), math.inf
        for number, lease in self.visiting.items():
            begun = self._begun[number]
            if now < begun + LENT_AFTER:
                again = min(again, begun + LENT_AFTER)
                break
            if now >= begun + HANGS_AFTER or self._silent(lease):
                self._lent.add(number)
            elif number not in self._lent:
                again = min(again, begun + HANGS_AFTER)
        if again < math.inf:
            self._arm(again)
        self._fill()

    def _arm(self, when: float) -> None:
        self._timer = self._clock.call_at(when, self._look)

    def _fill(self) -> None:
        if self._group is None:
            return
        free = (number for number in count() if number not in self._tasks)
        while len(self._tasks) < self._places:
            number = next(free)
            self._tasks[number] = self._group.create_task(self._work(number))
