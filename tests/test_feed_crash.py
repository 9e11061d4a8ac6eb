"""``kill -9`` in the midst of a feed: what is resumed ends as if nobody had killed it, and asks for the feed once."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from conftest import ROOT, environment
from sqlite_rows import rows as ask

from scraper.testing import LocalSite

ROWS = 1000
SPIDER = """
import os, signal
from pathlib import Path
from scraper import CSVSpider

class Feeder(CSVSpider):
    rows_per_page = 100
    settings = {"obey_robots": False}

    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse_row(self, response, row):
        yield {"id": int(row["id"])}
        mark = Path(f"died-at-{row['id']}")
        if int(row["id"]) == 777 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if int(row["id"]) % 10 == 0:
            yield {"id": int(row["id"]), "tenth": True}
"""
LIVES = (
    (),  # dies within the eighth part, at row 777
    ("--die", "after:commit:1"),
)


async def live(folder: Path, url: str, *fault: str) -> int:
    command = [sys.executable, str(ROOT / "tests" / "crash_child.py"), *fault, "--"]
    command += ["crawl", "feeder.py", "-a", f"start={url}"]
    life = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, err = await life.communicate()
    assert life.returncode in (0, -signal.SIGKILL), err.decode()
    return life.returncode


async def test_each_row_once_however_often_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "feeder.py").write_text(SPIDER)
    table = "id,text\n" + "".join(f'{number},"row\n{number}"\n' for number in range(ROWS))
    async with LocalSite({"/table.csv": (200, table, {"Content-Type": "text/csv"})}) as site:
        url = site.url("/table.csv")
        ends = [await live(tmp_path, url, *fault) for fault in LIVES]
        assert ends == [-signal.SIGKILL] * len(LIVES), "each of them was to be killed"
        assert await live(tmp_path, url) == 0
        assert site.requests["/table.csv"] == 1
    db = tmp_path / "data" / "feeder.db"
    found = [json.loads(row["data"]) for row in ask(db, "select data from items")]
    assert sorted(item["id"] for item in found if "tenth" not in item) == list(range(ROWS))
    assert sorted(item["id"] for item in found if "tenth" in item) == list(range(0, ROWS, 10))
    assert ask(db, "select state, count(*) as n from pages group by 1") == [{"state": "done", "n": 10}]
    (run,) = ask(db, "select reason, items, pages from runs")
    assert (run["reason"], run["items"], run["pages"]) == ("finished", 1100, 10)
    assert not list((tmp_path / "data" / "files").rglob("feeds/*/*")), "the file is gone when the feed was read"
