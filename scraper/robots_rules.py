"""Rules: what one robots.txt says to us. Protego knows how paths match; nothing here fetches anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from protego import Protego

from scraper.robots_text import US, plain

if TYPE_CHECKING:
    from scraper.robots_line import DenyingLines, Line

OFF_LOOP = 16 * 1024
"""From this size (characters) parsing takes longer than the loop may stand still: 1 ms for 6 kB."""

LONGEST_GAP = 10**9
"""Seconds; numbers in a file may have any number of digits."""


class Rules:
    """Which URLs are allowed to us, and how fast they may be asked for.

    ``gap`` is seconds from request to request, by the longer of its Crawl-delay and Request-rate; 0 without one.
    A Request-rate that is for some hours of the day is obeyed all day.
    """

    __slots__ = ("_finding", "_lines", "_robots", "_text", "gap", "size")

    def __init__(self, text: str, token: str) -> None:
        """``token`` is our name; the rules for everybody apply where no group has it."""
        self._text = plain(text, token)  # a twentieth of what Protego makes of it; until lines are made of it
        self._robots = Protego.parse(self._text)
        self._lines: DenyingLines | None = None
        self._finding: asyncio.Lock | None = None
        self.size = len(text)
        rate = self._robots.request_rate(US)
        rated = min(rate.seconds, LONGEST_GAP) / rate.requests if rate is not None else 0.0
        self.gap = max(min(self._robots.crawl_delay(US) or 0.0, LONGEST_GAP), rated)

    def allows(self, url: str) -> bool:
        """Whether a canonical URL of this origin may be fetched."""
        return self._robots.can_fetch(url, US)

    async def line(self, url: str) -> Line | None:
        """The line that forbids a URL; None when no line does by itself."""
        from scraper.robots_line import DenyingLines  # few crawls are denied anything

        if self._lines is None:
            self._finding = self._finding or asyncio.Lock()
            async with self._finding:  # the first who is denied makes it for all
                if self._lines is None:
                    text = self._text
                    small = len(text) < OFF_LOOP
                    self._lines = DenyingLines(text, US) if small else await asyncio.to_thread(DenyingLines, text, US)
                    self._text = ""
        return self._lines.find(url)


async def read_rules(text: str, token: str) -> Rules:
    """The rules of a text; a large one is parsed on a thread."""
    return Rules(text, token) if len(text) < OFF_LOOP else await asyncio.to_thread(Rules, text, token)
