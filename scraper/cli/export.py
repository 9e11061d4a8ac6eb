"""``scraper export``: items out of a database into files."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from scraper.cli.opened import Where, chosen_run, opened
from scraper.errors import OutputError, UsageError
from scraper.exports.check import check
from scraper.exports.crawled import values_of
from scraper.exports.source import Look, Source, Span
from scraper.exports.target import Target, target_of
from scraper.exports.write import check_look, write
from scraper.stores.reading import snapshot


def export(
    where: Where,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Where to; the suffix is the format. - is stdout, s3://… is remote."),
    ],
    fields: Annotated[
        str | None, typer.Option("--fields", metavar="A,B,C", help="Only these fields, in this order.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option("--order", metavar="FIELD", help="Sort by it; -FIELD: largest first. Several: A,-B."),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only items of this kind. Repeatable.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="N|last", help="Only items that this run was the last to meet.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="RUN|DATE|last", help="Only items met by this run or a later one, or since a date."
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Only items that no earlier run had met; alone: what the last run brought.")
    ] = False,
    with_meta: Annotated[
        bool, typer.Option("--with-meta", help="Add _key, _url, _first_run, _last_run and _stored_at.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Instead of the suffix: csv, jsonl.gz, and so on."),
    ] = None,
    csv_safe: Annotated[
        bool, typer.Option("--csv-safe", help="Let no text begin like a formula: a ' is put before it.")
    ] = False,
    excel: Annotated[
        bool, typer.Option("--excel", help="Begin the CSV with the mark by which Excel knows UTF-8.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing unless something went wrong.")] = False,
) -> None:
    """Write the items of a database to files, also while a crawl is running.

    Items pass one by one, so any number of them fits. A file appears whole or not at all; one that is there is
    replaced. Formats: .jsonl, .json, .csv, .xml, .parquet, .sqlite; all but .parquet also with .gz or .zst behind.
    In a file name {spider}, {run}, {date} and {time} are of the run, and with {kind} each kind gets a file.

    \b
    Examples:
      scraper export books books.csv
      scraper export data/books.db books.jsonl.zst books.parquet
      scraper export books - --fields title,price --order -price | head
      scraper export books "out/{kind}.csv" --with-meta
      scraper export books new-{date}.jsonl --new
      scraper export books recent.jsonl --since 24h
      scraper export books - --format csv --kind book
      scraper export books s3://bucket/books-{run}.jsonl.gz
    """
    look = Look(
        fields=_names(fields, "--fields"),
        order=_names(order, "--order"),
        kind=tuple(kind or ()),
        new=new,
        with_meta=with_meta,
        csv_safe=csv_safe,
        excel=excel,
    )
    targets = [target_of(each, form) for each in files]
    if len({each.place for each in targets}) < len(targets):
        raise OutputError("a file is given twice")
    with opened(where, explained=False) as (path, db), snapshot(db):
        span = _span(path, db, run, since)
        values = _values(path, db, span)
        for target in targets:
            check(target, path, values)
            check_look(target, look)
        with _shown(db, span, look, targets, quiet) as passed:
            for target in targets:
                number = write(Source(db, span, look, True, passed=passed), target, look, values)
                if not quiet and (not number or sys.stderr.isatty()) and not target.stdout:
                    told = "no items" if not number else f"{number:,} item{'s' if number > 1 else ''}"
                    print(f"{told} written to {target.at(values).name}", file=sys.stderr)


def _names(text: str | None, option: str) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(part.strip() for part in text.split(",") if part.strip(" -"))
    if not names:
        raise UsageError(f"{option} names no field; write them with commas between: {option} title,price")
    return names


def _span(path: Path, db: sqlite3.Connection, run: str | None, since: str | None) -> Span:
    if run is not None and since is not None:
        raise UsageError("--run is one run and --since all from one on; give one of them")
    if run is not None:
        return Span(run=_run(path, db, run, "--run"))
    if since is None:
        return Span()
    if since == "last" or since.isdecimal():
        return Span(since_run=_run(path, db, since, "--since"))
    return Span(since=_date(since))


def _run(path: Path, db: sqlite3.Connection, text: str, option: str) -> int:
    if text != "last" and not text.isdecimal():
        raise UsageError(f"{option} {text!r} is no run; give its number (scraper runs lists them) or last")
    return chosen_run(path, db, None if text == "last" else int(text))[0]


def _date(text: str) -> float:
    """Epoch seconds of a date, or of so long ago (``24h``, ``7d``). Without a zone it is local time."""
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return time.time() - int(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since {text!r} is no run and no date; write a run's number, last, 2026-11-21, "
            "2026-11-21T18:00, or how long ago: 24h, 7d"
        ) from None


def _values(path: Path, db: sqlite3.Connection, span: Span) -> dict[str, object]:
    """What the placeholders stand for: the run that is exported, or else the last."""
    row = db.execute(
        "select spider, id, started from runs where id = ifnull(?, (select max(id) from runs))", (span.run,)
    ).fetchone()
    return values_of(*row) if row else values_of(path.stem, 0, time.time())


@contextmanager
def _shown(
    db: sqlite3.Connection, span: Span, look: Look, targets: list[Target], quiet: bool
) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; what to call with each number of rows that have passed."""
    if quiet or not sys.stderr.isatty() or any(target.stdout and sys.stdout.isatty() for target in targets):
        yield lambda number: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from scraper.cli.tables import console

    total = Source(db, span, look, True).count() * len(targets)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda number: bar.advance(task, number)
