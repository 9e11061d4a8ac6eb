"""The front door: crawl, run and stream, from a script, inside a loop, twice, and stopped half-way."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from crawling import Watch, quiet

import scraper
from scraper import Crawl, CrawlReport, Request, Response, RetryPolicy, Settings, Spider
from scraper.errors import CallbackError, SettingsError, SpiderError, StatusError, StoreLocked, UsageError
from scraper.page import Done, Found, HostLimits, Item, Lease, Receipt, Seen
from scraper.stores.memory import Memory, MemoryStore
from scraper.stores.sqlite import SqliteStore
from scraper.tap import Tap
from scraper.testing import FakeClock, FakeFetcher, LocalSite

HOME = "http://h.test/"


@dataclass
class Thing:
    key = "n"
    n: int


class Things(Spider):
    """Pages 0 to 39; each gives a thing and leads to two more."""

    start_urls: Sequence[str] = (HOME + "0",)
    last = 39

    def parse(self, response: Response) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        yield Thing(number)
        for each in (2 * number + 1, 2 * number + 2):
            if each <= self.last:
                yield response.follow(f"/{each}")


@pytest.fixture
def fetcher() -> FakeFetcher:
    return FakeFetcher({f"{HOME}{number}": "" for number in range(3000)})


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "things.db"


async def until(true: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


def numbers(db: Path) -> list[int]:
    with sqlite3.connect(db) as reader:
        found = [row[0] for row in reader.execute("select n from thing order by n")]
    reader.close()
    return found


# crawl


async def test_crawl_of_a_real_site(db: Path) -> None:
    pages = {f"/{number}": "<p>page</p>" for number in range(40)}
    async with LocalSite({**pages, "/robots.txt": ("User-agent: *\nDisallow: /7\n",)}) as site:

        class Local(Things):
            start_urls = (site.url("/0"),)

        report = await scraper.crawl(Local, db=db, concurrency_per_host=4)
    assert numbers(db) == sorted({*range(40)} - {7, 15, 16, 31, 32, 33, 34})
    assert (report.spider, report.run, report.resumed, report.finished) == ("local", 1, False, True)
    assert report.reason == "finished"
    assert (report.counts.pages, report.counts.dead, report.counts.reasons) == (33, 1, {"robots": 1})
    assert (report.totals.pages, report.totals.items, report.database) == (33, 33, db)
    (host,) = report.hosts
    assert host.requests == site.requests.total() == 34
    assert host.requests == host.reused + host.opened
    assert host.peak <= 4
    assert set(site.requests.values()) == {1}


async def test_second_crawl_is_a_new_run_and_rows_are_not_doubled(db: Path, fetcher: FakeFetcher) -> None:
    reports = [await scraper.crawl(Things, db=db, fetcher=fetcher) for _ in range(2)]
    assert [(report.run, report.resumed, report.counts.pages) for report in reports] == [(1, False, 40), (2, False, 40)]
    assert numbers(db) == list(range(40))
    assert set(fetcher.asked.values()) == {2}


async def test_store_of_ones_own_can_be_used_again(db: Path, fetcher: FakeFetcher) -> None:
    for store in (SqliteStore(db), MemoryStore()):
        for run in (1, 2):
            report = await scraper.crawl(Things, store=store, fetcher=fetcher)
            assert (report.run, report.counts.pages, report.database) == (run, 40, None)


async def test_two_crawls_of_one_database_at_once_are_refused(db: Path, fetcher: FakeFetcher) -> None:
    waiting = asyncio.get_running_loop().create_future()
    fetcher.answers[HOME + "0"] = lambda request: waiting
    first = asyncio.ensure_future(scraper.crawl(Things, db=db, fetcher=fetcher))
    await until(lambda: bool(fetcher.log))
    with pytest.raises(StoreLocked, match="another run"):
        await scraper.crawl(Things, db=db, fetcher=FakeFetcher({}))
    waiting.set_result("")
    assert (await first).counts.pages == 40


async def test_crawls_of_two_databases_run_side_by_side(tmp_path: Path, fetcher: FakeFetcher) -> None:
    reports = await asyncio.gather(*(scraper.crawl(Things, db=tmp_path / f"{n}.db", fetcher=fetcher) for n in range(3)))
    assert [report.counts.pages for report in reports] == [40, 40, 40]


async def test_parts_of_ones_own(fetcher: FakeFetcher) -> None:
    fetcher.answers[HOME + "3"] = 503
    clock = FakeClock()
    asked: list[Any] = []

    class OneByOne(scraper.ports.Throttle):
        def limits(self, host: str) -> HostLimits:
            return HostLimits(1)

        def observe(self, host: str, seen: Seen, error: Any, now: float) -> float:
            asked.append(seen.status)
            return 0.0

    class Never:
        def delay(self, lease: Any, error: Any, now: float) -> None:
            asked.append(error)

    memory, watch = Memory(), Watch()
    report = await scraper.crawl(
        Things,
        store=MemoryStore(memory),
        fetcher=fetcher,
        throttle=OneByOne(),
        retry=Never(),
        clock=clock,
        observers=[watch],
    )
    assert fetcher.closed
    assert sum(isinstance(each, StatusError) for each in asked) == 1
    assert asked.count(200) == len(watch.outcomes) - 1 == report.counts.pages
    assert memory.runs[0].started == clock.time()
    assert memory.pages[Request(HOME + "3").fingerprint].state == "dead"


async def test_retry_policy_of_the_spider(fetcher: FakeFetcher, db: Path) -> None:
    class Stubborn(Things):
        retry_policy = RetryPolicy(stop=lambda state: state.attempt_number >= 3, wait=lambda state: 0)

    fetcher.answers[HOME + "5"] = 503
    report = await scraper.crawl(Stubborn, db=db, fetcher=fetcher)
    assert (report.counts.retries, report.counts.dead) == (2, 1)


async def test_closed_is_told_the_report(fetcher: FakeFetcher, db: Path) -> None:
    told: list[CrawlReport] = []

    class Plain(Things):
        def closed(self, report: CrawlReport) -> None:
            told.append(report)
            assert len(numbers(db)) == 40, "the database is free"

    class Coroutine(Things):
        name = "plain"

        async def closed(self, report: CrawlReport) -> None:
            await asyncio.sleep(0)
            told.append(report)

    assert [await scraper.crawl(each, db=db, fetcher=fetcher) for each in (Plain, Coroutine)] == told

    class Bad(Things):
        def closed(self, report: CrawlReport) -> None:
            raise KeyError("x")

    with pytest.raises(CallbackError, match=r"bad\.closed\(\) raised KeyError"):
        await scraper.crawl(Bad, db=db.with_name("bad.db"), fetcher=fetcher)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"concurency": 3}, SettingsError, "did you mean 'concurrency'"),
        ({"CONCURRENT_REQUESTS": 3}, SettingsError, "here it is called 'concurrency'"),
        ({"concurrency": "many"}, SettingsError, "concurrency.*many"),
        ({"settings": {"dely": 1}}, SettingsError, "delay"),
        ({"settings": Settings(), "dely": 1}, SettingsError, "delay"),
        ({"arguments": {"size": 1}}, SpiderError, "size"),
        ({"output": "items.xls"}, UsageError, r"items\.xls"),
    ],
)
async def test_what_cannot_be_is_said_before_anything_is_done(
    options: dict[str, Any], error: type[Exception], message: str, db: Path
) -> None:
    with pytest.raises(error, match=message):
        await scraper.crawl(Things, db=db, **options)
    assert not [*db.parent.iterdir()]


async def test_settings_by_name_win_over_ready_made_ones(fetcher: FakeFetcher, db: Path) -> None:
    ready = Settings(limit_pages=30, concurrency=1)
    report = await scraper.crawl(Things, db=db, fetcher=fetcher, settings=ready, limit_pages=3)
    assert (report.reason, report.counts.pages) == ("limit_pages", 3)


async def test_what_is_not_a_spider_is_refused(db: Path) -> None:
    for wrong in (int, "things", None):
        with pytest.raises(SpiderError, match="not a Spider"):
            await scraper.crawl(wrong, db=db)  # type: ignore[arg-type]
    with pytest.raises(SpiderError, match="instance already"):
        await scraper.crawl(Things(), arguments={"last": 1}, db=db)


async def test_stop_drains_and_the_next_crawl_resumes(fetcher: FakeFetcher, db: Path) -> None:
    one = Crawl(Things, db=db, fetcher=fetcher, settings={"concurrency": 2})

    class Stop:
        async def committed(self, outcomes: Any, receipts: Any) -> None:
            if one.snapshot().pages >= 3:
                one.stop()

    one._observers.append(Stop())
    report = await one.run()
    assert (report.reason, report.finished) == ("stopped", False)
    assert report.counts.pages == len(fetcher.log) < 40
    again = await scraper.crawl(Things, db=db, fetcher=fetcher)
    assert (again.run, again.resumed, again.finished) == (1, True, True)
    assert again.counts.pages + report.counts.pages == again.totals.pages == 40
    assert set(fetcher.asked.values()) == {1}


async def test_abort_stops_at_once_and_the_next_crawl_resumes(fetcher: FakeFetcher, db: Path) -> None:
    never = asyncio.get_running_loop().create_future()
    fetcher.answers[HOME + "12"] = lambda request: never
    one = Crawl(Things, db=db, fetcher=fetcher)
    one.abort()  # before it begins there is nothing to stop
    task = asyncio.ensure_future(one.run())
    await until(lambda: HOME + "12" in fetcher.asked)
    one.stop()
    one.abort()
    with pytest.raises(asyncio.CancelledError):
        await task
    fetcher.answers[HOME + "12"] = ""
    report = await scraper.crawl(Things, db=db, fetcher=fetcher)
    assert (report.resumed, report.finished) == (True, True)
    assert numbers(db) == list(range(40))


# stream


async def test_stream_gives_every_item_once_it_is_stored(fetcher: FakeFetcher, db: Path) -> None:
    got = []
    async for item in scraper.stream(Things, db=db, fetcher=fetcher):
        assert isinstance(item, Thing)
        assert item.n in numbers(db)
        got.append(item.n)
    assert sorted(got) == list(range(40))


@pytest.mark.parametrize("number", [999, 1000, 1001, 2500])
async def test_stream_loses_nothing_to_a_slow_consumer(number: int, fetcher: FakeFetcher, db: Path) -> None:
    class Many(Things):
        def parse(self, response: Response) -> Any:
            return [Thing(n) for n in range(number)]

    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    fetcher.close = close  # type: ignore[method-assign]
    got = []
    async for item in scraper.stream(Many, db=db, fetcher=fetcher):
        if not got and number <= 1000:
            await closed.wait()  # the crawl is over, and all that it gave waits for us
        got.append(item.n)
    assert got == list(range(number))


async def test_slow_consumer_slows_the_crawl() -> None:
    tap = Tap(bound=3)
    lease = Lease(1, 1, Request(HOME), "h.test", 1, 0.0)
    done = Done(lease, Seen(200), Found(items=[Item("n", None, "{}", (), value) for value in range(5)]))
    commit = asyncio.ensure_future(tap.committed([done], [Receipt(1, applied=True)]))
    for taken in range(3):
        await quiet()
        assert commit.done() == (taken == 2), "three wait in the queue, the writer with the fourth"
        assert await anext(aiter(tap)) == taken


async def test_leaving_a_stream_early_drains_and_the_next_crawl_resumes(fetcher: FakeFetcher, db: Path) -> None:
    class Long(Things):
        last = 2900

    items = scraper.stream(Long, db=db, fetcher=fetcher, concurrency=4)
    async with aclosing(items):  # type: ignore[type-var]
        got = [await anext(items) for _ in range(5)]
    assert len(got) == 5
    before = len(fetcher.log)
    assert before < 2901
    assert len(numbers(db)) == before, "what had begun is stored"
    rest = [item.n async for item in scraper.stream(Long, db=db, fetcher=fetcher)]
    assert len(rest) == 2901 - before
    assert set(fetcher.asked.values()) == {1}


async def test_leaving_a_stream_frees_a_writer_that_waits_for_room(fetcher: FakeFetcher, db: Path) -> None:
    class Many(Things):
        def parse(self, response: Response) -> Any:
            return [Thing(n) for n in range(2500)]

    async with aclosing(scraper.stream(Many, db=db, fetcher=fetcher)) as items:  # type: ignore[type-var]
        assert await anext(items) == Thing(0)
        await quiet()
    assert len(numbers(db)) == 2500


async def test_stream_raises_what_the_crawl_raises(fetcher: FakeFetcher, db: Path) -> None:
    class Bad(Things):
        def start(self) -> Any:
            yield Request(HOME + "0")
            raise OSError("seed file is gone")

    with pytest.raises(OSError, match="seed file is gone"):
        async for _ in scraper.stream(Bad, db=db, fetcher=fetcher):
            pass


# run


def test_run_from_a_script_twice(fetcher: FakeFetcher, db: Path) -> None:
    loops = []

    class Looking(Things):
        def parse(self, response: Response) -> Iterator[Any]:
            loops.append(type(asyncio.get_running_loop()).__module__)
            yield from super().parse(response)

    for run in (1, 2):
        report = scraper.run(Looking, db=db, fetcher=fetcher)
        assert (report.run, report.counts.pages) == (run, 40)
    assert set(loops) == {"uvloop"}
    assert numbers(db) == list(range(40))


async def test_run_inside_a_running_loop_says_what_to_write(db: Path) -> None:
    with pytest.raises(UsageError, match=r"await scraper\.crawl"):
        scraper.run(Things, db=db)


def test_error_of_run_is_not_dressed_up_in_another() -> None:
    with pytest.raises(SettingsError) as error:
        scraper.run(Things, nonsense=1)
    assert error.value.__context__ is None


def signalling(at: int, times: int) -> type[Things]:
    visits = count(1)

    class Signalling(Things):
        name = "things"

        async def parse(self, response: Response) -> AsyncIterator[Any]:  # type: ignore[override]
            if next(visits) == at:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
                    for _ in range(100):  # a signal reaches the loop through a socket
                        await asyncio.sleep(0)
            for each in super().parse(response):
                yield each

    return Signalling


def test_signal_drains_and_a_second_one_stops_at_once(fetcher: FakeFetcher, db: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    report = scraper.run(signalling(5, times=1), db=db, fetcher=fetcher, concurrency=1)
    assert (report.reason, report.finished, report.counts.pages) == ("SIGINT", False, 5)
    with pytest.raises(KeyboardInterrupt, match="resumes"):
        scraper.run(signalling(5, times=2), db=db, fetcher=fetcher, concurrency=1)
    report = scraper.run(Things, db=db, fetcher=fetcher)
    assert (report.run, report.resumed, report.finished) == (1, True, True)
    assert numbers(db) == list(range(40))
    assert signal.getsignal(signal.SIGINT) is before
