"""A JSON answer: where its rows are, what they hold, and how it tells of the next page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scraper.errors import ParseError, RequestError
from scraper.feeds.paging import next_page
from scraper.request import Request
from scraper.response import Response

DEEPEST = 3
MOST_MEMBERS = 12
LINKS = ("next", "next_url", "nextUrl", "next_page", "nextPage", "nextLink", "href", "url")
CURSORS = {
    "next": "cursor",
    "cursor": "cursor",
    "next_cursor": "cursor",
    "nextCursor": "cursor",
    "end_cursor": "after",
    "endCursor": "after",
    "after": "after",
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
    "continuation": "continuation",
    "next_token": "next_token",
    "nextToken": "nextToken",
}
"""Names under which the next page is told, and the parameter that is most likely to ask for it."""
PAGES = ("pages", "total_pages", "totalPages", "page_count", "pageCount", "last_page", "lastPage")
TOTALS = ("total", "total_count", "totalCount", "count", "total_results", "totalResults")


def rows_of(value: Any) -> tuple[list[str], list[dict[str, Any]]] | None:
    """The longest list of objects and the keys that lead to it; None when there is none."""
    found = max(_lists(value, []), key=lambda each: len(each[1]), default=None)
    return found


def _lists(value: Any, path: list[str]) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    if isinstance(value, list):
        rows = [each for each in value if isinstance(each, dict)]
        if rows and len(rows) == len(value):
            yield path, rows
    elif isinstance(value, dict) and len(path) < DEEPEST:
        for key, inner in value.items():
            if "." not in key:
                yield from _lists(inner, [*path, key])


def members(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Names of the members that the objects have, plain values first."""
    names = list(dict.fromkeys(name for row in rows[:20] for name in row))
    nested = [name for name in names if any(isinstance(row.get(name), dict | list) for row in rows[:20])]
    return [*(name for name in names if name not in nested), *nested][:MOST_MEMBERS]


def pagings(value: Any, path: Sequence[str], page: Response) -> Iterator[dict[str, Any]]:
    """Ways in which the next page may be told, as arguments of ``next_page``, the surest first."""
    if "Link" in page.headers:
        yield {}
    told = dict(_scalars(value, "", tuple(path)))
    for at, each in told.items():
        name = at.rpartition(".")[2]
        if isinstance(each, str) and (name in LINKS and "next" in at.lower()) and _is_link(each):
            yield {"url": at}
    for at, each in told.items():
        name = at.rpartition(".")[2]
        if name in CURSORS and isinstance(each, str | int) and not isinstance(each, bool) and not _is_link(str(each)):
            for parameter in dict.fromkeys((CURSORS[name], name, "cursor")):
                yield {"cursor": at, "param": parameter}
    count = next((at for at in told if at.rpartition(".")[2] in PAGES), None)
    number = next((at for at in told if at.rpartition(".")[2] in ("page", "current_page", "currentPage")), None)
    if count is not None or number is not None or "page=" in page.url:
        yield {"page": "page", "pages": count} if count is not None else {"page": "page"}
    total = next((at for at in told if at.rpartition(".")[2] in TOTALS), None)
    for name in ("offset", "skip", "start"):
        if any(at.rpartition(".")[2] == name for at in told) or f"{name}=" in page.url:
            yield {"offset": name, "total": total} if total is not None else {"offset": name}


def _scalars(value: Any, at: str, rows: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Plain values outside of the rows, by the dotted path that leads to them."""
    if not isinstance(value, dict) or at.count(".") >= DEEPEST:
        return
    for key, inner in value.items():
        here = f"{at}.{key}" if at else key
        if tuple(here.split(".")) == rows or "." in key:
            continue
        if isinstance(inner, dict):
            yield from _scalars(inner, here, rows)
        elif not isinstance(inner, list) and inner is not None:
            yield here, inner


def _is_link(text: str) -> bool:
    return text.startswith(("http://", "https://", "/", "?"))


def following(page: Response, paging: dict[str, Any], path: Sequence[str]) -> Request | None:
    """The request for the next page, if it is told in this way."""
    try:
        return next_page(page, **{"items": ".".join(path), **paging})
    except (ParseError, RequestError):
        return None


def goes_on(value: Any, path: Sequence[str], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether an answer has rows at the same place, and others than these."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return isinstance(value, list) and bool(value) and value != rows and value[0] != rows[0]
