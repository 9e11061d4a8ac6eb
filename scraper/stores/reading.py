"""A database read from outside: what its runs did, what they found, which pages died. See also ``live`` and ``why``.

Every function takes a read-only connection, also while a crawl writes the file, and returns values that are JSON
as they stand. Nothing is printed here. `snapshot` makes several questions see one and the same moment.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Struct

from scraper.page import Verdict

SILENT = 60.0
"""Seconds without a sign of life after which a process counts as gone, or, when we see it, as stuck."""

TRACE = "Traceback (most recent call last)"


class Owner(Struct):
    """The process that works on the file, or did. ``life``: alive, silent (it exists and says nothing) or gone."""

    pid: int
    host: str
    started: float
    beat: float
    life: str


class RunRow(Struct):
    """One run. ``state`` is why it ended, or running, silent, killed; ``reuse`` the share of requests that had
    a connection already; ``failures`` are its dead pages."""

    id: int
    spider: str
    state: str
    started: float
    ended: float | None
    finished: bool
    seconds: float | None
    pages: int
    items: int
    rejects: int
    retries: int
    failures: int
    links: int
    redirects: int
    bytes: int
    starts: int
    requests: int
    reused: int
    reuse: float | None
    drops: dict[str, int] = {}
    verdicts: list[Verdict] | None = None
    """What became of the spider's rules; None: nobody judged."""


class Fill(Struct):
    """How many items of a kind had a value in a field. A kind without fields has one row, its field is ''."""

    run: int
    kind: str
    items: int
    field: str
    filled: int
    rate: float


class Failed(Struct):
    """A page that was given up in ``run``. ``found_on`` is None for a seed."""

    run: int
    url: str
    reason: str
    status: int | None
    attempts: int
    error: str
    found_on: str | None
    at: float | None
    depth: int
    traceback: str | None = None


class Bounds(Struct):
    """What a run was told not to pass: the ``scope`` of its last process."""

    allowed_domains: tuple[str, ...] = ()
    max_depth: int = 0
    max_url_length: int = 0
    limit_pages: int = 0
    limit_items: int = 0
    obey_robots: bool = True
    max_path_repeats: int = 0
    max_pages_per_host: int = 0


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """All questions asked inside see the same moment; a crawl goes on writing meanwhile."""
    db.execute("begin")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("rollback")


def owner(db: sqlite3.Connection, now: float) -> Owner | None:
    """Who works on the file; None when nobody does."""
    row = db.execute("select pid, host, started, beat from owner").fetchone()
    if row is None:
        return None
    pid, host, started, beat = row
    return Owner(pid, host, started, beat, _life(pid, host, now - beat))


def _life(pid: int, host: str, silence: float) -> str:
    if host != platform.node() or os.name == "nt":  # there os.kill(pid, 0) is no question: it ends the process
        return "alive" if silence < SILENT else "gone"
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # somebody else's, but there
    except (OSError, OverflowError):
        return "gone"
    if _unburied(pid):
        return "gone"
    return "alive" if silence < SILENT else "silent"


def _unburied(pid: int) -> bool:
    """Whether it has ended and nobody asked how: in a container without an init, a killed process stays like that."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].startswith("Z")
    except OSError:  # not Linux, or gone by now
        return False


RUNS = """
select r.id, r.spider, r.started, r.ended, r.reason, r.finished, r.pages, r.items, r.rejects, r.retries, r.dead,
    r.links, r.redirects, r.bytes, r.starts, r.verdicts, r.seconds, coalesce(sum(h.requests), 0),
    coalesce(sum(h.reused), 0)
from runs r left join hosts h on h.run = r.id
"""


def runs(db: sqlite3.Connection, now: float, most: int = -1) -> list[RunRow]:
    """The last ``most`` runs (all: -1), newest last."""
    rows = db.execute(f"{RUNS} where r.id in (select id from runs order by id desc limit ?) group by r.id", (most,))
    return [_run(db, row, now) for row in rows]


def run(db: sqlite3.Connection, id: int, now: float) -> RunRow | None:
    """One run."""
    row = db.execute(f"{RUNS} where r.id = ? group by r.id", (id,)).fetchone()
    return _run(db, row, now) if row else None


def _run(db: sqlite3.Connection, row: tuple[Any, ...], now: float) -> RunRow:
    id, spider, started, ended, reason, finished, *counts, verdicts, seconds, requests, reused = row
    state = reason or "ended"
    if ended is None:
        works = owner(db, now)
        life = works.life if works is not None else "gone"
        state = {"alive": "running", "silent": "silent", "gone": "killed"}[life]
        if works is not None and life == "alive":
            seconds += max(now - works.beat, 0.0)  # since it was last written down
    values = (
        *(id, spider, state, started, ended, bool(finished), seconds),
        *(*counts, requests, reused, reused / requests if requests else None),
        dict(db.execute("select reason, count from drops where run = ?", (id,))),
        msgspec.json.decode(verdicts, type=list[Verdict]) if verdicts else None,
    )
    return RunRow(*values)


def bounds(db: sqlite3.Connection, run: int) -> Bounds | None:
    """The scope of a run; None when it left none (an older scraper's)."""
    row = db.execute("select scope from runs where id = ?", (run,)).fetchone()
    return msgspec.json.decode(row[0], type=Bounds) if row and row[0] else None


def fills(db: sqlite3.Connection, most: int = -1) -> list[Fill]:
    """Fill rates of the last runs that gave items: by run, then kind, then field as the views have them.

    A field of the kind in which no item of the run had a value is there too: it is the one that matters.
    """
    rows = db.execute(FILLS, (most,))
    return [Fill(*row) for row in rows]


FILLS = """
with chosen as (select * from kinds where run in (select id from runs order by id desc limit ?)),
named as (
    select run, kind, name from chosen join fields using (kind)
    union select run, kind, field from chosen join fills using (run, kind)
)
select k.run, k.kind, k.items, coalesce(n.name, ''), coalesce(f.filled, 0), coalesce(1.0 * f.filled / k.items, 0.0)
from chosen k left join named n on n.run = k.run and n.kind = k.kind
left join fills f on f.run = k.run and f.kind = k.kind and f.field = n.name
left join fields o on o.kind = k.kind and o.name = n.name
order by k.run, k.kind, o.ordinal is null, o.ordinal, n.name
"""


# A page that a later run met again has that run in its row; how it died before is in its attempts.
DIED = """
from (
    select p.id as page, p.run, p.reason, p.status, p.attempts, p.finished_at as at, p.error as trace,
        (
            select a.error from attempts a where a.page = p.id and a.run = p.run and a.state = 'dead'
            order by a.id desc limit 1
        ) as error
    from pages p where p.state = 'dead' and p.run = :run
    union all
    select a.page, a.run, a.reason, a.status, a.attempt, a.at, null, a.error
    from attempts a join pages p on p.id = a.page
    where :earlier and p.run <> :run
        and a.id in (select max(id) from attempts where run = :run and state = 'dead' group by page)
) d join pages p on p.id = d.page left join pages f on f.id = p.found_on
"""


def failed(
    db: sqlite3.Connection, run: int, reasons: Sequence[str] = (), most: int = -1
) -> tuple[list[Failed], dict[str, int]]:
    """The first dead pages of a run, and how many it has by reason.

    Only of ``reasons``, if any are named; they may have * as in ``status 5*``.
    """
    (last,) = db.execute("select max(id) from runs").fetchone()
    values: dict[str, Any] = {"run": run, "earlier": run != last, "most": most}
    names = {f"reason{n}": reason for n, reason in enumerate(reasons)}
    only = f"where {' or '.join(f'd.reason glob :{name}' for name in names)}" if names else ""
    values |= names
    counts = dict(
        db.execute(f"select coalesce(d.reason, ''), count(*) {DIED} {only} group by 1 order by 2 desc, 1", values)
    )
    rows = db.execute(
        "select d.run, p.url, coalesce(d.reason, ''), d.status, d.attempts, d.error, f.url, d.at, p.depth, d.trace "
        f"{DIED} {only} order by d.page limit :most",
        values,
    )
    return [_failed(*row) for row in rows], counts


def _failed(*row: Any) -> Failed:
    *head, error, found_on, at, depth, trace = row
    whole = trace if trace and TRACE in trace else error if error and TRACE in error else None
    values = (*head, short(error or trace), found_on, at, depth, whole)
    return Failed(*values)


def short(error: str | None) -> str:
    """An error without its traceback."""
    if not error or TRACE not in error:
        return error or ""
    return error.rstrip().rpartition("\n")[2].strip()
