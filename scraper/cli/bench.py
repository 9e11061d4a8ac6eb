"""``scraper bench``: what this machine can do, by the whole stack and by a bare loop beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time
from typing import Annotated, Any

import msgspec
import typer

from scraper.errors import ScraperError
from scraper.process import cores, loop_factory
from scraper.response import Response
from scraper.settings import Settings
from scraper.spider import Spider

TURN = 1_000
"""Pages of one turn: the two sides take turns, so that a machine that slows down slows both."""

BOOKS, NEXT = "article.product_pod h3 a", "li.next a"
FIELDS = {"title": "h1", "price": "p.price_color", "stock": "p.availability"}


class Side(msgspec.Struct):
    """One side: pages and items that it had, in how many seconds of the clock and of this process's processor."""

    pages: int = 0
    items: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    requests: int = 0
    connections: int = 0

    @property
    def rate(self) -> float:
        """Pages a second."""
        return self.pages / self.seconds if self.seconds else 0.0


def bench(
    seconds: Annotated[float, typer.Option("--seconds", metavar="N", min=0.1, help="How long, in all.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure this machine: pages per second by the whole stack, and by a bare loop.

    Serves the bundled bookshop in a process of its own and crawls it again and again into a temporary database, by
    the default settings: robots.txt, session, parsing, links, items, SQLite. In turns with that, a bare aiohttp and
    selectolax loop gets and reads as many pages over as many connections, and keeps nothing. Needs no network.

    \b
    Examples:
      scraper bench
      scraper bench --seconds 3 --json | jq .crawl.rate
    """
    with _server() as (url, server), tempfile.TemporaryDirectory(prefix="scraper-bench-") as folder:
        before = os.times()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            crawled, bare = runner.run(_measure(url, Path(folder), seconds))
        server.terminate()
        server.wait()
        after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    sides = {"crawl": crawled, "bare": bare}
    share = crawled.rate / bare.rate if bare.rate else 0.0
    if as_json:
        report: dict[str, Any] = {
            name: {**msgspec.to_builtins(each), "rate": each.rate} for name, each in sides.items()
        }
        print(msgspec.json.encode({**report, "share": share, "server_cpu": spent, "processors": cores()}).decode())
    else:
        _print(sides, share, spent)


@contextmanager
def _server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The bookshop at a free port, in a process of its own."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the server must not outlive us
    command = [sys.executable, "-m", "scraper", "demo-site", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stderr is not None
        try:
            url = server.stdout.readline().strip()
            if not url:
                raise ScraperError(f"the demo site did not start: {server.stderr.read().strip()}")
            yield url, server
        finally:
            server.kill()
            signal.signal(signal.SIGTERM, before)


async def _measure(url: str, folder: Path, seconds: float) -> tuple[Side, Side]:
    crawled, bare = Side(), Side()
    await _crawl(url, folder / "warm.db", 20, Side())  # what is imported late is imported now
    await _bare(url, 20, Side())
    ends = monotonic() + seconds
    turn = 0
    while not turn or monotonic() < ends:
        turn += 1
        await _crawl(url, folder / f"{turn}.db", TURN, crawled)
        await _bare(url, TURN, bare)
    return crawled, bare


class Shop(Spider):
    """What both sides read."""

    name = "bench"

    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response: Response) -> Iterator[Any]:
        """Listings lead to books and to the next listing; a book is an item."""
        yield from response.follow_all(BOOKS, self.parse_book)
        yield from response.follow_all(NEXT)

    def parse_book(self, response: Response) -> Iterator[Any]:
        """One book."""
        yield {name: response.css(f"{query}::text").get() for name, query in FIELDS.items()}


async def _crawl(url: str, database: Path, pages: int, side: Side) -> None:
    from scraper.crawl import Crawl

    one = Crawl(Shop, arguments={"start": url}, db=database, settings=Settings(limit_pages=pages, log_level="error"))
    begun, spent = monotonic(), process_time()
    report = await one.run()
    side.seconds += monotonic() - begun
    side.cpu += process_time() - spent
    side.pages += report.counts.pages
    side.items += report.counts.items
    side.requests += sum(host.requests for host in report.hosts)
    side.connections += sum(host.opened for host in report.hosts)


async def _bare(url: str, pages: int, side: Side) -> None:
    """As short as it can be written: no robots.txt, no limits, no retries, nothing stored."""
    import aiohttp
    from selectolax.lexbor import LexborHTMLParser
    from yarl import URL

    waiting: asyncio.Queue[tuple[URL, bool] | None] = asyncio.Queue()
    waiting.put_nowait((URL(url), True))
    met = {url}
    most = Settings().concurrency_per_host
    connections = 0

    async def opened(*_: Any) -> None:
        nonlocal connections
        connections += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(opened)
    taken = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal taken
        while (found := await waiting.get()) is not None and taken < pages:
            page, listing = found
            taken += 1
            async with session.get(page) as response:
                tree = LexborHTMLParser(await response.read())
            side.pages += 1
            if not listing:
                _ = {name: node.text() for name, query in FIELDS.items() if (node := tree.css_first(query))}
                side.items += 1
                continue
            for query in (BOOKS, NEXT):
                for node in tree.css(query):
                    link = page.join(URL(node.attributes["href"] or ""))
                    if str(link) not in met:
                        met.add(str(link))
                        waiting.put_nowait((link, query == NEXT))
        waiting.put_nowait(None)  # wakes the next

    begun, spent = monotonic(), process_time()
    connector = aiohttp.TCPConnector(limit=most)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
        await asyncio.gather(*(work(session) for _ in range(most)))
    side.seconds += monotonic() - begun
    side.cpu += process_time() - spent
    side.requests += taken
    side.connections += connections


def _print(sides: dict[str, Side], share: float, server: float) -> None:
    from scraper.cli.tables import print_rows

    columns = ("", "pages/s", "pages", "items", "requests", "connections", "of one processor")
    words = {"crawl": "scraper, everything on", "bare": "bare loop, keeps nothing"}
    rows = [
        (
            words[name],
            f"{side.rate:,.0f}",
            f"{side.pages:,}",
            f"{side.items:,}",
            f"{side.requests:,}",
            f"{side.connections:,}",
            f"{side.cpu / side.seconds:.0%}",
        )
        for name, side in sides.items()
    ]
    print_rows(columns, rows, numbers=columns[1:])
    both = sum(side.seconds for side in sides.values())
    print(
        f"\nscraper reaches {share:.0%} of the bare loop. Measured in turns, {both:.1f} s in all, by this one process; "
        f"the shop was served by another,\nwhich took {server / both:.0%} of one of the {cores()} processors here"
        + (", and so slows both sides." if cores() == 1 else ": near 100 % it is the shop that is measured.")
    )
