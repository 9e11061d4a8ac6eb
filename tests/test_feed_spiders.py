"""Spiders of feeds, whole crawls of them: what each kind reads, and what is told."""

import gzip
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fed import PAGE, ROWS, TABLE, Place, Table, ids
from sqlite_rows import rows as ask

import scraper
from scraper import FeedSpider, JSONSpider, Response, XMLSpider
from scraper.feeds.node import Node
from scraper.fetchers import reread
from scraper.testing import FakeFetcher, LocalSite
from scraper.testing.fakes import Answer


@pytest.fixture
async def site() -> AsyncIterator[LocalSite]:
    async with LocalSite({"/table.csv": PAGE}) as site:
        yield site


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


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
            body = response.body.decode("utf-16-le").replace("row", "line").encode("utf-16-le")
            return Response(response.url, headers=response.headers, body=body)

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


async def test_a_spider_of_nodes_that_reads_none_is_told(site: LocalSite, place: Place) -> None:
    class Idle(XMLSpider):
        """Has no parse_node()."""

    site.pages["/idle.xml"] = "<r><item>1</item></r>"
    report = await place.crawl(Idle, site.url("/idle.xml"))
    assert report.counts.reasons == {"callback": 1}
    db = sqlite3.connect(report.database or "")
    [(error,)] = db.execute("select error from pages where state = 'dead'").fetchall()
    db.close()
    assert "SpiderError: spider 'a/feeder' has no parse_node() method" in error
