"""The frontier: one slot per host (or group of hosts), and the choice of what is fetched next.

This is the one gate of the house. A slot holds a host's queue, its cap and the next moment at which it
may be asked; nothing else in the crawl counts or sleeps to be polite.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable

from scraper.lineup import Lineup
from scraper.page import Lease
from scraper.ports import Clock, Throttle
from scraper.slot import MORE, Slot

MOST_SLOTS = 10_000
MOST_LEASES = 20_000
"""Leases in memory, also where most rest with their hosts."""
MOST_SENT_BACK = 10_000
"""Hosts of one full slot that are known by name."""


class Frontier(Lineup):
    """Leases in, the best lease of the best host out.

    Args:
        throttle: limits of each host.
        clock: monotonic time and timers.
        keepalive: seconds after which an idle connection no longer counts as warm.
        look_ahead: leases that can go at once which are worth holding.
        per_host: leases held for one host before it counts as full.
        hungry: called, often, while more leases would help.
        allowance: visits that may still begin, or None for any number (``limit_pages``).
        group: the slot key of a host; None: the host itself. It may change while a host is in use.
        asked_until: monotonic seconds until which a process before this one may have asked a host.

    ``reported`` is True once a fetcher calls ``sent``: the gap between two starts is counted from there. Else it is
    counted from the end of a visit, as the request may have been sent at any moment of it.
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
        group: Callable[[str], str] | None = None,
        asked_until: float = -math.inf,
    ) -> None:
        super().__init__(clock, keepalive, self._on_due)
        self.reported = False
        self.in_flight = 0
        self.queued = 0
        self.dry = False
        """True when the store had nothing more for us; ``refill`` takes it back."""
        self.allowance = allowance
        self.look_ahead = look_ahead
        self.per_host = per_host
        self._throttle = throttle
        self._hungry = hungry
        self._full: dict[str, Slot] = {}
        self._group = group
        self._asked_until = asked_until
        self._spaced = False
        """Some slot has had a delay: starts matter."""
        self._asking: dict[str, list[Slot]] = {}
        """The slots of each host in flight, when hosts are grouped: a host's key may have changed meanwhile."""
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._sweep_at = MOST_SLOTS
        """Slots from which those that are idle are forgotten."""

    # -- what the engine asks

    @property
    def room(self) -> int:
        """Leases that could be used soon; 0 when there are enough."""
        if self._closed or self.allowance == 0:
            return 0
        return max(0, min(self.look_ahead - self.ready, MOST_LEASES - self.queued))

    @property
    def full(self) -> frozenset[str]:
        """Hosts that hold as many leases as they can use soon."""
        if self._group is None:
            return frozenset(self._full)
        return frozenset(host for slot in self._full.values() for host in slot.hosts)

    @property
    def slots(self) -> list[Slot]:
        """All slots, for those who look."""
        return list(self._slots.values())

    def push(self, leases: Iterable[Lease]) -> list[Lease]:
        """Take leases in and wake a worker for them. Returns those that there is no room for: full is full."""
        now = self._clock.monotonic()
        group = self._group
        left: list[Lease] = []
        for lease in leases:
            key = lease.host if group is None else group(lease.host)
            slot = self._slots.get(key) or self._add_slot(key)
            if group is not None and len(slot.queue) >= self.per_host:
                left.append(lease)
                self._send_back(slot, lease.host)
            else:
                self._put(slot, lease, now)
        self._wake()
        self._ask()  # all of these may rest, while the store has hosts that do not
        return left

    def _put(self, slot: Slot, lease: Lease, now: float) -> None:
        lease.slot = slot.key
        heapq.heappush(slot.queue, (lease.after, -lease.request.priority, lease.page, lease.token, lease))
        self.queued += 1
        if len(slot.queue) >= self.per_host:
            self._full[slot.key] = slot
            if self._group is not None:
                self._send_back(slot, lease.host)
        self._settle(slot, now)

    def _send_back(self, slot: Slot, host: str) -> None:
        """The slot has no room for this host: the store is not asked for it until it has."""
        if len(slot.hosts) < MOST_SENT_BACK:
            slot.hosts.add(host)
        elif host not in slot.hosts:
            self.dry = True  # it would come again and again

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
        while True:
            slot = self._choose()
            if slot is None or self.allowance == 0:
                return None
            now = self._clock.monotonic()
            lease = slot.pop()
            self.queued -= 1
            if self._group is None or (key := self._group(lease.host)) == slot.key:
                break
            # Its key has become known since it came (``slot_by = "ip"``): it waits with those that share it.
            self._make_room(slot)
            self._settle(slot, now)
            self._put(self._slots.get(key) or self._add_slot(key), lease, now)
        self.in_flight += 1
        slot.in_flight += 1
        slot.served += 1
        slot.open = max(slot.open, slot.in_flight)
        slot.used_at = now
        if slot.place == MORE:
            slot.short_since = None
        if slot.limits.delay:
            slot.unsent = lease
        if self._group is not None:
            self._asking.setdefault(lease.host, []).append(slot)
        if self.allowance is not None:
            self.allowance -= 1
        self._make_room(slot)
        self._settle(slot, now, rotate=True)
        self._ask()
        return lease

    def _make_room(self, slot: Slot) -> None:
        if slot.key in self._full and len(slot.queue) * 2 <= self.per_host:
            del self._full[slot.key]
            slot.hosts.clear()
            self.dry = False

    def done(self, lease: Lease, keepalive: bool = True, rest: float = 0.0, answered: bool = True) -> None:
        """Give the place back; ``rest`` is seconds for which the host must not be asked, ``answered`` whether it
        has said anything at all."""
        now = self._clock.monotonic()
        slot = self._slots[lease.slot]
        slot.in_flight -= 1
        self.in_flight -= 1
        slot.used_at = now
        if answered:
            slot.answered = True
        if not keepalive:
            slot.open = max(slot.in_flight, slot.open - 1)
        if self._group is not None:
            self._let_go(lease.host, slot)
        if slot.unsent is lease:
            if slot.sending or not self.reported:
                slot.start(now)
            slot.unsent, slot.sending = None, False
        if slot.emptying and not slot.in_flight:
            slot.emptying = False
        limits = self._throttle.limits(slot.key)
        if limits is not slot.limits:
            self._spaced = self._spaced or limits.delay > 0
            slot.limit(limits, now)
        if rest > 0:
            slot.ready_at = max(slot.ready_at, now + rest)
        self._settle(slot, now)
        self._wake()

    def postpone(self, lease: Lease) -> None:
        """A visit that is over did not finish its page, and it was no attempt: it waits in its slot again."""
        self.allow()
        key = lease.host if self._group is None else self._group(lease.host)
        self._put(self._slots.get(key) or self._add_slot(key), lease, self._clock.monotonic())
        self._wake()

    # -- what is told of requests, see ``ports.Gate``

    def sent(self, host: str, gone: bool = True) -> None:
        """A request to this host is on its way, for a page or for robots.txt; or about to be, with ``gone`` False."""
        if not self._spaced:
            return
        now = self._clock.monotonic()
        for slot in self._slots_of(host):
            if slot.limits.delay:
                slot.start(now)
                if slot.unsent is not None and slot.unsent.host == host:
                    slot.sending = not gone
                    if gone:
                        slot.unsent = None
                self._settle(slot, now)

    def waits(self, host: str) -> bool:
        """Whether requests to this host are spaced."""
        return self._spaced and any(slot.limits.delay for slot in self._slots_of(host))

    def refresh(self, key: str) -> None:
        """The limits of a slot have changed though none of its visits is over."""
        slot = self._slots.get(key)
        limits = self._throttle.limits(key)
        self._spaced = self._spaced or limits.delay > 0
        if slot is not None and limits is not slot.limits:
            now = self._clock.monotonic()
            slot.limit(limits, now)
            self._settle(slot, now)
            self._wake()

    def pause(self, key: str, rest: float) -> None:
        """A slot rests for so many seconds."""
        slot = self._slots.get(key)
        if slot is not None:
            slot.ready_at = max(slot.ready_at, self._clock.monotonic() + rest)
            self.refresh(key)
            self._settle(slot, self._clock.monotonic())

    def is_silent(self, lease: Lease) -> bool:
        """Whether the host of a lease that was given out has not answered yet."""
        slot = self._slots.get(lease.slot)
        return slot is not None and not slot.answered

    def has_untried(self, key: str) -> bool:
        """Whether a page waits in this slot that has not failed yet, and has not been the probe of a pause either."""
        slot = self._slots.get(key)
        return slot is not None and any(lease.attempt == 1 and not lease.after for *_, lease in slot.queue)

    def _slots_of(self, host: str) -> Iterable[Slot]:
        if self._group is not None:
            return self._asking.get(host) or filter(None, (self._slots.get(self._group(host)),))
        slot = self._slots.get(host)
        return (slot,) if slot is not None else ()

    def _let_go(self, host: str, slot: Slot) -> None:
        asking = self._asking[host]
        asking.remove(slot)
        if not asking:
            del self._asking[host]

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
            left += [entry[4] for entry in slot.queue]
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

    # -- slots and workers

    def _add_slot(self, key: str) -> Slot:
        now = self._clock.monotonic()
        if len(self._slots) >= self._sweep_at:
            for each in self.slots:
                if not each.queue and not each.in_flight and each.ready_at <= now:
                    del self._slots[each.key]
            # Those that are left may all be in use: look again only when there are a tenth more.
            self._sweep_at = max(MOST_SLOTS, len(self._slots) + len(self._slots) // 10)
        limits = self._throttle.limits(key)
        self._spaced = self._spaced or limits.delay > 0
        slot = self._slots[key] = Slot(key, limits, self._asked_until)
        rest = self._throttle.rest(key, now)
        if rest > 0:
            slot.ready_at = max(slot.ready_at, now + rest)
        return slot

    def _on_due(self) -> None:
        self._wake()
        self._ask()

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
