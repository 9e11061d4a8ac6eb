"""A local site that remembers which cookies and credentials came with each request, and crawls of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

import scraper
from scraper import CrawlReport, Spider
from scraper.testing import LocalSite


class Visited(LocalSite):
    """``seen("/x", "Cookie")``: that header of each request for /x, None where it had none."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        super().__init__(pages)
        self.headers: list[tuple[str, Mapping[str, str]]] = []

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append((request.raw_path, request.headers.copy()))
        return await super()._answer(request)

    def seen(self, path: str, header: str = "Cookie") -> list[str | None]:
        return [headers.get(header) for each, headers in self.headers if each == path]


def page(*links: str, set_cookie: str | None = None, to: str | None = None) -> tuple[Any, ...]:
    """HTML with links, a cookie, or a redirect."""
    body = "<h1>page</h1>" + "".join(f'<a href="{link}">link</a>' for link in links)
    headers = {} if set_cookie is None else {"Set-Cookie": set_cookie}
    return (200, body, headers) if to is None else (302, "", {**headers, "Location": to})


def follow(self: Spider, response: Any) -> Any:
    """A callback: one item that says where it was found, and every link."""
    yield {"url": response.url}
    yield from response.follow_all("a")


def spider(*starts: Any, **attributes: Any) -> type[Spider]:
    """A spider that begins with these URLs or Requests."""

    async def start(self: Spider) -> Any:
        for each in starts:
            yield each.replace() if isinstance(each, scraper.Request) else scraper.Request(each)

    attributes.setdefault("parse", follow)
    attributes.setdefault("start_urls", [each for each in starts if isinstance(each, str)])
    return type("Visit", (Spider,), {"start": start, **attributes})


async def crawl(kind: type[Spider], folder: Path, **options: Any) -> CrawlReport:
    """To the end, with a database that the next crawl finds again; robots.txt is not asked unless told."""
    options.setdefault("obey_robots", False)
    options.setdefault("allow_private", "all")
    return await scraper.crawl(kind, db=folder / "visit.db", **options)
