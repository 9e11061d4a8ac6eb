"""A frontier over a fake clock and limits that a test sets: what the tests of the frontier say it with."""

import asyncio
from collections import defaultdict
from itertools import count
from typing import Any

from scraper.errors import FetchError
from scraper.frontier import Frontier
from scraper.page import HostLimits, Lease, Seen
from scraper.ports import Throttle
from scraper.request import Request
from scraper.slot import Slot
from scraper.testing import FakeClock

KEEPALIVE = 30.0
pages = count(1)


class Limits(Throttle):
    """A throttle whose limits a test sets."""

    def __init__(self, cap: int = 8, delay: float = 0.0, jitter: float = 0.0) -> None:
        self.hosts: dict[str, HostLimits] = defaultdict(lambda: HostLimits(cap, delay, jitter))

    def limits(self, host: str) -> HostLimits:
        return self.hosts[host]

    def observe(self, host: str, seen: Seen, error: FetchError | None, now: float) -> float:
        return 0.0


class Hungry:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


class Begun(Frontier):
    """Where every host has answered before."""

    def _add_slot(self, key: str) -> Slot:
        slot = super()._add_slot(key)
        slot.answered = True
        return slot


def frontier(
    limits: Limits | None = None, clock: FakeClock | None = None, begun: bool = True, **options: Any
) -> Frontier:
    chosen = {"keepalive": KEEPALIVE, "look_ahead": 128, "per_host": 64, "hungry": Hungry(), **options}
    return (Begun if begun else Frontier)(limits or Limits(), clock or FakeClock(), **chosen)


def leases(host: str, number: int = 1, priority: int = 0) -> list[Lease]:
    made = []
    for _ in range(number):
        page = next(pages)
        request = Request(f"http://{host}/{page}", priority=priority)
        made.append(Lease(page, page, request, host, 1, 1e12))
    return made


def take_all(front: Frontier) -> list[Lease]:
    return list(iter(front.take, None))


def hosts(taken: list[Lease]) -> list[str]:
    return [lease.host for lease in taken]


async def spin() -> None:
    """Let everything run that can run without time or input."""
    for _ in range(200):
        await asyncio.sleep(0)
