"""The demo site: a deterministic bookshop of 1,000 books, for demonstrations, tests and benchmarks.

`books()` is the truth, `render()` the pages, `serve()` a keep-alive server for them, `write_static()` the
same site as files for a web server. So a crawl can be checked row by row against what the shop really sells.
"""

import asyncio
import os
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from scraper.testing.bookshop_pages import Page, asset_paths, missing, page_paths, render
from scraper.testing.bookshop_stock import BookRecord, stock

__all__ = ["BookRecord", "Page", "application", "books", "page_paths", "render", "serve", "write_static"]

CHANGED: Final = datetime(2024, 3, 4, 10, tzinfo=UTC)


def books() -> list[BookRecord]:
    """All 1,000 books in listing order; a new list of the same frozen records each time."""
    return list(stock())


def application(latency: float = 0.0, keepalive: float | None = 75.0) -> web.Application:
    """The shop as an aiohttp application, for `serve` and for servers of your own.

    Every answer waits `latency` seconds. `keepalive` is what the answers announce, in seconds:
    `Keep-Alive: timeout=N` from 1 up, nothing for None, and 0 closes every connection after its answer. The
    time-out itself belongs to the runner (`keepalive_timeout`); `serve` makes both agree. Validators and 304
    follow RFC 9110, section 13.
    """
    announced = {"Keep-Alive": f"timeout={int(keepalive)}"} if keepalive is not None and keepalive >= 1 else {}
    validated = announced | {"Last-Modified": format_datetime(CHANGED, usegmt=True)}

    async def answer(request: web.Request) -> web.Response:
        if latency > 0:
            await asyncio.sleep(latency)
        page = render(request.path, f"{request.scheme}://{request.host}")
        if page is None:
            page = missing(request.path)
            response = web.Response(status=page.status, body=page.body, headers=announced)
            response.headers["Content-Type"] = page.content_type
        elif _unchanged(request, page):
            response = web.Response(status=304, headers=validated | {"ETag": f'"{page.etag}"'})
        else:
            headers = validated | {"ETag": f'"{page.etag}"', "Content-Type": page.content_type}
            response = web.Response(body=page.body, headers=headers)
        if keepalive == 0:
            response.force_close()
        return response

    shop = web.Application()
    shop.router.add_get("/{path:.*}", answer)  # answers HEAD too
    return shop


async def serve(
    host: str = "127.0.0.1", port: int = 0, latency: float = 0.0, keepalive: float | None = 75.0
) -> web.AppRunner:
    """Start the shop and return its runner; `await runner.cleanup()` ends it.

    Port 0 takes a free one: `runner.addresses[0][:2]` is the real host and port. Idle connections are closed
    after `keepalive` seconds (None: aiohttp's own time-out). Raises OSError when the address cannot be bound.
    """
    shop = application(latency, keepalive)
    if keepalive is None:
        runner = web.AppRunner(shop, access_log=None, shutdown_timeout=1.0)
    else:
        runner = web.AppRunner(shop, access_log=None, shutdown_timeout=1.0, keepalive_timeout=keepalive)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def write_static(folder: Path, origin: str = "http://127.0.0.1") -> int:
    """Write the whole site under `folder`; the number of HTML files (`/` and `/index.html` are one).

    `origin` is where the files will be served, for the absolute links of robots.txt and the site map. The
    files carry the shop's fixed date, so a web server's Last-Modified agrees with that of `serve`.
    """
    pages = [path for path in page_paths() if path != "/"]
    for path in [*pages, *asset_paths(), "/robots.txt", "/sitemap.xml"]:
        page = render(path, origin)
        assert page is not None
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(page.body)
        os.utime(file, (CHANGED.timestamp(), CHANGED.timestamp()))
    return len(pages)


def _unchanged(request: web.Request, page: Page) -> bool:
    """Whether the visitor has this very page; If-None-Match, when sent, decides alone (RFC 9110, 13.2.2)."""
    if request.if_none_match is not None:
        return any(tag.value in (page.etag, "*") for tag in request.if_none_match)
    since = request.if_modified_since
    return since is not None and since >= CHANGED
