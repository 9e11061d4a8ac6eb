"""The demo bookshop's stock for machines: feeds, site maps of parts, and the whole list as CSV, JSON lines and XML."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from typing import Final

from scraper.testing.bookshop_pages import Page, page_paths
from scraper.testing.bookshop_stock import CHANGED, BookRecord, cover, stock

NEWEST: Final = 50
SHOP: Final = "Lantern Lane Books"
XML: Final = "application/xml; charset=utf-8"
SITEMAPS: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"


def feed_paths() -> list[str]:
    """Every path that `feed` knows, sorted."""
    return sorted(_WRITERS)


@lru_cache(maxsize=16)  # a visitor may call the site by any name, and books.xml is 2 MB
def feed(path: str, origin: str, count: int) -> Page | None:
    """The file at `path` about the first `count` books, or None when it is none of `feed_paths`.

    RSS 2.0 and Atom (RFC 4287) of the newest 50; a site map index with its two parts (sitemaps.org), one of them
    gzipped; and all books as CSV (RFC 4180), JSON lines and XML. `origin` begins every absolute URL.
    """
    if path not in _WRITERS:
        return None
    content_type, write = _WRITERS[path]
    return Page(200, content_type, write(origin, stock()[:count]))


def label(book: BookRecord) -> str:
    """The text on the shelf: what a CSV file has to quote (quotes, a comma, a line break)."""
    return f'"{book.title}"\n{book.author}, {book.category}'


def _rss(origin: str, books: Sequence[BookRecord]) -> bytes:
    items = "".join(
        f"<item>\n  <title>{escape(book.title)}</title>\n  <link>{origin}{book.path}</link>\n"
        f'  <guid isPermaLink="false">{book.upc}</guid>\n  <pubDate>{format_datetime(book.added)}</pubDate>\n'
        f"  <dc:creator>{escape(book.author)}</dc:creator>\n  <category>{escape(book.category)}</category>\n"
        f"  <description>{_cdata(_summary(book))}</description>\n"
        f'  <enclosure url="{origin}{book.image}" length="{len(cover(book.upc))}" type="image/png"/>\n</item>\n'
        for book in _newest(books)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">\n<channel>\n'
        f"<title>{SHOP}: new arrivals</title>\n<link>{origin}/</link>\n<description>The newest {NEWEST} books."
        f"</description>\n<language>en-gb</language>\n<lastBuildDate>{format_datetime(_changed(books))}"
        f'</lastBuildDate>\n<ttl>360</ttl>\n<atom:link href="{origin}/feed.rss" rel="self" '
        f'type="application/rss+xml"/>\n{items}</channel>\n</rss>\n'
    ).encode()


def _atom(origin: str, books: Sequence[BookRecord]) -> bytes:
    """Its links are relative to `xml:base`, as RFC 4287, section 2, allows."""
    entries = "".join(
        f"<entry>\n  <title>{escape(book.title)}</title>\n  <id>urn:upc:{book.upc}</id>\n"
        f'  <link rel="alternate" type="text/html" href="{book.path[1:]}"/>\n'
        f'  <link rel="enclosure" type="image/png" length="{len(cover(book.upc))}" href="{book.image[1:]}"/>\n'
        f"  <published>{book.added.isoformat()}</published>\n  <updated>{book.added.isoformat()}</updated>\n"
        f"  <author><name>{escape(book.author)}</name></author>\n"
        f'  <category term="{escape(book.category)}"/>\n  <summary type="html">{escape(_summary(book))}</summary>\n'
        "</entry>\n"
        for book in _newest(books)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en-gb" xml:base="{origin}/">\n'
        f"<title>{SHOP}: new arrivals</title>\n<id>urn:shop:lantern-lane</id>\n"
        f'<link rel="self" type="application/atom+xml" href="feed.atom"/>\n<link rel="alternate" href="index.html"/>\n'
        f"<updated>{_changed(books).isoformat()}</updated>\n<author><name>{SHOP}</name></author>\n{entries}</feed>\n"
    ).encode()


def _csv(origin: str, books: Sequence[BookRecord]) -> bytes:
    text = io.StringIO(newline="")
    sheet = csv.writer(text)  # quotes what needs it and ends lines by CRLF
    sheet.writerow(["label", *stock()[0].facts(origin)])
    sheet.writerows([label(book), *book.facts(origin).values()] for book in books)
    return text.getvalue().encode()


def _jsonl(origin: str, books: Sequence[BookRecord]) -> bytes:
    return "".join(json.dumps(book.facts(origin), ensure_ascii=False) + "\n" for book in books).encode()


def _xml(origin: str, books: Sequence[BookRecord]) -> bytes:
    rows = []
    for book in books:
        facts = {name: value for name, value in book.facts(origin).items() if value is not None}
        inner = "".join(f"    <{name}>{escape(str(value))}</{name}>\n" for name, value in facts.items() if name != "id")
        rows.append(f'  <book id="{book.id}">\n{inner}  </book>\n')
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<books>\n{"".join(rows)}</books>\n'.encode()


def _index(origin: str, books: Sequence[BookRecord]) -> bytes:
    rows = "".join(
        f"  <sitemap><loc>{origin}{path}</loc><lastmod>{changed.isoformat()}</lastmod></sitemap>\n"
        for path, changed in (("/sitemap-books.xml.gz", _changed(books)), ("/sitemap-listings.xml", CHANGED))
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<sitemapindex xmlns="{SITEMAPS}">\n{rows}</sitemapindex>\n'.encode()
    )


def _map(rows: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{SITEMAPS}">\n{rows}</urlset>\n'.encode()


def _book_map(origin: str, books: Sequence[BookRecord]) -> bytes:
    rows = "".join(
        f"  <url><loc>{origin}{book.path}</loc><lastmod>{book.added.isoformat()}</lastmod></url>\n" for book in books
    )
    return gzip.compress(_map(rows), mtime=0)


def _listing_map(origin: str, books: Sequence[BookRecord]) -> bytes:
    products = {book.path for book in stock()}
    listings = (path for path in page_paths() if path not in products)
    return _map("".join(f"  <url><loc>{origin}{path}</loc><lastmod>2024-03-04</lastmod></url>\n" for path in listings))


def _newest(books: Sequence[BookRecord]) -> list[BookRecord]:
    return list(reversed(books[-NEWEST:]))


def _changed(books: Sequence[BookRecord]) -> datetime:
    return books[-1].added if books else CHANGED


def _summary(book: BookRecord) -> str:
    """HTML, as feeds carry it."""
    words = f"<p>£{book.price:.2f}, {book.stock} in stock.</p>"
    return f"<p>{escape(book.description)}</p>{words}" if book.description else words


def _cdata(text: str) -> str:
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


_WRITERS: Final[dict[str, tuple[str, Callable[[str, Sequence[BookRecord]], bytes]]]] = {
    "/books.csv": ("text/csv; charset=utf-8; header=present", _csv),
    "/books.jsonl": ("application/jsonl; charset=utf-8", _jsonl),
    "/books.xml": (XML, _xml),
    "/feed.atom": ("application/atom+xml; charset=utf-8", _atom),
    "/feed.rss": ("application/rss+xml; charset=utf-8", _rss),
    "/sitemap-books.xml.gz": ("application/gzip", _book_map),
    "/sitemap-index.xml": (XML, _index),
    "/sitemap-listings.xml": (XML, _listing_map),
}
