"""self.state where much happens at once: callbacks that wait, fail and are tried again, errbacks, steps, a start() that
works on it meanwhile, and a store that fails; after each commit it is what the committed pages made of it.
"""

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from random import Random
from typing import Any

import msgspec
import pytest
from crawling import SITE, Bench, spider

from scraper import Request
from scraper.errors import CallbackError, Disconnected, Postponed, StoreError
from scraper.page import Note, Outcome, Receipt
from scraper.state import State, load_state, take_back
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing import FakeClock
from scraper.writer import GROUP

NAMES = [str(number) for number in range(24)]
ANSWERS: dict[str, Any] = {name: 404 if int(name) % 8 == 7 else "" for name in NAMES}


def name_of(given: Any) -> str:
    return str(given.url.rpartition("/")[2])


def kept(memory: Memory) -> dict[str, Any]:
    """The state as the store has it."""
    note = memory.notes.get(("state", ""))
    return msgspec.json.decode(note.value) if note is not None and note.value is not None else {}


class Failing(MemoryStore):
    """Fails at one commit, and holds the state against the pages after each other one."""

    def __init__(self, memory: Memory, fails: int) -> None:
        super().__init__(memory)
        self.left = fails

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        await asyncio.sleep(0)
        self.left -= 1
        if self.left == 0:
            raise StoreError("disk full")
        receipts = await super().commit(outcomes, now, notes)
        over = {each.url.rpartition("/")[2] for each in self.memory.pages.values() if each.state in ("done", "dead")}
        state = {name: value for name, value in kept(self.memory).items() if name in NAMES}
        assert state == {name: 2 for name in over if int(name) % 4}
        return receipts


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_schedule_each_commit_has_the_state_of_its_pages(seed: int) -> None:
    """Every page that touches it adds 1 before and 1 after it has waited; some in a step, some in an errback."""
    chance = Random(seed)

    async def pause() -> None:
        for _ in range(chance.randrange(10)):
            await asyncio.sleep(0)

    async def touched(self: Any, name: str) -> None:
        self.state[name] = self.state.get(name, 0) + 1
        await pause()
        self.state[name] += 1

    async def parse(self: Any, response: Any) -> Any:
        name = name_of(response)
        await pause()
        if int(name) % 4 and int(name) % 3:
            await touched(self, name)
        yield {"n": name}
        await pause()

    async def failed(self: Any, request: Any, error: Any) -> Any:
        await touched(self, name_of(request))

    async def start(self: Any) -> Any:
        for name in NAMES:
            self.state["seeds"] = name
            await pause()
            yield Request(SITE + name, errback=self.failed)

    async def step(item: Any) -> Any:
        if int(item["n"]) % 4 and not int(item["n"]) % 3:
            await touched(one, item["n"])
        return item

    memory, clock = Memory(), FakeClock()
    for fails in (chance.randrange(1, 4), chance.randrange(2, 5), 0):  # two that fail, and one that ends it
        one = spider(start=start, parse=parse, failed=failed, steps=[step])
        store = Failing(memory, fails)
        await load_state(one, store, clock.time())
        bench = Bench(one, ANSWERS, store=store, clock=clock, concurrency=6, concurrency_per_host=6)
        if fails:
            with pytest.raises(StoreError):
                await bench.run()
        else:
            assert await bench.run() == "finished"
    assert kept(memory) == {"seeds": NAMES[-1]} | {name: 2 for name in NAMES if int(name) % 4}
    assert sorted(each.data["n"] for each in await bench.items()) == sorted(n for n in NAMES if int(n) % 8 != 7)


async def test_a_task_beside_a_visit_that_waits_for_others_holds_nobody_up() -> None:
    """Page 1 has ended and waits for page 2 when its task touches the state."""
    tasks = []

    async def beside(self: Any) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.state["beside"] = True
        self.over.set()

    async def parse(self: Any, response: Any) -> Any:
        name = name_of(response)
        if name == "1":
            await self.second.wait()
            tasks.append(asyncio.ensure_future(beside(self)))
        self.state[name] = True
        self.second.set()
        if name == "2":
            await self.over.wait()
        yield {}

    memory = Memory()
    one = spider("1", "2", parse=parse, second=asyncio.Event(), over=asyncio.Event())
    assert await Bench(one, ANSWERS, memory=memory, concurrency_per_host=2).run() == "finished"
    assert kept(memory) == {"1": True, "2": True, "beside": True}


async def test_what_start_does_in_the_middle_of_a_callback_is_not_taken_back_with_it() -> None:
    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        await self.inside.wait()
        self.state["start"] = True
        self.over.set()

    async def parse(self: Any, response: Any) -> None:
        self.state.setdefault("seen", True)
        self.inside.set()
        await self.over.wait()
        raise RuntimeError("broken")

    memory = Memory()
    one = spider(start=start, parse=parse, inside=asyncio.Event(), over=asyncio.Event())
    await Bench(one, ANSWERS, memory=memory).run()
    assert kept(memory)["start"] is True


async def test_start_may_keep_the_dict_while_it_runs() -> None:
    async def start(self: Any) -> Any:
        state = self.state
        yield Request(SITE + "1")
        await self.first.wait()
        state["start"] = True
        yield Request(SITE + "2")
        await self.second.wait()

    def parse(self: Any, response: Any) -> None:
        self.state[name_of(response)] = True
        if name_of(response) == "2":
            self.second.set()
            raise RuntimeError("broken")
        self.first.set()

    memory = Memory()
    one = spider(start=start, parse=parse, first=asyncio.Event(), second=asyncio.Event())
    await Bench(one, ANSWERS, memory=memory).run()
    assert kept(memory) == {"1": True, "start": True}


async def test_the_end_of_start_keeps_no_half_of_a_callback() -> None:
    """Page 1 hangs half-way when start() ends, and page 2 is committed after that."""

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        await self.half.wait()
        yield Request(SITE + "2")

    async def parse(self: Any, response: Any) -> Any:
        if name_of(response) == "1":
            self.state["1"] = "half"
            self.half.set()
            await asyncio.Event().wait()
        yield {}

    memory = Memory()
    bench = Bench(spider(start=start, parse=parse, half=asyncio.Event()), ANSWERS, memory=memory, grace=5)
    await bench.run(meanwhile=lambda: bench.engine.stop("SIGTERM") if len(bench.asked) == 2 else None)
    assert await bench.states() == {"1": "due", "2": "done"}
    assert kept(memory) == {}


def test_what_nobody_s_visit_did_is_not_taken_back_with_a_visit() -> None:
    """As open() of a step does it, in a crawl that asks for no seeds."""
    state = State()
    state.touch()["opened"] = True

    def work() -> None:
        state.visiting = (3,)
        state.enter(3)
        state.touch()["half"] = True
        take_back()

    copy_context().run(work)
    assert state.values == {"opened": True}


@pytest.mark.parametrize("errback", [None, "failed"])
async def test_a_page_that_a_callback_has_tried_again_counts_once(errback: str | None) -> None:
    """An error of fetching that a callback raises is one of its page: it is tried again, and the errback asked."""
    tries = []

    def parse(self: Any, response: Any) -> Any:
        self.state["visits"] = self.state.get("visits", 0) + 1
        tries.append(response.url)
        if len(tries) < 3 or errback:
            raise Disconnected("of another connection")
        yield {}

    def failed(self: Any, request: Any, error: Any) -> None:
        self.state["failed"] = self.state.get("visits", "none")

    async def start(self: Any) -> Any:
        yield Request(SITE + "1", errback=errback)

    memory = Memory()
    await Bench(spider(start=start, parse=parse, failed=failed), ANSWERS, memory=memory).run()
    assert len(tries) > 2
    assert kept(memory) == ({"failed": "none"} if errback else {"visits": 1})


async def test_a_bad_value_of_a_callback_that_raises_costs_nobody_else_anything() -> None:
    """Page 2 has ended and waits for page 1, which leaves what cannot be kept."""

    async def parse(self: Any, response: Any) -> Any:
        self.state[name_of(response)] = True
        if name_of(response) == "2":
            self.second.set()
            return
        await self.second.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        self.state["bad"] = object()
        raise RuntimeError("broken")

    memory = Memory()
    one = spider("1", "2", parse=parse, second=asyncio.Event())
    bench = Bench(one, ANSWERS, memory=memory, concurrency_per_host=2)
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {name: each.state for name, each in pages.items()} == {"1": "dead", "2": "done"}
    assert "RuntimeError: broken" in str(pages["1"].error)
    assert kept(memory) == {"1": True, "2": True}


async def test_a_visit_that_comes_to_nothing_lets_those_go_that_wait_for_it() -> None:
    """Page 2 has ended and waits for page 1, which asks to be visited later, and then waits for page 2 in its turn."""
    tries = []

    class Committed:
        async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
            one.committed.set()  # type: ignore[attr-defined]

    async def parse(self: Any, response: Any) -> Any:
        name = name_of(response)
        tries.append(name)
        if tries.count("1") < 2:
            self.state[name] = True
        if name == "2":
            self.second.set()
        elif tries.count("1") == 1:
            await self.second.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            raise Postponed("not yet")
        else:
            await self.committed.wait()
        yield {}

    memory = Memory()
    one = spider("1", "2", parse=parse, second=asyncio.Event(), committed=asyncio.Event())
    bench = Bench(one, ANSWERS, memory=memory, concurrency_per_host=2, observers=[Committed()])
    assert await bench.run() == "finished"
    assert tries.count("1") == 2
    assert await bench.states() == {"1": "done", "2": "done"}
    assert bench.engine.frontier.in_flight == 0, "its place is given back once"


def test_where_visits_meet_a_bad_value_gives_way_to_the_one_that_was_kept() -> None:
    state = State()
    state.load('{"place": 1}')
    state.visiting = (1, 2)
    for worker in state.visiting:
        copy_context().run(lambda worker: (state.enter(worker), state.touch()), worker)
    state.values.update(place=object(), other=2)
    with pytest.raises(CallbackError, match="place"):
        state.ended()
    assert state.values == {"place": 1, "other": 2}


async def test_a_slow_store_slows_visits_that_touch_the_state_too() -> None:
    """At its first commit it stands still until nothing else moves; by then few more pages have been asked for."""
    go = asyncio.Event()

    class Slow(MemoryStore):
        async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
            await go.wait()
            return await super().commit(outcomes, now, notes)

    def parse(self: Any, response: Any) -> None:
        self.state["n"] = self.state.get("n", 0) + 1

    names = [str(number) for number in range(4 * GROUP)]
    asked = []

    def meanwhile() -> None:
        asked.append(len(bench.asked))
        if len(asked) > 3 and asked[-3] == asked[-1] > 0:
            go.set()

    memory = Memory()
    bench = Bench(spider(*names, parse=parse), dict.fromkeys(names, ""), store=Slow(memory))
    await bench.run(meanwhile=meanwhile)
    assert next(number for before, number in zip(asked, asked[2:], strict=False) if before == number > 0) < 2 * GROUP
    assert kept(memory) == {"n": len(names)}


async def test_what_an_errback_changed_before_it_raised_is_taken_back() -> None:
    def failed(self: Any, request: Any, error: Any) -> None:
        self.state["half"] = True
        raise RuntimeError("broken")

    async def start(self: Any) -> Any:
        yield Request(SITE + "7", errback=self.failed)
        yield Request(SITE + "1")

    def parse(self: Any, response: Any) -> None:
        self.state["whole"] = True

    memory = Memory()
    await Bench(spider(start=start, parse=parse, failed=failed), ANSWERS, memory=memory).run()
    assert kept(memory) == {"whole": True}
