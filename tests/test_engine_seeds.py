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
    asked, failing = asyncio.Event(), asyncio.Event()

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        await asked.wait()  # page 1 is in flight, so the seeds to come wait for a chunk to fill
        for number in range(2, 40):
            yield Request(SITE + str(number))
        failing.set()
        raise ValueError("the list ended early")

    async def one(request: Request) -> str:
        asked.set()
        await failing.wait()
        return ""

    bench = Bench(spider(start=start), {"1": one})
    with pytest.raises(ValueError, match="the list ended early"):
        await bench.run()
    states = await bench.states()
    assert len(states) == 39
    assert states["1"] == "done", "what was in flight was finished"


async def test_a_seed_that_comes_when_all_is_quiet_is_fetched_at_once() -> None:
    fetched = asyncio.Event()

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        while not bench.asked or bench.engine.frontier.in_flight or bench.engine.writer.pending:
            await asyncio.sleep(0)
            bench.engine.writer.flush()
        for _ in range(20):  # nothing happens any more that could wake the feed
            await asyncio.sleep(0)
        yield Request(SITE + "2")
        await fetched.wait()

    def two(request: Request) -> str:
        fetched.set()
        return ""

    bench = Bench(spider(start=start), {"1": "", "2": two})
    assert await bench.run() == "finished"
    assert bench.asked == ["1", "2"]


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
