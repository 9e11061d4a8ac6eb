"""SqliteStore: pages, items, runs and the ledger of one spider in one file that anything can read.

A page's end, the links it revealed and the items it gave are one transaction, and groups of pages share
one. With WAL and ``synchronous=NORMAL`` even a power cut only undoes whole groups, which are then
fetched again: nothing is lost, nothing is there twice.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from scraper.errors import StoreError
from scraper.page import (
    Dead,
    Done,
    Figures,
    FileFact,
    HostLedger,
    Lease,
    Note,
    Outcome,
    Receipt,
    Retry,
    Run,
    Snapshot,
    Verdict,
)
from scraper.ports import Mode, StoredFile, StoredItem, StoredPage
from scraper.request import Request
from scraper.stores import files as file_table
from scraper.stores import notes as note_table
from scraper.stores import runs
from scraper.stores.database import Database
from scraper.stores.files import FileTable
from scraper.stores.history import FINISH, HistoryTable, page_row
from scraper.stores.items import ItemTable
from scraper.stores.leases import LeaseTable
from scraper.stores.links import LinkTable
from scraper.stores.marks import Marks
from scraper.stores.ownership import IfRunning
from scraper.stores.transaction import transaction

CHUNK = 500


class SqliteStore:
    """``Store`` over one SQLite file.

    Args:
        path: the file; made, with its folders, when missing.
        busy: seconds to wait while another program holds SQLite's lock.
        if_running: what to do while another run owns the file, as the setting of that name says.
        grace: seconds that this owner may take to end once it is asked to; another one that wants to replace it waits.
    """

    def __init__(
        self, path: str | Path, busy: float = 30.0, if_running: IfRunning = "exit", grace: float = 20.0
    ) -> None:
        self.path = Path(path)
        self._db = Database(self.path, busy, if_running, grace)
        self._marks: Marks | None = None
        self._leases = LeaseTable()
        self._links = LinkTable()
        self._items = ItemTable()
        self._history = HistoryTable()
        self._files = FileTable()
        self._run: Run | None = None
        self._opened = 0.0
        self._worked = 0.0

    @property
    def run(self) -> Run:
        """The run that ``begin`` gave."""
        if self._run is None:
            raise StoreError(f"{self.path}: begin() a run first")
        return self._run

    async def open(self) -> None:
        self._run = None
        await self._db.open()
        file = self.path.resolve()
        try:
            self._marks = Marks(file.with_name(file.name + ".reading"))
        except OSError as error:
            await self._db.close()
            raise StoreError(f"cannot write beside {self.path}: {error}; the same command goes on later") from error

    def give_up(self, why: str) -> None:
        """Where ``open`` waits for another run, it raises StoreLocked now: it says ``why``."""
        self._db.give_up(why)

    async def close(self) -> None:
        marks, self._marks = self._marks, None
        try:
            if marks is not None:
                marks.close(keep=self._run is None)  # refused before it began: they are for another
            if self._opened:
                await self._db.farewell("delete from owner")
        finally:
            self._opened = 0.0
            await self._db.close()

    async def begin(self, spider: str, now: float, mode: Mode = "auto", scope: str | None = None) -> Run:
        marks = self._marks
        crashed = marks.left() if marks is not None else []

        def work(db: sqlite3.Connection) -> Run:
            self._renew()
            with transaction(db):
                return runs.begin(db, spider, now, mode, scope, crashed, str(self.path))

        self._run = await self._db.run(work)
        self._worked = now
        if marks is not None:
            marks.clear()
        return self._run

    async def revive(
        self, spider: str, reasons: Collection[str], now: float, scope: str | None = None
    ) -> tuple[Run, int]:
        marks = self._marks
        crashed = marks.left() if marks is not None else []

        def work(db: sqlite3.Connection) -> tuple[Run, int]:
            self._renew()
            with transaction(db):
                return runs.revive(db, spider, reasons, scope, now, crashed, str(self.path))

        run, number = await self._db.run(work)
        self._run = run
        self._worked = now
        if marks is not None and number:
            marks.clear()
        return run, number

    def _renew(self) -> None:
        """An owner before us, or this very store in an earlier run, remembered other things."""
        self._leases.clear()
        self._forget()

    async def finish(self, reason: str, now: float, finished: bool, verdicts: Sequence[Verdict] | None = None) -> None:
        def end(db: sqlite3.Connection) -> None:
            runs.work(db, self.run.id, now - self._worked)
            runs.finish(db, self.run.id, reason, now, finished, verdicts)

        await self._write(end)
        self._worked = now

    async def figures(self, most: int = 5) -> tuple[Figures, list[Figures]]:
        return await self._db.run(lambda db: runs.figures(db, self.run.id, most))

    async def beat(self, status: str, now: float) -> None:
        self._opened = self._opened or now

        def live(db: sqlite3.Connection) -> None:
            runs.work(db, self.run.id, now - self._worked)
            runs.beat(db, self._opened, now, status)

        await self._write(live)
        self._worked = now

    def budget(self, most: int) -> None:
        self._links.budget.most = most

    def reading(self, place: int, page: int) -> None:
        if self._marks is not None:
            self._marks[place] = page

    async def add(self, requests: Sequence[Request], now: float) -> int:
        def work(db: sqlite3.Connection) -> int:
            with self._remembering(db):
                self._links.put(requests, None)
                new = self._add(db, now).total()
                self._history.write(db, self.run.id)
                db.execute("update runs set links = links + ? where id = ?", (new, self.run.id))
            return new

        return await self._db.run(work)

    def _add(self, db: sqlite3.Connection, now: float) -> Counter[int | None]:
        """Write the links that were put, and let them be seen by the next look for due pages."""
        new, priority = self._links.write(db, self.run.id, now)
        for page, urls in self._links.over.items():
            self._history.put_dropped("host budget", urls, page or 0)
        if priority is not None:
            if self.run.id > 1:  # pages of an earlier run may be due again, anywhere
                self._leases.look_again()
            self._leases.look_at(priority)
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
        self._leases.look_again()
        self._links.forget()
        self._items.forget()
        self._history.forget()
        self._files.forget()

    async def lease(
        self, limit: int, per_host: int, now: float, until: float, full: Collection[str] = ()
    ) -> list[Lease]:
        return await self._db.run(lambda db: self._leases.take(db, limit, per_host, now, until, full))

    async def release(self, leases: Sequence[Lease]) -> None:
        await self._db.run(lambda db: self._leases.release(leases))

    async def next_due(self, now: float) -> float | None:
        query = "select min(due) from pages where state = 'retry' and due > ?"
        found: tuple[float | None] = await self._db.run(lambda db: db.execute(query, (now,)).fetchone())
        return found[0]

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        return await self._db.run(lambda db: self._commit(db, outcomes, now, notes))

    def _commit(
        self, db: sqlite3.Connection, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note]
    ) -> list[Receipt]:
        run = self.run.id
        receipts: list[Receipt] = []
        pages: list[tuple[Any, ...]] = []
        ended: set[int] = set()
        counts = dict.fromkeys(runs.COUNTERS, 0)
        with self._remembering(db):
            for outcome in outcomes:
                page = outcome.lease.page
                if not self._leases.holds(outcome.lease) or page in ended:
                    receipts.append(Receipt(page, applied=False))
                    continue
                ended.add(page)
                pages.append(page_row(outcome, now))
                receipt = Receipt(page, applied=True)
                counts["bytes"] += outcome.seen.size
                if outcome.seen.file is not None:
                    self._files.put(outcome)
                if not isinstance(outcome, Done):
                    self._history.put_attempt(outcome, run, now)
                if isinstance(outcome, Retry):
                    counts["retries"] += 1
                else:
                    found = outcome.found
                    if found.links:
                        self._links.put(found.links, page)
                    if found.items or found.rejects:
                        self._items.put(found, page, run, now)
                    if found.drops:
                        self._history.put_drops(found, page)
                    if found.files is not None:
                        self._files.link(found.files, page)
                    counts["items"] += len(found.items)
                    counts["rejects"] += len(found.rejects)
                    if isinstance(outcome, Dead):
                        counts["dead"] += 1
                    else:
                        counts["pages"] += 1
                        counts["redirects"] += outcome.redirects
                receipts.append(receipt)
            db.executemany(FINISH, pages)
            new = self._add(db, now)
            for receipt in receipts:
                if receipt.applied:
                    receipt.new_links = new[receipt.page]
                    receipt.over_budget = len(self._links.over.get(receipt.page, ()))
            counts["links"] = new.total()
            self._items.write(db, run)
            self._files.write(db, run)
            self._history.write(db, run)
            note_table.save(db, notes)
            db.execute(runs.COUNT, (*counts.values(), run))
        self._leases.end(ended)
        return receipts

    async def save_notes(self, notes: Sequence[Note]) -> None:
        await self._write(lambda db: note_table.save(db, notes))

    async def notes(self, kind: str, now: float, keys: Collection[str] | None = None) -> dict[str, Note]:
        return await self._db.run(lambda db: note_table.read(db, kind, now, keys))

    async def seed_hosts(self, most: int = 10_000) -> list[str]:
        query = "select distinct host from pages where found_on is null limit ?"
        return [host for (host,) in await self._db.run(partial(_fetch, query, (most,)))]

    async def save_ledger(self, ledger: Sequence[HostLedger]) -> None:
        rows = [(self.run.id, each.host, *(getattr(each, name) for name in runs.LEDGER)) for each in ledger]
        await self._write(lambda db: db.executemany(runs.SAVE_LEDGER, rows))

    async def ledger(self, most: int = 1000) -> list[HostLedger]:
        return await self._db.run(lambda db: runs.ledger(db, self.run.id, most))

    async def _write(self, statements: Callable[[sqlite3.Connection], object]) -> None:
        def work(db: sqlite3.Connection) -> None:
            with transaction(db):
                statements(db)

        await self._db.run(work)

    async def counts(self) -> Snapshot:
        def work(db: sqlite3.Connection) -> Snapshot:
            row = db.execute(f"select {', '.join(runs.COUNTERS)} from runs where id = ?", (self.run.id,)).fetchone()
            return Snapshot(**dict(zip(runs.COUNTERS, row, strict=True)))

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

    async def file(self, fingerprint: bytes) -> FileFact | None:
        return await self._db.run(partial(file_table.read, fp=fingerprint))

    async def files(self, run: int | None = None) -> AsyncIterator[StoredFile]:
        async for row in self._read(file_table.READ_ALL, run, run):
            yield file_table.stored(row)

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


def _fetch(query: str, values: tuple[Any, ...], db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute(query, values).fetchall()
