"""Runs: how one begins, is resumed, judged and ended; the connection ledger, and the owner's signs of life.

Functions of a connection, each within a transaction of the caller.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from scraper.errors import UsageError
from scraper.page import Figures, HostLedger, Run, Verdict
from scraper.ports import Mode
from scraper.stores import notes

KEPT_RUNS = 20
"""Runs whose attempts and drops are kept: a schedule that runs for years must not fill the disk with them."""

MOST_CRASHES = 5
"""Deaths of the process, in a row, while one page was read, after which the page is dead.

A kill from outside hits now this page and now that one; only a page that kills is there each time."""

COUNTERS = ("pages", "items", "rejects", "retries", "dead", "links", "redirects", "bytes")
LEDGER = tuple(name for name in HostLedger.__struct_fields__ if name != "host")
COUNT = f"update runs set {', '.join(f'{name} = {name} + ?' for name in COUNTERS)} where id = ?"
SAVE_LEDGER = (
    f"insert into hosts (run, host, {', '.join(LEDGER)}) values (?, ?{', ?' * len(LEDGER)}) "
    "on conflict (run, host) do update set "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in LEDGER if name != "peak")
    + ", peak = max(peak, excluded.peak)"
)
BEAT = """
insert into owner (id, pid, host, started, beat, status) values (1, ?, ?, ?, ?, ?)
on conflict (id) do update set
    pid = excluded.pid, host = excluded.host, started = excluded.started, beat = excluded.beat,
    status = excluded.status
"""
AGAIN = "update runs set ended = null, reason = null, finished = 0, verdicts = null, starts = starts + 1, scope = ?"
LEAVE = "update pages set state = 'left', due = null where state in ('due', 'retry')"
CRASHED = "the process died while this page was read"


def begin(
    db: sqlite3.Connection, spider: str, now: float, mode: Mode, scope: str | None, crashed: Sequence[int], where: str
) -> Run:
    """The unfinished run, or a new one, as ``mode`` says. ``crashed`` are pages whose reader died.

    Raises UsageError for the file of another spider, and for a run to resume that is not there.
    """
    last = _last(db, spider, where)
    asked_until = _asked_until(db, now)
    notes.sweep(db, now)
    unfinished = last is not None and not last.finished
    if mode == "resume" and not unfinished:
        raise UsageError(f"{where} has no unfinished run to resume; leave --resume out to begin a new one")
    if last is not None and unfinished and mode != "fresh":
        return _resume(db, last, scope, now, crashed, asked_until)
    if last is not None and unfinished:
        abandon = "update runs set ended = coalesce(ended, ?), reason = 'abandoned', finished = 1 where id = ?"
        db.execute(abandon, (now, last.id))
    db.execute(LEAVE)
    row = db.execute("insert into runs (spider, started, scope) values (?, ?, ?)", (spider, now, scope))
    run = row.lastrowid or 0
    for table in ("attempts", "drops", "dropped"):
        db.execute(f"delete from {table} where run <= ?", (run - KEPT_RUNS,))
    return Run(run, spider, now, resumed=False, asked_until=asked_until)


def revive(
    db: sqlite3.Connection,
    spider: str,
    reasons: Collection[str],
    scope: str | None,
    now: float,
    crashed: Sequence[int],
    where: str,
) -> tuple[Run, int]:
    """Dead pages of the last run are due again, in that run; nothing else is. With none, nothing is changed.

    A revival that was stopped goes on as it is. Raises UsageError for a run that has not come to its end.
    """
    last = _last(db, spider, where)
    asked_until = _asked_until(db, now)
    if last is None:
        raise UsageError(f"{where} has no run yet; begin one with: scraper crawl {spider}")
    if not last.finished and last.reopened is None:
        raise UsageError(
            f"run {last.id} in {where} is not finished: scraper crawl {spider} goes on with it; "
            "its dead pages can be tried again after that"
        )
    if not last.finished:
        run = _resume(db, last, scope, now, crashed, asked_until)
        (left,) = db.execute("select count(*) from pages where state in ('due', 'retry')").fetchone()
        return run, max(left, 1)  # with no page left its end has still to be written
    run = Run(last.id, spider, last.started, resumed=True, reopened=last.reason, asked_until=asked_until)
    chosen = " or ".join(["reason glob ?"] * len(reasons)) or "1"
    dead = f"state = 'dead' and run = {last.id} and ({chosen})"
    if not db.execute(f"select 1 from pages where {dead} limit 1", (*reasons,)).fetchone():
        return run, 0
    db.execute(LEAVE)  # what a limit had left is no business of ours
    _take_back(db, last.id, f"page in (select id from pages where {dead})", reasons)
    number = db.execute(
        "update pages set state = 'due', attempts = 0, reason = null, error = null, first_tried = null, crashes = 0 "
        f"where {dead}",
        (*reasons,),
    ).rowcount
    db.execute(f"{AGAIN}, dead = dead - ?, reopened = ? where id = ?", (scope, number, last.reason, last.id))
    return run, number


def _take_back(db: sqlite3.Connection, run: int, theirs: str, values: Collection[str]) -> None:
    """What errbacks gave for pages that are tried again: it would stand beside what the pages themselves give."""
    # Not those with a key: they are written over.
    which = f"{theirs} and last_run = {run} and items.key glob page || '.*'"
    for kind, number in db.execute(f"select kind, count(*) from items where {which} group by 1", (*values,)).fetchall():
        db.execute("update kinds set items = items - ? where run = ? and kind = ?", (number, run, kind))
        db.execute("update runs set items = items - ? where id = ?", (number, run))
    filled = (
        f"select kind, field.key, count(*) from items, json_each(data) as field where {which} "
        "and field.value is not null and field.value not in ('', '[]', '{}') group by 1, 2"
    )
    for kind, field, number in db.execute(filled, (*values,)).fetchall():
        less = "update fills set filled = filled - ? where run = ? and kind = ? and field = ?"
        db.execute(less, (number, run, kind, field))
    db.execute(f"delete from file_links where (kind, key) in (select kind, key from items where {which})", (*values,))
    db.execute(f"delete from items where {which}", (*values,))
    gone = db.execute(f"delete from rejects where {theirs} and run = {run}", (*values,)).rowcount
    db.execute("update runs set rejects = rejects - ? where id = ?", (gone, run))


class _Last(NamedTuple):
    id: int
    spider: str
    started: float
    finished: int
    reason: str | None
    reopened: str | None


def _last(db: sqlite3.Connection, spider: str, where: str) -> _Last | None:
    row = db.execute(f"select {', '.join(_Last._fields)} from runs order by id desc limit 1").fetchone()
    if row and row[1] != spider:
        raise UsageError(f"{where} belongs to spider {row[1]!r}; give {spider!r} another --db")
    return _Last(*row) if row else None


def _asked_until(db: sqlite3.Connection, now: float) -> float | None:
    """After which date no process has asked a host. Of one that was killed it is only known that it is over."""
    found: tuple[float | None] = db.execute("select max(coalesce(ended, ?)) from runs", (now,)).fetchone()
    return min(found[0], now) if found[0] is not None else None


def _resume(
    db: sqlite3.Connection,
    last: _Last,
    scope: str | None,
    now: float,
    crashed: Sequence[int],
    asked_until: float | None,
) -> Run:
    db.execute(f"{AGAIN} where id = ?", (scope, last.id))
    _keep_dates(db, now)
    _count_crashes(db, last.spider, last.id, crashed, now)
    return Run(last.id, last.spider, last.started, resumed=True, reopened=last.reopened, asked_until=asked_until)


def _keep_dates(db: sqlite3.Connection, now: float) -> None:
    """A clock that was set back must not stretch a wait: what was written in the future was written now."""
    db.execute(
        "update pages set due = ? + max(due - finished_at, 0), finished_at = ? "
        "where state = 'retry' and finished_at > ?",
        (now, now, now),
    )


def _count_crashes(db: sqlite3.Connection, spider: str, run: int, crashed: Sequence[int], now: float) -> None:
    """A page that takes the process with it is tried a few times, and not at every start for ever."""
    if not crashed:
        return
    marks = ",".join("?" * len(crashed))
    db.execute(f"update pages set crashes = 0 where crashes and id not in ({marks})", crashed)
    waits = f"id in ({marks}) and state in ('due', 'retry') and run = ?"
    db.execute(f"update pages set crashes = crashes + 1 where {waits}", (*crashed, run))
    gone = f"{waits} and crashes >= {MOST_CRASHES}"
    for state, which in (("dead", gone), ("retry", f"{waits} and crashes < {MOST_CRASHES}")):
        db.execute(
            "insert into attempts (page, run, attempt, at, state, reason, error) "
            f"select id, run, attempts + crashes, ?, ?, 'crash', ? from pages where {which}",
            (now, state, CRASHED, *crashed, run),
        )
    error = f"{CRASHED}, {MOST_CRASHES} times in a row; mend the spider, then: scraper retry {spider} --reason crash"
    dead = db.execute(
        "update pages set state = 'dead', due = null, reason = 'crash', error = ?, finished_at = ? where " + gone,
        (error, now, *crashed, run),
    ).rowcount
    db.execute("update runs set dead = dead + ? where id = ?", (dead, run))


def finish(
    db: sqlite3.Connection, run: int, reason: str, now: float, finished: bool, verdicts: Sequence[Verdict] | None
) -> None:
    """The run's end, and how its rules judged it."""
    judged = msgspec.json.encode(verdicts).decode() if verdicts is not None else None
    db.execute(
        "update runs set ended = ?, reason = ?, finished = ?, verdicts = ?, reopened = iif(?, null, reopened) "
        "where id = ?",
        (now, reason, finished, judged, finished, run),
    )


def work(db: sqlite3.Connection, run: int, seconds: float) -> None:
    """So long was worked on it since the last time."""
    db.execute("update runs set seconds = seconds + ? where id = ?", (max(seconds, 0.0), run))


def beat(db: sqlite3.Connection, started: float, now: float, status: str) -> None:
    """The owner's sign of life."""
    db.execute(BEAT, (os.getpid(), platform.node(), started, now, status))


def figures(db: sqlite3.Connection, run: int, most: int) -> tuple[Figures, list[Figures]]:
    """What ``run`` came to, and the last ``most`` runs that were finished before it, latest first."""
    names = ("pages", "items", "rejects", "retries", "dead")
    query = f"select id, {', '.join(names)}, started from runs where id "
    before = "< ? and reason = 'finished' order by id desc limit ?"  # one that a limit ended is no measure
    rows = [*db.execute(f"{query} = ?", (run,)), *db.execute(f"{query} {before}", (run, most))]
    found = [Figures(*row[:-1]) for row in rows]
    for each, row in zip(found, rows, strict=True):
        each.kinds, each.fills, each.started = {}, {}, row[-1]
        each.kinds.update(db.execute("select kind, items from kinds where run = ?", (each.run,)))
        for kind, field, filled in db.execute("select kind, field, filled from fills where run = ?", (each.run,)):
            each.fills.setdefault(kind, {})[field] = filled
    return found[0], found[1:]


def ledger(db: sqlite3.Connection, run: int, most: int) -> list[HostLedger]:
    """The connection ledger, busiest hosts first."""
    query = f"select host, {', '.join(LEDGER)} from hosts where run = ? order by requests desc, host limit ?"
    return [HostLedger(*row) for row in db.execute(query, (run, most))]
