"""The frontier: one slot per host, and the choice of what is fetched next.

This is the one gate of the house. A slot holds a host's queue, its cap and the next moment at which it
may be asked; nothing else in the crawl counts or sleeps to be polite. A slot stands in at most one
place at a time:

    warm    has work and an idle connection: a request here costs no handshake
    cold    has work and no connection yet
    more    has work, and has earned another connection beside the busy ones
    timed   has work, but its next ready time lies ahead; or it waits for a busy connection
    -       no work, or as many requests in flight as its cap

Warm goes before cold before more, so a crawl of many hosts opens about one connection for each. Every
eighth choice looks at the cold ones first: a host with endless work must not starve those not begun.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from scraper.page import HostLimits, Lease
from scraper.ports import Clock, Throttle, Timer

WARM, COLD, MORE, TIMED, NOWHERE = range(5)
COLD_FIRST_EVERY = 8
MOST_SLOTS = 10_000
WORTH = 8
"""Requests that a host must have had for each connection beside its first: a small host gets by with one,"""
PATIENCE = 0.25
"""and seconds after which work that waits for a busy connection gets one of its own all the same."""


class Slot:
    """One host: its queue, and what is known of its connections and its next ready time (monotonic)."""

    __slots__ = (
        "counted",
        "host",
        "in_flight",
        "limits",
        "listed_at",
        "open",
        "place",
        "queue",
        "ready_at",
        "served",
        "short_since",
        "timed_at",
        "used_at",
    )

    def __init__(self, host: str, limits: HostLimits) -> None:
        self.host = host
        self.limits = limits
        self.queue: list[tuple[int, int, int, Lease]] = []
        self.in_flight = 0
        self.open = 0
        self.ready_at = 0.0
        self.served = 0
        self.short_since: float | None = None
        self.timed_at = 0.0
        self.listed_at = math.inf
        self.used_at = 0.0
        self.place = NOWHERE
        self.counted = 0

    def __repr__(self) -> str:
        return (
            f"<Slot {self.host} queue={len(self.queue)} in_flight={self.in_flight}/{self.limits.cap} "
            f"open={self.open} ready_at={self.ready_at:.3f}>"
        )


class Frontier:
    """Leases in, the best lease of the best host out.

    Args:
        throttle: limits of each host.
        clock: monotonic time and timers.
        keepalive: seconds after which an idle connection no longer counts as warm.
        look_ahead: leases that can go at once which are worth holding.
        per_host: leases held for one host before it counts as full.
        hungry: called, often, while more leases would help.
        allowance: visits that may still begin, or None for any number (``limit_pages``).
    """

    def __init__(
        self,
        throttle: Throttle,
        clock: Clock,
        *,
        keepalive: float,
        look_ahead: int,
        per_host: int,
        hungry: Callable[[], object],
        allowance: int | None = None,
    ) -> None:
        self.in_flight = 0
        self.queued = 0
        self.ready = 0
        self.dry = False
        """True when the store had nothing more for us; ``refill`` takes it back."""
        self.allowance = allowance
        self.look_ahead = look_ahead
        self.per_host = per_host
        self._throttle = throttle
        self._clock = clock
        self._keepalive = keepalive
        self._hungry = hungry
        self._slots: dict[str, Slot] = {}
        self._full: set[str] = set()
        self._tiers: tuple[OrderedDict[str, Slot], ...] = (OrderedDict(), OrderedDict(), OrderedDict())
        self._timed: list[tuple[float, str]] = []
        self._timer: tuple[float, Timer] | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._turn = 0
        self._closed = False

    # -- what the engine asks

    @property
    def room(self) -> int:
        """Leases that could be used soon; 0 when there are enough."""
        if self._closed or self.allowance == 0:
            return 0
        return max(0, self.look_ahead - self.ready)

    @property
    def full(self) -> frozenset[str]:
        """Hosts that hold as many leases as they can use soon."""
        return frozenset(self._full)

    @property
    def slots(self) -> list[Slot]:
        """All slots, for those who look."""
        return list(self._slots.values())

    def push(self, leases: Iterable[Lease]) -> None:
        """Take leases in and wake a worker for them."""
        now = self._clock.monotonic()
        for lease in leases:
            slot = self._slots.get(lease.host) or self._add_slot(lease.host)
            heapq.heappush(slot.queue, (-lease.request.priority, lease.page, lease.token, lease))
            self.queued += 1
            if len(slot.queue) >= self.per_host:
                self._full.add(slot.host)
            self._settle(slot, now)
        self._wake()
        self._ask()  # all of these may rest, while the store has hosts that do not

    def refill(self) -> None:
        """The store may have more than it had."""
        self.dry = False
        self._ask()

    async def next(self) -> Lease | None:
        """The next lease, as soon as one may go; None when the frontier is closed."""
        while not self._closed:
            lease = self.take()
            if lease is not None:
                self._wake()  # one wakes the next, so that a single event never wakes them all
                return lease
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return None

    def take(self) -> Lease | None:
        """The best lease that may go now, with a place in its host's slot, or None."""
        slot = self._choose()
        if slot is None or self.allowance == 0:
            return None
        now = self._clock.monotonic()
        lease = heapq.heappop(slot.queue)[3]
        self.queued -= 1
        self.in_flight += 1
        slot.in_flight += 1
        slot.served += 1
        slot.open = max(slot.open, slot.in_flight)
        slot.used_at = now
        if slot.place == MORE:
            slot.short_since = None
        limits = slot.limits
        if limits.delay:
            slot.ready_at = max(slot.ready_at, now + limits.delay * (1.0 + limits.jitter * random.random()))
        if self.allowance is not None:
            self.allowance -= 1
        if slot.host in self._full and len(slot.queue) * 2 <= self.per_host:
            self._full.discard(slot.host)
            self.dry = False
        self._settle(slot, now, rotate=True)
        self._ask()
        return lease

    def done(self, lease: Lease, keepalive: bool = True, rest: float = 0.0) -> None:
        """Give the place back; ``rest`` is seconds for which the host must not be asked."""
        now = self._clock.monotonic()
        slot = self._slots[lease.host]
        slot.in_flight -= 1
        self.in_flight -= 1
        slot.used_at = now
        if not keepalive:
            slot.open = max(slot.in_flight, slot.open - 1)
        slot.limits = self._throttle.limits(slot.host)
        if rest > 0:
            slot.ready_at = max(slot.ready_at, now + rest)
        self._settle(slot, now)
        self._wake()

    def postpone(self, lease: Lease) -> None:
        """The page could not be asked for yet: it waits in its slot again, as if it had not been taken."""
        self.done(lease)
        self.allow()
        self.push([lease])

    def allow(self) -> None:
        """One visit more: one that began did not finish its page."""
        if self.allowance is not None:
            self.allowance += 1
            self._wake()
            self._ask()

    def close(self) -> list[Lease]:
        """Give out nothing more; returns the leases that were waiting."""
        self._closed = True
        left = []
        for slot in self._slots.values():
            left += [entry[3] for entry in slot.queue]
            slot.queue.clear()
            self._settle(slot, 0.0)
        self.queued = 0
        self._timed.clear()
        if self._timer is not None:
            self._timer[1].cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        return left

    # -- where a slot stands

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

    def _place(self, slot: Slot, now: float) -> int:
        if not slot.queue:
            slot.short_since = None
        if not slot.queue or slot.in_flight >= slot.limits.cap:
            return NOWHERE
        if slot.ready_at > now:
            slot.timed_at = slot.ready_at
            return TIMED
        if slot.in_flight == 0:
            if slot.open and now - slot.used_at >= self._keepalive:
                slot.open = 0
            return WARM if slot.open else COLD
        if slot.in_flight < slot.open:
            return WARM
        # Another connection beside the busy ones: earned by the requests served so far, or by waiting.
        if slot.short_since is None:
            slot.short_since = now
        slot.timed_at = slot.short_since + PATIENCE
        earned = slot.in_flight <= slot.served // WORTH
        return MORE if earned or slot.timed_at <= now else TIMED

    def _settle(self, slot: Slot, now: float, rotate: bool = False) -> None:
        """Put the slot where it belongs now; ``rotate`` to the end, behind its peers."""
        place, old = self._place(slot, now), slot.place
        if place != old:
            if old < TIMED:
                del self._tiers[old][slot.host]
            slot.place = place
            if place < TIMED:
                self._tiers[place][slot.host] = slot
            elif place == TIMED and slot.timed_at < slot.listed_at:  # else an entry before it looks again in time
                slot.listed_at = slot.timed_at
                heapq.heappush(self._timed, (slot.timed_at, slot.host))
                self._arm()
        elif rotate and place < TIMED:
            self._tiers[place].move_to_end(slot.host)
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
            when, host = heapq.heappop(self._timed)
            slot = self._slots.get(host)
            if slot is None or when != slot.listed_at:
                continue  # another entry speaks for it: each slot has one, or the heap would grow with the pages
            slot.listed_at = math.inf
            if slot.place == TIMED:
                slot.place = NOWHERE
                self._settle(slot, now)
        if self._timed:
            self._arm()
        self._wake()
        self._ask()

    def _add_slot(self, host: str) -> Slot:
        if len(self._slots) >= MOST_SLOTS:
            now = self._clock.monotonic()
            for each in self.slots:
                if not each.queue and not each.in_flight and each.ready_at <= now:
                    del self._slots[each.host]
        slot = self._slots[host] = Slot(host, self._throttle.limits(host))
        return slot

    def _wake(self) -> None:
        """Wake one worker if there is something to take."""
        if self.allowance != 0 and any(self._tiers):
            while self._waiters:
                waiter = self._waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return

    def _ask(self) -> None:
        if not self.dry and self.ready * 2 <= self.look_ahead:
            self._hungry()
