"""Notes: what was learnt of the hosts, kept from one crawl to the next. Functions of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from scraper.page import Note


def save(db: sqlite3.Connection, notes: Sequence[Note]) -> None:
    """Each in the place of an earlier one of its kind and key; within a transaction of the caller."""
    gone = [(note.kind, note.key) for note in notes if note.value is None]
    kept = [(note.kind, note.key, note.value, note.until) for note in notes if note.value is not None]
    if gone:
        db.executemany("delete from notes where kind = ? and key = ?", gone)
    if kept:
        db.executemany("insert or replace into notes (kind, key, value, until) values (?, ?, ?, ?)", kept)


def read(db: sqlite3.Connection, kind: str, now: float, keys: Collection[str] | None) -> dict[str, Note]:
    """Those of a kind that are not out of date, by key."""
    query = "select kind, key, value, until from notes where kind = ? and until > ?"
    if keys is None:
        rows = db.execute(query, (kind, now)).fetchall()
    else:
        rows = [row for key in keys for row in db.execute(f"{query} and key = ?", (kind, now, key))]
    return {row[1]: Note(*row) for row in rows}


def sweep(db: sqlite3.Connection, now: float) -> None:
    """Forget what is out of date."""
    db.execute("delete from notes where until <= ?", (now,))
