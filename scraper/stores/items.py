"""The items table, its rejects, and one view per kind with a column for each field.

A view reads the JSON, so a new field needs no migration: the view is made again, in the transaction
that brings the first item that has the field.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

from scraper.page import Found

MOST_COLUMNS = 1000
LONGEST_COLUMN = 100
"""SQLite allows 2,000 columns and a million bytes of SQL; fields past that stay in ``data`` without a column."""

PUT = """
insert into items (kind, key, data, page, first_run, last_run, stored_at) values (?, ?, ?, ?, ?, ?, ?)
on conflict (kind, key) do update set
    data = excluded.data, page = excluded.page, last_run = excluded.last_run, stored_at = excluded.stored_at
"""
REJECT = """
insert into rejects (kind, reason, data, page, ordinal, run) values (?, ?, ?, ?, ?, ?)
on conflict (page, ordinal) do update set
    kind = excluded.kind, reason = excluded.reason, data = excluded.data, run = excluded.run
"""
COUNT_KIND = """
insert into kinds (run, kind, items) values (?, ?, ?)
on conflict (run, kind) do update set items = items + excluded.items
"""
COUNT_FILLED = """
insert into fills (run, kind, field, filled) values (?, ?, ?, ?)
on conflict (run, kind, field) do update set filled = filled + excluded.filled
"""
OWN_NAMES = frozenset(
    "pages items rejects fields runs hosts attempts drops dropped kinds fills owner "
    "notes files files_leads file_links file_links_page files_of_items "
    "pages_due pages_host pages_wait pages_dead attempts_page dropped_url".split()
)
Shape = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Kind, fields, and those of the fields that are empty."""


class ItemTable:
    """Gathers the items of one transaction, then writes them; lives on the database thread."""

    def __init__(self) -> None:
        self._items: list[tuple[Any, ...]] = []
        self._rejects: list[tuple[Any, ...]] = []
        self._fields: dict[str, dict[str, None]] | None = None
        self._seen: set[Shape] = set()
        self._shapes: Counter[Shape] = Counter()

    def put(self, found: Found, page: int, run: int, now: float) -> None:
        """Take the items of one page."""
        for ordinal, item in enumerate(found.items):
            key = item.key if item.key is not None else f"{page}.{ordinal}"
            self._items.append((item.kind, key, item.data, page, run, run, now))
            self._shapes[item.kind, item.fields, item.empty] += 1
        for ordinal, reject in enumerate(found.rejects):
            self._rejects.append((reject.kind, reject.reason, reject.data, page, ordinal, run))

    def write(self, db: sqlite3.Connection, run: int) -> None:
        """Write what was taken, the views that it needs, and what it adds to the run's figures."""
        if self._items:
            db.executemany(PUT, self._items)
            self._items.clear()
            new = [shape for shape in self._shapes if shape not in self._seen]
            if new:
                self._learn(db, new)
            self._count(db, run)
        if self._rejects:
            db.executemany(REJECT, self._rejects)
            self._rejects.clear()

    def forget(self) -> None:
        """The transaction was undone: what it taught is unknown again."""
        self._items.clear()
        self._rejects.clear()
        self._shapes.clear()
        self._seen.clear()
        self._fields = None

    def _count(self, db: sqlite3.Connection, run: int) -> None:
        kinds: Counter[str] = Counter()
        filled: Counter[tuple[str, str]] = Counter()
        columns = self._fields or {}
        for (kind, fields, empty), number in self._shapes.items():
            kinds[kind] += number
            known = columns[kind]  # what has no column has no count either, so both are bounded
            for field in fields:
                if field in known and field not in empty:
                    filled[kind, field] += number
        self._shapes.clear()
        db.executemany(COUNT_KIND, [(run, kind, number) for kind, number in kinds.items()])
        db.executemany(COUNT_FILLED, [(run, *name, number) for name, number in filled.items()])

    def _learn(self, db: sqlite3.Connection, shapes: list[Shape]) -> None:
        if self._fields is None:
            self._fields = {}
            for kind, name in db.execute("select kind, name from fields order by kind, ordinal"):
                self._fields.setdefault(kind, {})[name] = None
        grown: dict[str, None] = {}
        for kind, names, _ in shapes:
            fields = self._fields.setdefault(kind, {})
            new = [name for name in names if name not in fields and len(name) <= LONGEST_COLUMN]
            del new[MOST_COLUMNS - len(fields) :]
            if new or not fields:
                rows = [(kind, name, len(fields) + n) for n, name in enumerate(new)]
                db.executemany("insert into fields (kind, name, ordinal) values (?, ?, ?)", rows)
                fields.update(dict.fromkeys(new))
                grown[kind] = None
        for kind in grown:
            make_view(db, kind, list(self._fields[kind]))
        if len(self._seen) > MOST_COLUMNS:  # dicts may come in any number of shapes
            self._seen.clear()
        self._seen.update(shapes)


def make_view(db: sqlite3.Connection, kind: str, fields: list[str]) -> None:
    """``create view <kind>``: a column per field, then _key, _page, _first_run and _last_run."""
    name = view_name(kind)
    columns = [f"{_value(field)} as {quoted(field)}" for field in fields]
    columns += ["key as _key", "page as _page", "first_run as _first_run", "last_run as _last_run"]
    db.execute(f"drop view if exists {quoted(name)}")
    db.execute(f"create view {quoted(name)} as select {', '.join(columns)} from items where kind = {_literal(kind)}")


def view_name(kind: str) -> str:
    """The view of a kind: its own name, or ``item_`` before it where SQLite or we use that name."""
    bare = kind.lower()
    while bare.startswith("item_"):  # a kind "item_pages" must not meet the view of a kind "pages"
        bare = bare[5:]
    taken = bare in OWN_NAMES or bare.startswith(("sqlite_", "pragma_", "json_"))
    return f"item_{kind}" if taken else kind


def quoted(name: str) -> str:
    """A name as SQLite's identifiers are quoted."""
    return '"' + name.replace('"', '""').replace("\0", "\ufffd") + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\0", "\ufffd") + "'"


def _value(field: str) -> str:
    """The SQL that reads a field. JSON paths cannot hold what JSON escapes; json_each can, but it is slow."""
    if '"' not in field and "\\" not in field and min(field, default=" ") >= " ":
        return f"json_extract(data, {_literal(f'$.{chr(34)}{field}{chr(34)}')})"
    return f"(select json_each.value from json_each(items.data) where json_each.key = {_literal(field)})"
