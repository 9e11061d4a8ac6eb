"""New pages: which of the links of one transaction are new in this run, and their rows."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from scraper.request import Request, to_json
from scraper.stores.budget import Budget
from scraper.url import host_of

KNOWN = 25_000
"""Links remembered in each of two generations: one to a page known lately costs neither a hash nor a statement."""

MOST_AT_ONCE = 512

ADD = """
insert into pages (fp, url, host, state, run, priority, depth, callback, request, found_on, found_at)
values (?, ?, ?, 'due', ?, ?, ?, ?, ?, ?, ?)
on conflict (fp) do update set
    state = 'due', run = excluded.run, priority = excluded.priority, depth = excluded.depth, attempts = 0,
    reason = null, error = null, callback = excluded.callback, request = excluded.request,
    due = null, first_tried = null, crashes = 0
"""


_Link = tuple[bytes, Request, int | None]


class LinkTable:
    """Gathers the links of one transaction, then writes them; lives on the database thread."""

    def __init__(self) -> None:
        self.budget = Budget()
        self.over: dict[int | None, list[str]] = {}
        """Links of the last transaction for which their host had no page left, by the page that gave them."""
        self._waiting: list[_Link] = []
        self._known: set[str | bytes] = set()
        self._known_before: set[str | bytes] = set()

    def put(self, requests: Iterable[Request], found_on: int | None) -> None:
        """Take the links of one page; ``found_on`` is None for seeds."""
        known, before, waiting = self._known, self._known_before, self._waiting
        any_number = not self.budget.most
        for request in requests:
            # A plain GET is told by its URL, anything else by its fingerprint.
            name = request.url if request.stored == "" else request.fingerprint
            if name not in known and name not in before:
                if any_number:  # else it is known once there was room for it
                    known.add(name)
                waiting.append((request.fingerprint, request, found_on))

    def write(self, db: sqlite3.Connection, run: int, now: float) -> tuple[Counter[int | None], int | None]:
        """Write what was taken. Returns how many were new by the page that revealed them, and their top priority."""
        waiting, self._waiting, self.over = self._waiting, [], {}
        if len(self._known) > KNOWN:
            self._known_before, self._known = self._known, set()
        new: Counter[int | None] = Counter()
        rows: list[tuple[Any, ...]] = []
        met = set(_met(db, [each[0] for each in waiting], run))
        if self.budget.most and waiting:
            waiting = self._within(db, run, waiting, met)
        for fp, request, found_on in waiting:
            if fp not in met:
                met.add(fp)  # the first request for a page is the one that counts
                new[found_on] += 1
                url, extra = request.url, to_json(request)
                priority, depth, callback = request.priority, request.depth, request.callback
                rows.append((fp, url, host_of(url), run, priority, depth, callback, extra, found_on, now))
        if rows:
            db.executemany(ADD, rows)
        return new, max((row[4] for row in rows), default=None)

    def _within(self, db: sqlite3.Connection, run: int, waiting: list[_Link], met: set[bytes]) -> list[_Link]:
        """The new ones for which their hosts have room, each once; the others are ``over``."""
        within: dict[bytes, _Link] = {}
        taken: Counter[str] = Counter()
        room = self.budget.room(db, run, {host_of(request.url) for _, request, _ in waiting})
        for link in waiting:
            fp, request, found_on = link
            if fp not in met and fp not in within:
                host = host_of(request.url)
                if taken[host] >= room[host]:
                    self.over.setdefault(found_on, []).append(request.url)
                    continue
                taken[host] += 1
                within[fp] = link
            self._known.add(request.url if request.stored == "" else fp)
        self.budget.take(db, +taken)
        return list(within.values())

    def forget(self) -> None:
        """The transaction was undone: what it taught is unknown again."""
        self.budget.forget()
        self._waiting.clear()
        self._known, self._known_before = set(), set()


def _met(db: sqlite3.Connection, fps: list[bytes], run: int) -> Iterator[bytes]:
    """Those of the fingerprints that this run has met."""
    for start in range(0, len(fps), MOST_AT_ONCE):
        chunk = fps[start : start + MOST_AT_ONCE]
        # Padded to a power of two, so that SQLite prepares ten statements and not five hundred.
        size = 1 << (len(chunk) - 1).bit_length()
        marks = ",".join("?" * size)
        values = (run, *chunk, *[b""] * (size - len(chunk)))
        for row in db.execute(f"select fp from pages where run >= ? and fp in ({marks})", values):
            yield row[0]
