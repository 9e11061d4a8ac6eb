"""How a crawl may end beside well: what is kept of the ledger and of the run."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

import scraper
from scraper import Crawl, Response, Spider
from scraper.page import Outcome, Receipt
from scraper.testing import LocalSite

CHAIN = {f"/{n}": f'<a href="/{n + 1}">next</a>' for n in range(20)} | {"/20": "the end"}


class Chain(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response: Response) -> object:
        yield {"url": response.url}
        yield from response.follow_all("a")


class AbortsAfter:
    """An observer that aborts the crawl after so many commits."""

    def __init__(self, commits: int) -> None:
        self.commits = commits
        self.crawl: Crawl | None = None

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        self.commits -= 1
        if self.commits == 0 and self.crawl is not None:
            self.crawl.abort()


def read(db: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def test_the_ledger_of_an_aborted_crawl_is_kept_and_adds_up(tmp_path: Path) -> None:
    db = tmp_path / "chain.db"
    async with LocalSite(CHAIN) as site:
        aborts = AbortsAfter(5)
        aborts.crawl = Crawl(Chain, arguments={"start": site.url("/0")}, db=db, observers=[aborts])
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(aborts.crawl.run())
        assert read(db, "select sum(requests) from hosts") == [(site.requests.total(),)]
        report = await scraper.crawl(Chain, arguments={"start": site.url("/0")}, db=db)
        assert report.resumed
        assert report.finished
        assert sum(host.requests for host in report.hosts) == site.requests.total()
        assert report.totals.pages == 21
