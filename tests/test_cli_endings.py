"""How ``scraper crawl`` ends: every exit code, what a cron job is told, and an end that always comes."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import environment

from scraper.testing import LocalSite

SPIDER = """
import asyncio
import os
import time

from scraper import Spider

class Shop(Spider):
    expect = ["items >= 2"]

    def __init__(self, start: str, how: str = "") -> None:
        self.start_urls = [start]
        self.how = how

    async def start(self):
        if self.how == "broken":
            raise ValueError("the list of shops is gone")
        async for request in super().start():
            yield request

    def closed(self, report):
        if self.how == "slow to close":
            time.sleep(1.5)

    async def parse_on_thread(self, response):
        print("stuck", flush=True)
        await asyncio.to_thread(time.sleep, 3600)

    def parse(self, response):
        if self.how == "thread":
            yield response.follow("/thread", self.parse_on_thread)
        if self.how == "stuck":
            print("stuck", flush=True)
            while True:
                pass
        if self.how == "forked" and response.url.endswith("/"):
            worker = os.fork()  # as a ProcessPoolExecutor does
            if not worker:
                os.closerange(1, 3)
                time.sleep(3600)
            print(worker, flush=True)
        yield {"url": response.url, "price": 1 if response.url.endswith("/") else None}
        yield from response.follow_all("a")
"""
HASTY = "import scraper.process; scraper.process.LAST = 0.2; from scraper.cli import main; main()"


class Shop:
    """A site, a spider for it, and the command line."""

    def __init__(self, site: LocalSite, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.begun: list[asyncio.subprocess.Process] = []

    async def start(self, *arguments: object, program: tuple[str, ...] = ("-m", "scraper")) -> Any:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, *map(str, arguments), cwd=self.folder, env=environment(), stdout=pipe, stderr=pipe
        )
        self.begun.append(process)
        return process

    async def crawl(self, *more: object, command: str = "crawl", **options: Any) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""
        process = await self.start(command, "shop.py", "-a", f"start={self.site.url('/')}", *more, **options)
        return await self.end(process)

    async def end(self, process: Any) -> tuple[int, str]:
        _, errors = await process.communicate()
        return process.returncode, errors.decode()

    def read(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "data" / "shop.db")) as db:
            return db.execute(query).fetchall()

    def hold(self, path: str) -> tuple[asyncio.Event, asyncio.Event]:
        """The page at ``path`` answers when the second event is set; the first says that it was asked for."""
        asked, let = asyncio.Event(), asyncio.Event()

        async def answer(request: web.Request) -> str:
            asked.set()
            await let.wait()
            return "<h1>at last</h1>"

        self.site.pages[path] = answer
        return asked, let


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    (tmp_path / "shop.py").write_text(SPIDER)
    async with LocalSite({"/": '<a href="/a">a</a><a href="/b">b</a>', "/a": "a", "/b": "b"}) as site:
        one = Shop(site, tmp_path)
        yield one
        for process in one.begun:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def test_0_finished_and_every_rule_met(shop: Shop) -> None:
    shop.site.pages["/b"] = 404  # scattered errors alone are no failure
    assert await shop.crawl("--quiet", "--expect", "failures <= 50%") == (0, "")
    assert shop.read("select reason, dead from runs") == [("finished", 1)]


async def test_1_an_unexpected_failure(shop: Shop) -> None:
    code, errors = await shop.crawl("--quiet", "-a", "how=broken")
    assert code == 1
    assert errors.splitlines()[-1] == "Error: ValueError: the list of shops is gone"
    assert 'shop.py", line 17, in start' in errors, "the traceback leads to the spider"


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (["-s", "delai=1"], "unknown setting 'delai' in the arguments; did you mean 'delay'?"),
        (["--expect", "items => 4"], "the rule 'items => 4' is not understood"),
        (["--deadline", "soon"], "give seconds, or such as 90s, 50m, 1h30m"),
        (["--resume"], "has no unfinished run to resume; leave --resume out"),
        (["--resume", "--fresh"], "give one of them"),
        (["--if-running", "argue"], "--if-running"),
    ],
)
async def test_2_a_mistake(shop: Shop, mistake: list[str], words: str) -> None:
    code, errors = await shop.crawl(*mistake)
    assert code == 2
    assert words in errors
    assert "Traceback" not in errors
    assert not shop.site.log


async def test_3_finished_but_a_rule_is_not_met(shop: Shop) -> None:
    code, errors = await shop.crawl("--quiet", "--expect", "item.price >= 90%")
    assert code == 3
    lines = errors.splitlines()
    assert lines[-1] == "Rule not met: item.price >= 90%; found 33.3% (1 of 3)"
    assert any(line.split() == ["items", "3"] for line in lines), "quiet, but the report is there when it is needed"
    [(verdicts,)] = shop.read("select verdicts from runs")
    assert [each["met"] for each in json.loads(verdicts)] == [True, False]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "deadline"])
async def test_4_stopped_with_work_left(shop: Shop, how: str) -> None:
    asked, _ = shop.hold("/b")  # a server that never answers
    deadline = ["--deadline", "1s"] if how == "deadline" else []
    process = await shop.start(
        "crawl", "shop.py", "-a", f"start={shop.site.url('/')}", "--quiet", "-s", "grace=0.1", *deadline
    )
    await asked.wait()
    if how != "deadline":
        process.send_signal(signal.Signals[how])
    code, errors = await shop.end(process)
    assert code == 4
    assert f"Stopped ({how}) with work left." in errors
    assert shop.read("select reason, finished from runs") == [(how, 0)]
    shop.site.pages["/b"] = "b"
    assert await shop.crawl("--quiet", "--resume") == (0, "")
    assert shop.read("select state, count(*) from pages group by 1") == [("done", 3)]
    assert shop.site.requests == {"/": 1, "/a": 1, "/b": 2, "/robots.txt": 1}, "it is kept for a day"


async def test_75_another_run_has_the_database(shop: Shop) -> None:
    asked, let = shop.hold("/b")
    first = asyncio.ensure_future(shop.crawl("--quiet"))
    await asked.wait()
    code, errors = await shop.crawl("--quiet")
    assert code == 75
    assert errors.startswith(f"Error: another run (process {shop.begun[0].pid}) works on ")
    assert len(errors.splitlines()) == 1
    let.set()
    assert await first == (0, "")
    assert shop.read("select count(*), sum(pages) from runs") == [(1, 3)]


async def test_a_killed_owner_does_not_block_the_next_start(shop: Shop) -> None:
    asked, let = shop.hold("/b")
    killed = asyncio.ensure_future(shop.crawl())
    await asked.wait()
    shop.begun[0].kill()
    await killed
    let.set()
    assert (await shop.crawl("--quiet", "--if-running", "exit"))[0] == 0
    assert shop.read("select count(*), sum(pages), max(starts) from runs") == [(1, 3, 2)]


async def test_another_run_is_waited_for(shop: Shop) -> None:
    asked, let = shop.hold("/b")
    first = asyncio.ensure_future(shop.crawl("--quiet"))
    await asked.wait()
    second = await shop.start("crawl", "shop.py", "-a", f"start={shop.site.url('/')}", "--if-running", "wait")
    while b"waiting_for_another_run" not in (line := await second.stderr.readline()):
        assert line, "it did not wait"
    let.set()
    assert await first == (0, "")
    assert (await shop.end(second))[0] == 0
    assert shop.read("select id, pages from runs") == [(1, 3), (2, 3)]


@pytest.mark.parametrize("deaf", [False, True])
async def test_another_run_is_replaced(shop: Shop, deaf: bool) -> None:
    """It drains and leaves its run; one that is deaf to it is killed, and leaves it as well."""
    asked, _ = shop.hold("/b")
    how = ("-c", DEAF) if deaf else ("-m", "scraper")
    first = asyncio.ensure_future(shop.crawl("-s", "grace=0.1", program=how))
    await asked.wait()
    shop.site.pages["/b"] = "b"
    second = await shop.start(
        "crawl", "shop.py", "-a", f"start={shop.site.url('/')}", "--if-running", "replace", program=("-c", IMPATIENT)
    )
    code, errors = await shop.end(second)
    assert code == 0, errors
    assert (await first)[0] == (-signal.SIGKILL if deaf else 4)
    assert ("killing_the_other_run" in errors) == deaf
    assert shop.read("select id, pages, starts, finished from runs") == [(1, 3, 2, 1)]


IMPATIENT = "import scraper.stores.ownership as o; o.PATIENCE = 1.0; from scraper.cli import main; main()"
DEAF = """
import signal
from scraper import process
process._Watchdog.watch = lambda *_: None
install = signal.signal
signal.signal = lambda number, handler: install(number, signal.SIG_IGN)
from scraper.cli import main
main()
"""


async def test_a_callback_that_never_returns_cannot_hold_up_the_end(shop: Shop) -> None:
    program = ("-c", HASTY)
    more = ("-a", "how=stuck", "-s", "grace=0.1", "--quiet")
    process = await shop.start("crawl", "shop.py", "-a", f"start={shop.site.url('/')}", *more, program=program)
    assert await process.stdout.readline() == b"stuck\n"
    process.send_signal(signal.SIGTERM)
    code, errors = await shop.end(process)
    assert code == 4
    assert "the crawl was to end and does not" in errors
    code, errors = await shop.crawl(*more, "--deadline", "0.2", program=program)
    assert code == 4, "at the deadline too"
    assert (await shop.crawl("--quiet")) == (0, "")


async def test_a_thread_that_a_callback_left_behind_cannot_either(shop: Shop) -> None:
    shop.site.pages["/thread"] = "x"
    more = ("-a", f"start={shop.site.url('/')}", "-a", "how=thread", "-s", "grace=0.1", "--quiet")
    process = await shop.start("crawl", "shop.py", *more, program=("-c", HASTY))
    assert await process.stdout.readline() == b"stuck\n"
    process.send_signal(signal.SIGTERM)
    code, errors = await shop.end(process)
    assert code == 4
    assert "a thread of one" in errors
    assert shop.read("select reason, finished from runs") == [("SIGTERM", 0)], "the run had ended in good order"


async def test_what_comes_after_the_crawl_may_take_its_time(shop: Shop) -> None:
    more = ("-a", "how=slow to close", "-s", "grace=0.1", "--quiet", "--deadline", "1s")
    assert await shop.crawl(*more, program=("-c", HASTY)) == (0, "")


async def test_a_worker_process_of_a_killed_owner_does_not_keep_the_lock(shop: Shop) -> None:
    asked, let = shop.hold("/b")
    process = await shop.start("crawl", "shop.py", "-a", f"start={shop.site.url('/')}", "-a", "how=forked")
    orphan = int(await process.stdout.readline())
    try:
        await asked.wait()
        process.kill()
        await process.wait()
        let.set()
        assert (await shop.crawl("--quiet"))[0] == 0
    finally:
        os.kill(orphan, signal.SIGKILL)


async def test_a_second_signal_hurries_a_drain_that_a_limit_began(shop: Shop) -> None:
    asked, _ = shop.hold("/b")
    more = ("-a", f"start={shop.site.url('/')}", "-s", "grace=0.1", "--limit-items", 2, "-v")
    process = await shop.start("crawl", "shop.py", *more)
    await asked.wait()
    while b"/a" not in (line := await process.stderr.readline()) or b'"page"' not in line:
        assert line
    process.send_signal(signal.SIGTERM)
    assert (await shop.end(process))[0] == 0, "the limit had been met"
    assert shop.read("select reason, finished from runs") == [("limit_items", 1)]


async def test_retry_crawls_the_dead_pages(shop: Shop) -> None:
    shop.site.pages |= {"/a": 404, "/b": 500}
    assert (await shop.crawl("-s", "retry_attempts=1", "--expect", "failures <= 10%"))[0] == 3
    code, errors = await shop.crawl("--reason", "dns", command="retry")
    assert (code, errors) == (
        0,
        "Nothing to retry: run 1 has no dead pages of that kind; scraper failed shop lists those it has.\n",
    )
    shop.site.pages |= {"/a": "a", "/b": "b"}
    assert await shop.crawl("--reason", "status 5*", "--quiet", command="retry") == (0, "")
    assert shop.read("select state, count(*) from pages group by 1 order by 1") == [("dead", 1), ("done", 2)]
    assert await shop.crawl("--quiet", command="retry") == (0, "")
    assert shop.read("select count(*), sum(pages), sum(dead), max(starts) from runs") == [(1, 3, 0, 3)]


async def test_a_log_file_gets_what_stderr_does_not(shop: Shop) -> None:
    shop.site.pages["/b"] = 404
    assert await shop.crawl("--quiet", "--log-file", "logs/shop.log") == (0, "")
    events = [json.loads(line) for line in (shop.folder / "logs" / "shop.log").read_text().splitlines()]
    assert [event["event"] for event in events] == ["crawl_started", "dead", "crawl_finished"]
    assert (events[-1]["pages"], events[-1]["rules_not_met"]) == (2, [])
    assert (await shop.crawl("--quiet", "--resume", "--log-file", "logs/shop.log"))[0] == 2
    last = json.loads((shop.folder / "logs" / "shop.log").read_text().splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("command_failed", 2)
