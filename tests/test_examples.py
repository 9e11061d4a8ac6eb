"""The example spiders do what they say, on the demo site: compared with what the shop really sells."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import scraper
from scraper.discover import find
from scraper.errors import SpiderError
from scraper.testing.bookshop import books, orders, serve

TITLES = sorted(book.title for book in books())


class Shop:
    """The demo site on a free port, which it keeps when it is closed and opened again with other books."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._runner: Any = None

    async def open(self, withheld: int = 0) -> None:
        await self.close()
        self._runner = await serve(port=self._port, withheld=withheld)
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def db(self, name: str) -> Path:
        return self._folder / f"{name}.db"

    async def crawl(self, name: str, **arguments: Any) -> scraper.CrawlReport:
        """One run of an example spider, without a fault."""
        spider = find(name, ROOT / "spiders")
        report = await scraper.crawl(spider, arguments={"start": self.url} | arguments, db=self.db(name))
        assert report.reason == "finished"
        assert (report.counts.dead, report.counts.rejects) == (0, 0)
        return report

    def ask(self, name: str, question: str) -> list[Any]:
        """Rows of its database; of one column, the values."""
        db = sqlite3.connect(self.db(name))
        try:
            rows = db.execute(question).fetchall()
        finally:
            db.close()
        return [row[0] if len(row) == 1 else row for row in rows]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    await shop.open()
    yield shop
    await shop.close()


async def test_login_sends_the_token_and_sees_the_orders(shop: Shop) -> None:
    await shop.crawl("login")
    found = shop.ask("login", "select number, placed, total, titles from 'order' order by number")
    assert [(number, placed, total, json.loads(titles)) for number, placed, total, titles in found] == [
        (order.number, order.placed.isoformat(), order.total, [book.title for book, _ in order.lines])
        for order in orders()
    ]
    posted = "select count(*) from pages where request like '%\"POST\"%' and url like '%/login' and state = 'done'"
    assert shop.ask("login", posted) == [1]


async def test_login_that_fails_is_no_success(shop: Shop) -> None:
    spider = find("login", ROOT / "spiders")
    given = {"start": shop.url, "password": "wrong"}
    report = await scraper.crawl(spider, arguments=given, db=shop.db("login"))
    assert (report.counts.items, report.counts.dead) == (0, 1)
    assert not report.ok
    [error] = shop.ask("login", "select error from pages where state = 'dead'")
    assert "the login failed: This name and password do not go together." in error
    assert not any("/account" in url for url in shop.ask("login", "select url from pages"))


@pytest.mark.parametrize(("way", "pages"), [("next", 50), ("numbers", 50), ("offset", 10)])
async def test_ways_of_pagination_agree(shop: Shop, way: str, pages: int) -> None:
    report = await shop.crawl("pagination", way=way)
    assert report.counts.pages == pages
    assert sorted(shop.ask("pagination", "select title from item")) == TITLES


async def test_pagination_has_no_other_way(shop: Shop) -> None:
    with pytest.raises(SpiderError, match="way"):
        await shop.crawl("pagination", way="guess")


async def test_scroll_reads_the_api_to_its_end(shop: Shop) -> None:
    report = await shop.crawl("scroll")
    assert report.counts.pages == 1 + 1000 // 50
    assert sorted(shop.ask("scroll", "select upc, title, price, stock from book")) == sorted(
        (book.upc, book.title, book.price, book.stock) for book in books()
    )


async def test_incremental_adds_what_is_new_and_asks_for_little_else(shop: Shop) -> None:
    def known() -> list[int]:
        return sorted(shop.ask("incremental", "select number from arrival"))

    await shop.open(withheld=33)
    report = await shop.crawl("incremental")
    assert (report.counts.pages, known()) == (49, list(range(1, 968)))  # 967 books, 20 on a page
    report = await shop.crawl("incremental")
    assert (report.counts.pages, report.counts.items) == (1, 0)
    await shop.open()
    report = await shop.crawl("incremental")
    assert (report.counts.pages, report.counts.items) == (2, 33)
    assert known() == list(range(1, 1001))
    rows = shop.ask("incremental", "select title, added from arrival order by number")
    assert rows == [(book.title, book.added.isoformat()) for book in books()]


async def test_incremental_leaves_no_gap_when_a_walk_is_given_up(shop: Shop) -> None:
    await shop.open(withheld=100)
    await shop.crawl("incremental")
    await shop.open()
    spider = find("incremental", ROOT / "spiders")
    report = await scraper.crawl(spider, arguments={"start": shop.url}, db=shop.db("incremental"), limit_pages=2)
    assert (report.reason, report.counts.items) == ("limit_pages", 40)
    await shop.crawl("incremental")
    assert sorted(shop.ask("incremental", "select number from arrival")) == list(range(1, 1001))


async def test_bargains_go_through_their_steps(shop: Shop) -> None:
    report = await shop.crawl("bargains", most="12.50")
    cheap = [book for book in books() if book.price <= 12.5]
    found = shop.ask("bargains", "select url, title, price, abroad from bargain")
    assert sorted((url, title, float(price)) for url, title, price, _ in found) == sorted(
        (shop.url.rstrip("/") + book.path, book.title, book.price) for book in cheap
    )
    for _, _, price, abroad in found:
        assert float(json.loads(abroad)["EUR"]) == pytest.approx(float(price) * 1.17, abs=0.006)
    assert sum(report.counts.drops.values()) == 1000 - len(cheap)


async def test_catalogue_goes_by_its_rules(shop: Shop) -> None:
    spider = find("catalogue", ROOT / "spiders")
    options: dict[str, Any] = {"arguments": {"start": shop.url}, "db": shop.db("catalogue"), "limit_pages": 100}
    report = await scraper.crawl(spider, **options)
    assert (report.counts.dead, report.counts.rejects) == (0, 0)
    truth = {book.upc: (book.title, book.category) for book in books()}
    found = {
        upc: (title, category)
        for upc, title, category in shop.ask("catalogue", "select upc, title, category from book")
    }
    assert len(found) > 20
    assert found.items() <= truth.items()
    # The listings and every category have been met, and nothing that no rule takes.
    met = {url.removeprefix(shop.url) for url in shop.ask("catalogue", "select url from pages")}
    products = {book.path[1:] for book in books()}
    listings = {url for url in met if url.startswith("catalogue/category/books/")}
    assert len([url for url in listings if url.endswith("/index.html")]) == 50
    assert "catalogue/page-2.html" in met
    assert met - products - listings == {"", *(url for url in met if url.startswith("catalogue/page-"))}


async def test_sitemap_asks_a_second_time_only_for_what_has_changed(shop: Shop) -> None:
    await shop.open(withheld=970)
    report = await shop.crawl("sitemap")
    assert (report.counts.pages, report.counts.items) == (1 + 1 + 30, 30)  # the index, its one part, the books in it
    found = shop.ask("sitemap", "select url, title, price, in_stock from offer order by url")
    assert [(shop.url.rstrip("/") + book.path, book.title, book.price, 1) for book in books()[:30]] == sorted(
        found, key=lambda row: int(row[0].rpartition("_")[2].partition("/")[0])
    )
    report = await shop.crawl("sitemap")
    assert (report.counts.pages, report.counts.items) == (1, 0)  # the index says that its part is as it was


@pytest.mark.parametrize("path", ["/feed.rss", "/feed.atom"])
async def test_feeds_of_both_kinds_say_the_same(shop: Shop, path: str) -> None:
    report = await shop.crawl("feed", path=path)
    assert report.counts.pages == 51
    found = shop.ask("feed", "select id, title, published, author, copies from news order by published desc")
    assert found == [
        (book.upc, book.title, book.added.isoformat(), book.author, book.stock) for book in books()[:-51:-1]
    ]


async def test_files_and_api_have_the_whole_stock(shop: Shop) -> None:
    reports = [await shop.crawl(name) for name in ("pricelist", "stocklist", "api")]
    assert [report.counts.pages for report in reports] == [1, 1, 10]
    assert sorted(shop.ask("pricelist", "select upc, title, price, stock from price")) == sorted(
        (book.upc, book.title, book.price, book.stock) for book in books()
    )
    assert shop.ask("stocklist", "select number, upc, stock, described from item order by number") == [
        (book.id, book.upc, book.stock, book.description is not None) for book in books()
    ]
    assert sorted(shop.ask("api", "select upc, title, author from title")) == sorted(
        (book.upc, book.title, book.author) for book in books()
    )


def test_every_example_is_in_the_table() -> None:
    table = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "spiders").glob("*.py")):
        [row] = [line for line in table.splitlines() if f"`spiders/{path.name}`" in line]
        assert f"scraper crawl {path.stem} " in row
