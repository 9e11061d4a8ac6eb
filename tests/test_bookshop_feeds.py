"""The demo site's files for machines are what their standards say, and tell of the same books as its pages."""

import csv
import gzip
import io
import json
import struct
import xml.etree.ElementTree as ET  # the shop's own files
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import pytest
from shopping import open_shop

from scraper.testing.bookshop import BookRecord, books, feed_paths, page_paths, render
from scraper.testing.bookshop_feeds import feed

ORIGIN = "http://shop.test"
ATOM = "{http://www.w3.org/2005/Atom}"
MAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
PLAIN = ("id", "upc", "title", "author", "category", "price", "stock", "rating")


def body(path: str) -> bytes:
    page = render(path, ORIGIN)
    assert page is not None and page.status == 200, path
    return page.body


def document(path: str) -> ET.Element:
    return ET.fromstring(body(path))


def text(node: ET.Element, name: str) -> str:
    found = node.find(name)
    assert found is not None and found.text is not None, name
    return found.text


def truth(book: BookRecord) -> dict[str, Any]:
    return {name: getattr(book, name) for name in PLAIN} | {
        "url": ORIGIN + book.path,
        "image": ORIGIN + book.image,
        "added": book.added,
        "description": book.description,
    }


def test_rss_has_the_newest_fifty() -> None:
    root = document("/feed.rss")
    assert (root.tag, root.get("version")) == ("rss", "2.0")
    [channel] = root
    for required in ("title", "link", "description"):
        assert text(channel, required)
    assert parsedate_to_datetime(text(channel, "lastBuildDate")) == books()[-1].added
    own = channel.find(f"{ATOM}link")
    assert own is not None and (own.get("rel"), own.get("href")) == ("self", f"{ORIGIN}/feed.rss")
    items = channel.findall("item")
    newest = books()[:-51:-1]
    assert len(items) == 50
    assert b"<description><![CDATA[<p>" in body("/feed.rss")
    for item, book in zip(items, newest, strict=True):
        assert (text(item, "title"), text(item, "link")) == (book.title, ORIGIN + book.path)
        assert (text(item, "guid"), item.find("guid").get("isPermaLink")) == (book.upc, "false")  # type: ignore[union-attr]
        assert parsedate_to_datetime(text(item, "pubDate")) == book.added
        assert (text(item, "category"), text(item, "{http://purl.org/dc/elements/1.1/}creator")) == (
            book.category,
            book.author,
        )
        assert f"<p>£{book.price:.2f}, {book.stock} in stock.</p>" in text(item, "description")
        enclosure = item.find("enclosure")
        assert enclosure is not None and enclosure.get("type") == "image/png"
        assert enclosure.get("url") == ORIGIN + book.image
        assert enclosure.get("length") == str(len(body(book.image)))


def test_atom_has_the_same_fifty() -> None:
    root = document("/feed.atom")
    base = root.get("{http://www.w3.org/XML/1998/namespace}base")
    assert root.tag == f"{ATOM}feed" and base == f"{ORIGIN}/"
    for required in ("title", "id", "updated"):  # RFC 4287, section 4.1.1
        assert text(root, ATOM + required)
    assert root.find(f"{ATOM}author/{ATOM}name") is not None
    entries = root.findall(f"{ATOM}entry")
    assert len({text(entry, f"{ATOM}id") for entry in entries}) == 50
    for entry, book in zip(entries, books()[:-51:-1], strict=True):
        links = {link.get("rel"): urljoin(base, link.get("href") or "") for link in entry.findall(f"{ATOM}link")}
        assert links == {"alternate": ORIGIN + book.path, "enclosure": ORIGIN + book.image}
        assert 'href="http' not in ET.tostring(entry, encoding="unicode")  # so that xml:base counts
        assert datetime.fromisoformat(text(entry, f"{ATOM}updated")) == book.added
        assert text(entry, f"{ATOM}title") == book.title
        assert text(entry, f"{ATOM}author/{ATOM}name") == book.author


def test_the_site_map_in_parts_is_the_whole() -> None:
    index = document("/sitemap-index.xml")
    assert index.tag == f"{MAP}sitemapindex"
    parts = [text(each, f"{MAP}loc") for each in index]
    assert [datetime.fromisoformat(text(each, f"{MAP}lastmod")).tzinfo for each in index].count(None) == 0
    assert parts == [f"{ORIGIN}/sitemap-books.xml.gz", f"{ORIGIN}/sitemap-listings.xml"]
    listed = ET.fromstring(gzip.decompress(body("/sitemap-books.xml.gz")))
    dates = {text(each, f"{MAP}loc"): datetime.fromisoformat(text(each, f"{MAP}lastmod")) for each in listed}
    assert dates == {ORIGIN + book.path: book.added for book in books()}
    others = [text(each, f"{MAP}loc") for each in document("/sitemap-listings.xml")]
    assert len(others) == 183
    assert sorted([*dates, *others]) == [ORIGIN + path for path in page_paths()]
    assert f"Sitemap: {ORIGIN}/sitemap-index.xml\n" in body("/robots.txt").decode()


def test_csv_parses_back_to_the_stock() -> None:
    data = body("/books.csv").decode()
    assert data.endswith("\r\n") and '"""' in data  # quotes within quotes
    rows = list(csv.DictReader(io.StringIO(data, newline=""), strict=True))
    assert all("\n" in row["label"] and "," in row["label"] and row["label"].startswith('"') for row in rows)
    for row, book in zip(rows, books(), strict=True):
        assert row.pop("label") == f'"{book.title}"\n{book.author}, {book.category}'
        assert row == {name: str(value or "") for name, value in (truth(book) | {"added": row["added"]}).items()}
        assert datetime.fromisoformat(row["added"]) == book.added


def test_json_lines_parse_back_to_the_stock() -> None:
    rows = [json.loads(line) for line in body("/books.jsonl").decode().splitlines()]
    assert [row | {"added": datetime.fromisoformat(row["added"])} for row in rows] == [truth(book) for book in books()]


def test_xml_parses_back_to_the_stock() -> None:
    for node, book in zip(document("/books.xml"), books(), strict=True):
        expected = {name: str(value) for name, value in truth(book).items() if value is not None and name != "added"}
        found = {"id": node.get("id")} | {each.tag: each.text for each in node}
        assert datetime.fromisoformat(found.pop("added") or "") == book.added
        assert found == expected


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/books.csv", "text/csv; charset=utf-8; header=present"),
        ("/books.jsonl", "application/jsonl; charset=utf-8"),
        ("/books.xml", "application/xml; charset=utf-8"),
        ("/feed.atom", "application/atom+xml; charset=utf-8"),
        ("/feed.rss", "application/rss+xml; charset=utf-8"),
        ("/sitemap-books.xml.gz", "application/gzip"),
        ("/sitemap-index.xml", "application/xml; charset=utf-8"),
        ("/sitemap-listings.xml", "application/xml; charset=utf-8"),
    ],
)
async def test_files_come_with_their_headers(path: str, content_type: str) -> None:
    assert path in feed_paths()
    async with open_shop() as shop, shop.get(path) as answer, shop.head(path) as head:
        origin = str(shop._build_url("/")).rstrip("/")
        assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
        assert "Content-Encoding" not in answer.headers  # a gzipped file, not a gzipped answer
        page = render(path, origin)
        assert page is not None and await answer.read() == page.body
        assert head.headers["Content-Length"] == str(len(page.body))
        async with shop.get(path, headers={"If-None-Match": answer.headers["ETag"]}) as again:
            assert again.status == 304


def test_what_is_withheld_is_in_no_file() -> None:
    hidden = books()[-1]
    for path in feed_paths():
        fewer, all_of_them = feed(path, ORIGIN, 999), render(path, ORIGIN)
        assert fewer is not None and all_of_them is not None
        shown = [gzip.decompress(each.body) if path.endswith(".gz") else each.body for each in (fewer, all_of_them)]
        if path not in ("/sitemap-index.xml", "/sitemap-listings.xml"):
            assert [hidden.path.lstrip("/").encode() in each for each in shown] == [False, True], path
        none = feed(path, ORIGIN, 0)
        assert none is not None and none.status == 200
    rss = feed("/feed.rss", ORIGIN, 0)
    assert rss is not None and ET.fromstring(rss.body).findall(".//item") == []


def test_the_gzipped_part_is_the_same_each_time() -> None:
    data = body("/sitemap-books.xml.gz")
    assert data[:2] == b"\x1f\x8b" and struct.unpack("<I", data[4:8]) == (0,)  # no date of today in it
    feed.cache_clear()
    assert body("/sitemap-books.xml.gz") == data
