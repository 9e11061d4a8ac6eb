"""Databases made by hand from the schema: runs in every state, without a crawl."""

import json
import os
import platform
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Any

from scraper.request import Request
from scraper.stores.schema import VERSION
from scraper.url import host_of

NOW = 1_700_000_000.0
SITE = "http://h.test/"


class Made:
    """A new database; ``db`` is open for more. Rows take what they are given, and plain values for the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(resources.files("scraper.stores").joinpath("sqlite.sql").read_text(encoding="utf-8"))
        self.db.execute(f"pragma user_version = {VERSION}")

    def put(self, table: str, **values: Any) -> int:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        row = self.db.execute(f"insert into {table} ({names}) values ({marks})", list(values.values()))
        return row.lastrowid or 0

    def run(self, reason: str | None = "finished", **values: Any) -> int:
        """A run that took 60 s; ``reason`` None: it has not ended."""
        over = reason in ("finished", "limit_pages", "limit_items", "abandoned")
        if isinstance(values.get("scope"), dict):
            values["scope"] = json.dumps(values["scope"])
        given = {"spider": "made", "started": NOW, "ended": NOW + 60 if reason else None, "reason": reason}
        given["seconds"] = 60 if reason else 0
        return self.put("runs", **given | {"finished": over} | values)

    def page(self, path: str, state: str = "done", *, run: int = 1, **values: Any) -> int:
        """A page by its path, or by its whole URL."""
        url = path if "://" in path else SITE + path
        given = {"fp": Request(url).fingerprint, "url": url, "host": host_of(url), "found_at": NOW}
        if state == "done":
            given |= {"attempts": 1, "status": 200, "finished_at": NOW + 1, "elapsed": 0.25, "bytes": 999, "reused": 1}
        return self.put("pages", **given | {"state": state, "run": run} | values)

    def attempt(self, page: int, number: int, state: str = "retry", *, run: int = 1, **values: Any) -> int:
        given = {"at": NOW + number, "status": 500, "reason": "status 500", "error": "it answered 500"}
        given |= {"elapsed": 0.5, "reused": 0}
        return self.put("attempts", page=page, run=run, attempt=number, state=state, **given | values)

    def drop(self, reason: str, url: str, *, run: int = 1, page: int = 0, count: int = 1) -> None:
        """A link that was not followed, ``count`` of them in all."""
        self.db.execute("insert or replace into drops values (?, ?, ?)", (run, reason, count))
        self.put("dropped", run=run, reason=reason, url=url, page=page)

    def owner(self, pid: int | None = None, host: str | None = None, beat: float = NOW, **status: Any) -> None:
        """The process that works on it: this one."""
        pid, host = pid if pid is not None else os.getpid(), host if host is not None else platform.node()
        self.put("owner", id=1, pid=pid, host=host, started=NOW, beat=beat, status=json.dumps(status))

    def close(self) -> None:
        self.db.close()
