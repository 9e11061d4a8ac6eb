"""Leases: which due pages are handed out next, and who holds which.

The file has one owner, so leases live in memory and nothing is written when a page is leased. All this runs
on the database thread, in the order of the calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from scraper.page import Lease
from scraper.request import from_json

MOST_PASSED = 200
"""Pages of hosts that have enough, looked at in order, before the other hosts are looked up by name."""

LEASE = "select id, host, url, callback, priority, depth, request, attempts, first_tried from pages where state = 'due'"
IN_ORDER = f"{LEASE} and priority <= ? and not (priority = ? and id <= ?) order by priority desc, id"
OF_HOST = f"{LEASE} and host = ? order by priority desc, id"
NEXT_HOST = "select host from pages where state = 'due' and host > ? order by host limit 1"
TOP = 2**63 - 1


class LeaseTable:
    """Who holds what, and from where the next look for due pages begins."""

    def __init__(self) -> None:
        self._held: dict[int, Lease] = {}
        self._token = 0
        self._floor = (TOP, -1)  # every due page before this (priority, id) is held

    def clear(self) -> None:
        """A new owner holds nothing."""
        self._held.clear()
        self.look_again()

    def look_again(self) -> None:
        """Pages may be due anywhere: the next look begins at the top."""
        self._floor = (TOP, -1)

    def look_at(self, priority: int) -> None:
        """New pages of this priority are due, at the end of their like."""
        if priority > self._floor[0]:
            self.look_again()

    def holds(self, lease: Lease) -> bool:
        held = self._held.get(lease.page)
        return held is not None and held.token == lease.token

    def end(self, pages: Iterable[int]) -> None:
        """These are finished; their leases are worth nothing any more."""
        for page in pages:
            del self._held[page]

    def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self.holds(lease):
                del self._held[lease.page]
        self.look_again()

    def take(
        self,
        db: sqlite3.Connection,
        limit: int,
        per_host: int,
        now: float,
        until: float,
        full: Collection[str],
    ) -> list[Lease]:
        """As ``Store.lease`` promises."""
        self._promote(db, now)
        ended = [page for page, lease in self._held.items() if lease.until <= now]
        for page in ended:
            del self._held[page]
            self.look_again()
        leases: list[Lease] = []
        taken: dict[str, int] = dict.fromkeys(full, per_host)
        passed = 0
        floor = self._floor
        for row in db.execute(IN_ORDER, (floor[0], *floor)):
            if len(leases) == limit or passed > MOST_PASSED:
                break
            page, host = row[0], row[1]
            if page not in self._held:
                if taken.get(host, 0) >= per_host:
                    passed += 1
                    continue
                taken[host] = taken.get(host, 0) + 1
                leases.append(self._hold(row, until))
            if not passed:
                floor = (row[4], page)
        self._floor = floor
        if len(leases) < limit and passed > MOST_PASSED:  # a few hosts have it all: ask for the others by name
            self._take_by_host(db, leases, taken, limit, per_host, until)
        return leases

    def _take_by_host(
        self,
        db: sqlite3.Connection,
        leases: list[Lease],
        taken: dict[str, int],
        limit: int,
        per_host: int,
        until: float,
    ) -> None:
        host = ""
        while len(leases) < limit and (found := db.execute(NEXT_HOST, (host,)).fetchone()):
            host = found[0]
            if taken.get(host, 0) >= per_host:
                continue
            for row in db.execute(OF_HOST, (host,)):
                if taken.get(host, 0) >= per_host or len(leases) == limit:
                    break
                if row[0] not in self._held:
                    taken[host] = taken.get(host, 0) + 1
                    leases.append(self._hold(row, until))

    def _hold(self, row: tuple[Any, ...], until: float) -> Lease:
        page, host, url, callback, priority, depth, extra, attempts, first_tried = row
        self._token += 1
        request = from_json(url, callback, priority, depth, extra)
        lease = Lease(page, self._token, request, host, attempts + 1, until, first_tried)
        self._held[page] = lease
        return lease

    def _promote(self, db: sqlite3.Connection, now: float) -> None:
        """Retries whose date has come are due like all others."""
        if db.execute("select 1 from pages where state = 'retry' and due <= ? limit 1", (now,)).fetchone():
            db.execute("update pages set state = 'due', due = null where state = 'retry' and due <= ?", (now,))
            self.look_again()
