"""The lineup: which slot goes next. A slot stands in at most one place at a time:

    warm    has work and an idle connection: a request here costs no handshake
    cold    has work and no connection yet
    more    has work, and has earned another connection beside the busy ones
    timed   has work, but its next ready time lies ahead; or it waits for a busy connection
    -       no work, or as many requests in flight as its cap, or it has yet to send or to answer its first

Warm goes before cold before more, so a crawl of many hosts opens about one connection for each. Every
eighth choice looks at the cold ones first: a host with endless work must not starve those not begun.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable

from scraper.ports import Clock, Timer
from scraper.slot import NOWHERE, PATIENCE, TIMED, WORTH, Slot

COLD_FIRST_EVERY = 8


class Lineup:
    """Args:
    clock: monotonic time and timers.
    keepalive: seconds after which an idle connection no longer counts as warm.
    on_time: called when the time of some slot has come.

    ``ready`` counts the leases that may go now, or once a connection is free.
    """

    def __init__(self, clock: Clock, keepalive: float, on_time: Callable[[], object]) -> None:
        self.ready = 0
        self._clock = clock
        self._keepalive = keepalive
        self._due = on_time
        self._slots: dict[str, Slot] = {}
        self._tiers: tuple[OrderedDict[str, Slot], ...] = (OrderedDict(), OrderedDict(), OrderedDict())
        self._timed: list[tuple[float, str]] = []
        self._timer: tuple[float, Timer] | None = None
        self._turn = 0

    def _choose(self) -> Slot | None:
        warm, cold, more = self._tiers
        if cold:
            self._turn += 1
            if self._turn % COLD_FIRST_EVERY == 0:
                return next(iter(cold.values()))
        for tier in (warm, cold, more):
            if tier:
                return next(iter(tier.values()))
        return None

    def _settle(self, slot: Slot, now: float, rotate: bool = False) -> None:
        """Put the slot where it belongs now; ``rotate`` to the end, behind its peers."""
        place, old = slot.find_place(now, self._keepalive, PATIENCE, WORTH), slot.place
        if place != old:
            if old < TIMED:
                del self._tiers[old][slot.key]
            slot.place = place
            if place < TIMED:
                self._tiers[place][slot.key] = slot
            elif place == TIMED and slot.timed_at < slot.listed_at:  # else an entry before it looks again in time
                slot.listed_at = slot.timed_at
                heapq.heappush(self._timed, (slot.timed_at, slot.key))
                self._arm()
        elif rotate and place < TIMED:
            self._tiers[place].move_to_end(slot.key)
        counted = len(slot.queue) if place < TIMED else 0
        self.ready += counted - slot.counted
        slot.counted = counted

    def _arm(self) -> None:
        when = self._timed[0][0]
        if self._timer is not None:
            if self._timer[0] <= when:
                return
            self._timer[1].cancel()
        self._timer = (when, self._clock.call_at(when, self._on_time))

    def _on_time(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._timed and self._timed[0][0] <= now:
            when, key = heapq.heappop(self._timed)
            slot = self._slots.get(key)
            if slot is None or when != slot.listed_at:
                continue  # another entry speaks for it: each slot has one, or the heap would grow with the pages
            slot.listed_at = math.inf
            if slot.place == TIMED:
                slot.place = NOWHERE
                self._settle(slot, now)
        if self._timed:
            self._arm()
        self._due()
