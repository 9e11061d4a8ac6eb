"""A real cron daemon runs what ``scraper schedule`` prints, and the crontab of whoever runs the tests survives it.

A daemon that is started here also reads the crontabs of the system, as any does; it lives for a tick or two.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import FRONT, ROOT, Cli, environment, events

from scraper.testing import LocalSite

CRON = shutil.which("cron", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")

pytestmark = pytest.mark.skipif(
    not (CRON and shutil.which("crontab")), reason="there is no cron; apt-get install cron, as scripts/test does"
)


def read_crontab() -> bytes | None:
    done = subprocess.run(["crontab", "-l"], capture_output=True, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0 or b"no crontab" in done.stderr, done.stderr
    return None if done.returncode else done.stdout


def write_crontab(text: bytes | None) -> None:
    if text is not None:
        subprocess.run(["crontab", "-"], input=text, check=True)
    elif read_crontab() is not None:
        subprocess.run(["crontab", "-r"], check=True)


@pytest.fixture
def own_crontab() -> Iterator[None]:
    """The user's crontab, empty for a while."""
    before = read_crontab()
    write_crontab(None)
    try:
        yield
    finally:
        write_crontab(before)


@pytest.fixture
def may_run() -> None:
    if not runs_already() and os.geteuid() != 0:
        pytest.skip("cron is installed and does not run, and only root may start it")


@asynccontextmanager
async def cron() -> AsyncIterator["asyncio.Task[Any]"]:
    """A cron daemon: the system's, or one of our own for so long. Done when that ends by itself.

    Our own is to be started when the crontab stands: it reads it then. Later it looks for changes once a minute,
    by a date that is as coarse as a second, and overlooks what was written in the second in which it looked.
    """
    if runs_already():
        yield asyncio.ensure_future(asyncio.Event().wait())
        return
    daemon = await asyncio.create_subprocess_exec(CRON or "", "-f", env={"PATH": os.defpath})
    try:
        yield asyncio.ensure_future(daemon.wait())
    finally:
        if daemon.returncode is None:
            daemon.terminate()
            await daemon.wait()


def runs_already() -> bool:
    """Whether cron's own pid file names a living cron."""
    try:
        pid = Path("/run/crond.pid").read_text().strip()
        return Path(f"/proc/{int(pid)}/comm").read_text().strip() == "cron"
    except (OSError, ValueError):
        return False


def test_the_real_crontab_is_edited_and_nothing_else_in_it(own_crontab: None, cli: Cli, spiders: Path) -> None:
    foreign = b"# mine\nMAILTO=me\n0 3 1 1 * true  \n"
    write_crontab(foreign)
    command = ("schedule", "books", "--cron", "0 4 1 jan */7", "--install")
    installed = cli(*command)
    assert installed.returncode == 0, installed.stderr
    once = read_crontab()
    assert once == foreign + installed.stdout.encode()
    assert cli(*command).stdout == installed.stdout
    assert read_crontab() == once
    assert cli("schedule", "books", "--remove").returncode == 0
    assert read_crontab() == foreign


SHELL = """#!{python}
import json, subprocess, sys, urllib.request
done = subprocess.run(["/bin/sh", *sys.argv[1:]], capture_output=True, text=True)
told = {{"command": sys.argv[2], "code": done.returncode, "out": done.stdout, "err": done.stderr}}
urllib.request.urlopen("{url}", json.dumps(told).encode()).read()
"""
"""Cron's SHELL for the test: runs a job as /bin/sh does, and says how it ended."""

PAGE = '<article class="product_pod"><h3><a title="{}"></a></h3></article>'


class Site(LocalSite):
    """One page, which is answered when the first crawl has ended: it must be the one that found the other at work."""

    def __init__(self) -> None:
        super().__init__({"/": self._page, "/ended": self._ended})
        self.over = asyncio.Event()
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def _page(self, request: web.Request) -> str:
        await self.over.wait()
        return PAGE.format("One") + PAGE.format("Two")

    async def _ended(self, request: web.Request) -> str:
        self.told.put_nowait(json.loads(await request.read()))
        return ""

    async def first(self, daemon: "asyncio.Task[Any]") -> dict[str, Any]:
        """The first crawl to end. A daemon that has died starts none."""
        told = asyncio.ensure_future(self.told.get())
        await asyncio.wait({told, daemon}, return_when=asyncio.FIRST_COMPLETED)
        assert told.done(), "the cron daemon has died"
        return await told


def scheduled(folder: Path, start: str, database: Path) -> str:
    """A block for the crontab, as it is printed for a spider in that folder."""
    (folder / "spiders").mkdir(parents=True)
    (folder / "spiders" / "front.py").write_text(FRONT)
    options = ["--cron", "* * * * *", "-a", f"start={start}", "--db", str(database), "--deadline", "50m"]
    command = [sys.executable, "-m", "scraper", "schedule", "front", *options]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(200)  # a tick is up to a minute away, two when the daemon has first to see the crontab
async def test_two_crawls_of_one_tick(own_crontab: None, may_run: None, tmp_path: Path) -> None:
    database = tmp_path / "shared.db"
    folders = [tmp_path / "plain", tmp_path / "it's 100% \\\\ odd"]
    async with Site() as site:
        shell = tmp_path / "shell"
        shell.write_text(SHELL.format(python=sys.executable, url=site.url("/ended")))
        shell.chmod(0o755)
        lines = [f"SHELL={shell}\n", f"PYTHONPATH={ROOT}\n"]
        for folder in folders:
            lines.append(scheduled(folder, site.url(), database))
        write_crontab("".join(lines).encode())  # both at once, or a tick could come between them
        async with cron() as daemon:
            loser = await site.first(daemon)
            write_crontab(None)  # this one tick is enough
            site.over.set()
            winner = await site.told.get()
    assert loser["code"] == 75, loser
    assert loser["out"] == ""
    assert str(database) in loser["err"]
    assert "Traceback" not in loser["err"]
    assert (winner["code"], winner["out"], winner["err"]) == (0, "", "")
    assert site.requests["/"] == 1
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("select count(*), sum(finished), sum(pages), sum(items) from runs").fetchall() == [
            (1, 1, 1, 2)
        ]
        assert db.execute("select title from item order by 1").fetchall() == [("One",), ("Two",)]
    logs = {str(folder): (folder / "data" / "front.log").read_text() for folder in folders}
    [log] = [text for text in logs.values() if "crawl_finished" in text]
    assert events(log)[-1]["items"] == 2
