"""SqliteStore: pages, items, runs and the ledger of one spider in one file that anything can read.

A page's end, the links it revealed and the items it gave are one transaction, and groups of pages share
one. With WAL and ``synchronous=NORMAL`` even a power cut only undoes whole groups, which are then
fetched again: nothing is lost, nothing is there twice.

The file has one owner, so leases live in memory and nothing is written when a page is leased. All that
changes leases runs on the database thread, in the order of the calls.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from scraper.errors import StoreError, UsageError
from scraper.page import Dead, Done, HostLedger, Lease, Outcome, Receipt, Retry, Run, Snapshot
from scraper.ports import StoredItem, StoredPage
from scraper.request import Request, from_json
from scraper.stores.database import Database, transaction
from scraper.stores.items import ItemTable
from scraper.stores.links import LinkTable

CHUNK = 500

MOST_PASSED = 200
"""Pages of hosts that have enough, looked at in order, before the other hosts are looked up by name."""

COUNTERS = ("pages", "items", "rejects", "retries", "dead", "links", "redirects", "bytes")
LEDGER = tuple(name for name in HostLedger.__struct_fields__ if name != "host")

FINISH = """
update pages set state = ?, attempts = ?, status = ?, reason = ?, error = ?, due = ?, first_tried = ?,
    finished_at = ?, elapsed = ?, bytes = ?, etag = ?, last_modified = ? where id = ?
"""
LEASE = "select id, host, url, callback, priority, depth, request, attempts, first_tried from pages where state = 'due'"
IN_ORDER = f"{LEASE} and priority <= ? and not (priority = ? and id <= ?) order by priority desc, id"
OF_HOST = f"{LEASE} and host = ? order by priority desc, id"
NEXT_HOST = "select host from pages where state = 'due' and host > ? order by host limit 1"
TOP = 2**63 - 1


class SqliteStore:
    """``Store`` over one SQLite file.

    Args:
        path: the file; made, with its folders, when missing.
        busy: seconds to wait while another program holds SQLite's lock.
    """

    def __init__(self, path: str | Path, busy: float = 30.0) -> None:
        self.path = Path(path)
        self._db = Database(self.path, busy)
        self._links = LinkTable()
        self._items = ItemTable()
        self._run: Run | None = None
        self._held: dict[int, Lease] = {}
        self._token = 0
        self._floor = (TOP, -1)  # every due page before this (priority, id) is held

    @property
    def run(self) -> Run:
        """The run that ``begin`` gave."""
        if self._run is None:
            raise StoreError(f"{self.path}: begin() a run first")
        return self._run

    async def open(self) -> None:
        await self._db.open()

    async def close(self) -> None:
        await self._db.close()

    async def begin(self, spider: str, now: float) -> Run:
        def work(db: sqlite3.Connection) -> Run:
            self._held.clear()  # an owner before us, or this very store in an earlier run, remembered other things
            self._forget()
            with transaction(db):
                last = db.execute("select id, spider, started, finished from runs order by id desc limit 1").fetchone()
                if last and last[1] != spider:
                    raise UsageError(f"{self.path} belongs to spider {last[1]!r}; give {spider!r} another --db")
                if last and not last[3]:
                    db.execute("update runs set ended = null, reason = null where id = ?", (last[0],))
                    return Run(last[0], spider, last[2], resumed=True)
                db.execute("update pages set state = 'left', due = null where state in ('due', 'retry')")
                row = db.execute("insert into runs (spider, started) values (?, ?)", (spider, now))
                return Run(row.lastrowid or 0, spider, now, resumed=False)

        self._run = await self._db.run(work)
        return self._run

    async def finish(self, reason: str, now: float, finished: bool) -> None:
        values = (now, reason, finished, self.run.id)
        await self._write("update runs set ended = ?, reason = ?, finished = ? where id = ?", [values])

    async def add(self, requests: Sequence[Request], now: float) -> int:
        def work(db: sqlite3.Connection) -> int:
            with self._remembering(db):
                self._links.put(requests, None)
                new = self._add(db, now).total()
                db.execute("update runs set links = links + ? where id = ?", (new, self.run.id))
            return new

        return await self._db.run(work)

    def _add(self, db: sqlite3.Connection, now: float) -> Counter[int | None]:
        """Write the links that were put; a page that goes before the floor takes the floor away."""
        new, priority = self._links.write(db, self.run.id, now)
        if priority is not None and (priority > self._floor[0] or self.run.id > 1):
            self._floor = (TOP, -1)  # pages of an earlier run may be due again, anywhere before it
        return new

    @contextmanager
    def _remembering(self, db: sqlite3.Connection) -> Iterator[None]:
        """A transaction; when it is undone, so is what was remembered of it."""
        try:
            with transaction(db):
                yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._floor = (TOP, -1)
        self._links.forget()
        self._items.forget()

    async def lease(
        self, limit: int, per_host: int, now: float, until: float, full: Collection[str] = ()
    ) -> list[Lease]:
        return await self._db.run(lambda db: self._lease(db, limit, per_host, now, until, full))

    def _lease(
        self,
        db: sqlite3.Connection,
        limit: int,
        per_host: int,
        now: float,
        until: float,
        full: Collection[str],
    ) -> list[Lease]:
        self._promote(db, now)
        ended = [page for page, lease in self._held.items() if lease.until <= now]
        for page in ended:
            del self._held[page]
            self._floor = (TOP, -1)
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
            self._lease_by_host(db, leases, taken, limit, per_host, until)
        return leases

    def _lease_by_host(
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
            self._floor = (TOP, -1)

    async def release(self, leases: Sequence[Lease]) -> None:
        def work(db: sqlite3.Connection) -> None:
            for lease in leases:
                if self._is_held(lease):
                    del self._held[lease.page]
            self._floor = (TOP, -1)

        await self._db.run(work)

    def _is_held(self, lease: Lease) -> bool:
        held = self._held.get(lease.page)
        return held is not None and held.token == lease.token

    async def next_due(self, now: float) -> float | None:
        query = "select min(due) from pages where state = 'retry' and due > ?"
        found: tuple[float | None] = await self._db.run(lambda db: db.execute(query, (now,)).fetchone())
        return found[0]

    async def commit(self, outcomes: Sequence[Outcome], now: float) -> list[Receipt]:
        return await self._db.run(lambda db: self._commit(db, outcomes, now))

    def _commit(self, db: sqlite3.Connection, outcomes: Sequence[Outcome], now: float) -> list[Receipt]:
        run = self.run.id
        receipts: list[Receipt] = []
        pages: list[tuple[Any, ...]] = []
        ended: set[int] = set()
        counts = dict.fromkeys(COUNTERS, 0)
        with self._remembering(db):
            for outcome in outcomes:
                page = outcome.lease.page
                if not self._is_held(outcome.lease) or page in ended:
                    receipts.append(Receipt(page, applied=False))
                    continue
                ended.add(page)
                pages.append(_page_row(outcome, now))
                receipt = Receipt(page, applied=True)
                counts["bytes"] += outcome.seen.size
                if isinstance(outcome, Retry):
                    counts["retries"] += 1
                else:
                    found = outcome.found
                    if found.links:
                        self._links.put(found.links, page)
                    if found.items or found.rejects:
                        self._items.put(found, page, run, now)
                    counts["items"] += len(found.items)
                    counts["rejects"] += len(found.rejects)
                    counts["redirects"] += outcome.reason == "redirect"
                    counts["dead" if isinstance(outcome, Dead) else "pages"] += 1
                receipts.append(receipt)
            db.executemany(FINISH, pages)
            new = self._add(db, now)
            for receipt in receipts:
                receipt.new_links = new[receipt.page] if receipt.applied else 0
            counts["links"] = new.total()
            self._items.write(db)
            db.execute(COUNT, (*counts.values(), run))
        for page in ended:
            del self._held[page]
        return receipts

    async def save_ledger(self, ledger: Sequence[HostLedger]) -> None:
        rows = [(self.run.id, each.host, *(getattr(each, name) for name in LEDGER)) for each in ledger]
        await self._write(SAVE_LEDGER, rows)

    async def ledger(self, most: int = 1000) -> list[HostLedger]:
        query = f"select host, {', '.join(LEDGER)} from hosts where run = ? order by requests desc, host limit ?"
        rows = await self._db.run(lambda db: db.execute(query, (self.run.id, most)).fetchall())
        return [HostLedger(**dict(zip(("host", *LEDGER), row, strict=True))) for row in rows]

    async def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def work(db: sqlite3.Connection) -> None:
            with transaction(db):
                db.executemany(statement, rows)

        await self._db.run(work)

    async def counts(self) -> Snapshot:
        def work(db: sqlite3.Connection) -> Snapshot:
            row = db.execute(f"select {', '.join(COUNTERS)} from runs where id = ?", (self.run.id,)).fetchone()
            return Snapshot(**dict(zip(COUNTERS, row, strict=True)))

        return await self._db.run(work)

    async def items(self, run: int | None = None, kind: str | None = None) -> AsyncIterator[StoredItem]:
        rows = self._read(
            "select i.id, i.kind, i.key, i.data, p.url, i.first_run, i.last_run from items i join pages p "
            "on p.id = i.page where i.id > ? and (? is null or i.last_run = ?) "
            "and (? is null or i.kind = ?) order by i.id limit ?",
            run,
            run,
            kind,
            kind,
        )
        async for _, kind_, key, data, url, first, last in rows:
            yield StoredItem(kind_, key, msgspec.json.decode(data), url, first, last)

    async def pages(self, run: int | None = None) -> AsyncIterator[StoredPage]:
        rows = self._read(
            "select id, url, state, status, attempts, reason, error, depth, run from pages "
            "where id > ? and (? is null or run = ?) order by id limit ?",
            run,
            run,
        )
        async for row in rows:
            yield StoredPage(*row[1:])

    async def _read(self, query: str, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Rows in chunks by id, so that any number of them passes in flat memory."""
        last = 0
        while True:
            rows = await self._db.run(partial(_fetch, query, (last, *values, CHUNK)))
            for row in rows:
                yield row
            if len(rows) < CHUNK:
                return
            last = rows[-1][0]


COUNT = f"update runs set {', '.join(f'{name} = {name} + ?' for name in COUNTERS)} where id = ?"
SAVE_LEDGER = (
    f"insert into hosts (run, host, {', '.join(LEDGER)}) values (?, ?{', ?' * len(LEDGER)}) "
    "on conflict (run, host) do update set "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in LEDGER if name != "peak")
    + ", peak = max(peak, excluded.peak)"
)


def _fetch(query: str, values: tuple[Any, ...], db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute(query, values).fetchall()


def _page_row(outcome: Outcome, now: float) -> tuple[Any, ...]:
    """The values of FINISH."""
    lease, seen = outcome.lease, outcome.seen
    due = None
    error = None
    if isinstance(outcome, Done):
        state = "done"
    elif isinstance(outcome, Retry):
        state, due, error = "retry", now + outcome.delay, outcome.error
    else:
        state, error = "dead", outcome.traceback or outcome.error
    return (
        state,
        lease.attempt,
        seen.status,
        outcome.reason,
        _text(error),
        due,
        lease.first_tried if lease.first_tried is not None else (now if isinstance(outcome, Retry) else None),
        now,
        seen.elapsed,
        seen.size,
        _text(seen.etag),
        _text(seen.last_modified),
        lease.page,
    )


def _text(value: str | None) -> str | None:
    """Text as UTF-8 can hold it: headers and tracebacks may carry lone surrogates."""
    if value is None or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()
