"""``scraper status`` of runs that are alive, killed, stuck and over. The site holds its answers back meanwhile."""

import asyncio
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from conftest import Cli, StartCli, environment
from made import Made
from walked import command, page, ran, rows, site, spider

from scraper.testing import LocalSite


class Gate:
    """A page whose answer waits until it is let through; ``asked`` tells that a crawl waits for it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, request: web.Request) -> str:
        self.asked.set()
        await self.open.wait()
        return page()


@asynccontextmanager
async def held(tmp_path: Path, start_cli: StartCli) -> AsyncIterator[tuple[LocalSite, Gate, Any]]:
    """A crawl in the middle: two pages done, one dead, one in flight and not answered."""
    spider(tmp_path)
    gate = Gate()
    async with site(slow=gate) as at:
        at.pages["/"] = page("a", "gone", "slow")
        process = start_cli(*command(at, "-s", "concurrency_per_host=1"))
        try:
            await gate.asked.wait()
            yield at, gate, process
        finally:
            gate.open.set()


PATIENCE = 60
"""Seconds after which a process that should have said something, or ended, fails the test instead of holding it up."""


async def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    reading = asyncio.ensure_future(asyncio.to_thread(process.stdout.readline))
    await asyncio.wait([reading], timeout=PATIENCE)
    if not reading.done():
        process.kill()  # and so its last line comes
    return await reading


async def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, and what it wrote that nobody has read."""
    try:
        out, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


async def test_a_live_run_from_another_process(cli: Cli, start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli) as (at, gate, crawl):
        watching = start_cli("status", "walk", "--watch", "--json")
        seen = []
        while True:
            seen.append(json.loads(await line(watching)))
            if seen[-1]["live"]["in_flight"] and seen[-1]["run"]["pages"] == 2:
                break
        now = seen[-1]
        assert now["run"]["state"] == "running"
        assert (now["owner"]["pid"], now["owner"]["life"]) == (crawl.pid, "alive")
        assert (now["run"]["pages"], now["run"]["failures"], now["due"]) == (2, 1, 1)
        (slot,) = now["live"]["slots"]
        assert (slot["host"], slot["in_flight"], slot["cap"]) == (at.url("").removeprefix("http://"), 1, 1)
        assert [error["url"] for error in now["errors"]] == [at.url("/gone")]

        shown = (await ran(cli, "status", "walk")).stdout
        assert re.search(rf"state +running \(process {crawl.pid} on .* since .*, last sign of life .* ago\)", shown)
        assert re.search(r"pages +2, [\d.]+/s, ", shown)
        assert re.search(r"failures +1, 0 retries", shown)
        assert re.search(r"in flight +1\b", shown)
        assert re.search(r"ETA +\d+:\d\d:\d\d", shown)
        assert re.search(r"ledger +requests \d+, connections 1, reused ", shown)
        assert re.search(rf"{slot['host']} +0 +1 +1 +- +1 +now +-", shown)
        assert re.search(rf"last errors\n.* status 404 +{at.url('/gone')} \(attempt 1, dead\)", shown)
        assert [run["state"] for run in await rows(cli, "runs", "walk")] == ["running"]
        why = (await ran(cli, "why", "walk", at.url("/slow"))).stdout
        assert "it waits for its turn in run 1, or is being fetched now" in why

        gate.open.set()
        assert (await ended(crawl))[0] == 0
        code, rest, err = await ended(watching)
        assert (code, err) == (0, "")
        last = json.loads(rest.splitlines()[-1])
        assert (last["run"]["state"], last["run"]["pages"], last["owner"]) == ("finished", 3, None)
    shown = (await ran(cli, "status", "walk")).stdout
    assert re.search(r"state +finished \d{4}-", shown)
    assert "in flight" not in shown


async def test_a_killed_run(cli: Cli, start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli) as (at, _, crawl):
        crawl.kill()
        await ended(crawl)
        done = await ran(cli, "status", "walk")
        assert done.returncode == 0
        words = rf"state +killed \(process {crawl.pid} gave its last sign of life \d{{4}}-.*\); the next crawl goes on"
        assert re.search(words, done.stdout)
        (now,) = await rows(cli, "status", "walk")
        assert (now["run"]["state"], now["owner"]["life"], now["eta"]) == ("killed", "gone", None)
        assert [run["state"] for run in await rows(cli, "runs", "walk")] == ["killed"]
        assert " killed " in (await ran(cli, "runs", "walk")).stdout
        why = (await ran(cli, "why", "walk", at.url("/slow"))).stdout
        assert "run 1 was killed before that, and the next crawl goes on" in why
        code, out, _ = await ended(start_cli("status", "walk", "--watch"))  # there is nothing to wait for
        assert (code, len(out.splitlines())) == (0, 1)


async def test_a_stuck_run(cli: Cli, start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli) as (at, gate, crawl):
        crawl.send_signal(signal.SIGSTOP)
        db = sqlite3.connect(tmp_path / "data" / "walk.db", isolation_level=None)
        db.execute("update owner set beat = beat - 120")
        db.close()
        shown = (await ran(cli, "status", "walk")).stdout
        assert re.search(rf"state +process {crawl.pid} has given no sign of life for 0:02:\d\d", shown)
        (now,) = await rows(cli, "status", "walk")
        assert (now["run"]["state"], now["owner"]["life"]) == ("silent", "silent")
        why = (await ran(cli, "why", "walk", at.url("/slow"))).stdout
        assert "it waits for its turn in run 1, whose process gives no sign of life" in why
        crawl.send_signal(signal.SIGCONT)
        gate.open.set()
        assert (await ended(crawl))[0] == 0


async def test_a_run_that_drains_and_stops(cli: Cli, start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli) as (_, gate, crawl):
        watching = start_cli("status", "walk", "--watch")
        while "in flight 1" not in await line(watching):
            assert watching.poll() is None
        crawl.terminate()  # and that is all that changes
        while "draining (SIGTERM)" not in await line(watching):
            assert watching.poll() is None
        gate.open.set()
        await ended(crawl)
        code, rest, _ = await ended(watching)
        assert code == 0
        assert re.search(r"walk run 1 (stopped \(SIGTERM\)|finished), 3 pages, ", rest.splitlines()[-1])


async def test_the_rate_while_watched_is_that_of_now(start_cli: StartCli, tmp_path: Path) -> None:
    made = Made(tmp_path / "x.db")
    made.run(None, pages=40)
    made.owner(beat=time.time(), seconds=10, pages=40)
    for n in range(30):
        made.page(str(n), "due")
    watching = start_cli("status", "x.db", "--watch", "--json")
    first = json.loads(await line(watching))
    made.db.execute("update owner set status = json_set(status, '$.seconds', 20, '$.pages', 140)")
    made.db.execute("update runs set pages = 140")
    while (second := json.loads(await line(watching)))["run"]["pages"] == 40:
        pass
    made.db.execute("update runs set ended = started, reason = 'finished', finished = 1")
    assert (await ended(watching))[0] == 0
    made.close()
    assert (first["rate"], first["eta"]) == (4.0, 7.5)
    assert (second["rate"], second["eta"]) == (10.0, 3.0)


def test_the_queue_is_what_is_not_in_flight(cli: Cli, tmp_path: Path) -> None:
    made = Made(tmp_path / "x.db")
    made.run(None)
    made.owner(beat=time.time(), seconds=10, pages=40, in_flight=2)
    for n in range(5):
        made.page(str(n), "due")
    made.page("later", "retry", due=time.time() + 3000)
    made.close()
    assert re.search(r"queue +3, 1 wait for a retry \(next in 0:49:\d\d\)", cli("status", "x.db").stdout)


async def test_watching_ends_on_ctrl_c(start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli):
        for options in ((), ("--json",)):
            watching = start_cli("status", "walk", "--watch", *options)
            assert "walk" in await line(watching)
            watching.send_signal(signal.SIGINT)
            code, _, err = await ended(watching)
            assert (code, err) == (0, "")


async def test_watching_ends_when_its_reader_has_gone(start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli) as (_, gate, crawl):
        watching = start_cli("status", "walk", "--watch")
        assert "walk run 1 running" in await line(watching)
        watching.stdout.close()
        gate.open.set()
        await ended(crawl)
        assert await asyncio.to_thread(watching.wait, PATIENCE) == 0
        assert watching.stderr.read() == ""


def on_terminal(tmp_path: Path) -> tuple["subprocess.Popen[str]", int]:
    """The process that watches, and our end of the terminal that it draws on."""
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "scraper", "status", "walk", "--watch"],
        cwd=tmp_path,
        env=environment(COLUMNS="100", TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    return watching, ours


async def test_watching_on_a_terminal(start_cli: StartCli, tmp_path: Path) -> None:
    async with held(tmp_path, start_cli) as (_, gate, crawl):
        watching, ours = on_terminal(tmp_path)
        shown = ""
        try:
            while piece := await asyncio.to_thread(os.read, ours, 65536):
                shown += piece.decode(errors="replace")
                if "running (process" in shown:
                    gate.open.set()
        except OSError:  # Linux ends a terminal whose last writer has gone by EIO
            pass
        os.close(ours)
        code, _, err = await ended(watching)
        assert (code, err) == (0, "")
        assert (await ended(crawl))[0] == 0
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
        assert plain.index("running (process") < plain.index("finished 2")
        assert plain.count("walk, run 1") > 1  # drawn again in the same place
        assert "\x1b[1A" in shown


async def test_a_run_that_a_limit_ended(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        await ran(cli, *command(at, "--limit-pages", 2))
    (now,) = await rows(cli, "status", "data/walk.db")
    assert (now["run"]["state"], now["due"], now["rate"] > 0) == ("limit_pages", 0, True)
    shown = (await ran(cli, "status", "walk")).stdout
    assert re.search(r"state +limit_pages \d{4}-", shown)
    assert "queue" not in shown
