"""The demo site's JSON API: three ways to page, each of which walks every book once; and what is built on it."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from selectolax.lexbor import LexborHTMLParser
from shopping import open_shop

from scraper.testing.bookshop import BookRecord, books, render

FIELDS = ("id", "upc", "title", "author", "category", "price", "stock", "rating")


@pytest.fixture
async def shop() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_shop() as client:
        yield client


def facts(book: BookRecord) -> list[Any]:
    return [getattr(book, name) for name in FIELDS]


def links(header: str) -> dict[str, str]:
    return {rel: url for url, rel in re.findall(r'<([^>]+)>; rel="(\w+)"', header)}


async def ask(shop: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with shop.get(url) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        document: dict[str, Any] = await answer.json()
        document["links"] = links(answer.headers.get("Link", ""))
        return document


async def test_the_cursor_walks_every_book_once(shop: aiohttp.ClientSession) -> None:
    found: list[list[Any]] = []
    asked, cursor = 0, ""
    while cursor is not None:
        document = await ask(shop, f"/api/books?limit=100&cursor={cursor}")
        assert document["total"] == 1000
        found += [[row[name] for name in FIELDS] for row in document["books"]]
        assert all("description" not in row for row in document["books"])
        asked, cursor = asked + 1, document["next"]
    assert asked == 10
    assert found == [facts(book) for book in books()]


@pytest.mark.parametrize(
    ("way", "limit", "last"),
    [("cursor", 100, 901), ("page", 99, 991), ("offset", 77, 925)],
    ids=["cursor", "page", "offset"],
)
async def test_the_link_header_walks_every_book_once(
    shop: aiohttp.ClientSession, way: str, limit: int, last: int
) -> None:
    found: list[int] = []
    begins: list[int] = []  # the first book of each answer
    url = f"/api/books?limit={limit}" + {"cursor": "", "page": "&page=1", "offset": "&offset=0"}[way]
    while url:
        document = await ask(shop, url)
        if way == "cursor":
            assert set(document["links"]) <= {"next"}
        else:
            around = {rel: (await ask(shop, to))["books"][0]["id"] for rel, to in document["links"].items()}
            assert (around["first"], around["last"]) == (1, last)
            assert around.get("prev") == (begins[-1] if begins else None)
        found += [row["id"] for row in document["books"]]
        begins.append(document["books"][0]["id"])
        url = document["links"].get("next", "")
    assert found == list(range(1, 1001))
    assert begins == list(range(1, last + 1, limit))


async def test_pages_and_offsets_say_where_they_are(shop: aiohttp.ClientSession) -> None:
    page = await ask(shop, "/api/books?page=3&limit=30")
    assert (page["page"], page["pages"], page["total"]) == (3, 34, 1000)
    assert [row["id"] for row in page["books"]] == list(range(61, 91))
    offset = await ask(shop, "/api/books?offset=995&limit=30")
    assert (offset["offset"], offset["limit"], offset["total"]) == (995, 30, 1000)
    assert [row["id"] for row in offset["books"]] == list(range(996, 1001))
    last = await ask(shop, offset["links"]["last"])
    assert last["books"][-1]["id"] == 1000
    assert (await ask(shop, "/api/books?offset=1000"))["books"] == []
    assert len((await ask(shop, "/api/books"))["books"]) == 20


async def test_one_book_has_all_there_is(shop: aiohttp.ClientSession) -> None:
    origin = str(shop._build_url("/")).rstrip("/")
    for book in (books()[0], books()[76]):  # one has no description
        row = await ask(shop, f"/api/books/{book.upc}")
        assert [row[name] for name in FIELDS] == facts(book)
        assert row["description"] == book.description
        assert (row["url"], row["image"]) == (origin + book.path, origin + book.image)
    assert books()[76].description is None


@pytest.mark.parametrize(
    "query",
    [
        "cursor=nonsense",
        "cursor=MjA",  # 20 without our seal
        "cursor=%00",
        "cursor=é",
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=-1",
        "limit=１",  # a digit of another script
        "page=0",
        "offset=1e3",
        "page=1&offset=0",
        "cursor=&page=1",
    ],
)
async def test_what_means_nothing_is_400(shop: aiohttp.ClientSession, query: str) -> None:
    async with shop.get(f"/api/books?{query}") as answer:
        assert answer.status == 400
        assert answer.content_type == "application/json"
        assert query.split("=")[0] in (await answer.json())["error"]
        assert "ETag" not in answer.headers


async def test_a_cursor_is_good_for_its_place_only(shop: aiohttp.ClientSession) -> None:
    cursor = (await ask(shop, "/api/books?limit=20"))["next"]
    assert [row["id"] for row in (await ask(shop, f"/api/books?limit=2&cursor={cursor}"))["books"]] == [21, 22]
    for spoilt in (cursor + "A", cursor[:-1], cursor.swapcase()):
        async with shop.get("/api/books", params={"cursor": spoilt}) as answer:
            assert answer.status == 400


@pytest.mark.parametrize("path", ["/api/", "/api/books/", "/api/books/nope", "/api/shelves", "/api/books?page=51"])
async def test_what_is_not_there_is_404_in_json(shop: aiohttp.ClientSession, path: str) -> None:
    async with shop.get(path) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]


async def test_answers_are_validated_and_other_methods_refused(shop: aiohttp.ClientSession) -> None:
    async with shop.get("/api/books") as answer, shop.head("/api/books") as head:
        etag, length = answer.headers["ETag"], answer.headers["Content-Length"]
        assert (head.status, head.headers["ETag"], head.headers["Content-Length"]) == (200, etag, length)
    async with shop.get("/api/books", headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with shop.get("/api/books?page=2", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200
    for send in (shop.post, shop.put, shop.delete):
        async with send("/api/books") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


async def test_what_is_withheld_is_not_there_yet() -> None:
    absent = books()[-1]
    async with open_shop(withheld=10) as shop:
        assert (await ask(shop, "/api/books"))["total"] == 990
        last = await ask(shop, "/api/books?page=10&limit=99")
        assert (last["pages"], last["books"][-1]["id"]) == (10, 990)
        async with shop.get(f"/api/books/{absent.upc}") as answer:
            assert answer.status == 404
        async with shop.get(absent.path) as answer:
            assert answer.status == 200
    async with open_shop(withheld=1000) as shop:
        document = await ask(shop, "/api/books")
        assert (document["books"], document["next"], document["total"]) == ([], None, 0)


# built on it


async def test_scroll_shows_no_book_and_says_where_they_are(shop: aiohttp.ClientSession) -> None:
    async with shop.get("/scroll") as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        html = await answer.text()
    assert not any(book.title in html or book.upc in html for book in books())
    tree = LexborHTMLParser(html)
    shelf, state = tree.css_first("#shelf"), tree.css_first("script#shelf-state")
    assert shelf is not None and state is not None
    first = await ask(shop, shelf.attributes["data-api"] or "")
    assert [row["id"] for row in first["books"]] == list(range(1, 51))
    told = json.loads(state.text())
    assert f"{told['api']}?limit={told['limit']}" == shelf.attributes["data-api"]
    assert "IntersectionObserver" in html


# new arrivals


async def walk(shop: aiohttp.ClientSession, query: str = "") -> list[list[int]]:
    """The ids on each page."""
    pages: list[list[int]] = []
    following: str | None = query
    while following is not None:
        async with shop.get(f"/new{following}") as answer:
            assert answer.status == 200
            tree = LexborHTMLParser(await answer.text())
        pages.append([int(node.attributes["data-id"] or "") for node in tree.css("li.arrival")])
        older = tree.css_first("a.older")
        following = older.attributes["href"] if older is not None else None
    return pages


async def test_new_arrivals_are_newest_first_and_whole(shop: aiohttp.ClientSession) -> None:
    pages = await walk(shop)
    assert len(pages) == 50
    assert [each for page in pages for each in page] == list(range(1000, 0, -1))
    async with shop.get("/new") as answer:
        tree = LexborHTMLParser(await answer.text())
    link, date = tree.css_first("li.arrival a"), tree.css_first("li.arrival time")
    assert link is not None and date is not None
    newest = books()[-1]
    assert (link.text(), f"/{link.attributes['href']}") == (newest.title, newest.path)
    assert date.attributes["datetime"] == newest.added.isoformat()


async def test_since_leaves_out_what_is_known(shop: aiohttp.ClientSession) -> None:
    newer = list(range(1000, 975, -1))
    assert await walk(shop, "?since=975") == [newer[:20], newer[20:]]
    assert await walk(shop, "?since=1000") == [[]]
    known = books()[974].added  # as date and time, with or without its zone, and as a date
    for date in (known.isoformat().replace("+", "%2B"), known.replace(tzinfo=None).isoformat()):
        assert await walk(shop, f"?since={date}") == [newer[:20], newer[20:]]
    day = books()[-1].added.date()
    [page] = await walk(shop, f"?since={day}")
    assert page == [book.id for book in reversed(books()) if book.added.date() >= day]
    assert books()[-1].added - books()[-2].added == timedelta(hours=6)


@pytest.mark.parametrize("query", ["since=yesterday", "since=", "before=x", "since=-1", "before=2024-03-04"])
async def test_since_what_is_400(shop: aiohttp.ClientSession, query: str) -> None:
    async with shop.get(f"/new?{query}") as answer:
        assert answer.status == 400


async def test_what_came_in_between_moves_nothing_further_down() -> None:
    """The page after book 971 is the same, whatever stands above it by now; that is what `before` is for."""
    async with open_shop(withheld=10) as earlier, open_shop() as later:
        assert (await walk(earlier))[0] == list(range(990, 970, -1))
        assert await walk(earlier, "?before=971") == await walk(later, "?before=971")
        async with (
            earlier.get("/new") as answer,
            later.get("/new", headers={"If-None-Match": answer.headers["ETag"]}) as now,
        ):
            assert now.status == 200
            date = answer.headers["Last-Modified"]
        async with later.get("/new", headers={"If-Modified-Since": date}) as now:
            assert now.status == 200


def test_a_page_without_query_needs_no_server() -> None:
    for path in ("/scroll", "/feed.rss", "/books.csv"):
        page = render(path, "http://shop.test")
        assert page is not None and page.status == 200
    assert render("/api/books", "http://shop.test") is None
