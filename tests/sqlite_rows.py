"""Rows in and out of a SqliteStore: what its tests say it with."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from scraper.item import to_item
from scraper.page import Done, Found, Item, Lease, Seen
from scraper.request import Request
from scraper.stores.sqlite import SqliteStore

NOW = 1_700_000_000.0
LATER = NOW + 3600


def items(*values: Any) -> Found:
    found = Found()
    for value in values:
        item = to_item(value)
        (found.items if isinstance(item, Item) else found.rejects).append(item)  # type: ignore[arg-type]
    return found


def named(kind: str, data: dict[str, Any]) -> Item:
    return Item(kind, None, msgspec.json.encode(data).decode(), tuple(data))


def links(*paths: str) -> list[Request]:
    return [Request(f"http://h.test/{path}") for path in paths]


async def lease_one(store: SqliteStore, path: str) -> Lease:
    await store.add(links(path), NOW)
    (lease,) = await store.lease(1, 9, NOW, LATER)
    return lease


async def visit(store: SqliteStore, path: str, found: Found) -> None:
    (receipt,) = await store.commit([Done(await lease_one(store, path), Seen(200), found)], NOW)
    assert receipt.applied


def rows(path: Path, query: str) -> list[dict[str, Any]]:
    """What another program reads."""
    db = sqlite3.connect(path)
    try:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query)]
    finally:
        db.close()
