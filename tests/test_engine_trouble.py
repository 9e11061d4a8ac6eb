"""The engine among hosts in trouble: stuck ones hold no worker, those that are down lose no page."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from crawling import SITE, Bench, drive, spider

import scraper
from scraper.errors import ConnectError, ConnectTimeout, FetchError, ReadTimeout
from scraper.request import Request
from scraper.response import Response
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing import FakeClock
from scraper.throttle import AdaptiveThrottle, FixedThrottle

DOWN_FOR = 600.0


def failing(clock: FakeClock, error: Callable[[], Any], takes: float, until: float = DOWN_FOR) -> Any:
    """An answer: ``error`` after ``takes`` seconds until that time, then a page."""

    async def answer(request: Request) -> Any:
        if clock.monotonic() >= until:
            return "<p>up again</p>"
        if takes:
            gone = asyncio.Event()
            clock.call_at(clock.monotonic() + takes, gone.set)
            await gone.wait()
        return error()

    return answer


@pytest.mark.parametrize("throttle", [FixedThrottle, AdaptiveThrottle])
@pytest.mark.parametrize(
    ("error", "takes"),
    [
        (lambda: ConnectError("refused"), 0.0),
        (lambda: ConnectTimeout("slow"), 10.0),
        (lambda: ReadTimeout("silent"), 30.0),
        (lambda: 503, 0.1),
    ],
    ids=["refused", "connect timeout", "read timeout", "503"],
)
async def test_a_host_that_is_down_for_ten_minutes_loses_no_page(error: Any, takes: float, throttle: Any) -> None:
    paths = [str(number) for number in range(30)]
    settings = scraper.Settings()
    bench = Bench(spider("up", *paths), {}, throttle=throttle(settings))
    answer = failing(bench.clock, error, takes)
    bench.fetcher.answers = {SITE + path: answer for path in paths}
    bench.fetcher.answers[SITE + "up"] = "<p>before it went down</p>"
    assert await bench.run() == "finished"
    states = await bench.states()
    assert len(states) == 31
    assert set(states.values()) == {"done"}
    asked = len(bench.asked)
    assert asked < 31 + 60, "a host that is down is asked now and then, not all the time"
    assert bench.engine.frontier.in_flight == 0


async def test_a_page_that_always_fails_dies_by_its_own_attempts() -> None:
    """The others of its host answer, or are done: it is not the host."""
    paths = [str(number) for number in range(30)]
    bench = Bench(spider("bad", *paths), {path: "" for path in paths} | {"bad": ReadTimeout("silent")})
    assert await bench.run() == "finished"
    page = (await bench.pages())["bad"]
    assert (page.state, page.reason, page.attempts) == ("dead", "read timeout", 4)
    assert bench.clock.monotonic() < 200.0


async def test_a_probe_is_always_another_page() -> None:
    """The oldest page kills each connection: as the only probe it would keep the host paused for ever."""
    bench = Bench(spider("bad", *"abcdefghijklmno"), {each: "" for each in "abcdefghijklmno"})
    until = 5.0

    def bad(request: Request) -> FetchError:
        return ConnectError("reset")

    def moody(request: Request) -> Any:
        return ConnectError("reset") if bench.clock.monotonic() < until else ""

    bench.fetcher.answers = {SITE + each: moody for each in "abcdefghijklmno"} | {SITE + "bad": bad}
    assert await bench.run() == "finished"
    states = await bench.states()
    assert states.pop("bad") == "dead"
    assert set(states.values()) == {"done"}
    assert (await bench.pages())["bad"].reason == "connect"


async def test_a_host_that_stays_down_is_given_up_and_its_pages_say_so() -> None:
    paths = [str(number) for number in range(50)]
    other = "http://other.test/"
    bench = Bench(
        spider(start_urls=[other, *(SITE + path for path in paths)]),
        {path: ConnectError("refused") for path in paths},
        throttle=FixedThrottle(scraper.Settings(breaker_patience=100.0)),
    )
    bench.fetcher.answers[other] = ""
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert pages.pop(other).state == "done"
    assert {page.state for page in pages.values()} == {"dead"}
    down = [page for page in pages.values() if page.reason == "host down"]
    assert len(down) == 50, "its last probe, too, found it down"
    text = down[0].error or ""
    assert "h.test has not answered since 2023-11-14 22:13:20 UTC" in text
    assert "refused" in text
    assert "scraper retry test --reason 'host down'" in text
    assert len(bench.asked) - 1 <= 10 + 6, "ten failures and six probes: 10, 20, 40, 80 seconds and the last"
    assert 100.0 <= bench.clock.monotonic() < 120.0


class Count:
    """Answers when the test lets it; knows how many were asked at once before the first answer."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.asked: list[float] = []
        self.in_flight = self.before_first = self.answers = 0

    async def fetch(self, request: Request) -> Response:
        self.asked.append(self.clock.monotonic())
        self.in_flight += 1
        if not self.answers:
            self.before_first = max(self.before_first, self.in_flight)
        for _ in range(20):
            await asyncio.sleep(0)
        self.in_flight -= 1
        if self.fails:
            raise ConnectError("refused")
        self.answers += 1
        return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

    async def close(self) -> None: ...

    clock: FakeClock


async def crawled(memory: Memory, fetcher: Any, clock: FakeClock, **options: Any) -> Any:
    """One process of a crawl, with all the parts that the front door builds."""
    fetcher.clock = clock
    many = spider(*(str(number) for number in range(40)))
    crawl = scraper.Crawl(many, store=MemoryStore(memory), fetcher=fetcher, clock=clock, **options)
    return await drive(crawl.run(), clock)


async def test_a_retry_asks_a_host_that_was_given_up_by_one_probe() -> None:
    memory, clock = Memory(), FakeClock()
    settings = {"breaker_patience": 60.0}
    report = await crawled(memory, Count(fails=True), clock, settings=settings)
    assert report.counts.reasons == {"host down": 40}
    up = Count(fails=False)
    report = await crawled(memory, up, clock, settings=settings, revive=["host down"])
    assert report.counts.pages == 40
    assert up.before_first == 1


async def test_a_rest_that_a_host_asked_for_survives_a_restart() -> None:
    memory, clock = Memory(), FakeClock()

    class Busy(Count):
        async def fetch(self, request: Request) -> Response:
            if not self.asked:
                self.asked.append(self.clock.monotonic())
                crawl.stop()
                return Response(request.url, 429, {"Retry-After": "50"}, b"", request)
            return await super().fetch(request)

    busy = Busy(fails=False)
    busy.clock = clock
    crawl = scraper.Crawl(
        spider(*(str(number) for number in range(40))), store=MemoryStore(memory), fetcher=busy, clock=clock
    )
    assert not (await drive(crawl.run(), clock)).finished
    first = len(busy.asked)
    report = await crawled(memory, busy, clock)
    assert report.finished
    assert first == 1
    assert busy.asked[1] >= busy.asked[0] + 50.0


async def test_the_delay_holds_across_a_restart() -> None:
    memory, clock = Memory(), FakeClock()

    class Stops(Count):
        async def fetch(self, request: Request) -> Response:
            crawl.stop()
            return await super().fetch(request)

    first, second = Stops(fails=False), Count(fails=False)
    first.clock = clock
    settings = {"delay": 30.0}
    crawl = scraper.Crawl(
        spider(*(str(number) for number in range(40))),
        store=MemoryStore(memory),
        fetcher=first,
        clock=clock,
        settings=settings,
    )
    assert not (await drive(crawl.run(), clock)).finished
    await crawled(memory, second, clock, settings=settings)
    assert len(first.asked) == 1
    assert second.asked[0] >= first.asked[0] + 30.0


async def test_hosts_of_a_domain_share_a_slot() -> None:
    """A thousand hosts of one registered domain: one at a time, and no more in memory than a slot may hold."""
    memory, clock = Memory(), FakeClock()
    held: list[int] = []

    class Domain(Count):
        async def fetch(self, request: Request) -> Response:
            response = await super().fetch(request)
            held.append(crawl._engine.frontier.queued)  # type: ignore[union-attr]
            return response

    fetcher = Domain(fails=False)
    fetcher.clock = clock
    urls = [f"http://h{number}.example.co.uk/" for number in range(1000)]
    settings = {"slot_by": "domain", "concurrency_per_host": 1}
    crawl = scraper.Crawl(
        spider(start_urls=urls), store=MemoryStore(memory), fetcher=fetcher, clock=clock, settings=settings
    )
    most = 0

    def meanwhile() -> None:
        nonlocal most
        most = max(most, fetcher.in_flight)

    assert (await drive(crawl.run(), clock, meanwhile)).counts.pages == 1000
    assert crawl._engine is not None
    assert [slot.key for slot in crawl._engine.frontier.slots] == ["example.co.uk"]
    assert fetcher.before_first == 1
    assert most <= 1
    assert max(held) <= 128


async def test_a_status_that_the_spider_wants_is_a_page_and_the_host_is_judged_all_the_same() -> None:
    bench = Bench(
        spider(*"abcdefghijkl"),
        {each: 503 for each in "abcdefghijkl"},
        handle_statuses=(503,),
        throttle=FixedThrottle(scraper.Settings(breaker_patience=0.0)),
    )
    assert await bench.run() == "finished"
    assert set((await bench.states()).values()) == {"done"}
    assert bench.engine.frontier.slots[0].limits.state == "paused"
