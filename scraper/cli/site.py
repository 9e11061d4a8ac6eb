"""``scraper demo-site``: the bookshop on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from scraper.errors import UsageError


def demo_site(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0 takes a free one.")] = 8000,
    latency: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Wait so long before each answer.")] = 0.0,
    keepalive: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Close idle connections after this; 0: after each answer."),
    ] = 75.0,
    withheld: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=1000, help="Keep the newest N books back from API, feeds, lists, /new."),
    ] = 0,
) -> None:
    """Serve a bookshop to practise on, until Ctrl-C.

    1,000 books, the same every time, on every machine. The address goes to stdout, alone.

    \b
    What is there:
      /                             50 listings, categories, 1,000 books, robots.txt
      /sitemap.xml                  everything; /sitemap-index.xml: in parts, one gzipped
      /feed.rss /feed.atom          the newest 50
      /books.csv .jsonl .xml        all of them
      /api/books                    JSON by ?cursor=, ?page= or ?offset=, with &limit=
      /api/books/UPC                JSON of one
      /scroll                       a page that is filled from the API by a script
      /new                          newest first; ?since=ID or ?since=DATE
      /login /account               a form with a token; orders behind it (reader, bookworm)

    \b
    Examples:
      scraper demo-site
      scraper demo-site --port 0 --latency 0.05     a free port, a slower shop
      scraper demo-site --keepalive 0               a shop that hangs up after each answer
      scraper demo-site --withheld 10               later without it: ten new books have come in
    """
    asyncio.run(_serve(host, port, latency, keepalive, withheld))


async def _serve(host: str, port: int, latency: float, keepalive: float, withheld: int) -> None:
    from scraper.testing.bookshop import serve

    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, over.set)
    try:
        runner = await serve(host, port, latency, keepalive, withheld)
    except OSError as error:
        raise UsageError(f"cannot serve on {host}:{port}: {error}; try another --port (0: a free one)") from error
    try:
        address, real = runner.addresses[0][:2]
        url = f"http://{f'[{address}]' if ':' in address else address}:{real}/"
        print(url, flush=True)
        print(f"1,000 books until Ctrl-C. Crawl them: {crawling(url)}", file=sys.stderr)
        print("Login, API, feeds and files: scraper demo-site --help", file=sys.stderr)
        await over.wait()
    finally:
        await runner.cleanup()


def crawling(url: str) -> str:
    """A command that crawls the shop, also where there is no spider yet."""
    made = "" if Path("spiders", "books.py").is_file() else "scraper startproject shop && cd shop && "
    return f"{made}scraper crawl books -a start={url}"
