"""One SQLite file with one owner: opening, the lock, and a whole unit of work per thread hop.

A hop to aiosqlite's thread costs 50-90 µs, so work goes there as one function of a connection, never
statement by statement; each function is one transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any, TypeVar

import aiosqlite
import tenacity

from scraper.errors import StoreBusy, StoreError, UsageError
from scraper.stores.ownership import Claim, IfRunning, disown
from scraper.stores.schema import prepare
from scraper.stores.transaction import transaction

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class _Connection(aiosqlite.Connection):
    async def run(self, work: Work[T]) -> T:
        """One function, one hop."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


class Database:
    """Args: ``path`` of the file (folders are made), ``busy`` seconds to wait for another program's lock.

    ``if_running`` and ``grace`` as in ``Claim``.
    """

    def __init__(self, path: Path, busy: float = 30.0, if_running: IfRunning = "exit", grace: float = 20.0) -> None:
        self.path = path
        self._busy = busy
        self._claim = Claim(path.resolve(), if_running, grace)  # one lock, whatever links lead here
        self._connection: _Connection | None = None
        self._lock: IO[str] | None = None
        self._failed = False

    async def open(self) -> None:
        """Own the file. Raises StoreLocked, StoreBusy, StoreError for a broken one, UsageError for a stranger's."""
        self._failed = False
        if self.path.is_dir():
            raise UsageError(f"{self.path.resolve()} is a folder; name a file in it by --db")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = await self._claim.own()
        except OSError as error:
            raise StoreError(f"cannot open {self.path}: {error}; choose another place with --db") from error
        try:
            await _whole(self._connect())
            await self.run(prepare)
        except sqlite3.Error as error:
            await self.close()
            raise self._failure(error) from error
        except UsageError as error:
            await self.close()
            raise UsageError(f"cannot use {self.path}: {error}") from error
        except BaseException:  # cancelled, too: the thread of an open connection outlives the loop
            await self.close()
            raise

    def give_up(self, why: str) -> None:
        """Wait for another owner no longer."""
        self._claim.give_up(why)

    async def close(self) -> None:
        """Close the file and free the lock; safe to call twice."""
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            if lock is not None:
                disown(lock)

    async def farewell(self, statement: str) -> None:
        """One last statement, if it can be had at once: the end must not wait, nor fail, for it."""
        connection = self._connection
        if connection is not None and not self._failed:
            with suppress(sqlite3.Error):  # it is for those who look on, and they know what its absence means
                await _whole(connection.run(lambda db: _hasty(db, statement)))

    async def run(self, work: Work[T]) -> T:
        """``work`` on the database thread, as one transaction of its own making.

        A lock held by another program is waited for, with growing pauses, up to ``busy`` seconds in all.
        Raises StoreBusy after that, StoreError for anything else SQLite says.
        """
        connection = self._connection
        if connection is None:
            raise StoreError(f"{self.path} is not open")

        async def attempt() -> T:
            return await _whole(connection.run(work))

        begun = monotonic()
        try:
            return await attempt()
        except sqlite3.Error as error:
            waited = monotonic() - begun  # SQLite itself waits a little
            if not _is_busy(error) or waited >= self._busy:
                raise self._failure(error) from error
        waiting = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(self._busy - waited),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            retry=tenacity.retry_if_exception(_is_busy),
            reraise=True,
        )
        try:
            return await waiting(attempt)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StoreError:
        self._failed = True
        if _is_busy(error):
            return StoreBusy(
                f"another program kept {self.path} locked for {self._busy:g} s; close it and run the same command again"
            )
        code = _code(error)
        for codes, text in FAILURES:
            if code in codes:
                return StoreError(text.format(path=self.path, error=error))
        return StoreError(f"{self.path}: {error}; {SAFE}")

    async def _connect(self) -> None:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(self.path, isolation_level=None, timeout=min(self._busy, 1.0))

        connection = _Connection(connect, iter_chunk_size=64)
        try:
            await connection
        except BaseException:
            await asyncio.to_thread(connection._thread.join)  # it says farewell to the loop, which must be there
            raise
        self._connection = connection


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """A cancelled caller must not leave the thread behind in the middle of a transaction."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: the one who was to hear of it has gone, and asyncio would tell it on stderr
        raise


SAFE = "what was committed is safe, and the same command goes on from there"
FAILURES = (
    ((sqlite3.SQLITE_FULL,), "the disk is full: {path} cannot grow ({error}); free some space: " + SAFE),
    ((sqlite3.SQLITE_IOERR,), "{path} cannot be read or written ({error}: is the disk full or gone?); " + SAFE),
    ((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM), "{path} cannot be written ({error}); make it writable: " + SAFE),
    ((sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH), "cannot open {path} ({error}); choose another place with --db"),
    (
        (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
        "{path} is damaged, or no SQLite file at all ({error}); put a copy of it back, save what can be read with "
        "'sqlite3 {path} .recover', or choose another --db",
    ),
)
"""What SQLite's result codes mean for the user, and what to do."""


def _code(error: BaseException) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _is_busy(error: BaseException) -> bool:
    busy = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(error, sqlite3.OperationalError) and _code(error) in busy


def _hasty(db: sqlite3.Connection, statement: str) -> None:
    db.execute("PRAGMA busy_timeout = 0")
    with transaction(db):
        db.execute(statement)
