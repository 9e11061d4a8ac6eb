"""The page budget: how many pages of each host this run has, counted in the transaction that adds them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection

MOST_AT_ONCE = 500

COUNT = """
insert into host_pages (host, pages) select host, count(*) from pages where run = ? group by host
"""
TAKE = """
insert into host_pages (host, pages) values (?, ?) on conflict (host) do update set pages = pages + excluded.pages
"""


class Budget:
    """Lives on the database thread. ``most`` pages of one host in a run; 0: any number, and nothing is counted.

    The counts are a temporary table: it is undone with its transaction. It is in memory, some 60 bytes for each host,
    and only where there is a budget. Each process counts the pages once and goes on from there, so that no kill, and no
    process without a budget, can put it wrong.
    """

    def __init__(self) -> None:
        self.most = 0
        self._counted: int | None = None

    def room(self, db: sqlite3.Connection, run: int, hosts: Collection[str]) -> dict[str, int]:
        """How many more pages each of the hosts may have; in a transaction."""
        if self._counted != run:
            db.execute("drop table if exists temp.host_pages")
            db.execute("create temp table host_pages (host text primary key, pages integer not null) without rowid")
            db.execute(COUNT, (run,))
            self._counted = run
        room = dict.fromkeys(hosts, self.most)
        names = list(room)
        for start in range(0, len(names), MOST_AT_ONCE):
            chunk = names[start : start + MOST_AT_ONCE]
            marks = ",".join("?" * len(chunk))
            for host, pages in db.execute(f"select host, pages from host_pages where host in ({marks})", chunk):
                room[host] -= pages
        return room

    def take(self, db: sqlite3.Connection, new: Counter[str]) -> None:
        """Pages were added, so many of each host; in the same transaction."""
        db.executemany(TAKE, new.items())

    def forget(self) -> None:
        """The transaction was undone, perhaps with the table."""
        self._counted = None
