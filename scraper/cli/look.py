"""``scraper items`` and ``scraper pool``: a look into a database, also while a crawl writes it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from scraper.errors import StoreError, UsageError
from scraper.page import HostLedger
from scraper.settings import load

Where = Annotated[str, typer.Argument(metavar="DB|SPIDER", help="A database file, or the name of its spider.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


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
    with _opened(where) as (path, db):
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


def pool(
    where: Where,
    run: Annotated[
        int | None, typer.Option("--run", metavar="N", min=1, help="Of this run.  [default: the last]")
    ] = None,
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
    with _opened(where) as (path, db):
        known = db.execute("select id, spider from runs order by id").fetchall()
        if not known:
            raise UsageError(f"{path} has no run yet")
        spider = dict(known).get(chosen := run if run is not None else known[-1][0])
        if spider is None:
            raise UsageError(f"{path} has no run {run}; it has 1 to {known[-1][0]}")
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


@contextmanager
def _opened(where: str) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """The database, read-only. Raises UsageError for a missing file or one that is not ours."""
    path = _path(where)
    db: Any = None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        if db.execute("select count(*) from sqlite_schema where name in ('pages', 'hosts')").fetchone()[0] != 2:
            raise UsageError(f"{path} is an SQLite file, but not a database of scraper")
        yield path, db
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise UsageError(f"{path} is not an SQLite database") from error
        raise StoreError(f"cannot read {path}: {error}") from error
    finally:
        if db is not None:
            db.close()


def _path(where: str) -> Path:
    """A file that is there, else the database of the spider of that name."""
    named = Path(where)
    if named.is_file():
        return named
    ours = Path(load().data) / f"{where}.db"
    if named.suffix or named.name != where:
        raise UsageError(f"there is no file {where}")
    if not ours.is_file():
        raise UsageError(f"there is no database {ours}; make it with: scraper crawl {where}")
    return ours
