"""The engine: limits, stopping and resuming, the end of a crawl, back-pressure, flat memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import tenacity
from crawling import SITE, Bench, follow, page, quiet, spider

import scraper.stores.links
from scraper.clock import SystemClock
from scraper.engine import Engine
from scraper.errors import RequestError, SpiderError, StoreError
from scraper.page import Lease, Note, Outcome, Receipt, Retry
from scraper.request import Request
from scraper.response import Response
from scraper.retry import RetryPolicy, default_policy
from scraper.settings import Settings
from scraper.stores.memory import Memory, MemoryStore
from scraper.stores.sqlite import SqliteStore
from scraper.testing import FakeClock, FakeFetcher
from scraper.throttle import FixedThrottle

FIXED = RetryPolicy(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(10))
TREE = {str(n): page(str(2 * n), str(2 * n + 1)) for n in range(1, 200)}


class Endless:
    """A site where every page links to two more. From request number ``pause`` on, it answers when ``gate`` is set."""

    def __init__(self, pause: int = 0) -> None:
        self.log: list[str] = []
        self.pause = pause
        self.gate = asyncio.Event()

    async def fetch(self, request: Request) -> Response:
        self.log.append(request.url)
        assert len(self.log) < 5000, "a crawl that was to end goes on and on"
        if self.pause and len(self.log) >= self.pause:
            await self.gate.wait()
        number = int(request.url.rpartition("/")[2])
        body = page(str(2 * number), str(2 * number + 1)).encode()
        return Response(request.url, 200, {"Content-Type": "text/html"}, body, request)

    async def close(self) -> None: ...


# Limits


@pytest.mark.parametrize("limit", [1, 2, 31, 100])
async def test_limit_pages_is_exact(limit: int) -> None:
    bench = Bench(spider("1", parse=follow), Endless(), limit_pages=limit)
    assert await bench.run() == "limit_pages"
    assert len(bench.fetcher.log) == bench.engine.stats.pages == limit
    assert bench.engine.frontier.in_flight == 0


async def test_limit_pages_counts_finished_pages_and_not_attempts() -> None:
    answers: dict[str, Any] = {**TREE, "2": lambda request: 503 if bench.clock.monotonic() < 5 else TREE["2"], "3": 404}
    bench = Bench(spider("1", parse=follow), answers, limit_pages=10, retry=FIXED)
    assert await bench.run() == "limit_pages"
    stats = bench.engine.stats
    assert stats.pages + stats.dead == 10
    assert len(bench.asked) == 10 + stats.retries


async def test_limit_larger_than_the_site_ends_with_the_site() -> None:
    bench = Bench(spider("190", parse=follow), TREE, limit_pages=100)
    assert await bench.run() == "finished"
    assert bench.engine.stats.pages == 1


async def test_limit_items_ends_the_run() -> None:
    bench = Bench(spider("1", parse=follow), Endless(), limit_items=50, concurrency=8)
    assert await bench.run() == "limit_items"
    assert 50 <= bench.engine.stats.items < 50 + 100 + 8, "one group and what was in flight"


@pytest.mark.parametrize("limit", [{"limit_pages": 5}, {"limit_items": 5}])
async def test_limits_hold_while_seeds_come_and_come(limit: dict[str, int]) -> None:
    async def start(self: Any) -> AsyncIterator[Request]:
        for number in range(2, 20_000):
            yield Request(f"{SITE}{number}")
            await asyncio.sleep(0)

    bench = Bench(spider(start=start, parse=lambda self, response: {"n": 1}), Endless(), **limit)
    assert await bench.run() == next(iter(limit))


# Stopping and resuming


async def test_stop_finishes_what_has_begun_and_a_later_crawl_goes_on() -> None:
    memory = Memory()
    site = Endless(pause=20)
    one = Bench(spider("1", parse=follow), site, memory=memory, concurrency=4)

    def meanwhile() -> None:
        if len(site.log) >= 20:
            one.engine.stop("SIGINT")
            one.engine.stop("a later reason")
            site.gate.set()

    assert await one.run(meanwhile) == "SIGINT"
    assert len(site.log) < 20 + 4
    before = list(site.log)
    assert set((await one.states()).values()) == {"done", "due"}
    assert sum(state == "done" for state in (await one.states()).values()) == len(before)
    two = Bench(spider("1", parse=follow), site, memory=memory, limit_pages=50)
    await two.run()
    assert two.run_id == one.run_id
    assert len(site.log) == len(set(site.log)) == len(before) + 50


async def test_crawl_that_is_stopped_before_it_begins_fetches_nothing() -> None:
    bench = Bench(spider("1", "2"), {"1": "", "2": ""})
    bench.engine.stop("stopped")
    assert await bench.run() == "stopped"
    assert bench.asked == []
    assert await Bench(spider("1", "2"), bench.fetcher, store=bench.store).run() == "finished"
    assert sorted(bench.asked) == ["1", "2"]


async def test_stop_does_not_wait_for_the_next_seed() -> None:
    closed = []

    async def start(self: Any) -> AsyncIterator[Request]:
        try:
            yield Request(SITE + "1")
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)

    bench = Bench(spider(start=start), Endless())

    def meanwhile() -> None:
        bench.engine.stop("stopped")

    assert await bench.run(meanwhile) == "stopped"
    await quiet()
    assert closed


async def test_retry_of_an_earlier_process_is_waited_for() -> None:
    memory, clock, answers = Memory(), FakeClock(), {"": lambda request: 503 if len(times) < 2 else ""}
    times: list[float] = []
    bench = Bench(spider(), answers, memory=memory, clock=clock, retry=FIXED)
    bench.fetcher.answers[SITE] = lambda request: times.append(clock.monotonic()) or 503
    assert await bench.run(lambda: bench.engine.stop("stopped") if bench.engine.stats.retries else None) == "stopped"
    later = Bench(spider(), {"": lambda request: times.append(clock.monotonic()) or ""}, memory=memory, clock=clock)
    assert await later.run() == "finished"
    assert len(times) == 2
    assert times[1] >= times[0] + 10
    assert (await later.pages())[""].attempts == 2


async def test_abort_leaves_what_is_committed_and_the_rest_is_due() -> None:
    memory = Memory()
    site = Endless(pause=30)
    bench = Bench(spider("1", parse=follow), site, memory=memory, concurrency=4)
    await bench.store.open()
    await bench.store.begin("test", 0.0)
    crawl = asyncio.ensure_future(bench.engine.run())
    while len(site.log) < 30:
        await quiet()
        bench.clock.advance(0.1)
    crawl.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crawl
    await bench.store.close()
    done = sum(state == "done" for state in (await bench.states()).values())
    assert 0 < done <= len(site.log)
    site.gate.set()
    again = Bench(spider("1", parse=follow), site, memory=memory, limit_pages=5)
    assert await again.run() == "limit_pages"


# The end


class Dawdling(MemoryStore):
    """Time passes while it is asked for leases, as it does for real."""

    clock: FakeClock
    dawdle = 0.0
    committing = False

    async def lease(
        self, limit: int, per_host: int, now: float, until: float, full: Collection[str] = ()
    ) -> list[Lease]:
        leases = await super().lease(limit, per_host, now, until, full)
        dawdle, self.dawdle = self.dawdle, 0.0
        self.clock.advance(dawdle)
        return leases

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        self.committing = True
        receipts = await super().commit(outcomes, now, notes)
        self.committing = False
        if any(isinstance(outcome, Retry) for outcome in outcomes):
            self.dawdle = 15.0  # longer than the wait for the retry
        return receipts

    async def add(self, requests: Sequence[Request], now: float) -> int:
        new = await super().add(requests, now)
        for _ in range(0 if self.committing else 500):
            await asyncio.sleep(0)
        return new


async def test_date_that_comes_while_the_store_is_asked_is_not_missed() -> None:
    store = Dawdling()
    answers = [503, ""]
    bench = Bench(spider(), {"": lambda request: answers.pop(0)}, store=store, retry=FIXED)
    store.clock = bench.clock
    assert await bench.run() == "finished"
    assert await bench.states() == {"": "done"}


async def test_links_are_counted_whatever_happens_at_the_same_time() -> None:
    store = Dawdling()
    seeds = [SITE + f"seed{n}" for n in range(1100)]
    bench = Bench(spider(start_urls=seeds, parse=follow), {f"seed{n}": page(f"x{n}") for n in range(1100)}, store=store)
    store.clock = bench.clock
    await bench.run()
    assert bench.engine.stats.links == 2200
    assert store.memory.counters[1]["links"] == 2200


async def test_waiting_retry_holds_no_worker_and_does_not_end_the_crawl() -> None:
    answers: dict[str, Any] = {**TREE, "1": page("2", "3")}
    slow = {"down": lambda request: 503 if bench.clock.monotonic() < 15 else page("late")}
    bench = Bench(spider("down", "1", parse=follow), {**answers, **slow, "late": ""}, retry=FIXED, concurrency=1)
    assert await bench.run() == "finished"
    assert (await bench.states())["late"] == "done"
    assert bench.asked.index("199") < bench.asked.index("late")


async def test_crawl_without_seeds_ends() -> None:
    assert await Bench(spider(start=lambda self: []), {}).run() == "finished", "it had none today"


async def test_spider_that_says_nowhere_to_start_is_a_mistake() -> None:
    with pytest.raises(SpiderError, match=r"no start_urls and no start\(\)"):
        await Bench(spider(start_urls=[]), {}).run()


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (lambda self: 42, SpiderError, "start.. gave a int"),
        (lambda self: [{"item": 1}], RequestError, "yield Requests there"),
        (lambda self: [Request("/relative")], RequestError, "not an absolute"),
        (lambda self: [Request(SITE, lambda response: None)], RequestError, "is not a method"),
        (lambda self: (_ for _ in ()).throw(OSError("seed file is gone")), OSError, "seed file is gone"),
    ],
)
async def test_seeds_that_cannot_be_are_the_callers_error(start: Any, error: type[Exception], message: str) -> None:
    bench = Bench(spider(start=start), {})
    with pytest.raises(error, match=message):
        await bench.run()


async def test_store_error_ends_the_crawl_and_nothing_hangs() -> None:
    class Broken(MemoryStore):
        async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
            raise StoreError("disk full")

    with pytest.raises(StoreError, match="disk full"):
        await Bench(spider("1", parse=follow), Endless(), store=Broken()).run()


# Back-pressure and memory


async def test_slow_store_slows_the_workers() -> None:
    class Slow(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.gate = asyncio.Event()

        async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
            await self.gate.wait()
            return await super().commit(outcomes, now, notes)

    store, site = Slow(), Endless()
    seeds = [SITE + str(n) for n in range(10_000, 13_000)]
    bench = Bench(spider(start_urls=seeds), site, store=store, concurrency=16, concurrency_per_host=16)
    waited = []

    def meanwhile() -> None:
        waited.append(len(site.log))
        if len(waited) > 5:
            store.gate.set()

    assert await bench.run(meanwhile) == "finished"
    assert waited[3] == waited[4] == waited[5], "nothing is fetched while nothing can be written"
    assert waited[5] <= 400 + 400 + 16, "one group at the store, one waiting, one page a worker"
    assert len(site.log) == 3000


def sizes(*roots: Any) -> dict[str, int]:
    """The length of every container that is reached from these, by name."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [(type(root).__name__, root) for root in roots]
    while todo:
        name, value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict | set | list | tuple | frozenset) or type(value).__name__ in ("deque", "OrderedDict"):
            found[name] = found.get(name, 0) + len(value)
            values = value.values() if isinstance(value, dict) else value
            todo += [(f"{name}[]", each) for each in list(values)[:300]]
        elif type(value).__module__.startswith("scraper."):
            names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
            todo += [(f"{name}.{each}", getattr(value, each)) for each in names if hasattr(value, each)]
    return found


async def test_memory_does_not_grow_with_the_number_of_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30,000 pages over 40 hosts: every container of engine, frontier, writer and store stays as small as it was."""
    monkeypatch.setattr(scraper.stores.links, "KNOWN", 1000)
    pages, hosts = 30_000, 40

    class Site(FakeFetcher):
        async def fetch(self, request: Request) -> Response:
            number = int(request.url.rpartition("/")[2])
            urls = [f"http://h{n % hosts}.test/{n}" for n in (2 * number, 2 * number + 1) if n <= pages]
            body = f"{number} ".encode() + page(*urls).encode()
            return Response(request.url, 200, {"Content-Type": "text/html"}, body, request)

    def parse(self: Any, response: Response) -> Any:
        yield {"n": int(response.body.partition(b" ")[0])}
        yield from response.follow_all("a")

    settings = Settings()
    store = SqliteStore(tmp_path / "flat.db")
    clock = SystemClock()
    measured: dict[int, dict[str, int]] = {}

    class Measure:
        async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
            step = engine.stats.pages // 1000
            if step not in measured:
                measured[step] = sizes(engine, store)

    engine = Engine(
        spider=spider(start_urls=["http://h1.test/1"], parse=parse),
        settings=settings,
        store=store,
        fetcher=Site({}),
        throttle=FixedThrottle(settings),
        retry=default_policy(settings),
        clock=clock,
        observers=[Measure()],
    )
    await store.open()
    await store.begin("test", clock.time())
    assert await engine.run() == "finished"
    assert engine.stats.pages == pages
    items = [item.data["n"] async for item in store.items()]
    assert sorted(items) == list(range(1, pages + 1))
    await store.close()
    assert len(measured) > 20
    early = most(measured, range(2, 10))
    late = most(measured, range(20, 30))
    assert {name: (early[name], late[name]) for name in early if late[name] > 1.5 * early[name] + 300} == {}
    assert sum(late.values()) < 12_000


def most(measured: dict[int, dict[str, int]], steps: range) -> dict[str, int]:
    """The largest size of each container within these thousands of pages."""
    names = {name for each in measured.values() for name in each}
    return {name: max(measured[step].get(name, 0) for step in steps if step in measured) for name in names}
