"""What is wrong with a target, found before any work is done for it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from scraper.errors import OutputError
from scraper.exports.target import BINARY, Target, filesystem, named


def check(target: Target, database: Path | None, values: Mapping[str, object]) -> None:
    """Raise OutputError for a place that cannot be written, before any work is done for it.

    ``database`` is what is exported; neither it nor another database of a spider is written over. ``values`` are
    those of the placeholders that are known already.
    """
    if target.stdout:
        if (target.format in BINARY or target.coding) and sys.stdout.isatty():
            raise OutputError(f"a terminal cannot show {target.coding or target.format}; write it to a file or a pipe")
        return
    if target.format == "parquet":
        from scraper.exports.as_parquet import library

        library(target.name)
    if target.remote:
        filesystem(target)
        return
    try:
        _check_file(target, Path(target.at(values).path), database)
    except OSError as error:
        raise OutputError(f"cannot write {target.name}: {error}") from error


def _check_file(target: Target, path: Path, database: Path | None) -> None:
    fixed = _fixed(Path(target.path).absolute().parent)
    if not fixed.is_dir() and (database is None or fixed != database.absolute().parent):  # that one is made by then
        raise OutputError(f"cannot write {target.name}: there is no folder {fixed}; make it first")
    if fixed.is_dir() and not os.access(fixed, os.W_OK):
        raise OutputError(f"cannot write {target.name}: nothing may be written in {fixed}")
    if path.is_dir() or not path.name:
        raise OutputError(f"cannot write {target.name}: it is a folder; name a file in it")
    if database is not None and _same(path, database):
        raise OutputError(f"cannot write {target.name}: it is the very database that is read")
    if _is_ours(path):
        raise OutputError(f"cannot write {target.name}: it is the database of a spider; choose another name")


def _fixed(folder: Path) -> Path:
    """The folder above the first placeholder: those below are made when they are needed."""
    for number, part in enumerate(folder.parts):
        if named(part):
            return Path(*folder.parts[:number])
    return folder


def _same(path: Path, database: Path) -> bool:
    ours = [Path(f"{database}{more}") for more in ("", "-wal", "-shm", ".lock")]
    return any(path.absolute() == each.absolute() or (path.exists() and _samefile(path, each)) for each in ours)


def _samefile(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def _is_ours(path: Path) -> bool:
    """Whether a spider's database is there. What we export has no ``user_version``."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if not file.read(16).startswith(b"SQLite format 3\0"):
            return False
    # Where no log lies beside it nobody is writing, and reading it so leaves no file behind.
    still = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{still}", uri=True)) as db:
            (version,) = db.execute("pragma user_version").fetchone()
            names = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
    except sqlite3.Error:  # broken, or another's: nothing of ours that could be lost
        return False
    return bool(version) and names >= {"pages", "items", "runs"}
