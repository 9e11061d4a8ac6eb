"""Spiders of feeds, whole crawls of them: parts, what is resumed, what is told."""

import asyncio
import gzip
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlite_rows import rows as ask

import scraper
from scraper import CSVSpider, FeedSpider, JSONSpider, Response, XMLSpider
from scraper.errors import FetchError
from scraper.feeds import reading
from scraper.feeds.node import Node
from scraper.feeds.reading import ReadingSpider
from scraper.feeds.source import Source
from scraper.fetchers import reread
from scraper.page import Down, Seen
from scraper.settings import Settings
from scraper.testing import FakeFetcher, LocalSite
from scraper.testing.fakes import Answer
from scraper.throttle import FixedThrottle


@dataclass
class Row:
    """A row with a key."""

    key = "id"
    id: int
    text: str


ROWS = 1000
TABLE = "id,text\n" + "".join(f"{number},row {number}\n" for number in range(ROWS))


class Table(CSVSpider):
    """A thousand rows in ten parts; keys say which row it was."""

    rows_per_page = 100
    url = ""
    settings: ClassVar[dict[str, Any]] = {"obey_robots": False}

    def parse_row(self, response: Response, row: dict[str, str]) -> Any:
        yield {"id": int(row["id"])}


@pytest.fixture
async def site() -> AsyncIterator[LocalSite]:
    async with LocalSite({"/table.csv": (200, TABLE, {"Content-Type": "text/csv"})}) as site:
        yield site


class Place:
    """A folder with a database and files, and crawls in it."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "x.db"
        self.files = folder / "files"

    async def crawl(self, spider: type[ReadingSpider], *urls: str, **options: Any) -> scraper.CrawlReport:
        given = type(spider.__name__, (spider,), {"start_urls": urls, "name": "feeder"}) if urls else spider
        return await scraper.crawl(given, db=self.db, files=str(self.files), obey_robots=False, **options)

    def items(self) -> list[dict[str, Any]]:
        return [json.loads(row["data"]) for row in ask(self.db, "select data from items order by id")]

    def pages(self) -> list[tuple[str, str | None]]:
        return [(row["state"], row["reason"]) for row in ask(self.db, "select state, reason from pages order by id")]

    def left(self) -> list[Path]:
        return [path for path in self.files.rglob("*") if path.is_file()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ids(place: Place) -> list[int]:
    return sorted(item["id"] for item in place.items())


async def test_a_feed_is_read_in_parts_and_asked_for_once(site: LocalSite, place: Place) -> None:
    report = await place.crawl(Table, site.url("/table.csv"), max_results=150)
    assert (report.reason, report.counts.pages, report.counts.items) == ("finished", 10, ROWS)
    assert ids(place) == list(range(ROWS))
    assert site.log == ["GET /table.csv"]
    assert report.hosts[0].requests == 1
    assert place.left() == [], "the file is gone when the feed was read"
    assert report.totals.bytes == len(TABLE), "a part that is read on is no download"


async def test_a_part_is_no_link_that_could_be_dropped(site: LocalSite, place: Place) -> None:
    """Neither its depth nor the site counts, and it takes no turn of its host: ten would take longer than there is."""

    class Bounded(Table):
        allowed_domains = ("elsewhere.test",)

    report = await place.crawl(Bounded, site.url("/table.csv"), max_depth=1, delay=0.5, jitter=0.0, deadline=4.0)
    assert (report.reason, report.counts.items, report.counts.drops) == ("finished", ROWS, {})
    assert {row["depth"] for row in ask(place.db, "select depth from pages")} == {0}


class Stopping(Table):
    """Stops in the middle, like a kill: what has not come to its end leaves no trace."""

    at: ClassVar[set[int]] = set()
    crawl: ClassVar[Any] = None

    def parse_row(self, response: Response, row: dict[str, str]) -> Any:
        if int(row["id"]) in self.at:
            self.at.clear()
            self.crawl.abort()
        yield {"id": int(row["id"])}


async def aborted(place: Place, url: str, at: int) -> None:
    spider = type("Stopped", (Stopping,), {"start_urls": [url], "name": "feeder", "at": {at}})
    one = scraper.Crawl(spider, db=place.db, settings={"files": str(place.files), "obey_robots": False})
    spider.crawl = one  # type: ignore[attr-defined]
    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(one.run())


async def test_what_was_stopped_goes_on_at_its_part(site: LocalSite, place: Place) -> None:
    await aborted(place, site.url("/table.csv"), 432)
    assert ids(place) == list(range(400))
    assert len(place.left()) == 1
    report = await place.crawl(Table, site.url("/table.csv"))
    assert (report.reason, report.resumed, report.counts.pages) == ("finished", True, 6)
    assert ids(place) == list(range(ROWS))
    assert site.log == ["GET /table.csv"]
    assert place.left() == []


async def test_a_file_that_is_gone_is_asked_for_again_and_read_on(site: LocalSite, place: Place) -> None:
    await aborted(place, site.url("/table.csv"), 432)
    place.left()[0].unlink()
    report = await place.crawl(Table, site.url("/table.csv"))
    assert (report.reason, report.counts.pages, report.counts.items) == ("finished", 6, 600)
    assert ids(place) == list(range(ROWS))
    assert len(site.log) == 2


async def test_a_feed_that_changed_meanwhile_is_read_from_its_start(site: LocalSite, place: Place) -> None:
    """Rows with a key replace themselves."""

    class Keyed(Table):
        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            yield Row(int(row["id"]), row["text"])

    await aborted(place, site.url("/table.csv"), 432)
    place.left()[0].unlink()
    site.pages["/table.csv"] = (200, "id,text\n-1,new\n" + TABLE[8:], {"Content-Type": "text/csv"})
    report = await place.crawl(Keyed, site.url("/table.csv"))
    assert (report.reason, report.counts.pages) == ("finished", 11)
    found = [item for item in place.items() if "text" in item]
    assert [item["id"] for item in found] == [-1, *range(ROWS)]


async def test_a_file_that_was_changed_is_not_read(site: LocalSite, place: Place) -> None:
    await aborted(place, site.url("/table.csv"), 432)
    place.left()[0].write_text("id,text\n" + "9,other\n" * ROWS)
    await place.crawl(Table, site.url("/table.csv"))
    assert ids(place) == list(range(ROWS))


async def test_the_next_run_asks_again(site: LocalSite, place: Place) -> None:
    for _ in range(2):
        report = await place.crawl(Table, site.url("/table.csv"))
        assert (report.reason, report.counts.pages, report.counts.items) == ("finished", 10, ROWS)
    assert ids(place) == list(range(ROWS)), "each in the place of the one of the run before"
    assert len(place.pages()) == 10
    assert len(site.log) == 2


async def test_what_breaks_keeps_what_was_whole_and_is_told(site: LocalSite, place: Place) -> None:
    class Nodes(XMLSpider):
        rows_per_page = 10

        def parse_node(self, response: Response, node: Node) -> Any:
            return {"id": int(node.text)}

    site.pages["/cut.xml"] = "<r>" + "".join(f"<item>{number}</item>" for number in range(25)) + "<item>2"
    report = await place.crawl(Nodes, site.url("/cut.xml"))
    assert ids(place) == list(range(25))
    assert place.pages() == [("done", None)] * 3 + [("dead", "parse")]
    assert report.counts.reasons == {"parse": 1}
    assert place.left() == []


async def test_html_in_place_of_a_feed_is_a_dead_page(site: LocalSite, place: Place) -> None:
    site.pages["/table.csv"] = "<!doctype html><p>sorry"
    await place.crawl(Table, site.url("/table.csv"))
    assert place.pages() == [("dead", "content type")]
    (row,) = ask(place.db, "select error from pages")
    assert "is an HTML page" in row["error"]


async def test_a_row_that_does_not_fit_is_a_reject(site: LocalSite, place: Place) -> None:
    site.pages["/table.csv"] = "id,text\n1,a\n2\n3,c\n"
    report = await place.crawl(Table, site.url("/table.csv"))
    assert ids(place) == [1, 3]
    assert report.counts.rejects == 1
    (row,) = ask(place.db, "select kind, reason, data from rejects")
    assert (row["kind"], row["reason"], row["data"]) == ("row", "line 3: 1 values in place of 2", '["2"]')


async def test_gzip_twice_and_a_cap_of_its_own(site: LocalSite, place: Place) -> None:
    body = gzip.compress(gzip.compress(TABLE.encode()))
    headers = {"Content-Type": "application/gzip", "Content-Encoding": "gzip"}
    site.pages["/table.csv.gz"] = (200, body, headers)
    await place.crawl(Table, site.url("/table.csv.gz"), max_body_size=100)
    assert ids(place) == list(range(ROWS))
    small = type("Small", (Table,), {"max_feed_size": 1000, "__module__": __name__})
    site.pages["/other.csv"] = TABLE
    await place.crawl(small, site.url("/other.csv"))
    assert place.pages()[-1] == ("dead", "too large")


async def test_callbacks_of_any_kind(site: LocalSite, place: Place) -> None:
    class Async(Table):
        async def parse_row(self, response: Response, row: dict[str, str]) -> AsyncIterator[Any]:
            yield {"id": int(row["id"])}

    class Coroutine(Table):
        async def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            return [{"id": int(row["id"])}]

    class Plain(Table):
        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            return {"id": int(row["id"])} if int(row["id"]) % 2 else None

    for spider, expected in ((Async, ROWS), (Coroutine, ROWS), (Plain, ROWS // 2)):
        report = await place.crawl(spider, site.url("/table.csv"))
        assert report.counts.items == expected, spider


async def test_a_mistake_is_told_at_its_line(site: LocalSite, place: Place) -> None:
    class Wrong(Table):
        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            yield object()  # this one

    await place.crawl(Wrong, site.url("/table.csv"))
    (row,) = ask(place.db, "select error from pages")
    assert "yield object()  # this one" in row["error"]


async def test_scrapys_hooks(site: LocalSite, place: Place) -> None:
    class Hooked(Table):
        def adapt_response(self, response: Response) -> Response:
            return Response(response.url, headers=response.headers, body=response.body.replace(b"row", b"line"))

        def parse_row(self, response: Response, row: dict[str, str]) -> Any:
            return {"id": int(row["id"]), "text": row["text"]}

        def process_results(self, response: Response, results: list[Any]) -> Iterator[Any]:
            return ({**result, "more": True} for result in results)

    await place.crawl(Hooked, site.url("/table.csv"))
    assert place.items()[-1] == {"id": 999, "text": "line 999", "more": True}
    assert ids(place) == list(range(ROWS))


async def test_a_fetcher_that_keeps_no_files_will_do(place: Place) -> None:
    url = "http://h.test/table.csv"
    answers: dict[str, Answer] = {url: Response(url, headers={"Content-Type": "text/csv"}, body=TABLE.encode())}
    fetcher = FakeFetcher(answers)
    await place.crawl(Table, url, fetcher=fetcher)
    assert ids(place) == list(range(ROWS))
    assert fetcher.asked.total() == 1


async def test_a_page_that_is_read_as_a_feed_is_asked_for_once_more(site: LocalSite, place: Place) -> None:
    """Without a file there is nothing to read on from."""

    class Plain(Table):
        async def start(self) -> AsyncIterator[scraper.Request]:
            yield scraper.Request(self.start_urls[0])  # type: ignore[index]

    await place.crawl(Plain, site.url("/table.csv"))
    assert ids(place) == list(range(ROWS))
    assert len(site.log) == 2


async def test_feeds_are_told_from_pages(site: LocalSite, place: Place) -> None:
    class News(FeedSpider):
        def parse(self, response: Response) -> Any:
            return {"title": response.css("h1::text").get()}

    feed = "<rss><channel><item><link>one</link></item><item><link>/two</link></item></channel></rss>"
    site.pages |= {"/f.rss": (200, feed, {"Content-Type": "application/rss+xml"}), "/one": "<h1>1", "/two": "<h1>2"}
    await place.crawl(News, site.url("/f.rss"))
    assert sorted(item["title"] for item in place.items()) == ["1", "2"]


async def test_json_is_read_page_by_page(site: LocalSite, place: Place) -> None:
    class Api(JSONSpider):
        path = "data.items"
        paging: ClassVar[dict[str, Any]] = {"cursor": "data.next"}
        rows_per_page = 2

    def answer(start: int, cursor: str | None) -> Any:
        rows = [{"id": start + number} for number in range(5)] if cursor else []
        return (200, json.dumps({"data": {"next": cursor, "items": rows}}), {"Content-Type": "application/json"})

    site.pages |= {"/api": answer(0, "b"), "/api?next=b": answer(5, "c"), "/api?next=c": answer(10, None)}
    await place.crawl(Api, site.url("/api"))
    assert ids(place) == list(range(10))
    assert site.log == ["GET /api", "GET /api?next=b", "GET /api?next=c"]


async def test_redirects_keep_a_feed_a_feed(site: LocalSite, place: Place) -> None:
    site.pages["/old"] = (302, "", {"Location": "/table.csv"})
    await place.crawl(Table, site.url("/old"))
    assert ids(place) == list(range(ROWS))
    assert place.left() == []


async def test_a_spider_of_pages_is_not_wrapped(site: LocalSite, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pages(scraper.Spider):
        def parse(self, response: Response) -> Any:
            return {"id": 1}

    monkeypatch.setattr(reread, "RereadFetcher", None)
    report = await place.crawl(Pages, site.url("/table.csv"))  # type: ignore[arg-type]
    assert report.counts.items == 1


async def test_what_nobody_came_back_for_is_swept(site: LocalSite, place: Place) -> None:
    """By a new run, and only when it is a day old: another crawl may be reading it."""
    folder = place.files / "feeds" / "feeder"
    folder.mkdir(parents=True)
    for name, age in (("old", 90_000), ("new", 80_000)):
        (folder / name).write_text("left")
        os.utime(folder / name, (time.time() - age,) * 2)
    await place.crawl(Table, site.url("/table.csv"))
    assert place.left() == [folder / "new"]


async def test_feeds_that_are_read_at_once_are_read_apart(site: LocalSite, place: Place) -> None:
    """One that is opened again, as there are too many, is read up to its place first."""
    paths = [f"/{number}.csv" for number in range(6)]
    site.pages |= {path: TABLE.replace("\n", f"{path}\n") for path in paths}

    class Apart(CSVSpider):
        rows_per_page = 100
        headers = ("id", "text")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MOST_OPEN", 2)
        await place.crawl(Apart, *(site.url(path) for path in paths))
    found = sorted(item["id"] + item["text"] for item in place.items())
    expected = [f"{number}row {number}{path}" for number in range(ROWS) for path in paths]
    assert found == sorted([*expected, *(f"idtext{path}" for path in paths)])
    assert len(site.log) == 6


async def test_a_part_says_nothing_of_its_host(site: LocalSite, place: Place) -> None:
    """What was read from a file is no sign of how fast the host answers; and one that is down has nothing to say."""

    class Watching(FixedThrottle):
        seen = 0

        def observe(self, host: str, seen: Seen, error: FetchError | None, now: float) -> float:
            self.seen += 1
            return super().observe(host, seen, error, now)

        def given_up(self, host: str) -> Down | None:
            return Down(0.0, "it is down") if self.seen else None

    throttle = Watching(Settings())
    report = await place.crawl(Table, site.url("/table.csv"), throttle=throttle)
    assert (report.counts.items, throttle.seen) == (ROWS, 1)


async def test_a_feed_is_opened_once(site: LocalSite, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """From part to part it stays open, so a feed of any size is read once."""
    opened = []

    class Counted(Source):
        def lines(self) -> Any:
            opened.append(self.url)
            return super().lines()

    monkeypatch.setattr(reading, "Source", Counted)
    await place.crawl(Table, site.url("/table.csv"))
    assert opened == [site.url("/table.csv")]
