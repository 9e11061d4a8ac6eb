"""Crawl-delay and Request-rate feed the host's slot, and robots.txt itself takes a turn of its own."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from asking import NO, Robots
from crawling import Bench, spider
from sockets import Asked, Reply, Server, always, page

import scraper
from scraper.errors import RobotsDenied
from scraper.request import Request
from scraper.response import Response
from scraper.robots import RobotsFetcher
from scraper.robots_rules import LONGEST_GAP, Rules
from scraper.settings import Settings
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing import FakeClock, FakeFetcher, LocalSite
from scraper.throttle import FixedThrottle
from scraper.url import host_of

HOST = "http://h.test"
SLOW = b"User-agent: *\nCrawl-delay: 2.5\nDisallow: /no\n"


@pytest.mark.parametrize(
    ("lines", "gap"),
    [
        ("Crawl-delay: 2.5", 2.5),
        ("Crawl-delay: 0", 0),
        ("Crawl-delay: -1", 0),
        ("Crawl-delay: inf", 0),
        ("Crawl-delay: soon", 0),
        ("Crawl-delay: 1e300", LONGEST_GAP),
        ("Request-rate: 1/10", 10),
        ("Request-rate: 10/1m", 6),
        ("Request-rate: 1/10s 0600-0845", 10),
        ("Request-rate: 0/1", 0),
        (f"Request-rate: 1/{'9' * 400}", LONGEST_GAP),
        (f"Request-rate: {'9' * 400}/1", 0),
        ("Crawl-delay: 5\nRequest-rate: 1/2", 5),
        ("Crawl-delay: 1\nRequest-rate: 1/2", 2),
        ("Disallow: /x\n\nUser-agent: shopper\nCrawl-delay: 7", 7),
        ("Crawl-delay: 7\n\nUser-agent: shopper\nDisallow: /x", 0),
        ("Crawl-delay: 7\n\nUser-agent: shop\nCrawl-delay: 1", 7),
    ],
)
def test_the_gap_that_it_asks_for(lines: str, gap: float) -> None:
    assert Rules(f"User-agent: *\n{lines}\n", "Shopper").gap == gap


async def test_a_gap_is_told_of_its_host() -> None:
    async with Robots(SLOW) as ours:
        assert await ours.postpones("/")
        assert ours.learnt == [(host_of(ours.server.url()), 2.5)]
        assert ours.asked == ["/robots.txt"], "the page must not come at once"
        assert not await ours.postpones("/")
        assert len(ours.learnt) == 1


async def test_a_gap_that_is_gone_is_told_as_well() -> None:
    async with Robots(SLOW) as ours:
        await ours.postpones("/")
        ours.clock.advance(24 * 3600)
        ours.answer = always(page(NO))
        await ours.postpones("/")
        assert [seconds for _, seconds in ours.learnt] == [2.5, 0.0]


async def test_a_gap_outlives_trouble() -> None:
    async with Robots(SLOW) as ours:
        await ours.postpones("/")
        ours.clock.advance(24 * 3600)
        ours.answer = always(page(b"", "503 Busy"))
        with pytest.raises(RobotsDenied):
            await ours.get("/")
        assert [seconds for _, seconds in ours.learnt] == [2.5]


async def test_without_a_delay_the_page_comes_at_once() -> None:
    async with Robots(NO) as ours:
        assert not await ours.postpones("/")
        assert ours.asked == ["/robots.txt", "/"]


async def test_with_a_delay_of_the_settings_too_robots_txt_takes_the_turn() -> None:
    async with Robots(NO, delay=1.0) as ours:
        assert await ours.postpones("/a")
        assert not await ours.postpones("/a")
        assert ours.asked == ["/robots.txt", "/a"]


async def test_all_who_waited_for_it_have_to_wait_for_their_turn() -> None:
    async with Robots(lambda asked: page(SLOW, held=True)) as ours:
        work = [asyncio.ensure_future(ours.postpones(f"/{n}")) for n in range(8)]
        await ours.server.until(lambda: ours.server.requests == 1)
        ours.server.release()
        assert all(await asyncio.gather(*work))
        assert ours.asked == ["/robots.txt"]


async def test_a_denial_takes_the_turn_as_well() -> None:
    async with Robots(NO, delay=1.0) as ours:
        assert await ours.postpones("/no")
        assert not await ours.allows("/no")
        assert ours.asked == ["/robots.txt"]


async def test_a_gap_from_the_store_is_kept_from_the_first_page_on() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(SLOW, store=store) as ours:
        await ours.postpones("/")
        await store.save_notes(ours.fetcher.notes())
        ours.restart()
        ours.delay = 0.0
        ours.learnt.clear()
        assert await ours.postpones("/"), "its slot was taken before anybody knew of the delay"
        assert [seconds for _, seconds in ours.learnt] == [2.5]
        assert not await ours.postpones("/")
        assert ours.asked == ["/robots.txt", "/"]
        ours.restart()
        assert not await ours.postpones("/"), "it was known of: a host that comes and goes must not wait for ever"


async def test_without_a_gap_what_is_in_the_store_takes_no_turn() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(NO, store=store, delay=1.0) as ours:
        await ours.postpones("/")
        await store.save_notes(ours.fetcher.notes())
        ours.restart()
        assert not await ours.postpones("/")


def hops(asked: Asked) -> Reply:
    at = {"/robots.txt": "/1/robots.txt", "/1/robots.txt": "/2/robots.txt"}.get(asked.path)
    return page(NO) if at is None else page(b"", "301 Moved", Location=at)


async def test_each_hop_to_the_same_host_takes_a_turn() -> None:
    async with Robots(hops, delay=1.0) as ours:
        for asked in (["/robots.txt"], ["/1/robots.txt"], ["/2/robots.txt"]):
            before = len(ours.asked)
            assert await ours.postpones("/no")
            assert ours.asked[before:] == asked
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")


async def test_a_loop_of_turns_ends() -> None:
    async with Robots(page(b"", "302 Found", Location="/robots.txt"), delay=1.0) as ours:
        turns = 0
        while await ours.postpones("/any"):
            turns += 1
            assert turns < 20
        assert ours.asked == ["/robots.txt"] * 6 + ["/any"]


async def test_a_hop_to_another_host_takes_no_turn_of_this_one() -> None:
    async with Server(always(page(NO))) as other:
        moved = page(b"", "301 Moved", Location=other.url("/robots.txt"))
        async with Robots(moved, delay=1.0) as ours:
            assert await ours.postpones("/no")
            assert not await ours.allows("/no")
            assert (ours.asked, other.requests) == (["/robots.txt"], 1)


# whole crawls


class Timed(FakeFetcher):
    """Notes when each request came; an answer takes a while, as a connection does."""

    def __init__(self, answers: dict[str, Any], clock: FakeClock) -> None:
        super().__init__(answers)
        self.clock = clock
        self.times: list[tuple[float, str]] = []

    async def fetch(self, request: Request) -> Response:
        self.times.append((self.clock.monotonic(), request.url.removeprefix(HOST)))
        there = asyncio.get_running_loop().create_future()
        self.clock.call_at(self.clock.monotonic() + 0.3, lambda: there.set_result(None))
        await there
        return await super().fetch(request)


def crawl(robots: Any, store: MemoryStore, clock: FakeClock, **settings: Any) -> tuple[Bench, Timed]:
    """A crawl of ten pages that begins at all of them, with robots.txt before the fetcher as in a real one."""
    paths = [f"/{n}" for n in range(10)]
    moved = Response(f"{HOST}/robots.txt", 301, {"Location": "/other.txt"})
    answers = dict.fromkeys((HOST + path for path in paths), "") | {f"{HOST}/other.txt": robots}
    inner = Timed(answers | {f"{HOST}/robots.txt": moved}, clock)
    chosen = Settings(jitter=0.0, adaptive=False, **settings)
    throttle = FixedThrottle(chosen)
    fetcher = RobotsFetcher(
        inner, chosen, clock, store, learnt=throttle.learnt, delay=lambda host: throttle.limits(host).delay
    )
    start = spider(start_urls=[HOST + path for path in paths])
    bench = Bench(start, fetcher, store=store, clock=clock, throttle=throttle, jitter=0.0, adaptive=False, **settings)
    throttle.changed = bench.engine.frontier.refresh
    return bench, inner


def gaps(times: list[tuple[float, str]]) -> list[float]:
    return [later[0] - earlier[0] for earlier, later in pairwise(times)]


@pytest.mark.parametrize("delay", [0.0, 1.0])
async def test_in_a_crawl_the_gap_is_kept_from_the_first_answer_on(delay: float) -> None:
    clock, memory = FakeClock(), Memory()
    bench, inner = crawl("User-agent: *\nCrawl-delay: 5\nDisallow: /9\n", MemoryStore(memory), clock, delay=delay)
    assert await bench.run() == "finished"
    paths = [path for _, path in inner.times]
    assert paths[:2] == ["/robots.txt", "/other.txt"]
    assert sorted(paths[2:]) == [f"/{n}" for n in range(9)]
    assert (await bench.pages())["9"].reason == "robots"
    assert gaps(inner.times)[0] >= delay, "the hop of robots.txt, before anybody knew of more"
    assert min(gaps(inner.times)[1:]) >= 5
    assert bench.engine.stats.retries == 0, "to wait is no attempt"


async def test_the_next_crawl_keeps_it_from_its_first_page_on() -> None:
    clock, memory = FakeClock(), Memory()
    for number in range(2):
        store = MemoryStore(memory)
        bench, inner = crawl("User-agent: *\nRequest-rate: 1/5\n", store, clock)
        bench.engine._learners = [bench.fetcher]
        assert await bench.run() == "finished"
        assert sum("txt" in path for _, path in inner.times) == (2 if number == 0 else 0)
        assert min(gaps(inner.times)[1 - number :]) >= 5


async def test_a_crawl_without_delays_waits_for_nothing() -> None:
    clock = FakeClock()
    bench, inner = crawl("", MemoryStore(), clock)
    assert await bench.run() == "finished"
    assert len(inner.times) == 12


@pytest.mark.parametrize("most", [0.0, 0.01])
async def test_the_real_parts_are_told(most: float) -> None:
    pages = {"/": "", "/robots.txt": "User-agent: *\nCrawl-delay: 3600\n"}
    async with LocalSite(pages) as at:
        chosen = Settings(crawl_delay_max=most, adaptive=False)
        throttle = FixedThrottle(chosen)
        report = await scraper.crawl(
            spider(start_urls=[at.url("/")]), store=MemoryStore(), settings=chosen, throttle=throttle
        )
        assert (report.reason, report.counts.pages) == ("finished", 1)
        assert throttle.limits(host_of(at.url("/"))).delay == most
