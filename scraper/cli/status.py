"""``scraper status``: a run as another process sees it."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from scraper.cli.opened import AsJson, Where, chosen_run, opened, piped
from scraper.stores import live, reading
from scraper.stores.live import Status
from scraper.url import shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

EVERY = 1.0
"""Seconds between two looks."""

WINDOW = 15
"""Looks over which the rate is averaged. The process itself speaks every two seconds."""

WATCHED_SLOTS = 10


@piped
def status(
    where: Where,
    watch: Annotated[bool, typer.Option("--watch", help="Look every second until the run ends or Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the last run is doing, or what it came to.

    Reads the database only, from another process: state, rate, queue, requests in flight, the slots of the busiest
    hosts, the connection ledger, the time until nothing is left (ETA) at this rate, and the last errors.

    \b
    Examples:
      scraper status books
      scraper status books --watch
      scraper status data/books.db --json | jq '{rate, eta, queue: (.due + .retry)}'
    """
    with opened(where) as (path, db):
        if watch:
            try:
                _watch(path, db, as_json)
            except KeyboardInterrupt:
                return
        elif as_json:
            print(msgspec.json.encode(_look(path, db)).decode())
        else:
            from scraper.cli.tables import console

            console().print(_drawn(_look(path, db)))


def _look(path: Path, db: sqlite3.Connection) -> Status:
    now = time.time()
    with reading.snapshot(db):
        run, _ = chosen_run(path, db, None)
        row = reading.run(db, run, now)
        assert row is not None  # one snapshot
        return live.status(db, row, now)


def _watch(path: Path, db: sqlite3.Connection, as_json: bool) -> None:
    past: deque[tuple[float, int]] = deque(maxlen=WINDOW)
    if as_json or not sys.stdout.isatty():
        return _lines(path, db, past, as_json)
    from rich.live import Live

    from scraper.cli.tables import console

    with Live(console=console(), auto_refresh=False) as shown:
        while True:
            now = _paced(_look(path, db), past)
            shown.update(_drawn(now, WATCHED_SLOTS), refresh=True)
            if _is_over(now):
                return None
            time.sleep(EVERY)


def _lines(path: Path, db: sqlite3.Connection, past: deque[tuple[float, int]], as_json: bool) -> None:
    """Where nothing can be drawn again: a line for each change."""
    before: object = None
    while True:
        now = _paced(_look(path, db), past)
        what = (_state(now), now.run.pages, now.run.failures, now.run.retries, now.due, now.live.in_flight)
        if what != before:
            print(msgspec.json.encode(now).decode() if as_json else _line(now), flush=True)
            before = what
        if _is_over(now):
            return
        time.sleep(EVERY)


def _is_over(now: Status) -> bool:
    return now.run.state not in ("running", "silent")


def _paced(now: Status, past: deque[tuple[float, int]]) -> Status:
    """With the rate between this look and those before it: how fast it is now, not on the whole."""
    if now.run.state == "running":
        if past and now.live.seconds < past[-1][0]:
            past.clear()  # another process has taken over
        if not past or now.live.seconds > past[-1][0]:
            past.append((now.live.seconds, now.live.pages))
        (then, before), (seconds, pages) = past[0], past[-1]
        if seconds > then:
            now.rate = (pages - before) / (seconds - then)
            now.eta = live.eta(now, now.rate)
    return now


def _line(now: Status) -> str:
    from scraper.cli.tables import clock

    run = now.run
    parts = [
        f"{run.spider} run {run.id} {_state(now)}",
        f"{run.pages:,} pages",
        f"{now.rate:,.1f}/s",
        f"{run.items:,} items",
        f"{run.failures:,} failures",
    ]
    if not _is_over(now):
        parts += [f"queue {_queue(now):,}", f"in flight {now.live.in_flight:,}"]
    if now.eta is not None:
        parts.append(f"ETA {clock(now.eta)}")
    return ", ".join(parts)


def _queue(now: Status) -> int:
    """What is due and not in flight: a page stays due in the table until it is finished."""
    return max(now.due - (now.live.in_flight if now.run.state == "running" else 0), 0)


def _state(now: Status) -> str:
    if now.run.state == "running" and now.live.draining:
        return f"running, draining ({now.live.draining})"
    if now.run.finished or now.run.state in ("running", "silent", "killed"):
        return now.run.state
    return f"stopped ({now.run.state})"


def _life(now: Status) -> str:
    """A sentence on the process."""
    from scraper.cli.tables import duration, stamp

    owner, run = now.owner, now.run
    if run.state == "killed":
        last = f"process {owner.pid} gave its last sign of life {stamp(owner.beat)}" if owner else "no process has it"
        return f"killed ({last}); the next crawl goes on"
    if run.ended is not None or owner is None:
        rest = "" if run.finished else "; the next crawl goes on"
        return f"{_state(now)}{f' {stamp(run.ended)}' if run.ended is not None else ''}{rest}"
    silence = duration(max(time.time() - owner.beat, 0.0))
    if run.state == "silent":
        return f"process {owner.pid} has given no sign of life for {silence}"
    there = f"process {owner.pid} on {owner.host} since {stamp(owner.started)}, last sign of life {silence} ago"
    return f"{_state(now)} ({there})"


def _drawn(now: Status, most: int | None = None) -> RenderableType:
    """All of a status, with so many slots."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from scraper.cli.tables import clock, duration, share, size, stamp

    run, ledger = now.run, now.ledger
    calm = run.state == "running" or run.finished
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")

    def fact(name: str, text: str, style: str = "") -> None:
        facts.add_row(name, Text(text, style=style))

    fact("state", _life(now), "" if calm else "yellow")
    fact("started", stamp(run.started) + (f", {run.starts} processes so far" if run.starts > 1 else ""))
    fact("time", clock(run.seconds) if run.seconds is not None else "-")
    fact("pages", f"{run.pages:,}, {now.rate:,.1f}/s, {size(run.bytes)}")
    fact("items", f"{run.items:,}" + (f", {run.rejects:,} rejected" if run.rejects else ""))
    fact("failures", f"{run.failures:,}, {run.retries:,} retries", "yellow" if run.failures else "")
    if not run.finished:
        waits = ""
        if now.retry and now.next_retry is not None:
            waits = f", {now.retry:,} wait for a retry (next in {duration(max(now.next_retry - time.time(), 0.0))})"
        fact("queue", f"{_queue(now):,}{waits}")
    if not _is_over(now):
        fact("in flight", f"{now.live.in_flight:,}")
        fact("ETA", clock(now.eta) if now.eta is not None else "-")
    for verdict in run.verdicts or ():
        met = "met" if verdict.met else "not met"
        fact("rule", f"{met}: {verdict.rule} ({verdict.figure})", "" if verdict.met else "yellow")
    reused = share(ledger.reused / ledger.requests if ledger.requests else None)
    fact(
        "ledger",
        f"requests {ledger.requests:,}, connections {ledger.opened:,}, reused {reused}, dropped {ledger.dropped:,}, "
        f"saved {duration(ledger.saved)}",
    )
    parts: list[RenderableType] = [Text(f"{run.spider}, run {run.id}", style="bold"), facts]
    slots = now.live.slots[:most] if not _is_over(now) else []
    if slots:
        parts += [Text(), _slots(slots)]
    if now.errors:
        parts += [Text(), Text("last errors", style="bold")]
    for error in now.errors:
        attempt = f"(attempt {error.attempt}, {error.state})"
        parts.append(Text(f"{stamp(error.at)}  {error.reason}  {shown(error.url)} {attempt}"))
    return Group(*parts)


def _slots(slots: list[live.SlotRow]) -> Table:
    from rich import box
    from rich.table import Table

    from scraper.cli.tables import duration

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("host", overflow="fold")
    for name in ("queue", "in flight", "cap", "delay", "open", "asked again"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for slot in slots:
        wait = f"in {duration(slot.wait)}" if slot.wait > 0 else "now"
        numbers = [f"{each:,}" for each in (slot.queue, slot.in_flight, slot.cap)]
        delay = duration(slot.delay) if slot.delay > 0 else "-"
        table.add_row(slot.host, *numbers, delay, f"{slot.open:,}", wait, slot.state or "-")
    return table
