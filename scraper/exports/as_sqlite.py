"""SQLite: a new file with a table for each kind and a column for each field."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec

from scraper.errors import ExportError, OutputError
from scraper.exports.columns import LONGEST, survey, values
from scraper.exports.source import Source

MOST = 2000
"""Columns that SQLite allows."""


def write(source: Source, path: str, shown: str) -> int:
    """Write the rows into an empty file, which messages call ``shown``.

    Columns are INTEGER, REAL or TEXT where all values of a field are; true and false are 1 and 0, nested values JSON,
    integers beyond 64 bits text.

    Raises OutputError for more columns than SQLite allows, ExportError when the file cannot be written.
    """
    total = 0
    tables: dict[str, None] = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        with _written(shown):
            # The file is thrown away when anything fails, so there is nothing to roll back to.
            db.execute("pragma journal_mode = off")
            db.execute("pragma synchronous = off")
            db.execute("begin")
        for kind in source.kinds:
            total += _table(db, source.of_kind(kind), _unique(kind, tables), shown)
        with _written(shown):
            db.execute("commit")
    return total


def _table(db: sqlite3.Connection, source: Source, name: str, shown: str) -> int:
    held = survey(source)
    columns = [name for name in source.columns(list(held)) if name in held or source.has(name)]
    if len(columns) > MOST:
        raise OutputError(f"cannot write {shown}: {len(columns):,} fields, and SQLite takes {MOST:,}; use jsonl")
    taken: dict[str, None] = {}
    declared = [f"{_quoted(_unique(column, taken))} {_type(held.get(column, set()))}" for column in columns]
    if not columns:  # a table has one column at least
        declared = ["_nothing"]
    insert = f"insert into {_quoted(name)} values ({', '.join('?' * len(declared))})"
    number = 0
    with _written(shown):
        db.execute(f"create table {_quoted(name)} ({', '.join(declared)})")
    for _, row in values(source, columns):
        with _written(shown):  # around this only: an error of the source is not one of the file
            db.execute(insert, [_value(value) for value in row] or [None])
        number += 1
    return number


@contextmanager
def _written(shown: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ExportError(f"cannot write {shown}: {error}; the items are safe in the database") from error


def _value(value: Any) -> Any:
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    if type(value) is int and not -LONGEST <= value < LONGEST:
        return str(value)
    return value


def _type(held: set[str]) -> str:
    if held and held <= {"bool", "int", "long"}:
        return "integer"
    if held and held <= {"int", "float"}:
        return "real"
    return "text" if held <= {"str", "json"} else ""


def _unique(name: str, taken: dict[str, None]) -> str:
    """A name that SQLite, to which ``Title`` and ``title`` are one, does not have yet."""
    if name.lower().startswith("sqlite_"):
        name = f"item_{name}"
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    taken[found.lower()] = None
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("\0", "\ufffd") + '"'
