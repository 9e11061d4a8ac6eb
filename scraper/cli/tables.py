"""What the commands print for people: the summary of a crawl, the connection ledger, rows of items."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import IO, Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from scraper.page import HostLedger, Snapshot
from scraper.report import CrawlReport

WIDE = 110
"""Columns when the output is no terminal."""

MOST_HOSTS = 20
LEDGER_COLUMNS = (
    "re-\nquests",
    "opened",
    "reused",
    "peer\nclosed",
    "drop-\nped",
    "re-\nsent",
    "paid",
    "saved",
    "peak",
)
"""Short, so that the ledger fits into 80 columns."""
MOST_CELL = 40
MOST_PIPED = 100
"""The same where lines may be as long as they like."""
MOST_REASON = 80
LEAST_CELL = 16


class _Piped(Console):
    """rich ends the process with 1 when the reader has gone; here that is the command's to decide."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(stderr: bool = False) -> Console:
    """A rich console that keeps its shape in files and pipes."""
    stream, kind = (sys.stderr, Console) if stderr else (sys.stdout, _Piped)
    width = None if _is_limited(stream) else WIDE
    return kind(file=stream, highlight=False, soft_wrap=False, width=width, emoji=False)


def _is_limited(stream: IO[str]) -> bool:
    """Whether something says how wide the output is: a terminal, or who has set COLUMNS. rich asks both."""
    return stream.isatty() or os.environ.get("COLUMNS", "").isdigit()


def duration(seconds: float) -> str:
    """``0.4 ms``, ``312 ms``, ``2.5 s``, ``0:02:03``."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms" if seconds else "0"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return clock(seconds)


def clock(seconds: float) -> str:
    """``0:02:03``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def stamp(when: float) -> str:
    """A date in local time: ``2026-05-01 14:03:05``."""
    return datetime.fromtimestamp(when).isoformat(" ", "seconds")


def share(part: float | None) -> str:
    """``98.5 %``; ``-`` of nothing."""
    return "-" if part is None else f"{100 * part:.1f} %"


def size(number: float) -> str:
    """Bytes as ``512 B``, ``1.5 kB``, ``28.4 MB``, in steps of 1,000."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"


def print_report(report: CrawlReport) -> None:
    """The summary and the ledger, on stderr: stdout belongs to the items."""
    out = console(stderr=True)
    state = "finished" if report.reason == "finished" else f"ended by {report.reason}"
    if not report.finished:
        state = f"stopped by {report.reason}, to be resumed"
    out.print()
    out.print(Text.assemble((report.spider, "bold"), f"  run {report.run}, {state}"))
    out.print(_summary(report))
    if report.database is not None:
        out.print(f"database   {report.database}", markup=False, soft_wrap=True)
    if report.hosts:
        print_ledger(report.hosts, out, report.spider)


def _summary(report: CrawlReport) -> Table:
    now, whole = report.counts, report.totals
    table = Table(box=None, show_header=report.resumed, padding=(0, 3, 0, 0))
    table.add_column("")
    table.add_column("now", justify="right")
    if report.resumed:
        table.add_column("whole run", justify="right")

    def row(name: str, of: Any) -> None:
        table.add_row(name, *map(of, (now, whole) if report.resumed else (now,)))

    def number(name: str) -> Any:
        return lambda snapshot: f"{getattr(snapshot, name):,}"

    row("pages", number("pages"))
    row("items", number("items"))
    row("retries", number("retries"))
    row("failures", number("dead"))
    for reason, count in sorted(now.reasons.items(), key=lambda each: -each[1]):
        table.add_row(f"  {reason}", f"{count:,}", style="yellow")
    if now.files:
        row("files", lambda snapshot: f"{sum(snapshot.files.values()):,}" if snapshot is now else "")
        for status, count in sorted(now.files.items()):
            table.add_row(f"  {status}", f"{count:,}", style="dim")
    row("redirects", number("redirects"))
    row("drops", lambda snapshot: f"{sum(snapshot.drops.values()):,}" if snapshot is now else "")
    for reason, count in sorted(now.drops.items()):
        table.add_row(f"  {reason}", f"{count:,}", style="dim")
    if whole.rejects or now.rejects:
        row("rejected items", number("rejects"))
        for reason, count in now.rejected.items():
            table.add_row(
                f"  {reason if len(reason) <= MOST_REASON else reason[:MOST_REASON] + '…'}",
                f"{count:,}",
                style="yellow",
            )
    row("received", lambda snapshot: size(snapshot.bytes))
    row("time", lambda snapshot: duration(snapshot.seconds) if snapshot is now else "")
    row("pages/s", lambda snapshot: speed(snapshot) if snapshot is now else "")
    if report.exported is not None:
        row("exported", lambda snapshot: f"{report.exported:,}" if snapshot is now else "")
    return table


def speed(snapshot: Snapshot) -> str:
    """Pages per second, as few digits as say something."""
    rate = snapshot.pages_per_second
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def print_ledger(hosts: Sequence[HostLedger], out: Console, name: str) -> None:
    """The connection ledger, busiest hosts first; a total below when there are several."""
    gap = 1 if out.width > 85 else 0  # beside the one space of the box
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False, title_justify="left")
    table.title = Text("connection ledger", style="bold")
    table.add_column("host", overflow="fold", vertical="bottom")
    for column in LEDGER_COLUMNS:
        table.add_column(column, justify="right", vertical="bottom", no_wrap=True)
    for host in hosts[:MOST_HOSTS]:
        table.add_row(host.host, *_ledger_cells(host))
    if len(hosts) > 1:
        table.add_section()
        table.add_row(f"{len(hosts):,} hosts", *_ledger_cells(total(hosts)), style="bold")
    out.print()
    out.print(table)
    if len(hosts) > MOST_HOSTS:
        rest = f"… and {len(hosts) - MOST_HOSTS:,} hosts more: scraper pool {name} --json"
        out.print(rest, style="dim", markup=False)


def _ledger_cells(host: HostLedger) -> Iterable[str]:
    return (
        f"{host.requests:,}",
        f"{host.opened:,}",
        share(host.reused / host.requests if host.requests else None),
        f"{host.closed_by_peer:,}",
        f"{host.dropped:,}",
        f"{host.resent:,}",
        duration(host.dns + host.connect + host.tls),
        duration(host.saved),
        f"{host.peak:,}",
    )


def total(hosts: Iterable[HostLedger]) -> HostLedger:
    """All counts added up; ``peak`` is the highest of any one host."""
    found = HostLedger("")
    for host in hosts:
        for name in HostLedger.__struct_fields__:
            if name == "peak":
                found.peak = max(found.peak, host.peak)
            elif name != "host":
                setattr(found, name, getattr(found, name) + getattr(host, name))
    return found


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: str = "",
    out: Console | None = None,
    numbers: Collection[str] = (),
    least: int = 0,
) -> None:
    """A table of as many columns as fit, long values cut; names the columns that did not fit.

    Where the output is no terminal, and COLUMNS does not say how wide it is, all columns fit. Those named in
    ``numbers`` are set to the right. The first ``least`` are shown in any case, as wide as there is room, and cut in
    the middle.
    """
    out = out or console()
    cells = [[_one_line(value) for value in row] for row in rows]
    widths = [max(cell_len(text) for text in (column, *(row[n] for row in cells))) for n, column in enumerate(columns)]
    limited = _is_limited(out.file)
    most = MOST_CELL if limited else MOST_PIPED
    widths = [each if n < least else min(most, each) for n, each in enumerate(widths)]
    if not limited:
        out.width = max(out.width, sum(widths) + 2 * len(widths))
    widths[:least] = _shrunk(widths[:least], out.width - 2 * least)
    cells = [[_cut(text, widths[n]) if n < least else text for n, text in enumerate(row)] for row in cells]
    shown, room = 0, out.width
    while shown < len(columns) and (shown < max(1, least) or room >= widths[shown]):
        room -= widths[shown] + 2
        shown += 1
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, title_justify="left")
    for column, width in zip(columns[:shown], widths, strict=False):
        justify: JustifyMethod = "right" if column in numbers else "left"
        table.add_column(Text(column), no_wrap=True, overflow="ellipsis", max_width=width, justify=justify)
    for row in cells:
        table.add_row(*map(Text, row[:shown]))
    if title:  # not the table's own: that would be as narrow as the table
        out.print(Text(title, style="bold"))
    out.print(table)
    if shown < len(columns):
        out.print(Text(f"not shown: {', '.join(columns[shown:])}", style="dim"))


def _shrunk(widths: Sequence[int], room: int) -> list[int]:
    """The widest made narrower, as few of them as it takes, down to LEAST_CELL."""
    found, left = [*widths], len(widths)
    for n in sorted(range(len(widths)), key=widths.__getitem__):
        found[n] = min(widths[n], max(LEAST_CELL, room // left))
        room, left = room - found[n], left - 1
    return found


def _cut(text: str, width: int) -> str:
    """Without its middle: an address begins as others do, and a path ends as they do."""
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, width // 2).rstrip()}…{text[-(width - width // 2 - 1) :]}"


def _one_line(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return " ".join(str(value).split())
