"""``scraper items`` and ``scraper pool``: what a crawl found, and what its connections did."""

from __future__ import annotations

import sqlite3
import sys
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
    as_json: AsJson = False,
) -> None:
    """Show stored items, first stored first.

    \b
    Examples:
      scraper items books                      ten of each kind in data/books.db
      scraper items shop.db review -n 50
      scraper items books book -n 0 --json | jq .title
    """
    with opened(where, explained=False) as (path, db):
        counts: dict[str, int] = dict(db.execute("select kind, count(*) from items group by kind"))
        if kind is not None and kind not in counts:
            there = ", ".join(sorted(counts)) or "none yet"
            raise UsageError(f"{path} has no items of kind {kind!r}; there: {there}")
        if not counts and not as_json:
            print(f"no items in {path}", file=sys.stderr)
        for each in sorted(counts) if kind is None else [kind]:
            query = "select data from items where kind = ? order by id limit ?"
            rows = (data for (data,) in db.execute(query, (each, number or -1)))
            if as_json:
                for data in rows:
                    print(data)
            else:
                _print_kind(db, each, counts[each], [msgspec.json.decode(data) for data in rows])


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
