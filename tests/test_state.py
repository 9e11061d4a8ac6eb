"""self.state: as durable as the rows, and never half of a callback; also where callbacks meet, raise, or are killed."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from contextvars import copy_context
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from crawling import SITE, Bench, page, spider

import scraper
from scraper import Request, Spider
from scraper.errors import CallbackError, SpiderError
from scraper.page import Note, Outcome, Receipt
from scraper.state import State
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing import FakeFetcher

NUMBERS = range(30)
ANSWERS = {str(number): "" for number in NUMBERS}
STARTS = [str(number) for number in NUMBERS]


def number(response: Any) -> str:
    return str(response.url.rpartition("/")[2])


def kept(memory: Memory) -> dict[str, Any]:
    """The state as the store has it."""
    note = memory.notes.get(("state", ""))
    return msgspec.json.decode(note.value) if note is not None and note.value is not None else {}


class Watched(MemoryStore):
    """Holds the state against the pages that are committed, after each commit."""

    def __init__(self, memory: Memory, changes: Any) -> None:
        super().__init__(memory)
        self.changes = changes
        self.commits = 0

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        receipts = await super().commit(outcomes, now, notes)
        done = {each.url.rpartition("/")[2] for each in self.memory.pages.values() if each.state == "done"}
        assert kept(self.memory) == {name: "whole" for name in done if self.changes(int(name))}
        self.commits += 1
        return receipts


@pytest.mark.parametrize("seed", range(5))
async def test_each_commit_has_the_state_of_just_its_pages(seed: int) -> None:
    """Callbacks that change it, wait, and change it again, in any order, beside others that do not touch it."""
    chance = Random(seed)
    waits = {name: [chance.randrange(12) for _ in range(3)] for name in NUMBERS}

    async def parse(self: Any, response: Any) -> Any:
        name = number(response)
        before, between, after = waits[int(name)]
        for _ in range(before):
            await asyncio.sleep(0)
        if int(name) % 4:
            self.state[name] = "half"
            for _ in range(between):
                await asyncio.sleep(0)
            self.state[name] = "whole"
        yield {"n": name}
        for _ in range(after):
            await asyncio.sleep(0)

    memory = Memory()
    store = Watched(memory, lambda name: name % 4)
    bench = Bench(spider(*STARTS, parse=parse), ANSWERS, store=store, concurrency=7, concurrency_per_host=7)
    assert await bench.run() == "finished"
    assert store.commits > 1
    assert len(await bench.items()) == len(NUMBERS)
    assert len(kept(memory)) == len([name for name in NUMBERS if name % 4])


async def test_what_a_callback_changed_before_it_raised_is_taken_back() -> None:
    def parse(self: Any, response: Any) -> Any:
        self.state.setdefault("seen", []).append(number(response))
        if number(response) == "3":
            raise RuntimeError("broken")
        yield {"n": number(response)}

    memory = Memory()
    bench = Bench(spider(*STARTS[:6], parse=parse), ANSWERS, memory=memory)
    await bench.run()
    assert (await bench.states())["3"] == "dead"
    assert sorted(kept(memory)["seen"]) == ["0", "1", "2", "4", "5"]


async def test_what_start_did_is_not_taken_back_with_a_callback() -> None:
    async def start(self: Any) -> Any:
        self.state["begun"] = True
        yield Request(SITE + "0")
        await self.read.wait()
        self.state["over"] = True

    def parse(self: Any, response: Any) -> None:
        self.state["half"] = True
        self.read.set()
        raise RuntimeError("broken")

    memory = Memory()
    bench = Bench(spider("0", start=start, parse=parse, read=asyncio.Event()), ANSWERS, memory=memory)
    await bench.run()
    assert kept(memory) == {"begun": True, "over": True}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), r"state\['bad'\] is not JSON"),
        ((1, 2), r"state\['bad'\] is not JSON \(\(1, 2\)\): it would not come back the same"),
        ({1: "a"}, r"state\['bad'\] is not JSON"),
        (float("nan"), r"state\['bad'\] is not JSON"),
        ("x" * 5000, "bytes of JSON, more than max_item_size"),
    ],
    ids=["object", "tuple", "int key", "nan", "large"],
)
async def test_what_cannot_be_kept_costs_its_page_alone(value: Any, words: str) -> None:
    def parse(self: Any, response: Any) -> Any:
        self.state[number(response)] = 1
        if number(response) == "2":
            self.state["bad"] = value
        yield {"n": number(response)}

    memory = Memory()
    bench = Bench(spider("1", "2", "3", parse=parse), ANSWERS, memory=memory, max_item_size=1000)
    await bench.run()
    pages = await bench.pages()
    assert {name: each.state for name, each in pages.items()} == {"1": "done", "2": "dead", "3": "done"}
    assert pages["2"].reason == "callback"
    with pytest.raises(CallbackError, match=words):
        raise CallbackError(str(pages["2"].error))
    assert kept(memory) == {"1": 1, "3": 1}
    assert sorted(each.data["n"] for each in await bench.items()) == ["1", "3"]


async def test_where_callbacks_meet_a_bad_value_costs_the_page_that_left_it() -> None:
    async def parse(self: Any, response: Any) -> Any:
        self.state[number(response)] = 1
        if number(response) == "2":
            self.state["bad"] = object()
            return
        await self.over.wait()
        yield {"n": number(response)}

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        yield Request(SITE + "2", errback=self.failed)

    memory = Memory()
    one = spider("1", "2", parse=parse, over=asyncio.Event())
    bench = Bench(one, ANSWERS, memory=memory)
    await bench.run(meanwhile=one.over.set)  # type: ignore[attr-defined]
    assert await bench.states() == {"1": "done", "2": "dead"}
    assert "bad" not in kept(memory)
    assert kept(memory)["1"] == 1


async def test_visits_that_are_cut_short_leave_nothing_and_neither_do_those_that_waited_for_them() -> None:
    """One hangs in the middle, one has ended and waits for it: both are given back, and the state is that of before."""
    hangs = True

    async def parse(self: Any, response: Any) -> Any:
        self.state[number(response)] = "half"
        if number(response) == "1" and hangs:
            await asyncio.Event().wait()
        self.state[number(response)] = "whole"
        yield {"n": number(response)}

    memory = Memory()
    one = spider("1", "2", parse=parse)
    bench = Bench(one, ANSWERS, memory=memory, grace=5)

    def stop() -> None:
        if len(bench.asked) == 2:
            bench.engine.stop("SIGTERM")

    assert await bench.run(meanwhile=stop) == "SIGTERM"
    assert await bench.states() == {"1": "due", "2": "due"}
    assert kept(memory) == {}
    assert await bench.items() == []
    hangs = False
    again = Bench(spider("1", "2", parse=parse), ANSWERS, memory=memory, clock=bench.clock)
    assert await again.run() == "finished"
    assert kept(memory) == {"1": "whole", "2": "whole"}


@pytest.mark.parametrize(("numbers", "stubborn"), [("123", "1"), ("123", "3"), ("13", "1"), ("13", "3")])
async def test_a_callback_that_will_not_be_cut_short_is_not_committed_with_what_another_did(
    numbers: str, stubborn: str
) -> None:
    async def parse(self: Any, response: Any) -> Any:
        self.state[number(response)] = True
        if number(response) in "13":
            with suppress(*([asyncio.CancelledError] if number(response) == stubborn else [])):
                await asyncio.Event().wait()
        yield {"n": number(response)}

    memory = Memory()
    bench = Bench(spider(*numbers, parse=parse), ANSWERS, memory=memory, grace=5)
    await bench.run(meanwhile=lambda: bench.engine.stop("SIGTERM") if len(bench.asked) == len(numbers) else None)
    done = [name for name, state in (await bench.states()).items() if state == "done"]
    assert sorted(kept(memory)) == done


async def test_a_task_that_outlives_its_visit_holds_nobody_up() -> None:
    """It touches the state when its worker visits nothing, or another page."""
    tasks = []

    async def later(self: Any) -> None:
        await self.go.wait()
        self.state["later"] = True

    async def parse(self: Any, response: Any) -> Any:
        self.state[number(response)] = True
        if number(response) == "1":
            tasks.append(asyncio.ensure_future(later(self)))
            yield response.follow("/2")
        else:
            self.go.set()
            await asyncio.sleep(0)

    memory = Memory()
    bench = Bench(spider("1", parse=parse, go=asyncio.Event()), ANSWERS, memory=memory)
    assert await bench.run() == "finished"
    await asyncio.gather(*tasks)
    assert kept(memory) == {"1": True, "2": True, "later": True}


def test_a_touch_counts_for_the_visit_of_its_own_crawl_while_that_lasts() -> None:
    mine, other = State(), State()

    def work() -> None:
        mine.enter(3)
        mine.visiting, other.visiting = (), (3,)
        mine.touch()
        other.touch()
        assert mine.inside == other.inside == set()
        mine.visiting = (3,)
        mine.touch()
        assert mine.inside == {3}

    copy_context().run(work)


async def test_a_spider_that_never_asks_for_it_keeps_nothing() -> None:
    memory = Memory()
    await Bench(spider("1", parse=lambda self, response: {"a": 1}), ANSWERS, memory=memory).run()
    assert memory.notes == {}


# -- the whole way, over a file


class Counting(Spider):
    start_urls = [SITE + "1"]  # noqa: RUF012

    def parse(self, response: Any) -> Any:
        self.state["visits"] = self.state.get("visits", 0) + 1
        yield {"visits": self.state["visits"]}


async def test_it_outlives_the_run_and_is_there_before_start(tmp_path: Path) -> None:
    found = []

    class Started(Counting):
        name = "counting"

        async def start(self) -> Any:
            found.append(dict(self.state))
            yield Request(SITE + "1")

    db = tmp_path / "c.db"
    for options in ({}, {}, {"mode": "fresh"}):
        await scraper.crawl(Started, db=db, fetcher=FakeFetcher({SITE + "1": ""}), **options)
    assert found == [{}, {"visits": 1}, {"visits": 2}]
    with closing(sqlite3.connect(db)) as file:
        assert file.execute("select json_extract(value, '$.visits') from notes where kind = 'state'").fetchone() == (3,)


async def test_what_start_and_steps_do_to_it_is_kept_and_closed_comes_too_late(tmp_path: Path) -> None:
    class Closing:
        def __init__(self, spider: Spider) -> None:
            self.spider = spider

        def __call__(self, item: Any) -> Any:
            return item

        def close(self, run: Any) -> None:
            self.spider.state["step"] = run.id

    class Late(Counting):
        def __init__(self, late: bool = False) -> None:
            self.late = late
            self.state = {"from": "init"}
            self.steps = [Closing(self)]

        async def start(self) -> Any:
            self.state["starts"] = self.state.get("starts", 0) + 1
            yield Request(SITE + "gone")

        def closed(self, report: Any) -> None:
            if self.late:
                self.state["late"] = True

    db = tmp_path / "late.db"
    await scraper.crawl(Late, db=db, fetcher=FakeFetcher({}))
    with pytest.raises(CallbackError, match=r"late\.closed\(\) changed late\.state"):
        await scraper.crawl(Late, db=db, fetcher=FakeFetcher({}), arguments={"late": True})
    with closing(sqlite3.connect(db)) as file:
        (text,) = file.execute("select value from notes where kind = 'state'").fetchone()
    assert msgspec.json.decode(text) == {"from": "init", "starts": 2, "step": 2}


async def test_a_crawl_within_a_callback_has_a_state_of_its_own(tmp_path: Path) -> None:
    class Inner(Counting):
        async def start(self) -> Any:
            self.state["inner"] = True
            yield Request(SITE + "1")

    class Outer(Counting):
        async def parse(self, response: Any) -> Any:
            self.state["outer"] = True
            await scraper.crawl(Inner, db=tmp_path / "inner.db", fetcher=FakeFetcher({SITE + "1": ""}))
            yield {}

    outer = Outer()
    report = await scraper.crawl(outer, db=tmp_path / "outer.db", fetcher=FakeFetcher({SITE + "1": ""}))
    assert (report.reason, outer.state) == ("finished", {"outer": True})


def test_a_class_attribute_would_be_shared_and_lost() -> None:
    with pytest.raises(SpiderError, match=r"Shared\.state would not be read; the state is kept in the database"):
        type("Shared", (Spider,), {"state": {}})
    with pytest.raises(CallbackError, match="state is a dict; it cannot be a list"):
        spider().state = []  # type: ignore[assignment]


def test_without_a_crawl_it_is_a_dict() -> None:
    one, other = spider(), spider()
    one.state["a"] = 1
    assert (one.state, other.state) == ({"a": 1}, {})
    assert page()
