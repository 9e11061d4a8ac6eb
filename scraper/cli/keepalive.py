"""``scraper keepalive``: does this server keep its connections, and what is that worth?"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from scraper.settings import load


def keepalive(
    url: Annotated[str, typer.Argument(metavar="URL", help="A page that can be asked for a few times.")],
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=2, help="How many requests each way.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Find out whether a server keeps connections.

    Sends N requests with keep-alive, then N with a connection each, one after the other, and reports the
    connections opened, the time of the first and of later requests, what the server says about keep-alive,
    and whether reuse works.

    \b
    Examples:
      scraper keepalive https://books.toscrape.com/
      scraper keepalive http://127.0.0.1:8000/ -n 50 --json
    """
    from scraper.keepalive import measure, render

    report = asyncio.run(measure(url, number, load()))
    if as_json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        from scraper.cli.tables import console

        console().print(render(report))
