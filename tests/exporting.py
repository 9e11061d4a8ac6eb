"""Databases to export from, made by the store itself, and ``scraper export`` run in this process."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sqlite_rows import visit
from typer.testing import CliRunner

from scraper.cli import app
from scraper.cli.exits import code_of
from scraper.item import Item
from scraper.page import Found
from scraper.stores.sqlite import SqliteStore

BEGAN = 1_700_000_000.0
DAY = 86_400.0

Thing = tuple[str, str, dict[str, Any] | str]
"""Kind, key, and the fields; or their JSON as it is to be stored."""


def thing(kind: str, key: str, data: dict[str, Any] | str) -> Item:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Item(kind, key, text, tuple(json.loads(text)))


def shelf(path: Path, *runs: Iterable[Thing], spider: str = "shop") -> Path:
    """A database with these items, run by run; each begins a day after the one before it and takes an hour."""

    async def fill() -> None:
        store = SqliteStore(path)
        await store.open()
        for number, things in enumerate(runs):
            began = BEGAN + number * DAY
            await store.begin(spider, began)
            await visit(store, f"page-{number}", Found(items=[thing(*each) for each in things]))
            await store.finish("finished", began + 3600, True)
        await store.close()
        with closing(sqlite3.connect(path)) as db:  # the store's own helper has one date for all
            db.execute("update items set stored_at = ? + (last_run - 1) * ?", (BEGAN, DAY))
            db.commit()

    asyncio.run(fill())
    return path


def books(path: Path, *data: dict[str, Any] | str) -> Path:
    return shelf(path, [("book", f"k{number}", each) for number, each in enumerate(data)])


class Ended(NamedTuple):
    code: int
    out: bytes
    err: str


def export(db: Path | str, *arguments: object) -> Ended:
    """``scraper export db …`` to its end; ``err`` is what it complains of, or says on stderr."""
    done = CliRunner().invoke(app("export"), ["export", str(db), *map(str, arguments)])
    error = done.exception
    if isinstance(error, SystemExit) or error is None:
        return Ended(done.exit_code, done.stdout_bytes, done.stderr)
    assert isinstance(error, Exception)
    if type(error).__module__ != "scraper.errors":
        raise error
    return Ended(int(code_of(error)), done.stdout_bytes, f"Error: {error}")


def exported(db: Path | str, *arguments: object) -> list[Any]:
    """The items of ``scraper export db - …``, as jsonl."""
    done = export(db, "-", *arguments)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.decode().splitlines()]


def cells(data: bytes | Path) -> list[list[str]]:
    text = (data if isinstance(data, bytes) else data.read_bytes()).decode()
    return list(csv.reader(io.StringIO(text, newline="")))
