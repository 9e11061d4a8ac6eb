"""The items of any store in a small database of their own, so that every export reads the same tables."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec

from scraper.errors import ExportError
from scraper.ports import Store, StoredItem

TABLES = """
create table items (
    id integer primary key, kind text, key text, data text, page integer, first_run integer, last_run integer,
    stored_at real
) strict;
create index items_kind on items (kind);
create table fields (kind text, name text, ordinal integer) strict;
create table pages (id integer primary key, url text) strict;
"""

MOST_FIELDS = 1000
LONGEST_FIELD = 100
"""Of a kind, as in a store of ours; for those beyond, an export that needs them reads all items."""


@asynccontextmanager
async def spooled(store: Store, run: int) -> AsyncIterator[Path]:
    """A database with what ``run`` met; it is gone afterwards. When an item was stored is unknown.

    Raises ExportError where there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="scraper-") as folder:
        path = Path(folder) / "items.db"
        try:
            await _fill(store, run, path)
        except sqlite3.Error as error:
            raise ExportError(f"cannot gather the items in {folder}: {error}; TMPDIR says where") from error
        yield path


async def _fill(store: Store, run: int, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = off")
        db.execute("pragma synchronous = off")
        db.executescript(TABLES)
        fields: dict[str, dict[str, None]] = {}
        group: list[StoredItem] = []
        number = 0
        async for item in store.items(run):
            group.append(item)
            names = fields.setdefault(item.kind, {})
            if len(names) < MOST_FIELDS and not names.keys() >= item.data.keys():
                names.update(dict.fromkeys(name for name in item.data if len(name) <= LONGEST_FIELD))
            if len(group) == 500:
                number = _put(db, group, number)
        _put(db, group, number)
        db.executemany(
            "insert into fields values (?, ?, ?)",
            [(kind, name, n) for kind, names in fields.items() for n, name in enumerate(names)],
        )
        db.commit()


def _put(db: sqlite3.Connection, group: list[StoredItem], number: int) -> int:
    """``number`` items are there already; returns how many there are then."""
    rows = list(enumerate(group, number + 1))
    db.executemany("insert into pages values (?, ?)", [(n, item.url) for n, item in rows])
    db.executemany(
        "insert into items values (?, ?, ?, ?, ?, ?, ?, null)",
        [
            (n, each.kind, each.key, msgspec.json.encode(each.data).decode(), n, each.first_run, each.last_run)
            for n, each in rows
        ],
    )
    group.clear()
    return number + len(rows)
