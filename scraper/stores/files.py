"""The files that downloads gave, and whose they are: tables ``files`` and ``file_links``.

A download that was redirected leads to the page at the end of its redirects, however many there are, so that whoever
asks for a file needs no more than one step. Where a page led in an earlier run tells nothing of this one.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from scraper.page import FileFact, FileLink, Outcome
from scraper.ports import StoredFile
from scraper.stores.history import storable

FACTS = "folder path sha256 size content_type status flaw thumbs etag last_modified fetched_at asked_at".split()
_SET = ", ".join(f"{name} = excluded.{name}" for name in (*FACTS, "last_run"))
PUT = f"""
insert into files (page, {", ".join(FACTS)}, first_run, last_run) values (?{", ?" * len(FACTS)}, ?, ?)
on conflict (page) do update set {_SET}, leads_to = null
"""
LEAD = """
update files set leads_to = (
    select coalesce(f.leads_to, p.id) from pages p left join files f on f.page = p.id and f.last_run = :run
    where p.fp = :fp
) where page = :page
"""
PASS_ON = "update files set leads_to = (select leads_to from files where page = :page) where leads_to = :page"
KEEP = "update files set status = 'kept', last_run = ?, thumbs = ?, flaw = ? where page = ?"
KEEP_LED = """
update files set status = 'kept', last_run = ?, thumbs = ?, flaw = ?
where page = (select leads_to from files where page = ?)
"""
FORGET = "delete from file_links where kind = ? and key = ? and field = ? and run < ?"
LINK = """
insert into file_links (kind, key, field, page, position, run) select ?, ?, ?, id, ?, ? from pages where fp = ?
on conflict (kind, key, field, page) do update set position = excluded.position, run = excluded.run
"""
READ = f"""
select {", ".join(f"f.{name}" for name in FACTS)}, a.leads_to from pages p join files a on a.page = p.id
join files f on f.page = coalesce(a.leads_to, a.page) where p.fp = ?
"""
READ_ALL = f"""
select f.page, p.url, {", ".join(f"f.{name}" for name in FACTS)}, t.url, f.first_run, f.last_run, (
    select json_group_array(json_array(kind, key, field)) from (
        select kind, key, field from file_links l where l.page = f.page order by kind, key, field
    )
) from files f join pages p on p.id = f.page left join pages t on t.id = f.leads_to
where f.page > ? and (? is null or f.last_run = ?) order by f.page limit ?
"""


class FileTable:
    """Gathers the files of one transaction, then writes them; lives on the database thread."""

    def __init__(self) -> None:
        self._facts: list[tuple[int, FileFact]] = []
        self._links: list[tuple[str, str, FileLink]] = []

    def put(self, outcome: Outcome) -> None:
        """Take what a download came to."""
        if outcome.seen.file is not None:
            self._facts.append((outcome.lease.page, outcome.seen.file))

    def link(self, links: list[FileLink], page: int) -> None:
        """Take the files that the items of a page have."""
        self._links += [(each.kind, each.key or f"{page}.{each.ordinal}", each) for each in links]

    def write(self, db: sqlite3.Connection, run: int) -> None:
        """Write what was taken; the pages are there by now."""
        for page, fact in self._facts:
            thumbs = msgspec.json.encode(fact.thumbs).decode() if fact.thumbs else None
            if fact.status == "kept":  # of the row all else is as it was
                for statement in (KEEP, KEEP_LED):
                    db.execute(statement, (run, thumbs, storable(fact.flaw), page))
                continue
            values = [thumbs if name == "thumbs" else _storable(getattr(fact, name)) for name in FACTS]
            db.execute(PUT, (page, *values, run, run))
            if fact.leads_to is not None:
                db.execute(LEAD, {"fp": fact.leads_to, "page": page, "run": run})
                db.execute(PASS_ON, {"page": page})
        if self._links:
            db.executemany(FORGET, [(kind, key, each.field, run) for kind, key, each in self._links])
            rows = [
                (kind, key, each.field, each.position, run, each.request.fingerprint) for kind, key, each in self._links
            ]
            db.executemany(LINK, rows)
        self.forget()

    def forget(self) -> None:
        """The transaction is over, or was undone."""
        self._facts.clear()
        self._links.clear()


def read(db: sqlite3.Connection, fp: bytes) -> FileFact | None:
    """The file that a download came to; at the end of redirects, its validators are another URL's and left out."""
    row = db.execute(READ, (fp,)).fetchone()
    if row is None:
        return None
    *values, led = row
    fact = _fact(values)
    if led is not None:
        fact.etag = fact.last_modified = None
    return fact


def stored(row: tuple[Any, ...]) -> StoredFile:
    """A row of READ_ALL."""
    _, url, *values, leads_to, first, last, items = row
    links = msgspec.json.decode(items, type=list[tuple[str, str, str]])
    return StoredFile(url, _fact(values), leads_to, tuple(links), first, last)


def _fact(values: list[Any]) -> FileFact:
    found = dict(zip(FACTS, values, strict=True))
    thumbs = found.pop("thumbs")
    return FileFact(**found, thumbs=msgspec.json.decode(thumbs) if thumbs else {})


def _storable(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
