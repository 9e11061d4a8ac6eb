"""One SQLite file with one owner: opening, the lock, and a whole unit of work per thread hop.

A hop to aiosqlite's thread costs 50-90 µs, so work goes there as one function of a connection, never
statement by statement; each function is one transaction.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Coroutine
from importlib import resources
from pathlib import Path
from typing import IO, Any, TypeVar

import aiosqlite
import tenacity

from scraper.errors import StoreBusy, StoreError, StoreLocked

try:
    import fcntl
except ImportError:  # Windows has no flock: there, two runs on one file are the caller's to avoid
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

VERSION = 1
"""``PRAGMA user_version`` of the schema in ``sqlite.sql``."""


class _Connection(aiosqlite.Connection):
    async def run(self, work: Work[T]) -> T:
        """One function, one hop."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


class Database:
    """Args: ``path`` of the file (folders are made), ``busy`` seconds to wait for another program's lock."""

    def __init__(self, path: Path, busy: float = 30.0) -> None:
        self.path = path
        self._busy = busy
        self._connection: _Connection | None = None
        self._lock: IO[str] | None = None

    async def open(self) -> None:
        """Own the file. Raises StoreLocked, StoreBusy, or StoreError for what is not our database."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _own(self.path.resolve())  # one lock, whatever links lead here
        except OSError as error:
            raise StoreError(f"cannot open {self.path}: {error}; choose another place with --db") from error
        try:
            await _whole(self._connect())
            await self.run(_prepare)
        except BaseException as error:  # cancelled, too: the thread of an open connection outlives the loop
            await self.close()
            if isinstance(error, StoreBusy) or not isinstance(error, sqlite3.Error | StoreError):
                raise
            cause = error.__cause__ or error
            raise StoreError(f"cannot open {self.path}: {cause}; choose another place with --db") from error

    async def close(self) -> None:
        """Close the file and free the lock; safe to call twice."""
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            if lock is not None:
                lock.close()

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

        try:
            return await attempt()
        except sqlite3.Error as error:
            if not _is_busy(error):
                raise self._failure(error) from error
        waiting = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(self._busy),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            retry=tenacity.retry_if_exception(_is_busy),
            reraise=True,
        )
        try:
            return await waiting(attempt)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StoreError:
        if _is_busy(error):
            return StoreBusy(
                f"another program kept {self.path} locked for {self._busy:g} s; close it and run the same command again"
            )
        return StoreError(f"{self.path}: {error}; what was committed is safe, the same command resumes")

    async def _connect(self) -> None:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(self.path, isolation_level=None, timeout=min(self._busy, 5.0))

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
        raise


def _is_busy(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return isinstance(error, sqlite3.OperationalError) and (code & 0xFF) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _own(path: Path) -> IO[str]:
    """The OS lock that says this run owns the file; the kernel frees it however the process ends."""
    file = open(path.with_name(path.name + ".lock"), "a+", encoding="utf-8")  # noqa: SIM115
    if fcntl is None:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise StoreLocked(
            f"another run (process {owner}) works on {path}; wait for it or choose another --db"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _prepare(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
    if version > VERSION:
        raise StoreError(f"this database was written by a newer scraper (schema {version}, here {VERSION}); upgrade")
    ours = version == VERSION and tables >= {"pages", "items", "runs"}
    if not ours and (version or tables):
        raise StoreError("this SQLite file is not a scraper database")
    # Only now: the first of these changes the file, and it might have been a stranger's.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo the last groups, each as a whole
    db.execute("PRAGMA temp_store = MEMORY")
    if ours:
        return
    schema = resources.files(__package__).joinpath("sqlite.sql").read_text(encoding="utf-8")
    with transaction(db):
        for statement in _statements(schema):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


def _statements(script: str) -> list[str]:
    found: list[str] = []
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return found


class transaction:
    """``with transaction(db):`` BEGIN IMMEDIATE, then COMMIT, or ROLLBACK when anything is raised."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        if self._db.in_transaction:  # SQLite may have rolled back by itself (disk full)
            self._db.execute("ROLLBACK")
