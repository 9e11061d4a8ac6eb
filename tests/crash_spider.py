"""The spider of the crash bench: every way to store an item, on each page of ``crash_site``."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import tenacity

from scraper import Response, RetryPolicy, Spider


@dataclass
class Row:
    """One a page."""

    key = "id"
    id: int
    double: int


@dataclass
class Shelf:
    """One for many pages, the same from each: an upsert."""

    key = "name"
    name: str


class Crash(Spider):
    # The site is in trouble all the time, and is to be asked fast all the same.
    settings: ClassVar[dict[str, Any]] = {"adaptive": False, "breaker_failures": 0}

    def __init__(self, start: str, hosts: str, pause: float = 0.02, poison: int = -1) -> None:
        self.start_urls = [start]
        self.poison = poison
        self.allowed_domains = hosts.split(",")
        self.retry_policy = RetryPolicy(stop=tenacity.stop_never, wait=tenacity.wait_fixed(pause))

    def parse(self, response: Response) -> Any:
        """Every other page waits in the middle, so that the callbacks of several meet."""
        number = int(response.css("h1::text").get(""))
        return self.now(response, number) if number % 2 else self.later(response, number)

    async def later(self, response: Response, number: int) -> AsyncIterator[Any]:
        self.state["begun"] = self.state.get("begun", 0) + 1
        for turn, each in enumerate(self.now(response, number)):
            if turn < 3:
                await asyncio.sleep(0)
            yield each

    def now(self, response: Response, number: int) -> Iterator[Any]:
        shelves = self.state.setdefault("shelves", {})
        shelf = f"s{number % 10}"
        shelves[shelf] = shelves.get(shelf, 0) + 1
        if number == self.poison:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Row(number, 2 * number)
        yield {"page": number, "part": 1}
        yield from response.follow_all("a")
        yield Shelf(f"shelf {number % 10}")
        yield {"page": number, "part": object() if number % 17 == 4 else 2}  # an object cannot be stored: a reject
