"""The schema of the file: made when it is new, brought up to date when it is older, refused when it is newer."""

from __future__ import annotations

import sqlite3
from functools import partial
from importlib import resources
from pathlib import Path

from scraper.errors import UsageError
from scraper.stores.items import make_view, quoted, view_name
from scraper.stores.transaction import transaction

VERSION = 4
"""``PRAGMA user_version`` of the schema in ``sqlite.sql``; ``upgrade_2.sql`` leads from 1 to 2, and so on."""

OURS = frozenset(("pages", "items", "rejects", "fields", "runs", "hosts"))
"""Tables that every version has."""


def prepare(db: sqlite3.Connection) -> None:
    """Make the file ours. Raises UsageError for what another program or a newer scraper wrote."""
    version = version_of(db)
    # Only now: the first of these changes the file, and it might have been a stranger's.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo the last groups, each as a whole
    db.execute("PRAGMA temp_store = MEMORY")
    if version == VERSION:
        return
    with transaction(db):
        if version == 0:
            _run(db, "sqlite.sql")
        else:
            for number in range(version + 1, VERSION + 1):
                _UPGRADES[number](db)
        db.execute(f"PRAGMA user_version = {VERSION}")


def version_of(db: sqlite3.Connection) -> int:
    """The version of a database of ours; 0 for an empty file. Raises UsageError for anything else."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
    if not version and not tables:
        return 0
    if version > VERSION:
        raise UsageError(
            f"it was written by a newer scraper (schema {version}, here {VERSION}); upgrade scraper, "
            "or choose another --db"
        )
    if not version or not tables >= OURS:
        raise UsageError("it is an SQLite file, but not a database of scraper; choose another --db")
    return version


def check_readable(path: Path, db: sqlite3.Connection) -> int:
    """The version of a file that is only read. Raises UsageError for one that is not ours, or of a newer scraper."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in db.execute("select name from sqlite_schema")}
    if not version or not tables >= OURS:
        raise UsageError(f"{path} is an SQLite file, but not a database of scraper")
    if version > VERSION:
        raise UsageError(f"{path} was written by a newer scraper (schema {version}, here {VERSION}); upgrade scraper")
    return int(version)


def _upgrade(number: int, db: sqlite3.Connection) -> None:
    """Kinds may be called like the new tables: their views make room, and get their place under another name."""
    fields: dict[str, list[str]] = {}
    for kind, name in db.execute("select kind, name from fields order by kind, ordinal"):
        fields.setdefault(kind, []).append(name)
    views = {name for (name,) in db.execute("select name from sqlite_schema where type = 'view'")}
    moved = {kind for kind in fields if view_name(kind) != kind and kind in views}
    for kind in moved:
        db.execute(f"drop view {quoted(kind)}")
    _run(db, f"upgrade_{number}.sql")
    for kind in moved:
        make_view(db, kind, fields[kind])


_UPGRADES = {number: partial(_upgrade, number) for number in range(2, VERSION + 1)}


def _run(db: sqlite3.Connection, script: str) -> None:
    """Every statement of a file beside this one; ``executescript`` would commit first."""
    statement = ""
    for line in resources.files(__package__).joinpath(script).read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
