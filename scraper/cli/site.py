"""``scraper demo-site``: the bookshop on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
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
) -> None:
    """Serve a bookshop to practise on, until Ctrl-C.

    1,000 books, 50 listings, categories, robots.txt and a site map: the same every time, on every machine.
    The address goes to stdout, alone.

    \b
    Examples:
      scraper demo-site
      scraper demo-site --port 0 --latency 0.05     a free port, a slower shop
      scraper demo-site --keepalive 0               a shop that hangs up after each answer
    """
    asyncio.run(_serve(host, port, latency, keepalive))


async def _serve(host: str, port: int, latency: float, keepalive: float) -> None:
    from scraper.testing.bookshop import serve

    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, over.set)
    try:
        runner = await serve(host, port, latency, keepalive)
    except OSError as error:
        raise UsageError(f"cannot serve on {host}:{port}: {error}; try another --port (0: a free one)") from error
    try:
        address, real = runner.addresses[0][:2]
        url = f"http://{f'[{address}]' if ':' in address else address}:{real}/"
        print(url, flush=True)
        print(f"1,000 books until Ctrl-C. Crawl them: scraper crawl books -a start={url}", file=sys.stderr)
        await over.wait()
    finally:
        await runner.cleanup()
