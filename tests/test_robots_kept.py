"""What robots.txt said is kept for a day: in memory, in the store, from one crawl and process to the next."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import NO, Robots
from conftest import Cli
from sockets import always, page
from walked import command, ran, rows, site, spider

import scraper
from scraper import Response, Spider
from scraper.clock import SystemClock
from scraper.page import Note
from scraper.request import Request
from scraper.robots import RobotsFetcher
from scraper.robots_kept import KEPT_FOR, KIND, MOST_KEPT, MOST_NOTES, MOST_ORIGINS
from scraper.settings import Settings
from scraper.stores.memory import MemoryStore
from scraper.testing import FakeClock, FakeFetcher, LocalSite

DAY = 24 * 3600


async def save(ours: Robots) -> None:
    assert ours.store is not None
    await ours.store.save_notes(ours.fetcher.notes())


async def test_the_next_crawl_does_not_ask_again_for_a_day() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(NO, store=store) as ours:
        assert not await ours.allows("/no")
        await save(ours)
        ours.clock.advance(DAY - 1)
        ours.restart()
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")
        assert ours.robots_asked == 1
        ours.answer = always(page(b""))
        ours.clock.advance(1)
        assert await ours.allows("/no"), "a day is over, for what came from the store too"
        assert ours.robots_asked == 2


async def test_the_line_of_a_denial_is_known_from_the_store_too() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(NO, store=store) as ours:
        await ours.allows("/")
        await save(ours)
        ours.restart()
        with pytest.raises(scraper.FetchError, match=r'robots.txt line 2, "Disallow: /no", forbids'):
            await ours.get("/no")


async def test_what_is_kept_does_not_depend_on_who_asked() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(b"User-agent: shopper\nDisallow: /s\n\nUser-agent: other\nDisallow: /o\n", store=store) as ours:
        assert not await ours.allows("/s")
        await save(ours)
        ours.settings = Settings(robots_agent="Other")
        ours.restart()
        assert not await ours.allows("/o")
        assert await ours.allows("/s")
        assert ours.robots_asked == 1


@pytest.mark.parametrize("status", ["404 None", "403 No"])
async def test_that_there_is_none_is_kept_too(status: str) -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(page(b"", status), store=store) as ours:
        assert await ours.allows("/no")
        await save(ours)
        ours.restart()
        assert await ours.allows("/no")
        assert ours.robots_asked == 1


async def test_trouble_is_not_kept() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(page(b"", "503 Busy"), store=store) as ours:
        with pytest.raises(scraper.FetchError):
            await ours.get("/")
        assert ours.fetcher.notes() == []
        ours.restart()
        ours.answer = always(page(NO))
        assert not await ours.allows("/no"), "the next crawl asks at once"


async def test_an_old_answer_is_not_used_while_there_is_no_newer_one() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(b"", store=store) as ours:
        assert await ours.allows("/")
        await save(ours)
        ours.answer = always(page(b"", "503 Busy"))
        ours.clock.advance(DAY)
        with pytest.raises(scraper.FetchError, match="cannot be had"):
            await ours.get("/")


async def test_a_note_nobody_can_read_is_no_answer() -> None:
    store = MemoryStore()
    await store.open()
    async with Robots(NO, store=store) as ours:
        await store.save_notes([Note(KIND, ours.origin, '{"kept": "otherwise"}', ours.clock.time() + DAY)])
        assert not await ours.allows("/no")
        assert ours.robots_asked == 1


async def test_origins_that_are_forgotten_come_back_from_the_store() -> None:
    """More hosts than memory is for: each is still asked once, and no page has to be finished for that."""
    hosts = [f"http://h{number}.example/" for number in range(MOST_ORIGINS + MOST_NOTES)]
    inner = FakeFetcher({f"{host}robots.txt": NO.decode() for host in hosts} | {host: "" for host in hosts})
    store = MemoryStore()
    await store.open()
    fetcher = RobotsFetcher(inner, Settings(), FakeClock(), store)
    for _ in range(2):
        for host in hosts:
            await fetcher.fetch(Request(host))
    assert [inner.asked[f"{host}robots.txt"] for host in hosts] == [1] * len(hosts)
    assert len(fetcher.notes()) < MOST_NOTES


async def test_few_large_ones_are_held_at_once() -> None:
    large = "User-agent: *\nDisallow: /no\n" + "Allow: /yes\n" * 30_000
    hosts = [f"http://h{number}.example/" for number in range(1 + 2 * MOST_KEPT // len(large))]
    inner = FakeFetcher({f"{host}robots.txt": large for host in hosts})
    store = MemoryStore()
    await store.open()
    fetcher = RobotsFetcher(inner, Settings(), FakeClock(), store)
    for host in hosts:
        await fetcher.fetch(Request(host))
    origins: Any = fetcher._origins
    held = [known.rules for known in origins._known.values()]
    assert 0 < sum(rules.size for rules in held) <= MOST_KEPT
    assert origins._fresh_size <= MOST_KEPT
    with pytest.raises(scraper.FetchError, match="line 2"):
        await fetcher.fetch(Request(f"{hosts[0]}no"))
    assert max(inner.asked[f"{host}robots.txt"] for host in hosts) == 1


# whole crawls


class Later(SystemClock):
    """Some time from now."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Walk(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response: Response) -> Iterator[Any]:
        yield from response.follow_all("a")


@pytest.mark.parametrize(("ahead", "asked"), [(KEPT_FOR - 60, 1), (KEPT_FOR + 60, 2)])
async def test_runs_of_one_database(tmp_path: Path, ahead: float, asked: int) -> None:
    async with LocalSite({"/": '<a href="no">x</a><a href="yes">x</a>', "/yes": "", "/robots.txt": NO}) as at:
        clock = Later()
        for _ in range(3):
            report = await scraper.crawl(Walk(at.url("/")), db=tmp_path / "walk.db", clock=clock)
            assert (report.reason, report.counts.pages, report.counts.reasons) == ("finished", 2, {"robots": 1})
            clock.ahead = ahead
        assert at.requests["/robots.txt"] == asked
        assert (at.requests["/no"], at.requests["/yes"]) == (0, 3)


async def test_the_setting_and_the_option_of_a_request(tmp_path: Path) -> None:
    class Some(Walk):
        def parse(self, response: Response) -> Iterator[Any]:
            if response.url.endswith("/"):
                yield response.follow("no")
                yield response.follow("moved", obey_robots=not self.obeys)

        obeys = True

    pages = {"/": "", "/no": "", "/moved": (302, "", {"Location": "/no/1"}), "/no/1": "", "/robots.txt": NO}
    for obeys, asked in ((True, ["/", "/moved", "/no/1"]), (False, ["/", "/moved", "/no"])):
        Some.obeys = obeys
        async with LocalSite(pages) as at:
            report = await scraper.crawl(Some(at.url("/")), db=tmp_path / f"{obeys}.db", obey_robots=obeys)
            assert sorted(path for path in at.requests if path != "/robots.txt") == asked
            assert report.counts.reasons == {"robots": 1}, "a redirect is asked for as its page was"
            assert at.requests["/robots.txt"] == 1


async def test_a_crawl_that_is_stopped_has_learnt_what_its_pages_did(tmp_path: Path) -> None:
    async with LocalSite({"/": '<a href="yes">x</a>', "/yes": "", "/robots.txt": NO}) as at:
        for _ in range(2):
            await scraper.crawl(Walk(at.url("/")), db=tmp_path / "walk.db", limit_pages=1)
        assert at.requests["/robots.txt"] == 1


async def test_processes_of_one_database(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        for _ in range(2):
            await ran(cli, *command(at))
        (dead,) = await rows(cli, "why", "walk", at.url("/secret"))
        assert 'line 2, "Disallow: /secret"' in dead["pages"][0]["error"]
        assert dead["pages"][0]["run"] == 2
        await asyncio.gather(*(ran(cli, *command(at, "--db", f"{n}.db")) for n in range(2)))
        assert (at.requests["/robots.txt"], at.requests["/secret"]) == (3, 0), "each database asks for itself"
