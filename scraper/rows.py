"""Rows: the items of a database, read back as they were yielded, also while a crawl writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from scraper.errors import StoreError, UsageError
from scraper.item import snake
from scraper.page import Unfit
from scraper.stores.schema import check_readable

T = TypeVar("T")

CHUNK = 500
ITEMS = """
select id, kind, key, data from items where id > ? and (? is null or kind = ?) and (? is null or last_run = ?)
    and (? is null or stored_at >= ?) order by id limit ?
"""


@overload
def items(
    db: str | Path, kind: type[T], *, run: int | None = None, since: datetime | date | float | None = None
) -> Iterator[T]: ...
@overload
def items(
    db: str | Path, kind: str | None = None, *, run: int | None = None, since: datetime | date | float | None = None
) -> Iterator[dict[str, Any]]: ...
def items(
    db: str | Path,
    kind: type[Any] | str | None = None,
    *,
    run: int | None = None,
    since: datetime | date | float | None = None,
) -> Iterator[Any]:
    """The stored items, in the order in which they were first stored; any number of them passes in flat memory.

    Args:
        db: the file, such as ``data/books.db``.
        kind: the class of the items: they come as objects of it, equal to what was stored. The name of a kind, or
            nothing for all kinds: as dicts of JSON.
        run: only what this run gave (and no later one gave again).
        since: only what was stored at this moment or later: a datetime (without a zone: local), a date, or epoch
            seconds.

    Raises:
        UsageError: there is no such file, it is none of ours, or a row does not fit the class.
        StoreError: SQLite cannot read it.
    """
    path = Path(db)
    if not path.is_file():
        raise UsageError(f"there is no database {path}; a crawl makes it")
    restore: Any = msgspec.json.decode
    if isinstance(kind, type):
        from scraper.digits import decoded  # not for dicts
        from scraper.restore import restorer

        try:
            back = restorer(kind)
        except TypeError as error:
            raise UsageError(f"{error}; give a dataclass, a msgspec.Struct, an attrs or a pydantic class") from error

        def restore(text: str) -> Any:
            return back(decoded(text))

    name = kind if not isinstance(kind, type) else "item" if kind is dict else snake(kind.__name__)
    return _items(path, name, kind, restore, run, None if since is None else _epoch(since))


def _items(
    path: Path, name: str | None, kind: Any, restore: Any, run: int | None, since: float | None
) -> Iterator[Any]:
    last = 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            check_readable(path, db)
            while True:  # in chunks: a reader that stays in one would keep the writer's file from shrinking
                rows = db.execute(ITEMS, (last, name, name, run, run, since, since, CHUNK)).fetchall()
                for _, row_kind, key, data in rows:
                    try:
                        value = restore(data)
                    except Unfit as flaw:
                        raise UsageError(f"{row_kind} {key!r} in {path} does not fit {kind.__name__}: {flaw}") from flaw
                    yield value
                if len(rows) < CHUNK:
                    return
                last = rows[-1][0]
    except sqlite3.DatabaseError as error:
        raise StoreError(f"cannot read {path}: {error}") from error


def _epoch(since: datetime | date | float) -> float:
    if isinstance(since, datetime):
        return since.timestamp()
    if isinstance(since, date):
        return datetime.combine(since, time()).timestamp()
    return float(since)
