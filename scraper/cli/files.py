"""``scraper files``: what downloads gave, held against the disk."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from scraper.cli.opened import AsJson, Where, chosen_run, opened, piped
from scraper.errors import UsageError
from scraper.settings import load
from scraper.url import shown

QUERY = """
select p.url, p.state, p.reason, f.status, f.folder, f.path, f.size, f.sha256, f.content_type, f.flaw, f.thumbs,
    t.url as leads_to, f.last_run, (
        select json_group_array(json_object('kind', kind, 'key', key, 'field', field)) from file_links where page = p.id
    ) as items
from files f join pages p on p.id = f.page left join pages t on t.id = f.leads_to
where ? is null or f.last_run = ? order by f.page
"""
MOST_ITEMS = 3
"""Items of one file that are named in the table."""
KNOWN = """
create temp table known as
select path from files where path is not null
union select json_extract(value, '$.path') from files, json_each(thumbs) where thumbs is not null
"""


@piped
def files(
    where: Where,
    run: Annotated[
        int | None, typer.Option("--run", metavar="N", min=1, help="Only those that run N met last.")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only those that are not on the disk, or of another size.")
    ] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Files of the spider that no row names, one path a line.")
    ] = False,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=0, help="How many; 0: all.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the files that downloads gave, and hold them against the disk.

    They are looked for below the setting `files` (in scraper.toml, or SCRAPER_FILES). The next crawl fetches again
    what is missing; an orphan is left by a kill, or by a file that has changed, and may be deleted.

    \b
    Examples:
      scraper files covers
      scraper files covers --missing
      scraper files covers -n 0 --json | jq .path
      scraper files covers --orphans | xargs -r -d '\\n' rm
    """
    if missing and orphans:
        raise UsageError("--missing and --orphans are two questions; ask one at a time")
    root = Path(load().files)
    with opened(where, explained=False) as (path, db):
        _, spider = chosen_run(path, db, run)
        if not db.execute("select 1 from sqlite_schema where name = 'files' and type = 'table'").fetchone():
            raise UsageError(f"{path} was written by an older scraper, which kept no files; the next crawl upgrades it")
        if orphans:
            for orphan in _orphans(db, root, spider):
                print(msgspec.json.encode({"path": orphan}).decode() if as_json else orphan)
            return
        db.row_factory = sqlite3.Row
        rows = _rows(db, root, run, missing)
        if as_json:
            for row in _first(rows, number):
                print(msgspec.json.encode(row).decode())
        else:
            _print(list(_first(rows, number)), missing, path)


def _first(rows: Iterator[dict[str, Any]], number: int) -> Iterator[dict[str, Any]]:
    for count, row in enumerate(rows, 1):
        yield row
        if count == number:
            return


def _rows(db: sqlite3.Connection, root: Path, run: int | None, missing: bool) -> Iterator[dict[str, Any]]:
    for found in db.execute(QUERY, (run, run)):
        row = dict(found)
        row["items"] = msgspec.json.decode(row["items"])
        row["thumbs"] = msgspec.json.decode(row["thumbs"]) if row["thumbs"] else {}
        row["there"] = _is_there(root, row["path"], row["size"]) if row["path"] is not None else None
        if not missing or row["there"] is False:
            yield row


def _is_there(root: Path, path: str, size: int | None) -> bool:
    try:
        return (root / path).stat().st_size == size
    except OSError:
        return False


def _orphans(db: sqlite3.Connection, root: Path, spider: str) -> Iterator[str]:
    from scraper.media import place_of

    db.execute(KNOWN)
    db.execute("create index temp.known_path on known (path)")
    for folder, _, names in os.walk(root / place_of(spider, "")):
        for name in names:
            path = Path(folder, name)
            if not db.execute("select 1 from known where path = ?", (path.relative_to(root).as_posix(),)).fetchone():
                yield str(path)


def _print(rows: list[dict[str, Any]], missing: bool, path: Path) -> None:
    from scraper.cli.tables import print_rows, size

    if not rows:
        print(f"{'no file is missing' if missing else 'no files'} in {path}", file=sys.stderr)
        return
    columns = ("items", "path", "status", "size", "url")
    cells = [
        (
            _named(row["items"]),
            row["path"] or _instead(row),
            "missing" if row["there"] is False else row["status"],
            size(row["size"]) if row["size"] is not None else "",
            shown(row["url"]),
        )
        for row in rows
    ]
    print_rows(columns, cells, numbers=("size",), least=4)


def _named(items: list[dict[str, Any]]) -> str:
    words = [f"{item['kind']} {item['key']}" for item in items[:MOST_ITEMS]]
    more = [f"and {len(items) - MOST_ITEMS:,} more"] if len(items) > MOST_ITEMS else []
    return ", ".join([*words, *more])


def _instead(row: dict[str, Any]) -> str:
    """Why there is no path: the fact alone, as the URL has a column of its own."""
    if row["flaw"]:
        return str(row["flaw"]).removeprefix(f"{shown(row['url'])} ").removeprefix("is ")
    return f"→ {shown(row['leads_to'])}" if row["leads_to"] else ""
