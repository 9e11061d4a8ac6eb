"""``scraper runs`` and ``scraper failed``: what the runs of a database came to, and the pages they gave up."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import typer

from scraper.cli.opened import AsJson, OfRun, Where, chosen_run, opened, piped
from scraper.stores import reading
from scraper.stores.reading import Failed, Fill, RunRow

COUNTS = ("id", "took", "pages", "items", "failures", "bytes", "reused")
"""Columns of `scraper runs` that hold numbers."""


@piped
def runs(
    where: Where,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=0, help="The last N runs; 0: all.")] = 20,
    fields: Annotated[
        bool, typer.Option("--fields", help="How many items had a value in each field, by kind and run.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List runs, newest last: when, how long, why they ended, and what they came to.

    A run that is "running" has a process that works on it; "killed" had one that is gone; "silent" has one that
    gives no sign of life. After a crawl was stopped (SIGTERM, deadline, ...) or killed, the next one resumes.

    \b
    Examples:
      scraper runs books
      scraper runs books --fields                          which field has been empty since when
      scraper runs shop.db -n 1 --json | jq .reuse
      scraper runs shop.db -n 0 --json | jq 'select(.failures > 0) | .id'
    """
    with opened(where) as (path, db):
        with reading.snapshot(db):
            found = reading.runs(db, time.time(), number or -1)
            filled = reading.fills(db, number or -1) if fields else []
        if as_json:
            _print_json(filled if fields else found)
        elif not found:
            print(f"no run in {path}", file=sys.stderr)
        elif fields and not filled:
            print(f"no item in these runs of {path}", file=sys.stderr)
        elif fields:
            _print_fills(found[-1].spider, filled)
        else:
            _print_runs(found)


def _print_runs(found: Sequence[RunRow]) -> None:
    from scraper.cli.tables import console, duration, print_rows, share, size, stamp

    out = console()
    ruled = any(run.verdicts for run in found)
    # Those that matter least stand last: they are left out where the terminal is narrow.
    columns = ["id", "start", "took", "end", "rules", "pages", "items", "failures", "reused", "bytes"]
    rows = [
        [
            run.id,
            stamp(run.started)[:16],  # without its seconds
            duration(run.seconds) if run.seconds is not None else "-",
            run.state,
            _rules(run),
            f"{run.pages:,}",
            f"{run.items:,}",
            f"{run.failures:,}",
            share(run.reuse),
            size(run.bytes),
        ]
        for run in found
    ]
    if not ruled:
        del columns[4]
        for row in rows:
            del row[4]
    print_rows(columns, rows, found[-1].spider, out, numbers=COUNTS)
    for run in found:
        for verdict in run.verdicts or ():
            if not verdict.met:
                line = f"run {run.id} did not meet: {verdict.rule}; found {verdict.figure}"
                out.print(line, style="yellow", markup=False, soft_wrap=True)


def _rules(run: RunRow) -> str:
    if not run.verdicts:
        return ""
    failed = sum(not verdict.met for verdict in run.verdicts)
    return f"{failed} not met" if failed else "met"


def _print_fills(spider: str, filled: Sequence[Fill]) -> None:
    """A row for each field, a column for each run, the newest first: there a field that went empty stands out."""
    from scraper.cli.tables import print_rows, share

    ids = sorted({fill.run for fill in filled}, reverse=True)
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for fill in reversed(filled):  # the fields in the order of the newest run
        cells.setdefault((fill.kind, ""), {})[fill.run] = f"{fill.items:,}"
    for fill in sorted(filled, key=lambda each: -each.run):
        if fill.field:
            cells.setdefault((fill.kind, fill.field), {})[fill.run] = share(fill.rate)
    kinds = sorted({kind for kind, _ in cells})
    rows = [
        [kind if not field else "", field or "(items)", *(values.get(run, "-") for run in ids)]
        for each in kinds
        for (kind, field), values in cells.items()
        if kind == each
    ]
    heads = [f"run {run}" for run in ids]
    print_rows(["kind", "field", *heads], rows, f"{spider}: items with a value", numbers=heads)


@piped
def failed(
    where: Where,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", metavar="REASON", help="Only these, such as callback or 'status 5*'. Repeatable."),
    ] = None,
    run: OfRun = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=0, help="How many; 0: all.")] = 20,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="With the traceback of a callback.")] = False,
    as_json: AsJson = False,
) -> None:
    """List dead pages: why each was given up, after how many attempts, and where its link was found.

    \b
    Examples:
      scraper failed books
      scraper failed books --reason callback -v
      scraper failed books --reason 'status 5*' --reason dns --run 3
      scraper failed books -n 0 --json | jq -r .url
    """
    with opened(where) as (path, db):
        with reading.snapshot(db):
            chosen, spider = chosen_run(path, db, run)
            found, counts = reading.failed(db, chosen, reason or (), number or -1)
            others = reading.failed(db, chosen, (), 0)[1] if reason and not counts else {}
        if as_json:
            _print_json(found)
        elif counts:
            _print_failed(f"{spider}, run {chosen}", found, counts, verbose)
        else:
            there = f" for this reason; there: {_listed(others)}" if others else ""
            print(f"no dead page in run {chosen} of {path}{there}", file=sys.stderr)


def _print_failed(title: str, found: Sequence[Failed], counts: dict[str, int], verbose: bool) -> None:
    """Not a table: a URL that is cut cannot be tried again."""
    from rich.text import Text

    from scraper.cli.tables import console, stamp

    out = console()
    total = sum(counts.values())
    out.print(Text.assemble((title, "bold"), f": {total:,} dead: {_listed(counts)}"), soft_wrap=True)
    for each in found:
        out.print()
        out.print(Text.assemble((each.reason, "yellow"), "  ", each.url), soft_wrap=True)
        facts = [f"{each.attempts} attempt{'s' if each.attempts != 1 else ''}"]
        facts += [f"status {each.status}"] if each.status is not None else []
        facts += [stamp(each.at)] if each.at is not None else []
        facts += [f"found on {each.found_on}" if each.found_on is not None else "a seed"]
        out.print(Text(f"  {', '.join(facts)}", style="dim"), soft_wrap=True)
        error = each.traceback if verbose and each.traceback is not None else each.error
        for line in error.rstrip().splitlines():
            out.print(Text(f"  {line}"), soft_wrap=True)
    if len(found) < total:
        out.print()
        out.print(Text(f"shown: {len(found):,} of {total:,} (-n 0: all)", style="dim"))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} ({count:,})" for reason, count in counts.items())


def _print_json(values: Iterable[msgspec.Struct]) -> None:
    for value in values:
        print(msgspec.json.encode(value).decode())
