"""Slot: one host (or the hosts that share one), its queue, and when it may be asked again."""

from __future__ import annotations

import heapq
import math
import random

from scraper.page import HostLimits, Lease

IN_TROUBLE = frozenset(("paused", "slowed"))
WARM, COLD, MORE, TIMED, NOWHERE = range(5)
WORTH = 8
"""Requests that a host must have had for each connection beside its first: a small host gets by with one,"""
PATIENCE = 0.25
"""and seconds after which work that waits for a busy connection gets one of its own all the same."""


class Slot:
    """Its queue, what is known of its connections, and its next ready time (monotonic seconds).

    ``hosts`` are those that were sent back because it is full. ``unsent`` is the lease that was given out and whose
    request is not on its way yet (``sending``: it is about to be); ``emptying`` while requests are in flight from
    before there was a delay. Of a slot with a delay nothing is given out during either: the gap is counted from the
    moment a request is sent.
    """

    __slots__ = (
        "answered",
        "counted",
        "emptying",
        "hosts",
        "in_flight",
        "key",
        "limits",
        "listed_at",
        "open",
        "place",
        "queue",
        "ready_at",
        "sending",
        "served",
        "short_since",
        "started",
        "timed_at",
        "unsent",
        "used_at",
    )

    def __init__(self, key: str, limits: HostLimits, asked: float = -math.inf) -> None:
        """``asked``: until when somebody before us may have asked it."""
        self.key = key
        self.limits = limits
        self.queue: list[tuple[int, int, int, int, Lease]] = []
        self.hosts: set[str] = set()
        self.in_flight = 0
        self.open = 0
        self.answered = False
        self.ready_at = 0.0
        self.served = 0
        self.short_since: float | None = None
        self.started = asked
        self.unsent: Lease | None = None
        self.sending = False
        self.emptying = False
        self.timed_at = 0.0
        self.listed_at = math.inf
        self.used_at = 0.0
        self.place = NOWHERE
        self.counted = 0
        self.space()

    def __repr__(self) -> str:
        return (
            f"<Slot {self.key} queue={len(self.queue)} in_flight={self.in_flight}/{self.limits.cap} "
            f"open={self.open} ready_at={self.ready_at:.3f}>"
        )

    def pop(self) -> Lease:
        """The lease to ask for next. Of a host in trouble, one of the pages that have not failed before, if there are
        any: those that have may be all that is wrong with it. And to probe it, any of them, for those that come first
        may be of one kind."""
        queue, state = self.queue, self.limits.state
        if state not in IN_TROUBLE or (state == "slowed" and queue[0][4].attempt == 1):
            return heapq.heappop(queue)[4]
        entry = min(queue, key=lambda entry: (entry[4].attempt > 1, entry))  # those that were probes come last anyway
        if state == "paused":
            entry = random.choice([each for each in queue if _is_like(each[4], entry[4])])
        queue.remove(entry)
        heapq.heapify(queue)
        return entry[4]

    def start(self, now: float) -> None:
        """A request is on its way: the next one not before the delay has passed."""
        self.started = max(self.started, now)
        self.space()

    def space(self) -> None:
        """Put the gap between the last start and the next ready time."""
        limits = self.limits
        if limits.delay:
            gap = limits.delay * (1.0 + limits.jitter * random.random())
            self.ready_at = max(self.ready_at, self.started + gap)

    def limit(self, limits: HostLimits, now: float) -> None:
        """Other limits from now on."""
        before, self.limits = self.limits.delay, limits
        if limits.delay > before:
            if not before:  # starts were not counted: the last was now, for all we know
                self.started = now
                self.emptying = self.in_flight > 0
            self.space()
        if limits.state == "down":
            self.ready_at = now  # its pages are not asked for any more, only told

    def find_place(self, now: float, keepalive: float, patience: float, worth: float) -> int:
        """Where it belongs now; for TIMED, ``timed_at`` says until when."""
        if not self.queue:
            self.short_since = None
            return NOWHERE
        if self.in_flight >= self.limits.cap or self.unsent is not None or self.emptying:
            return NOWHERE
        if self.in_flight and not self.answered:
            return NOWHERE  # a host that has never answered may be a dead one: it holds one worker, not all
        if self.ready_at > now:
            self.timed_at = self.ready_at
            return TIMED
        if self.in_flight == 0:
            if self.open and now - self.used_at >= keepalive:
                self.open = 0
            return WARM if self.open else COLD
        if self.in_flight < self.open:
            return WARM
        # Another connection beside the busy ones: earned by the requests served so far, or by waiting.
        if self.short_since is None:
            self.short_since = now
        self.timed_at = self.short_since + patience
        earned = self.in_flight <= self.served // worth
        return MORE if earned or self.timed_at <= now else TIMED


def _is_like(lease: Lease, other: Lease) -> bool:
    """Whether it has been asked for as often."""
    return lease.after == other.after and (lease.attempt > 1) == (other.attempt > 1)
