"""The demo site: a deterministic bookshop of 1,000 books, for demonstrations, tests and benchmarks.

`books()` is the truth, `render()` the pages, `serve()` a keep-alive server for them, `write_static()` the
same site as files for a web server. So a crawl can be checked row by row against what the shop really sells.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

from aiohttp import web
from multidict import CIMultiDict

from scraper.testing import bookshop_pages
from scraper.testing.bookshop_api import api, scroll
from scraper.testing.bookshop_arrivals import arrivals
from scraper.testing.bookshop_feeds import feed, feed_paths
from scraper.testing.bookshop_login import COOKIE, PASSWORD, USER, Accounts, OrderRecord, orders
from scraper.testing.bookshop_pages import HTML, Page, asset_paths, missing, page_paths
from scraper.testing.bookshop_stock import CHANGED, BookRecord, stock

__all__ = [
    "PASSWORD",
    "USER",
    "BookRecord",
    "OrderRecord",
    "Page",
    "application",
    "books",
    "feed_paths",
    "orders",
    "page_paths",
    "render",
    "serve",
    "write_static",
]


def books() -> list[BookRecord]:
    """All 1,000 books in listing order; a new list of the same frozen records each time."""
    return list(stock())


def render(path: str, origin: str) -> Page | None:
    """The page or file at a path (without query), or None when the shop has none there.

    All that is the same for every visitor: the shop's pages, covers, robots.txt, site maps, feeds, lists of all
    books, and the empty shelf at `/scroll`. `origin` is what the visitor calls this site, such as
    `http://127.0.0.1:8000`. What answers to a query or a cookie (`/api/`, `/new`, `/login`, `/account`) needs `serve`.
    """
    return _lasting(path, origin, len(stock()))


def application(latency: float = 0.0, keepalive: float | None = 75.0, withheld: int = 0) -> web.Application:
    """The shop as an aiohttp application, for `serve` and for servers of your own.

    Every answer waits `latency` seconds. `keepalive` is what the answers announce, in seconds:
    `Keep-Alive: timeout=N` from 1 up, nothing for None, and 0 closes every connection after its answer. The
    time-out itself belongs to the runner (`keepalive_timeout`); `serve` makes both agree. The newest `withheld` books
    are kept out of the API, the feeds, the lists and `/new`, as if they had not come in yet; the pages have them.
    Validators and 304 follow RFC 9110, section 13.
    """
    announced = {"Keep-Alive": f"timeout={int(keepalive)}"} if keepalive is not None and keepalive >= 1 else {}
    count = max(0, len(stock()) - withheld)
    changed = stock()[count - 1].added if count else CHANGED
    accounts = Accounts()

    def read(request: web.Request) -> Page:
        origin = f"{request.scheme}://{request.host}"
        if request.path.startswith("/api/"):
            return api(request.path, request.query, origin, count)
        if request.path == "/new":
            return arrivals(request.path, request.query, count)
        return _lasting(request.path, origin, count) or missing(request.path)

    def private(request: web.Request) -> Page:
        return accounts.visit(request.path, request.query, request.cookies.get(COOKIE, ""))

    async def login(request: web.Request) -> Page:
        try:
            form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        except ValueError:  # a multipart body that is none
            return Page(400, HTML, b"<h1>This is no form</h1>")
        return accounts.login(form, request.cookies.get(COOKIE, ""))

    def answering(
        page: Callable[[web.Request], Page | Awaitable[Page]],
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if latency > 0:
                await asyncio.sleep(latency)
            found = page(request)
            if not isinstance(found, Page):
                found = await found
            response = _response(request, found, changed, announced)
            if keepalive == 0:
                response.force_close()
            return response

        return answer

    shop = web.Application()
    for path in ("/login", "/logout", "/account", "/account/{path:.*}"):
        shop.router.add_get(path, answering(private))
    shop.router.add_post("/login", answering(login))
    shop.router.add_get("/{path:.*}", answering(read))  # answers HEAD too
    return shop


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    latency: float = 0.0,
    keepalive: float | None = 75.0,
    withheld: int = 0,
) -> web.AppRunner:
    """Start the shop and return its runner; `await runner.cleanup()` ends it.

    Port 0 takes a free one: `runner.addresses[0][:2]` is the real host and port. Idle connections are closed
    after `keepalive` seconds (None: aiohttp's own time-out); `latency` and `withheld` are as for `application`. Raises
    OSError when the address cannot be bound.
    """
    shop = application(latency, keepalive, withheld)
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
    """Write the site under `folder`; the number of HTML files (`/` and `/index.html` are one).

    What a server has to compute is left out: the API and the page that asks it, `/new`, the login and the account.
    `origin` is where the files will be served, for the absolute links of robots.txt, site maps and feeds. The
    files carry the shop's fixed date, so a web server's Last-Modified agrees with that of `serve`.
    """
    pages = [path for path in page_paths() if path != "/"]
    for path in [*pages, *asset_paths(), *feed_paths(), "/robots.txt", "/sitemap.xml"]:
        page = render(path, origin)
        assert page is not None
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(page.body)
        os.utime(file, (CHANGED.timestamp(), CHANGED.timestamp()))
    return len(pages)


def _lasting(path: str, origin: str, count: int) -> Page | None:
    return scroll(path) if path == "/scroll" else bookshop_pages.render(path, origin) or feed(path, origin, count)


def _response(request: web.Request, page: Page, changed: datetime, announced: dict[str, str]) -> web.Response:
    """The page as the visitor gets it: 304 when it has this very page; what fails or is private has no validators."""
    headers = CIMultiDict([*announced.items(), *page.headers])
    if page.status == 200 and "Cache-Control" not in headers:
        headers.update({"Last-Modified": format_datetime(changed, usegmt=True), "ETag": f'"{page.etag}"'})
        if _unchanged(request, page, changed):
            return web.Response(status=304, headers=headers)
    headers["Content-Type"] = page.content_type
    return web.Response(status=page.status, body=page.body, headers=headers)


def _unchanged(request: web.Request, page: Page, changed: datetime) -> bool:
    """Whether the visitor has this very page; If-None-Match, when sent, decides alone (RFC 9110, 13.2.2)."""
    if request.if_none_match is not None:
        return any(tag.value in (page.etag, "*") for tag in request.if_none_match)
    since = request.if_modified_since
    return since is not None and since >= changed
