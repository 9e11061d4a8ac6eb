"""Traps: links that lead on for ever are dropped, by which rule is told, and the page budget of a host is exact."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sockets
from conftest import environment
from crawling import SITE, Bench, follow, page, spider
from sockets import Asked, Reply, Server

from scraper.collect import collect
from scraper.page import Found
from scraper.request import Request
from scraper.response import Response
from scraper.scope import Scope
from scraper.settings import Settings
from scraper.stores.memory import Memory, MemoryStore
from scraper.stores.sqlite import SqliteStore
from scraper.testing import FakeFetcher

PARENT = Request(SITE)


class Endless(FakeFetcher):
    """A site that has every page there can be, by what a function makes of its path."""

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__({})
        self._make = make

    async def fetch(self, request: Request) -> Response:
        self.answers[request.url] = self._make(request.url.removeprefix(SITE))
        return await super().fetch(request)


def farm(path: str) -> str:
    """Ten links that no other page has."""
    return page(*(f"/{int(path) * 10 + n}" for n in range(10)))


def gather(paths: list[str], **settings: object) -> Found:
    scope = Scope.of(spider(), Settings(**settings))  # type: ignore[arg-type]
    return asyncio.run(collect(scope, [Request(SITE + path) for path in paths], PARENT))


def paths(found: Found) -> list[str]:
    return [request.url.removeprefix(SITE) for request in found.links]


# -- length, depth, path


@pytest.mark.parametrize(
    ("path", "repeats"),
    [
        ("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", 1),
        ("a/b/a/b/a/b", 3),
        ("a/b/a/b/a/b/", 3),
        ("a/a/a/a", 4),
        ("////", 5),
        ("aa/a/aa/a", 2),
        ("x?q=a/a/a/a/a", 1),
        ("a/x?q=/a/a", 1),
    ],
)
def test_a_path_may_repeat_a_segment_so_often_and_no_more(path: str, repeats: int) -> None:
    assert paths(gather([path], max_path_repeats=repeats)) == [path]
    if repeats > 1:
        found = gather([path], max_path_repeats=repeats - 1)
        assert (paths(found), found.drops, found.dropped) == ([], {"path": 1}, [("path", SITE + path)])


def test_ten_repeats_are_allowed_unless_it_is_said_otherwise() -> None:
    assert paths(gather(["a/" * 10, "a/" * 11])) == ["a/" * 10]
    assert paths(gather(["a/" * 500], max_path_repeats=0)) == ["a/" * 500]


def test_a_url_may_have_so_many_characters_and_no_more() -> None:
    longest = "x" * (100 - len(SITE))
    found = gather([longest, longest + "x"], max_url_length=100)
    assert (paths(found), found.drops) == ([longest], {"length": 1})
    assert paths(gather(["x" * 100_000], max_url_length=0)) == ["x" * 100_000]


async def test_a_calendar_comes_to_its_end() -> None:
    bench = Bench(spider(parse=follow), Endless(lambda path: page(f"/{path}next/")), max_path_repeats=3)
    assert await bench.run() == "finished"
    assert sorted(bench.asked) == ["", "next/", "next/next/", "next/next/next/"]
    assert bench.engine.snapshot().drops == {"path": 1}


async def test_a_redirect_into_a_trap_is_dropped_like_a_link() -> None:
    trap = Response(SITE, 302, {"Location": SITE + "a/" * 11})
    bench = Bench(spider(), {"": trap})
    await bench.run()
    assert (await bench.pages())[""].reason == "redirect path"
    assert bench.engine.snapshot().drops == {"path": 1}


# -- the page budget of a host


async def test_a_link_farm_ends_at_the_budget() -> None:
    bench = Bench(spider("1", parse=follow), Endless(farm), max_pages_per_host=25)
    assert await bench.run() == "finished"
    assert len(bench.asked) == 25
    # 25 pages with ten links each, none of them twice and none to the first; room was for 24
    assert bench.engine.snapshot().drops == {"host budget": 250 - 24}


async def test_a_budget_holds_for_each_host_by_itself() -> None:
    away = [f"http://{name}.test/{n}" for name in ("one", "two") for n in range(5)]
    bench = Bench(spider(parse=follow), {"": page(*away)}, max_pages_per_host=3)
    bench.fetcher.answers |= dict.fromkeys(away, "<p>")
    await bench.run()
    hosts = [url.split("/")[2] for url in bench.fetcher.log]
    assert sorted(hosts) == sorted(["h.test", *["one.test"] * 3, *["two.test"] * 3])


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_a_budget_goes_on_when_a_run_is_resumed(backend: str, tmp_path: Path) -> None:
    memory = Memory()
    asked: list[str] = []
    for _ in range(3):  # drains after a few pages each time, but for the last
        store = MemoryStore(memory) if backend == "memory" else SqliteStore(tmp_path / "x.db")
        bench = Bench(spider("1", parse=follow), Endless(farm), store=store, max_pages_per_host=30, concurrency=1)
        fetch, engine = bench.fetcher.fetch, bench.engine

        async def stop_then(request: Request, fetch: Any = fetch, engine: Any = engine) -> Response:
            if len(asked) in (5, 12):
                engine.stop("SIGTERM")
            asked.append(request.url)
            return await fetch(request)  # type: ignore[no-any-return]

        bench.fetcher.fetch = stop_then
        reason = await bench.run()
    assert reason == "finished"
    assert len(asked) == len(set(asked)) == 30


KILLED = """
import os, signal, sys
import scraper

class Farm(scraper.Spider):
    name = "farm"
    start_urls = [sys.argv[1] + "/1"]

    def parse(self, response):
        if os.environ.get("KILL") and int(response.url.rpartition("/")[2]) > 20:
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"n": response.url}
        yield from response.follow_all("a")

scraper.run(Farm, db="farm.db", max_pages_per_host=60, obey_robots=False, concurrency_per_host=4, log_level="error")
"""


async def test_a_budget_is_exact_across_kills(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return sockets.page(farm(asked.path[1:]).encode())

    def rows(query: str) -> list[tuple[object, ...]]:
        db = sqlite3.connect(tmp_path / "farm.db")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    async with Server(answer) as server:
        for kill in ("yes", "yes", ""):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                KILLED,
                server.url(""),
                cwd=tmp_path,
                env=environment(KILL=kill),
                stdout=subprocess.DEVNULL,
            )
            assert await process.wait() == (-signal.SIGKILL if kill else os.EX_OK)
    assert rows("select state, count(*) from pages group by state") == [("done", 60)]
    assert rows("select count(*), count(distinct data) from items") == [(60, 60)]
    # each of the 60 pages has ten links, of which 59 came to be pages
    assert rows("select reason, count from drops") == [("host budget", 600 - 59)]
    assert rows("select count(*) from dropped") == [(100,)]
