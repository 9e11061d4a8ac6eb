"""The watchdog: a callback that holds the loop is named while it does, once; and nothing is named that does not."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from crawling import Bench, follow, page, spider

from scraper import Field, watchdog
from scraper.request import Request
from scraper.response import Response
from scraper.spider import Spider
from scraper.watchdog import Watchdog, holder

HERE = __file__


class Told:
    """A log that keeps its warnings, and lets who blocks wait for the first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.first = threading.Event()

    def warning(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})
        self.first.set()

    def wait(self) -> None:
        """Block the thread until a warning comes; the time is only for a test that fails."""
        assert self.first.wait(20)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    log = Told()
    monkeypatch.setattr(watchdog, "log", log)
    return log


def line(function: Any, text: str) -> str:
    """Where in a function of this file a text stands."""
    code = function.__code__
    lines = Path(HERE).read_text(encoding="utf-8").splitlines()
    number = next(n for n, each in enumerate(lines[code.co_firstlineno :], code.co_firstlineno + 1) if text in each)
    return f"{HERE}:{number}"


def blocks_plainly(self: Any, response: Response) -> None:
    self.told.wait()  # here


def blocks_between_yields(self: Any, response: Response) -> Iterator[Any]:
    yield {"a": 1}
    self.told.wait()  # here
    yield {"a": 2}


async def blocks_async(self: Any, response: Response) -> AsyncIterator[Any]:
    yield {"a": 1}
    await asyncio.sleep(0)
    self.told.wait()  # here


async def blocks_in_a_coroutine(self: Any, response: Response) -> None:
    await asyncio.sleep(0)
    self.told.wait()  # here


BLOCKS = [blocks_plainly, blocks_between_yields, blocks_async, blocks_in_a_coroutine]


@pytest.mark.parametrize("method", BLOCKS, ids=lambda method: method.__name__)
async def test_a_callback_that_blocks_is_named_while_it_does(method: Any, told: Told) -> None:
    bench = Bench(spider(parse=method, told=told), {"": page()}, watchdog=0.02)
    assert await bench.run() == "finished"
    [event] = told.events
    assert event["event"] == "callback_blocks"
    assert (event["callback"], event["url"]) == (method.__qualname__, "http://h.test/")
    assert event["at"] == line(method, "# here")
    assert event["inside"].startswith(threading.__file__)
    assert event["seconds"] >= 0


async def test_an_errback_that_blocks_is_named(told: Told) -> None:
    def failed(self: Any, request: Request, error: Exception) -> None:
        told.wait()

    def start(self: Spider) -> Iterator[Request]:
        yield Request("http://h.test/gone", errback="failed")

    await Bench(spider(start=start, failed=failed), {}, watchdog=0.02).run()
    [event] = told.events
    assert (event["callback"].rpartition(".")[2], event["url"]) == ("failed", "http://h.test/gone")


async def test_a_step_and_a_cleaner_that_block_are_named(told: Told) -> None:
    def slow_step(item: Any) -> Any:
        told.wait()
        return item

    def slow_cleaner(value: str) -> str:
        told.wait()
        return value

    kind = make_dataclass("Cleaned", [("a", Annotated[str, Field(clean=slow_cleaner)])])
    for name, made in (("slow_step", spider(parse=follow, steps=[slow_step])), ("slow_cleaner", None)):
        told.events.clear()
        told.first.clear()
        made = made or spider(parse=lambda self, response: [kind("x")])
        await Bench(made, {"": page()}, watchdog=0.02).run()
        [event] = told.events
        assert (event["callback"].rpartition(".")[2], event["url"]) == (name, "http://h.test/")


async def test_a_plain_start_that_blocks_is_named(told: Told) -> None:
    def start(self: Spider) -> Iterator[Request]:
        told.wait()
        yield Request("http://h.test/")

    await Bench(spider(start=start), {"": page()}, watchdog=0.02).run()
    [event] = told.events
    assert event["callback"].endswith(".start")
    assert "url" not in event


async def test_it_works_while_pages_are_parsed_on_threads(told: Told) -> None:
    large = "<p>text</p>" * 20_000

    def parse(self: Any, response: Response) -> None:
        assert response.css("p").get()
        told.wait()

    await Bench(spider(parse=parse), {"": large}, watchdog=0.02).run()
    assert [event["url"] for event in told.events] == ["http://h.test/"]


# what the thread does at each look, without it


class Looked:
    """A watchdog that a callback itself lets look, from another thread, at times that it says."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.dog = Watchdog(seconds)
        self.dog.attach()

    def at(self, *times: float) -> None:
        for now in times:
            thread = threading.Thread(target=self.dog.look, args=(now,))
            thread.start()
            thread.join()


async def test_it_is_told_once_for_each_time_it_blocks(told: Told) -> None:
    looked = Looked()
    times = iter([(0.0, 4.9, 5.0, 6.0, 100.0), (200.0, 204.0, 205.0, 206.0)])

    def parse(self: Any, response: Response) -> Any:
        looked.at(*next(times))
        return follow(self, response)

    await Bench(spider(parse=parse), {"": page("/next"), "next": page()}, watchdog=0).run()
    assert [(event["url"], event["seconds"]) for event in told.events] == [
        ("http://h.test/", 5.0),
        ("http://h.test/next", 5.0),
    ]


async def test_a_loop_that_turns_is_left_in_peace(told: Told) -> None:
    looked = Looked()

    async def parse(self: Any, response: Response) -> None:
        for now in range(0, 1000, 100):
            looked.at(now)
            await asyncio.sleep(0)

    await Bench(spider(parse=parse), {"": page()}, watchdog=0).run()
    assert told.events == []


async def test_what_blocks_and_is_no_callback_is_not_told(told: Told) -> None:
    Looked().at(0.0, 100.0)
    assert told.events == []
    assert holder(sys._getframe()) is None
    assert holder(None) is None


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "watchdog"]


@pytest.mark.parametrize(("seconds", "threads"), [(0, 0), (5, 1)])
async def test_its_thread_lives_as_long_as_the_crawl(seconds: float, threads: int) -> None:
    seen: list[int] = []

    def parse(self: Any, response: Response) -> None:
        seen.append(len(watchdogs()))

    await Bench(spider(parse=parse), {"": page()}, watchdog=seconds).run()
    assert seen == [threads]
    assert watchdogs() == []


async def test_its_thread_ends_when_the_crawl_fails() -> None:
    def start(self: Spider) -> Iterator[Request]:
        raise KeyError("no seeds")
        yield

    with pytest.raises(KeyError):
        await Bench(spider(start=start), {}, watchdog=5).run()
    assert watchdogs() == []
