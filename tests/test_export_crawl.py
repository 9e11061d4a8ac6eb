"""Exports of a crawl: ``-o``, ``output`` and ``exports`` of the spider, of any store; and what they must not cost."""

import asyncio
import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import environment
from exporting import cells

import scraper
from scraper import Crawl, Spider
from scraper.errors import ExportError, OutputError, SpiderError, UsageError
from scraper.exports import spool
from scraper.exports.source import Source
from scraper.ports import StoredItem
from scraper.settings import load
from scraper.stores.memory import MemoryStore
from scraper.stores.sqlite import SqliteStore
from scraper.testing import LocalSite

PAGES = {"/": '<a href="/1">1</a><a href="/2">2</a>', "/1": "<p>one</p>", "/2": "<p>two</p>"}


class Shop(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response: Any) -> Iterator[Any]:
        yield from response.follow_all("a")
        for text in response.css("p::text").getall():
            yield {"text": text}


async def crawl(site: LocalSite, spider: type[Spider] = Shop, **options: Any) -> scraper.CrawlReport:
    return await scraper.crawl(spider, arguments={"start": site.url("/")}, concurrency=1, **options)


def lines(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text().splitlines()]


def read(db: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as opened:
        return opened.execute(query).fetchall()


async def test_a_crawl_writes_several_files_at_once(tmp_path: Path) -> None:
    async with LocalSite(PAGES) as site:
        targets = [tmp_path / "a.jsonl", str(tmp_path / "a.csv.gz"), tmp_path / "{spider}-{run}.json"]
        report = await crawl(site, db=tmp_path / "x.db", output=targets)
    assert report.exported == 6
    assert lines(tmp_path / "a.jsonl") == ["one", "two"]
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"text\r\none\r\ntwo\r\n"
    assert json.loads((tmp_path / "shop-1.json").read_text()) == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize("make", [MemoryStore, None], ids=["memory", "sqlite"])
async def test_only_items_of_this_run_are_written_whatever_the_store(make: Any, tmp_path: Path) -> None:
    memory = MemoryStore()

    class Kept(MemoryStore):
        def __init__(self) -> None:
            super().__init__(memory.memory)

    pages = dict(PAGES)
    async with LocalSite(pages) as site:
        for run, expected in ((1, ["one", "two"]), (2, ["one"])):
            place: dict[str, Any] = {"store": Kept()} if make else {"db": tmp_path / "x.db"}
            files = [tmp_path / f"{run}.{form}" for form in ("jsonl", "csv", "sqlite", "parquet")]
            report = await crawl(site, output=files, **place)
            assert report.exported == 4 * len(expected)
            assert sorted(lines(files[0])) == expected
            assert sorted(cells(files[1])[1:]) == [[text] for text in expected]
            assert sorted(read(files[2], "select * from item")) == [(text,) for text in expected]
            pages["/2"] = "<b>two</b>"
            site.pages["/2"] = "<b>two</b>"


async def test_the_exports_of_a_spider_are_written_by_every_run(tmp_path: Path) -> None:
    class Books(Shop):
        name = "books"
        exports: ClassVar[dict[Any, Any]] = {
            tmp_path / "data" / "{spider}-{run}.jsonl.gz": {},
            tmp_path / "{date}" / "{kind}.csv": {"fields": ["_key", "text"], "order": "-text", "csv_safe": True},
            tmp_path / "none.jsonl": {"kind": "author", "fields": "name"},
        }

    day = time.strftime("%Y-%m-%d")
    async with LocalSite(PAGES) as site:
        report = await crawl(site, Books, db=tmp_path / "data" / "books.db", output=tmp_path / "a.jsonl")
        assert report.exported == 6
        assert lines(tmp_path / "a.jsonl") == ["one", "two"]
        assert len(gzip.decompress((tmp_path / "data" / "books-1.jsonl.gz").read_bytes()).splitlines()) == 2
        (folder,) = {name for name in os.listdir(tmp_path) if name[:2] == "20"}
        assert day <= folder  # midnight may have passed
        assert [row[1] for row in cells(tmp_path / folder / "item.csv")] == ["text", "two", "one"]
        assert (tmp_path / "none.jsonl").read_bytes() == b""
        await crawl(site, Books, db=tmp_path / "data" / "books.db")
        assert (tmp_path / "data" / "books-2.jsonl.gz").is_file()


async def test_a_run_that_was_stopped_writes_output_but_not_the_exports_of_the_spider(tmp_path: Path) -> None:
    class Stops(Shop):
        exports = (str(tmp_path / "whole.jsonl"),)

    class Stopper:
        crawl: Crawl

        async def committed(self, outcomes: Any, receipts: Any) -> None:
            self.crawl.stop()

    stopper = Stopper()
    async with LocalSite(PAGES) as site:
        given: dict[str, Any] = {"arguments": {"start": site.url("/")}, "db": tmp_path / "x.db"}
        stopper.crawl = Crawl(
            Stops, output=tmp_path / "a.jsonl", observers=[stopper], settings={"concurrency": 1}, **given
        )
        report = await stopper.crawl.run()
        assert not report.finished
        assert (tmp_path / "a.jsonl").is_file()
        assert not (tmp_path / "whole.jsonl").exists()
        report = await scraper.crawl(Stops, **given)
        assert (report.resumed, report.exported) == (True, 2)
        assert sorted(lines(tmp_path / "whole.jsonl")) == ["one", "two"]


async def test_an_export_that_fails_leaves_the_others_whole_and_the_run_to_be_resumed(tmp_path: Path) -> None:
    full = tmp_path / "b.jsonl"
    full.symlink_to("/dev/full")
    async with LocalSite(PAGES) as site:
        targets = [tmp_path / "a.jsonl", full, tmp_path / "c.jsonl"]
        with pytest.raises(
            ExportError, match=r"No space left.*safe in the database; the same command writes them again"
        ):
            await crawl(site, db=tmp_path / "x.db", output=targets)
        assert read(tmp_path / "x.db", "select reason, finished from runs") == [("export_failed", 0)]
        assert lines(tmp_path / "a.jsonl") == ["one", "two"]
        assert not (tmp_path / "c.jsonl").exists()
        asked = site.requests.total()
        full.unlink()
        report = await crawl(site, db=tmp_path / "x.db", output=targets)
        assert (report.run, report.resumed, report.exported) == (1, True, 6)
        assert site.requests.total() == asked


async def test_the_run_is_not_over_before_its_export_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, whole, seen = tmp_path / "x.db", Source.rows, []

    def rows(self: Source, survey: bool = False) -> Iterator[Any]:
        seen.extend(read(db, "select ended, finished from runs"))
        yield from whole(self, survey)

    monkeypatch.setattr(Source, "rows", rows)
    async with LocalSite(PAGES) as site:
        await crawl(site, db=db, output=tmp_path / "a.jsonl")
    assert seen == [(None, 0)]
    assert read(db, "select finished from runs") == [(1,)]


async def test_the_loop_lives_while_files_are_written_and_an_abort_ends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, loop = Source.rows, asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()

    def rows(self: Source, survey: bool = False) -> Iterator[Any]:
        loop.call_soon_threadsafe(one.abort)  # nothing would come of it if the loop stood still
        try:
            for _ in range(50_000):  # long enough that only being stopped ends it
                yield from whole(self, survey)
        finally:
            loop.call_soon_threadsafe(ended.set_result, "ended")

    monkeypatch.setattr(Source, "rows", rows)
    (tmp_path / "a.csv").write_text("before")
    async with LocalSite(PAGES) as site:
        one = Crawl(Shop, arguments={"start": site.url("/")}, db=tmp_path / "x.db", output=tmp_path / "a.csv")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(one.run())
        assert await asyncio.wait_for(ended, 30) == "ended"
        await loop.shutdown_default_executor()
    assert (tmp_path / "a.csv").read_text() == "before"
    assert sorted(name for name in os.listdir(tmp_path) if "part" in name) == []
    assert read(tmp_path / "x.db", "select finished from runs") == [(0,)]


@pytest.mark.parametrize(
    ("exports", "error", "says"),
    [
        ("a.csv", SpiderError, r"shop.exports is one string; make it a list: \['a.csv'\]"),
        (5, SpiderError, "shop.exports is 5; make it a list of files"),
        (["a.cvs"], OutputError, r"did you mean \.csv\?"),
        (["nope/a.csv"], OutputError, "there is no folder .*nope; make it first"),
        ({"a.csv": {"feilds": ["a"]}}, SpiderError, r"exports\['a.csv'\]: there is no 'feilds'; did you mean 'fields'"),
        ({"a.csv": ["a"]}, SpiderError, "make it a dict of options"),
        ({"a.csv": {"new": "yes"}}, SpiderError, "Expected `bool`"),
        ({"a.json": {"excel": True}}, OutputError, "excel is for CSV, and a.json is json"),
        (["a.csv", "./a.csv"], OutputError, "a.csv is asked for twice"),
        (["data/shop.db"], OutputError, "it is the very database that is read"),
        (["data/{spider}.db"], OutputError, "it is the very database that is read"),
    ],
)
def test_exports_that_cannot_be_are_refused_before_the_crawl(
    exports: Any, error: type[UsageError], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spider = type("Shop", (Shop,), {"exports": exports, "name": "shop"})
    with pytest.raises(error, match=says):
        Crawl(spider, arguments={"start": "http://h.test/"})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["FEEDS", "FEED_EXPORT_FIELDS"])
def test_who_writes_a_setting_of_scrapy_is_told_of_exports(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown setting '{name}'.*here it is the spider's attribute 'exports'"):
        load({name: "x"})


async def test_a_store_of_ones_own_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    class Breaks(MemoryStore):
        async def items(self, run: int | None = None, kind: str | None = None) -> AsyncIterator[StoredItem]:
            async for item in super().items(run, kind):
                yield item
                raise ZeroDivisionError

    async with LocalSite(PAGES) as site:
        with pytest.raises(ZeroDivisionError):
            await crawl(site, store=Breaks(), output=tmp_path / "a.jsonl")
    assert os.listdir(tmp_path) == []


async def test_items_of_any_store_are_as_those_of_ours(tmp_path: Path) -> None:
    """Through the port or from the file itself: the same bytes, in every format of text."""

    class Items(Shop):
        def parse(self, response: Any) -> Iterator[Any]:
            yield {"z": 2**70, "a": 1e22, "é": "\u2028", "n" * 150: [None, {"x": 1.0}]}
            yield {"text": "=1"}

    forms = ("jsonl", "json", "csv", "xml")
    async with LocalSite(PAGES) as site:
        for name, place in (("port", {"store": SqliteStore(tmp_path / "y.db")}), ("file", {"db": tmp_path / "x.db"})):
            await crawl(site, Items, output=[tmp_path / f"{name}.{form}" for form in forms], **place)
    for form in forms:
        assert (tmp_path / f"port.{form}").read_bytes() == (tmp_path / f"file.{form}").read_bytes()
    assert b"1180591620717411303424" in (tmp_path / "port.csv").read_bytes()


async def test_no_room_for_the_items_of_another_store_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "TABLES", "pragma page_size = 512; pragma max_page_count = 9;" + spool.TABLES)
    async with LocalSite(PAGES | {"/1": f"<p>{'x' * 50_000}</p>"}) as site:
        with pytest.raises(ExportError, match=r"cannot gather the items in .* is full; TMPDIR says where"):
            await crawl(site, store=MemoryStore(), output=tmp_path / "a.csv")
    assert os.listdir(tmp_path) == []


IMPORTED = """
import sys
import scraper, scraper.cli.crawl
from scraper import Crawl, Spider

class Shop(Spider):
    start_urls = ["http://h.test/"]

Crawl(Shop)
loaded = set(sys.modules)
print(sorted(name for name in loaded if name.startswith(("scraper.exports", "pyarrow", "fsspec", "csv", "gzip"))))
"""


def test_a_crawl_without_exports_imports_nothing_of_theirs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_format_is_in_the_help_and_in_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "exports.md").read_text(encoding="utf-8")
    from scraper.exports.source import ADDED, Look
    from scraper.exports.target import CODINGS, PLACEHOLDERS, SUFFIXES

    for word in (
        *(f".{suffix}" for suffix in (*SUFFIXES, *CODINGS)),
        *(f"{{{name}}}" for name in PLACEHOLDERS),
        *ADDED,
    ):
        assert word in page, word
    for name in Look.__struct_fields__:
        assert re.search(rf"`{name}`", page), name
