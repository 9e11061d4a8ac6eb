"""The engine: seeds of a ``start()`` that is slow, or fails."""

import asyncio
from typing import Any

import pytest
from crawling import SITE, Bench, spider

from scraper.request import Request


async def test_a_slow_start_does_not_keep_its_first_seeds_waiting() -> None:
    fetched = asyncio.Event()

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        await fetched.wait()  # not before the first page was asked for
        yield Request(SITE + "2")

    def first(request: Request) -> str:
        fetched.set()
        return ""

    bench = Bench(spider(start=start), {"1": first, "2": ""})
    assert await bench.run() == "finished"
    assert bench.asked == ["1", "2"]


async def test_what_start_gave_before_it_failed_is_kept() -> None:
    async def start(self: Any) -> Any:
        for number in range(1, 40):
            yield Request(SITE + str(number))
        raise ValueError("the list ended early")

    bench = Bench(spider(start=start), {str(number): "" for number in range(1, 40)})
    with pytest.raises(ValueError, match="the list ended early"):
        await bench.run()
    states = await bench.states()
    assert len(states) == 39
    assert set(states.values()) <= {"due", "done"}


async def test_seeds_that_come_while_a_page_is_fetched_do_not_wait_for_more_seeds() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        await first.wait()
        yield Request(SITE + "2")  # kept back, as page 1 is in flight
        await second.wait()

    async def one(request: Request) -> str:
        first.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return ""

    def two(request: Request) -> str:
        second.set()
        return ""

    bench = Bench(spider(start=start), {"1": one, "2": two})
    assert await bench.run() == "finished"
    assert bench.asked == ["1", "2"]
