"""The rows to be exported: which ones, in which order, with which columns. Reads the tables of a database as
docs/database.md describes them, row by row, so that any number of them passes in flat memory."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from scraper.errors import OutputError

META = {
    "_kind": "i.kind",
    "_key": "i.key",
    "_url": "p.url",
    "_first_run": "i.first_run",
    "_last_run": "i.last_run",
    "_stored_at": "strftime('%Y-%m-%dT%H:%M:%SZ', i.stored_at, 'unixepoch')",
}
"""Columns of our own, with the SQL that reads each."""

ADDED = ("_key", "_url", "_first_run", "_last_run", "_stored_at")
"""What ``with_meta`` adds."""

CHUNK = 200
"""Rows that pass before a cancelled export ends, and a bar is moved on."""


class Look(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the items goes into a file, and how it looks there.

    ``fields``: only these, in this order. ``order``: fields to sort by, ``-price`` for the largest first.
    ``kind``: only these kinds. ``new``: only items that no earlier run had met. ``with_meta``: with the columns
    ``_key``, ``_url``, ``_first_run``, ``_last_run`` and ``_stored_at``. ``csv_safe``: no cell is taken for a
    formula. ``excel``: a mark by which Excel knows UTF-8.
    """

    fields: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    new: bool = False
    with_meta: bool = False
    csv_safe: bool = False
    excel: bool = False


class Span(Struct, frozen=True):
    """Of which runs. ``run``: met last by this one. ``since_run``: by this or a later one. ``since``: stored at this
    date (epoch seconds) or later."""

    run: int | None = None
    since_run: int | None = None
    since: float | None = None


class Row(NamedTuple):
    """An item: ``data`` is its JSON as it is stored; our own columns stand in front of it and behind it."""

    kind: str
    data: str
    front: dict[str, Any]
    behind: dict[str, Any]


class Source:
    """The chosen items of a database. Every question is to be asked inside one transaction (``snapshot``).

    ``strict`` raises OutputError for kinds and fields that are unknown, with the nearest; without it they are empty.
    ``stopped`` is asked now and then; when it says so, reading ends in ``Stopped``.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        span: Span,
        look: Look,
        strict: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        passed: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._db = db
        self._span = span
        self._look = look
        self._stopped = stopped
        self._passed = passed
        known = _kinds(db)
        self.kinds = [kind for kind in known if not look.kind or kind in look.kind]
        if strict and known:
            for kind in look.kind:
                if kind not in known:
                    raise OutputError(_unknown("kind", kind, known))
        self._fields: dict[str, list[str]] = {kind: [] for kind in self.kinds}
        for kind, name in db.execute("select kind, name from fields order by kind, ordinal"):
            if kind in self._fields:
                self._fields[kind].append(name)
        if strict and self.kinds:
            self._check()

    def _check(self) -> None:
        known = [*dict.fromkeys(name for names in self._fields.values() for name in names), *META]
        for name in (*self._look.fields, *(each.removeprefix("-") for each in self._look.order)):
            if name not in known and not self._is_hidden(name):
                raise OutputError(_unknown("field", name, known))

    def _is_hidden(self, name: str) -> bool:
        """Whether any item has a field that got no column (its name is very long, or there were very many)."""
        if len(name) <= 100 and all(len(names) < 1000 for names in self._fields.values()):
            return False
        query = "select 1 from items i, json_each(i.data) j where j.key = ? limit 1"
        return self._db.execute(query, (name,)).fetchone() is not None

    def of_kind(self, kind: str) -> Source:
        """The same for one of its kinds."""
        look = msgspec.structs.replace(self._look, kind=(kind,))
        return Source(self._db, self._span, look, False, self._stopped, self._passed)

    @property
    def own(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Our columns: those in front (``_kind``, where there are several) and those behind."""
        named = self._look.fields
        front = ("_kind",) if len(self.kinds) > 1 and "_kind" not in named else ()
        return front, ADDED if self._look.with_meta else ()

    @property
    def named(self) -> tuple[str, ...]:
        """The fields that were asked for; empty: all."""
        return self._look.fields

    def columns(self, found: list[str] | None = None) -> list[str]:
        """A name for each column: of every field that the kinds ever had, in the order in which they came up, or of
        the fields asked for. ``found`` are more of them, see ``scan``."""
        front, behind = self.own
        fields = self._look.fields or (name for names in self._fields.values() for name in names)
        more = () if self._look.fields else (name for name in found or () if name not in behind)
        return list(dict.fromkeys([*front, *fields, *more, *behind]))

    def has(self, name: str) -> bool:
        """Whether any of the kinds ever had a field, or it is one of ours."""
        return name in META or any(name in names for names in self._fields.values())

    def count(self) -> int:
        """How many rows there are."""
        where, values = self._where()
        return int(self._db.execute(f"select count(*) from items i {where}", values).fetchone()[0])

    def rows(self, survey: bool = False) -> Iterator[Row]:
        """The rows, one by one, as they were first stored, or as ``order`` says; for a ``survey`` in any order.

        Raises Stopped.
        """
        front, behind = self.own
        front = (*front, *(name for name in self._look.fields if name in META))
        behind = tuple(name for name in behind if name not in front)
        own, cut = [*front, *behind], len(front)
        where, chosen = self._where()
        order, sorting = ("", []) if survey else self._order()
        pages = "left join pages p on p.id = i.page" if "_url" in own or "p.url" in order else ""
        columns = ", ".join(["i.kind", "i.data", *(META[name] for name in own)])
        number = 0
        for kind, data, *values in self._sorted(columns, pages, where, order, [*chosen, *sorting]):
            if number % CHUNK == 0 and self._stopped():
                raise Stopped
            if own:
                before, after = values[:cut], values[cut:]
                yield Row(kind, data, dict(zip(front, before, strict=True)), dict(zip(behind, after, strict=True)))
            else:
                yield Row(kind, data, {}, {})
            number += 1
            if number % CHUNK == 0 and not survey:
                self._passed(CHUNK)
        if not survey:
            self._passed(number % CHUNK)

    def _sorted(self, columns: str, pages: str, where: str, order: str, values: list[Any]) -> Iterator[Any]:
        """What SQLite has to sort are numbers of rows, never the rows: a sorter holds large ones in memory."""
        if not self._look.kind and not order:  # as they lie in the table
            yield from self._db.execute(f"select {columns} from items i {pages} {where} order by i.id", values)
            return
        one = f"select {columns} from items i {pages} where i.id = ?"
        for number in self._db.execute(f"select i.id from items i {pages} {where} order by {order} i.id", values):
            yield from self._db.execute(one, number)

    def _where(self) -> tuple[str, list[Any]]:
        span = self._span
        tests: list[str] = []
        values: list[Any] = []
        if self._look.kind:
            tests.append(f"i.kind in ({', '.join('?' * len(self._look.kind))})")
            values += self._look.kind
        for column, comparison, value in (
            ("last_run", "=", span.run),
            ("last_run", ">=", span.since_run),
            ("stored_at", ">=", span.since),
        ):
            if value is not None:
                tests.append(f"i.{column} {comparison} ?")
                values.append(value)
        if self._look.new:
            test, value = self._newness()
            tests.append(test)
            values.append(value)
        return f"where {' and '.join(tests)}" if tests else "", values

    def _newness(self) -> tuple[str, Any]:
        """New are items of which no run before the span knew; by a date, those first met by a run that was still
        going then, or began later: rather some too many than one too few."""
        span = self._span
        if span.since is not None:
            return "i.first_run in (select id from runs where ended is null or ended >= ?)", span.since
        first = span.run if span.run is not None else span.since_run
        if first is None:
            first = self._db.execute("select max(id) from runs").fetchone()[0]
        return "i.first_run >= ?", first

    def _order(self) -> tuple[str, list[str]]:
        terms: list[str] = []
        values: list[str] = []
        for name in self._look.order:
            down = name.startswith("-")
            field = name.removeprefix("-")
            if field in META and not any(field in names for names in self._fields.values()):
                term = META[field]
            else:
                term = "(select j.value from json_each(i.data) j where j.key = ?)"
                values.append(field)
                if '"' not in field and "\\" not in field and min(field, default=" ") >= " ":
                    term, values[-1] = "json_extract(i.data, ?)", f'$."{field}"'
            terms.append(f"{term} {'desc' if down else 'asc'} nulls last,")
        return " ".join(terms), values


class Stopped(Exception):
    """The export was cancelled between two rows."""


def _kinds(db: sqlite3.Connection) -> list[str]:
    """Every kind that has items, by one look into the index for each."""
    kinds: list[str] = []
    (kind,) = db.execute("select min(kind) from items").fetchone()
    while kind is not None:
        kinds.append(kind)
        (kind,) = db.execute("select min(kind) from items where kind > ?", (kind,)).fetchone()
    return kinds


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"there is no {what} {name!r}; did you mean {near[0]!r}?"
    ours = [each for each in known if each not in META]
    return f"there is no {what} {name!r}; there: {', '.join((ours or known)[:20])}{', …' if len(ours) > 20 else ''}"
