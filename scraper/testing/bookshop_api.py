"""The demo bookshop's JSON API in the three ways that APIs are paged, and the page for endless scrolling on top of it.

`/api/books` goes on by `cursor`, by `page` or by `offset`; `/api/books/<upc>` is one book with its description.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from scraper.testing.bookshop_pages import HTML, Page, frame
from scraper.testing.bookshop_stock import SEED, BookRecord, seed, stock

JSON: Final = "application/json; charset=utf-8"
PER_ANSWER: Final = 20
MOST: Final = 100
LISTING: Final = "/api/books"
WAYS: Final = ("cursor", "page", "offset")


class Refused(Exception):
    """A parameter that means nothing: the answer is a 400 that says so."""


def api(path: str, query: Mapping[str, str], origin: str, count: int) -> Page:
    """What the API says about the first `count` books.

    `/api/books?limit=…` (1 to 100, 20 by default) gives `books`, `total` and `next`, and a Link header (RFC 8288)
    with the URLs that lead on. `cursor=…` is opaque: the `next` of the answer before, null on the last.
    `page=…` counts from 1, with 404 beyond the last; `offset=…` counts books, with an empty list beyond the last.
    Errors are 400 (a parameter) and 404 (a path or a UPC), as `{"error": …}`.
    """
    if path == LISTING:
        try:
            return _listing(query, origin, stock()[:count])
        except Refused as error:
            return _json(400, {"error": str(error)})
    upc = path.removeprefix(f"{LISTING}/")
    for book in stock()[:count]:
        if book.upc == upc:
            return _json(200, book.facts(origin))
    return _json(404, {"error": f"there is nothing at {path}"})


def scroll(path: str) -> Page:
    """An empty shelf that a script fills from the API while it is scrolled: no book is in the HTML."""
    where = {"api": LISTING, "limit": 50, "cursor": None}
    content = (
        '<div class="page-header action"><h1>All books, without end</h1></div>\n'
        '<ol id="shelf" class="row" data-api="/api/books?limit=50"></ol>\n'
        '<p id="more">Loading …</p>\n<noscript>This shelf is filled by a script.</noscript>\n'
        f'<script type="application/json" id="shelf-state">{json.dumps(where)}</script>\n'
        f"<script>\n{seed('scroll.js')}</script>"
    )
    return Page(200, HTML, frame(path, "All books, without end", "", '<li class="active">Endless</li>', content))


def _listing(query: Mapping[str, str], origin: str, books: Sequence[BookRecord]) -> Page:
    ways = [way for way in WAYS if way in query]
    if len(ways) > 1:
        raise Refused(f"{' and '.join(ways)} exclude one another: send one of them")
    way = ways[0] if ways else "cursor"
    limit = _number(query, "limit", PER_ANSWER, 1, MOST)
    pages = max(1, -(-len(books) // limit))
    if way == "cursor":
        start = _opened(query["cursor"]) if query.get("cursor") else 0
    elif way == "offset":
        start = _number(query, "offset", 0, 0, 10**9)
    else:
        number = _number(query, "page", 1, 1, 10**9)
        if number > pages:
            return _json(404, {"error": f"there are {pages} pages of {limit}"})
        start = (number - 1) * limit
    after = start + limit

    def place(start: int) -> str:
        return _sealed(start) if way == "cursor" else str(start // limit + 1 if way == "page" else start)

    answer: dict[str, object] = {"books": [_short(book, origin) for book in books[start:after]], "total": len(books)}
    steps = {}
    if after < len(books):
        steps["next"] = place(after)
    if way == "cursor":
        answer["next"] = steps.get("next")
    else:
        answer |= {"page": start // limit + 1, "pages": pages} if way == "page" else {"offset": start, "limit": limit}
        steps |= {"first": place(0), "last": place((pages - 1) * limit)}
        if start > 0:
            steps["prev"] = place(max(0, start - limit))
    links = ", ".join(
        f'<{origin}{LISTING}?{urlencode({way: at, "limit": limit})}>; rel="{rel}"' for rel, at in steps.items()
    )
    return _json(200, answer, (("Link", links),) if links else ())


def _short(book: BookRecord, origin: str) -> dict[str, object]:
    """A row of a listing: all but the description, which takes a request of its own."""
    return {name: value for name, value in book.facts(origin).items() if name != "description"}


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise Refused(f"{name} is a number from {least} to {most}, not {text!r}")
    return int(text)


def _sealed(start: int) -> str:
    """A cursor, good for this shop only: visitors are not meant to make their own."""
    seal = hashlib.blake2b(f"{SEED} cursor {start}".encode(), digest_size=6).hexdigest()
    return base64.urlsafe_b64encode(f"{start}.{seal}".encode()).decode().rstrip("=")


def _opened(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        start = int(text.partition(".")[0])
    except (binascii.Error, ValueError):
        start = -1
    if start < 0 or _sealed(start) != cursor:
        raise Refused("this cursor is none of ours: take `next` of an answer, or none to begin")
    return start


def _json(status: int, document: object, headers: tuple[tuple[str, str], ...] = ()) -> Page:
    return Page(status, JSON, json.dumps(document, ensure_ascii=False).encode(), headers)
