"""``scraper items`` and ``scraper pool``: what a crawl found, and what its connections did."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from scraper.cli.opened import AsJson, OfRun, Where, chosen_run, opened, piped
from scraper.errors import UsageError
from scraper.page import HostLedger


@piped
def items(
    where: Where,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="Only this kind.  [default: all]")] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=0, help="How many of each kind; 0: all.")
    ] = 10,
    rejects: Annotated[
        bool, typer.Option("--rejects", help="Those that could not be stored instead, latest first, with the reason.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show stored items, first stored first.

    \b
    Examples:
      scraper items books                      ten of each kind in data/books.db
      scraper items shop.db review -n 50
      scraper items books book -n 0 --json | jq .title
      scraper items books --rejects
    """
    with opened(where, explained=False) as (path, db):
        if rejects:
            _print_rejects(path, db, kind, number, as_json)
            return
        counts: dict[str, int] = dict(db.execute("select kind, count(*) from items group by kind"))
        if kind is not None and kind not in counts:
            there = ", ".join(sorted(counts)) or "none yet"
            raise UsageError(f"{path} has no items of kind {kind!r}; there: {there}")
        if not counts and not as_json:
            print(f"no items in {path}{_rejected(db, where)}", file=sys.stderr)
        for each in sorted(counts) if kind is None else [kind]:
            query = "select data from items where kind = ? order by id limit ?"
            rows = (data for (data,) in db.execute(query, (each, number or -1)))
            if as_json:
                for data in rows:
                    print(data)
            else:
                _print_kind(db, each, counts[each], [msgspec.json.decode(data) for data in rows])


def _rejected(db: sqlite3.Connection, where: str) -> str:
    """What to add where there are no items, when some could not be stored."""
    most = db.execute("select kind, reason from rejects group by 1, 2 order by count(*) desc, max(rowid) limit 1")
    commonest = most.fetchone()
    if commonest is None:
        return ""
    (number,) = db.execute("select count(*) from rejects").fetchone()
    was = "1 was" if number == 1 else f"{number:,} were"
    return f"; {was} rejected: {': '.join(commonest)}; scraper items {where} --rejects lists them"


def _print_rejects(path: Path, db: sqlite3.Connection, kind: str | None, number: int, as_json: bool) -> None:
    names = ("kind", "reason", "data", "url", "run")
    query = (
        "select r.kind, r.reason, r.data, p.url, r.run from rejects r left join pages p on p.id = r.page "
        "where ? is null or r.kind = ? order by r.run desc, r.rowid desc limit ?"
    )
    found = db.execute(query, (kind, kind, number or -1))
    if as_json:
        for row in found:
            print(msgspec.json.encode(dict(zip(names, row, strict=True))).decode())
        return
    from scraper.cli.tables import print_rows

    (count,) = db.execute("select count(*) from rejects where ? is null or kind = ?", (kind, kind)).fetchone()
    rows = found.fetchall()
    if not rows:
        print(f"no rejected items{f' of kind {kind!r}' if kind else ''} in {path}", file=sys.stderr)
        return
    print_rows(names, rows, f"rejected items: {f'{len(rows):,} of ' if len(rows) < count else ''}{count:,}", least=2)


def _print_kind(db: sqlite3.Connection, kind: str, count: int, rows: list[dict[str, Any]]) -> None:
    from scraper.cli.tables import print_rows

    found = db.execute("select name from fields where kind = ? order by ordinal", (kind,))
    names = [name for (name,) in found]
    title = f"{kind}: {len(rows):,} of {count:,}" if len(rows) < count else f"{kind}: {count:,}"
    print_rows(names, [[row.get(name) for name in names] for row in rows], title)


@piped
def pool(
    where: Where,
    run: OfRun = None,
    as_json: AsJson = False,
) -> None:
    """Print the connection ledger of a run.

    For every host: requests sent, connections opened, the share of requests on a reused connection,
    connections closed by the peer, reused connections dropped before an answer, requests re-sent, time paid
    for handshakes (DNS, connect, TLS), time that reuse saved, and the most connections at once.

    \b
    Examples:
      scraper pool books
      scraper pool shop.db --run 3 --json | jq 'select(.dropped > 0)'
    """
    names = list(HostLedger.__struct_fields__)
    with opened(where, explained=False) as (path, db):
        chosen, spider = chosen_run(path, db, run)
        query = f"select {', '.join(names)} from hosts where run = ? order by requests desc, host"
        hosts = [HostLedger(*row) for row in db.execute(query, (chosen,))]
    if as_json:
        for host in hosts:
            print(msgspec.json.encode(host).decode())
    elif hosts:
        from scraper.cli.tables import console, print_ledger

        out = console()
        out.print(f"{spider}, run {chosen}", style="bold", markup=False)
        print_ledger(hosts, out, where)
    else:
        print(f"run {chosen} in {path} has sent no request", file=sys.stderr)
