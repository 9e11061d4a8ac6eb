"""What a callback does wrong costs its page and nothing else: no endless one, no huge one, none that ends our tasks."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pytest
from conftest import environment
from crawling import SITE, Bench, follow, page, spider
from sockets import Server

from scraper.collect import FEW, collect
from scraper.errors import CallbackError, RequestError, TooManyResults
from scraper.item import to_item
from scraper.page import Item, Reject
from scraper.request import Request
from scraper.response import Response
from scraper.scope import Scope
from scraper.stores.memory import MemoryStore
from scraper.writer import MOST_RESULTS

PARENT = Request(SITE)


def gather(result: Any, **limits: int) -> Any:
    return asyncio.run(collect(Scope(spider(), **limits), result, PARENT))


# -- too many


def plain(number: int) -> Iterator[Any]:
    yield from ({"n": n} for n in range(number))


async def asynchronous(number: int) -> AsyncIterator[Any]:
    for n in range(number):
        yield {"n": n}


@pytest.mark.parametrize("most", [1, 2, 3, FEW - 1, FEW, FEW + 1, FEW + 2, 2 * FEW + 1, 3 * FEW])
@pytest.mark.parametrize(
    "make", [plain, asynchronous, lambda n: [{"n": each} for each in range(n)], lambda n: iter(plain(n))]
)
def test_a_page_may_give_so_many_results_and_no_more(make: Any, most: int) -> None:
    found = gather(make(most), max_results=most)
    assert [item.value["n"] for item in found.items] == list(range(most))
    with pytest.raises(TooManyResults, match=f"{PARENT.url} gave more than {most:,} links and items"):
        gather(make(most + 1), max_results=most)


def nothing() -> Iterator[None]:
    while True:
        yield None


def offsite() -> Iterator[Request]:
    for n in count():
        yield Request(f"http://elsewhere.test/{n}")


def junk() -> Iterator[Any]:
    while True:
        try:
            yield object()
        except CallbackError:
            continue


async def junk_later() -> AsyncIterator[Any]:
    while True:
        try:
            yield object()
        except CallbackError:
            continue


@pytest.mark.parametrize("make", [nothing, offsite, junk, junk_later, lambda: repeat({}), lambda: map(str, count())])
def test_what_counts_for_nothing_counts_against_the_limit(make: Any) -> None:
    scope = Scope(spider(allowed_domains=["h.test"]), max_results=50)
    with pytest.raises(CallbackError):
        asyncio.run(collect(scope, make(), PARENT))


def stubborn() -> Iterator[Any]:
    for _ in range(10):
        try:
            yield {}
        except GeneratorExit:
            yield {}


async def stubborn_async() -> AsyncIterator[Any]:
    for _ in range(10):
        try:
            yield {}
        except GeneratorExit:
            yield {}


@pytest.mark.parametrize("make", [stubborn, stubborn_async])
def test_one_that_will_not_be_closed_has_still_given_too_much(make: Any) -> None:
    with pytest.raises(TooManyResults) as caught:
        gather(make(), max_results=3)
    assert "nor does it end when it is closed" in caught.value.__notes__[0]


async def test_nothing_of_a_page_that_gave_too_much_is_stored() -> None:
    def parse(self: Any, response: Response) -> Iterator[Any]:
        for n in count():
            yield {"n": n}
            yield response.follow(f"/{n}")

    bench = Bench(spider(parse=parse), {"": page()}, max_results=100)
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {path: (each.state, each.reason) for path, each in pages.items()} == {"": ("dead", "too many results")}
    assert await bench.items() == []


@pytest.mark.parametrize("make", [plain, asynchronous])
async def test_others_get_a_turn_while_a_page_gives_much(make: Any) -> None:
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(beside())
    await collect(Scope(spider()), make(10 * FEW), PARENT)
    task.cancel()
    assert turns >= 5


async def test_of_pages_that_give_much_one_is_taken_in_at_a_time() -> None:
    scope = Scope(spider())
    given = dict.fromkeys("abc", 0)
    most = 0

    def large(name: str) -> Iterator[Any]:
        nonlocal most
        for _ in range(5 * FEW):
            given[name] += 1
            most = max(most, sum(FEW + 1 < number < 5 * FEW for number in given.values()))
            yield {}

    await asyncio.gather(*(collect(scope, large(name), PARENT) for name in given))
    assert list(given.values()) == [5 * FEW] * 3
    assert most == 1


# -- too large


def test_an_item_may_be_so_large_and_no_larger() -> None:
    size = len('{"a":""}')
    assert isinstance(to_item({"a": "x" * 100}, size + 100), Item)
    rejected = to_item({"a": "x" * 101}, size + 100)
    assert isinstance(rejected, Reject)
    assert rejected.reason == f"{size + 101} bytes of JSON, more than max_item_size ({size + 100})"
    assert isinstance(to_item({"a": "é" * 60}, size + 100), Reject)  # bytes, not characters


def test_what_is_kept_of_a_huge_item_is_little() -> None:
    rejected = to_item({"a": "x" * 10_000_000}, 1000)
    assert isinstance(rejected, Reject)
    assert rejected.data == '{"a":"' + "x" * (4000 - 6)


async def test_a_huge_item_is_rejected_and_the_others_are_kept() -> None:
    def parse(self: Any, response: Response) -> Iterator[Any]:
        yield {"a": "x" * 2000}
        yield {"a": "small"}

    bench = Bench(spider(parse=parse), {"": page()}, max_item_size=1000)
    await bench.run()
    assert [item.data for item in await bench.items()] == [{"a": "small"}]
    assert bench.engine.snapshot().rejects == 1


def test_a_request_must_not_carry_more_than_an_item() -> None:
    def parse(**carried: Any) -> Iterator[Any]:
        yield Request(SITE, method="POST", **carried)

    assert gather(parse(meta={"a": "x" * 900}), max_item_size=1000).links
    assert gather(parse(body=b"x" * 100_000), max_item_size=1000).links  # it is sent, and is no note to oneself
    with pytest.raises(RequestError, match="more than max_item_size"):
        gather(parse(meta={"a": "x" * 1000}), max_item_size=1000)


# -- what would end more than the page


def raises(error: BaseException) -> Any:
    def parse(self: Any, response: Response) -> Any:
        if response.url == SITE:
            raise error
        return follow(self, response)

    return parse


def cancels(self: Any, response: Response) -> Any:
    if response.url == SITE:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
    return follow(self, response)


async def cancels_and_waits(self: Any, response: Response) -> Any:
    if response.url == SITE:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)
    return list(follow(self, response))


def recurses(self: Any, response: Response) -> Any:
    return recurses(self, response) if response.url == SITE else follow(self, response)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


BREAKS = {
    "SystemExit": raises(SystemExit(3)),
    "GeneratorExit": raises(GeneratorExit()),
    "CancelledError": raises(asyncio.CancelledError()),
    "StopIteration": raises(StopIteration()),
    "MemoryError": raises(MemoryError()),
    "Unspeakable": raises(Unspeakable()),
    "long": raises(ValueError("x" * 10_000_000)),
    "cancels": cancels,
    "cancels and waits": cancels_and_waits,
    "recursion": recurses,
}


@pytest.mark.parametrize("name", list(BREAKS))
async def test_a_callback_ends_its_page_and_no_other(name: str) -> None:
    site = {"": page(), **{str(n): page(str(n + 1)) for n in range(5)}}
    bench = Bench(spider("", "0", parse=BREAKS[name]), site, concurrency=1)  # the one worker has to go on
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {path for path, each in pages.items() if each.state == "done"} == {"0", "1", "2", "3", "4"}
    assert (pages[""].state, pages[""].reason) == ("dead", "callback")
    assert len(pages[""].error or "") <= 21_000


@pytest.mark.parametrize("name", ["SystemExit", "GeneratorExit", "CancelledError", "cancels"])
async def test_an_errback_ends_its_page_and_no_other(name: str) -> None:
    def start(self: Any) -> Iterator[Request]:
        yield Request(SITE + "gone", errback="failed")
        yield Request(SITE + "0")

    def failed(self: Any, request: Request, error: Exception) -> Any:
        BREAKS[name](self, Response(SITE))

    bench = Bench(spider(start=start, failed=failed, parse=follow), {"0": page("1"), "1": page()}, concurrency=1)
    assert await bench.run() == "finished"
    assert {path: each.reason for path, each in (await bench.pages()).items()} == {
        "gone": "callback",
        "0": None,
        "1": None,
    }


async def test_a_keyboard_interrupt_goes_through() -> None:
    visits = Bench(spider(parse=raises(KeyboardInterrupt())), {"": page()})
    with pytest.raises(KeyboardInterrupt):
        await visits.engine._visitor.visit((await leased(visits))[0], 0)


async def leased(bench: Bench) -> Any:
    await bench.store.open()
    await bench.store.begin("test", 0.0)
    await bench.store.add([Request(SITE)], 0.0)
    leases = await bench.store.lease(1, 1, 0.0, 1.0)
    bench.engine.frontier.push(leases)
    assert bench.engine.frontier.take() is leases[0]
    return leases


async def test_what_a_callback_does_to_its_response_does_not_touch_the_crawl() -> None:
    def parse(self: Any, response: Response) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all("a")
        response.request.meta["later"] = object()
        response.request.url = response.url = ""
        response.seen = response.body = response.status = None  # type: ignore[assignment]

    bench = Bench(spider(parse=parse), {"": page("1"), "1": page()})
    assert await bench.run() == "finished"
    assert await bench.states() == {"": "done", "1": "done"}
    assert [item.data["url"] for item in await bench.items()] == [SITE, SITE + "1"]


def test_a_request_whose_url_was_spoilt_is_refused_at_its_yield() -> None:
    def spoils() -> Iterator[Any]:
        link = Request(SITE)
        link.url = "nowhere"
        yield link

    with pytest.raises(RequestError, match="has been given a URL that is none"):
        gather(spoils())


async def test_pages_that_give_much_wait_for_the_store() -> None:
    """However many workers there are, not much more is in memory than one commit takes."""

    class Slow(MemoryStore):
        most = 0

        async def commit(self, outcomes: Any, now: float, notes: Any = ()) -> Any:
            for _ in range(100):  # others go on meanwhile
                await asyncio.sleep(0)
            Slow.most = max(Slow.most, given - stored())
            return await super().commit(outcomes, now, notes)

        def add_up(self) -> int:
            return sum(counters["items"] for counters in self.memory.counters.values())

    given = 0

    def parse(self: Any, response: Response) -> Iterator[Any]:
        nonlocal given
        for _ in range(MOST_RESULTS // 4):
            given += 1
            yield {"n": 1}

    store = Slow()
    stored = store.add_up
    names = [str(n) for n in range(16)]
    bench = Bench(spider(*names, parse=parse), {name: page() for name in names}, store=store, concurrency=16)
    assert await bench.run() == "finished"
    assert stored() == 16 * (MOST_RESULTS // 4)
    # what was there when there was room, and the page that then was taken in, and the first of each of the others
    assert Slow.most <= MOST_RESULTS + 2 * (MOST_RESULTS // 4) + 16 * (FEW + 1)


INTERRUPTED = """
import asyncio, os, sys
import scraper

class Shop(scraper.Spider):
    start_urls = [sys.argv[1] + "/1"]

    def parse(self, response):
        number = int(response.url.rpartition("/")[2])
        yield {"n": number}
        if number < 30:
            yield response.follow(f"/{number + 1}")
        if number == 15 and os.environ.get("HOW") == "interrupt":
            raise KeyboardInterrupt
        if number == 15 and os.environ.get("HOW") == "stop":
            asyncio.get_running_loop().stop()

scraper.run(Shop, db="shop.db", obey_robots=False, log_level="error")
"""


@pytest.mark.parametrize(("how", "error"), [("interrupt", "KeyboardInterrupt"), ("stop", "RuntimeError")])
async def test_a_callback_that_ends_the_process_loses_nothing(how: str, error: str, tmp_path: Path) -> None:
    async def run(how: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", INTERRUPTED, server.url("")),
            cwd=tmp_path,
            env=environment(HOW=how),
            stderr=asyncio.subprocess.PIPE,
        )
        return (await process.communicate())[1].decode()

    def numbers() -> list[int]:
        db = sqlite3.connect(tmp_path / "shop.db")
        try:
            return [n for (n,) in db.execute("select json_extract(data, '$.n') from items order by id")]
        finally:
            db.close()

    async with Server() as server:
        assert (await run(how)).splitlines()[-1].startswith(error)
        before = numbers()
        assert before == list(range(1, len(before) + 1))
        assert await run("") == ""
    assert numbers() == list(range(1, 31))
    paths = [asked.path for asked in server.asked]
    assert sorted(set(paths)) == sorted(f"/{n}" for n in range(1, 31))
    assert len(paths) <= 30 + 15  # only what was not stored is asked again
