"""What a run is doing now, as another process reads it: its process's own words, and what the tables hold."""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec import Struct

from scraper.page import HostLedger
from scraper.stores.reading import Bounds, Owner, RunRow, bounds, owner, short

LAST_ERRORS = 5
LEDGER = tuple(name for name in HostLedger.__struct_fields__ if name != "host")


class SlotRow(Struct):
    """A slot as the frontier has it; ``wait`` is seconds until it may be asked again, ``delay`` the least between two
    requests, ``state`` empty, slowed, paused (its breaker is open) or down (given up)."""

    host: str
    queue: int = 0
    in_flight: int = 0
    cap: int = 0
    open: int = 0
    wait: float = 0.0
    delay: float = 0.0
    state: str = ""


class Live(Struct):
    """What a process says of itself every two seconds; the counters are its own, not the whole run's."""

    seconds: float = 0.0
    pages: int = 0
    dead: int = 0
    in_flight: int = 0
    queued: int = 0
    draining: str | None = None
    slots: list[SlotRow] = []


class Error(Struct):
    """An attempt that did not end well."""

    at: float
    url: str
    state: str
    attempt: int
    status: int | None
    reason: str
    error: str


class Status(Struct):
    """A run now. ``due`` and ``retry`` count pages, those in flight among them; ``rate`` is pages a second."""

    run: RunRow
    owner: Owner | None
    live: Live
    due: int
    retry: int
    next_retry: float | None
    rate: float
    eta: float | None
    ledger: HostLedger
    errors: list[Error]
    bounds: Bounds | None = None


def status(db: sqlite3.Connection, run: RunRow, now: float) -> Status:
    """What a run is doing, or came to: ``run`` as read in the same `snapshot`."""
    works = owner(db, now)
    row = db.execute("select status from owner").fetchone() if run.ended is None else None
    live = _live(row[0]) if row else Live()
    waiting = {"due": 0, "retry": 0}
    next_retry = None
    if not run.finished:  # what a limit left over is nobody's work any more
        for state in waiting:  # two questions: each has an index of its own
            (waiting[state],) = db.execute(f"select count(*) from pages where state = '{state}'").fetchone()
        (next_retry,) = db.execute("select min(due) from pages where state = 'retry'").fetchone()
    seconds = live.seconds if row else run.seconds or 0.0
    rate = (live.pages if row else run.pages) / seconds if seconds > 0 else 0.0
    if run.state == "killed":
        live.in_flight = live.queued = 0  # what it held died with it
    found = Status(
        run,
        works,
        live,
        waiting["due"],
        waiting["retry"],
        next_retry,
        rate,
        None,
        _ledger(db, run.id),
        _errors(db, run.id),
        bounds(db, run.id),
    )
    found.eta = eta(found, rate)
    return found


def eta(now: Status, rate: float) -> float | None:
    """Seconds until nothing is left of what is known, at this rate; None when it does not run or stands still."""
    if now.run.state != "running" or rate <= 0:
        return None
    left = now.due + now.retry
    if now.bounds is not None and now.bounds.limit_pages:
        left = min(left, max(now.bounds.limit_pages - now.run.pages - now.run.failures, 0))
    return left / rate


def _live(text: str) -> Live:
    try:
        return msgspec.json.decode(text, type=Live)
    except msgspec.DecodeError:  # a newer version's, or one that has only begun
        return Live()


def _ledger(db: sqlite3.Connection, run: int) -> HostLedger:
    """All hosts of a run added up."""
    sums = ", ".join(f"coalesce({'max' if name == 'peak' else 'sum'}({name}), 0)" for name in LEDGER)
    return HostLedger("all", *db.execute(f"select {sums} from hosts where run = ?", (run,)).fetchone())


def _errors(db: sqlite3.Connection, run: int) -> list[Error]:
    """The last attempts of a run that did not end well, newest last."""
    rows = db.execute(
        "select a.at, p.url, a.state, a.attempt, a.status, a.reason, a.error "
        "from attempts a join pages p on p.id = a.page where a.run = ? order by a.id desc limit ?",
        (run, LAST_ERRORS),
    ).fetchall()
    errors = [Error(*row) for row in reversed(rows)]
    for each in errors:
        each.error = short(each.error)
    return errors
