"""Real processes, real HTTP, real ``kill -9``: what is resumed ends as if nobody had killed it."""

import asyncio
import json
import random
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import ROOT, environment

from scraper.testing import LocalSite

CHILD = ROOT / "tests" / "crash_child.py"


class Site(LocalSite):
    """``size`` pages in a tree with links back; every eleventh is busy when it is first asked for."""

    def __init__(self, size: int) -> None:
        super().__init__({f"/{number}": self._page for number in range(size)})
        self.size = size
        self.busy = {f"/{number}" for number in range(0, size, 11)}
        self.seen: Callable[[int], object] = lambda number: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.answered: Counter[str] = Counter()

    @property
    def asked(self) -> int:
        """Requests for pages, so far."""
        return self.requests.total() - self.requests["/robots.txt"]

    async def _page(self, request: web.Request) -> Any:
        self.seen(self.asked)
        await self.gate.wait()
        path = request.raw_path
        if path in self.busy:
            self.busy.remove(path)
            return 503
        self.answered[path] += 1
        number = int(path[1:])
        links = [each for each in (2 * number + 1, 2 * number + 2, number // 2) if each < self.size]
        return f"<h1>{number}</h1>" + "".join(f'<a href="/{each}">{each}</a>' for each in links)


class Work:
    """One database, and one process after the other that works on it."""

    def __init__(self, site: Site, database: Path) -> None:
        self.site = site
        self.database = database
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *more: object) -> asyncio.subprocess.Process:
        arguments = [str(CHILD), str(self.database), self.site.url(""), *map(str, more)]
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environment(), cwd=self.database.parent, stdout=pipe, stderr=pipe
        )
        return self.process

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def finish(self) -> dict[str, Any]:
        """Begin a process and let it come to its end."""
        process = await self.start()
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        report: dict[str, Any] = json.loads(out)
        return report

    def read(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as reader:
            return reader.execute(query).fetchall()

    def done(self) -> set[str]:
        """Paths of the pages that are done; a page that is done has all its items and links."""
        if not self.database.exists() or not self.read("select 1 from sqlite_schema where name = 'pages'"):
            return set()
        paths = {"/" + url.rpartition("/")[2] for (url,) in self.read("select url from pages where state = 'done'")}
        known = {"/" + url.rpartition("/")[2] for (url,) in self.read("select url from pages")}
        items = Counter(dict(self.read("select json_extract(data, '$.page'), count(*) from items group by 1")))
        for path in paths:
            number = int(path[1:])
            assert items[number] == 2, f"{path} is half written"
            assert known >= {f"/{each}" for each in (2 * number + 1, 2 * number + 2) if each < self.site.size}
        assert sum(items[int(path[1:])] for path in paths) + len(paths) == items.total(), "items of pages not done"
        return paths

    def result(self) -> list[Any]:
        """What the crawl is for: every item with the path of its page."""
        rows = self.read("select kind, data, p.url from items i join pages p on p.id = i.page")
        return sorted((kind, data, url.rpartition("/")[2]) for kind, data, url in rows)

    def check(self) -> None:
        """As if nobody had killed it."""
        pages = self.site.size
        assert self.result() == unkilled(pages)
        assert self.read("select count(*), count(distinct url), sum(state = 'done') from pages") == [(pages,) * 3]
        assert self.read("select count(*), sum(pages), sum(items), sum(dead) from runs") == [(1, pages, 3 * pages, 0)]
        assert self.read("select count(*), count(distinct page), count(distinct part) from item") == [
            (2 * pages, pages, 2)
        ]
        assert self.read("select count(*), sum(id), sum(double) from row") == [
            (pages, pages * (pages - 1) // 2, pages * (pages - 1))
        ]
        assert self.read("pragma integrity_check") == [("ok",)]


def unkilled(pages: int) -> list[Any]:
    """The items of a crawl that nobody kills; test_unkilled proves it."""
    found = []
    for n in range(pages):
        found.append(("row", f'{{"id":{n},"double":{2 * n}}}', str(n)))
        found += [("item", f'{{"page":{n},"part":{part}}}', str(n)) for part in (1, 2)]
    return sorted(found)


async def test_unkilled(tmp_path: Path) -> None:
    async with Site(200) as site:
        work = Work(site, tmp_path / "crash.db")
        assert await work.finish() == {"reason": "finished", "finished": True, "pages": 200}
        work.check()
        assert site.asked == 200 + 19, "each once, and the busy ones once more"


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_again_and_again(seed: int, tmp_path: Path) -> None:
    """Seven kills a seed, each when the site has seen so and so many requests of the process."""
    chance = random.Random(seed)
    points = [chance.choice([1, 2, chance.randrange(3, 60), chance.randrange(60, 200)]) for _ in range(6)]
    async with Site(1000) as site:
        work = Work(site, tmp_path / "crash.db")
        for point in [*points, 300]:
            at = site.asked + point
            site.seen = lambda asked, at=at: work.send(signal.SIGKILL) if asked == at else None  # type: ignore[misc]
            done, before = work.done(), Counter(site.requests)
            process = await work.start()
            await process.communicate()
            assert process.returncode == -signal.SIGKILL, "it was to be killed half-way"
            assert not done & (site.requests - before).keys(), "a page that is done was asked for again"
        site.seen = lambda asked: None
        done, before = work.done(), Counter(site.requests)
        report = await work.finish()
        assert report["finished"]
        assert report["pages"] == site.size - len(done)
        assert not done & (site.requests - before).keys()
        work.check()
        assert site.answered.total() < 2 * site.size, "most of the work survives"


async def test_killed_at_any_statement(tmp_path: Path) -> None:
    """While tables are made, within transactions, between them, at the very end: one database, killed each time."""
    chance = random.Random(3)
    points = [1, 5, 12, 17, 24, *(chance.randrange(30, 150) for _ in range(6))]
    last = ["insert into hosts", "select pages, items", "update runs set ended"]
    async with Site(80) as site:
        work = Work(site, tmp_path / "crash.db")
        for point in [*points, *last]:
            done, before = work.done(), Counter(site.requests)
            process = await work.start(point)
            await process.communicate()
            assert process.returncode == -signal.SIGKILL, point
            assert not done & (site.requests - before).keys()
        assert len(done) == site.size
        assert work.read("select id, finished from runs") == [(1, 0)]
        await work.finish()
        assert work.read("select id, finished from runs") == [(1, 1)]
        work.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_drained_by_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    async with Site(300) as site:
        work = Work(site, tmp_path / "crash.db")
        site.seen = lambda asked: work.send(number) if asked == 100 else None
        first = await work.finish()
        assert (first["reason"], first["finished"]) == (number.name, False)
        assert 0 < first["pages"] == len(work.done()) < 300
        second = await work.finish()
        assert (second["finished"], second["pages"]) == (True, 300 - first["pages"])
        work.check()
        assert set(site.answered.values()) == {1}, "what had begun was finished and kept"


async def test_second_signal_stops_at_once(tmp_path: Path) -> None:
    async with Site(300) as site:
        work = Work(site, tmp_path / "crash.db")

        def hang(asked: int) -> None:
            if asked == 100:
                site.gate.clear()  # what is in flight does not come back, so a drain would wait
                work.send(signal.SIGINT)

        site.seen = hang
        process = await work.start()
        assert process.stderr is not None
        while b"draining" not in (line := await process.stderr.readline()):
            assert line, "it ended without a word"
        work.send(signal.SIGINT)
        await process.communicate()
        assert process.returncode not in (0, None)
        site.gate.set()
        await work.finish()
        work.check()
