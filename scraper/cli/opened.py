"""What the commands that read a database have in common: how it is found and opened, and how they end early."""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

from scraper.cli.options import databases_here
from scraper.discover import find
from scraper.errors import StoreError, UsageError
from scraper.settings import load
from scraper.stores.schema import check_readable

P = ParamSpec("P")

Where = Annotated[
    str,
    typer.Argument(metavar="DB|SPIDER", help="A database file, a spider, or its file.", autocompletion=databases_here),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
OfRun = Annotated[int | None, typer.Option("--run", metavar="N", min=1, help="Of this run.  [default: the last]")]

EXPLAINED = 2
"""The first schema with tables that explain a run."""


@contextmanager
def opened(where: str, explained: bool = True) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """The database, read-only, also while a crawl writes it.

    Raises UsageError for a missing file, one that is not ours or of a newer scraper, and (``explained``) one that
    an older scraper wrote without what explains a run; StoreError for what SQLite cannot read.
    """
    path = _path(where)
    db: Any = None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        _check(path, db, EXPLAINED if explained else 1)
        yield path, db
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise UsageError(f"{path} is not an SQLite database") from error
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        hint = ""
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            # A file in WAL mode has a second file beside it, which a reader makes too.
            hint = "; look as a user who may write in its folder, or copy it, with the -wal beside it, to such a place"
        raise StoreError(f"cannot read {path}: {error}{hint}") from error
    finally:
        if db is not None:
            db.close()


def _check(path: Path, db: sqlite3.Connection, oldest: int) -> None:
    if (version := check_readable(path, db)) < oldest:
        raise UsageError(f"{path} was written by an older scraper (schema {version}); the next crawl of it upgrades it")


def _path(where: str) -> Path:
    """A file that is there, else the database of the spider of that name."""
    named = Path(where)
    if ".py" in (named.suffix, Path(where.partition(":")[0]).suffix):  # as scraper crawl takes it
        return _path(find(where, Path(load().spiders)).name)
    if named.is_file():
        return named
    ours = Path(load().data) / f"{where}.db"
    if named.suffix or named.name != where:
        raise UsageError(f"there is no file {where}")
    if not ours.is_file():
        raise UsageError(f"there is no database {ours}; make it with: scraper crawl {where}")
    return ours


def chosen_run(path: Path, db: sqlite3.Connection, run: int | None) -> tuple[int, str]:
    """Number and spider of the run that is meant; None: the last. Raises UsageError when there is none."""
    (last,) = db.execute("select max(id) from runs").fetchone()
    if last is None:
        raise UsageError(f"{path} has no run yet")
    wanted = last if run is None else run
    found: tuple[int, str] | None = db.execute("select id, spider from runs where id = ?", (wanted,)).fetchone()
    if found is None:
        raise UsageError(f"{path} has no run {run}; it has 1 to {last}")
    return found


def piped(command: Callable[P, None]) -> Callable[P, None]:
    """A command that ends in silence, and well, when whoever reads its output has read enough (``| head``)."""

    @functools.wraps(command)
    def whole(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still in the buffer goes nowhere: at the exit Python would complain that it cannot.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return whole
