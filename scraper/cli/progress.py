"""The live display of a crawl: two lines on stderr, drawn a few times a second beside the crawl."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scraper.cli.tables import clock, console, size
from scraper.crawl import Crawl

EVERY = 0.25
"""Seconds between two drawings; one costs about 2 ms."""

WINDOW = 12
"""Drawings over which the speed is averaged: what matters is how fast it is now."""


class Progress:
    """``with Progress(crawl) as progress:`` shows it; ``follow()`` is the coroutine that keeps it moving."""

    def __init__(self, one: Crawl) -> None:
        self._crawl = one
        self._before = waiting(one.database) if one.database is not None else 0
        self._past: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        # What spiders print must not tear the display, but goes nowhere else than where it was meant to go.
        self._live = Live(
            console=console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            get_renderable=self._draw,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    async def follow(self) -> None:
        """Draw until cancelled."""
        while True:
            self._live.refresh()
            await asyncio.sleep(EVERY)

    def _draw(self) -> RenderableType:
        now = self._crawl.snapshot()
        done = now.pages + now.dead
        known = max(self._before + now.links, done + now.queued + now.in_flight)
        self._past.append((now.seconds, done))
        (then, before), seconds = self._past[0], now.seconds
        rate = (done - before) / (seconds - then) if seconds > then else now.pages_per_second
        head = Table.grid(padding=(0, 2, 0, 0))
        head.add_row(
            Text(self._crawl.spider.name, style="bold"),
            ProgressBar(total=max(known, 1), completed=done, width=24),
            f"{done:,} of {known:,} known pages",
            f"{rate:,.0f}/s",
            clock(now.seconds),
        )
        facts = (
            ("items", f"{now.items:,}"),
            ("queue", f"{max(known - done - now.in_flight, 0):,}"),
            ("in flight", f"{now.in_flight:,}"),
            ("retries", f"{now.retries:,}"),
            ("failures", f"{now.dead:,}"),
            ("", size(now.bytes)),
        )
        line = Text(overflow="ellipsis", no_wrap=True)
        for name, value in facts:
            bad = now.dead and name == "failures"
            line.append(f"{name} " if name else "", style="dim")
            line.append(f"{value}   ", style="yellow" if bad else "")
        return Group(head, line)


def waiting(database: Path) -> int:
    """Pages that an unfinished run left to be done; 0 when there is none to resume, or nothing to read."""
    if not database.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            last = db.execute("select finished from runs order by id desc limit 1").fetchone()
            if last is None or last[0]:
                return 0
            query = "select count(*) from pages where state in ('due', 'retry')"
            return int(db.execute(query).fetchone()[0])
    except sqlite3.Error:  # not ours, or busy: the crawl itself says so, better than we could
        return 0
