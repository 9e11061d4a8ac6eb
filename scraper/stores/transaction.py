"""``with transaction(db):`` everything or nothing."""

from __future__ import annotations

import sqlite3


class transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK when anything is raised."""

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
