"""Items out of the store into a file: an export after the fact, never a second stream of truth.

The file appears whole or not at all (written beside its place, then renamed), and items pass one by one.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import msgspec

from scraper.errors import OutputError
from scraper.ports import StoredItem, Store

FORMATS = ("jsonl", "csv", "json")


def format_of(target: str) -> str:
    """The format by suffix; ``-`` (stdout) is jsonl. Raises OutputError for any other suffix."""
    if target == "-":
        return "jsonl"
    suffix = Path(target).suffix.lower().lstrip(".")
    suffix = {"jl": "jsonl", "ndjson": "jsonl"}.get(suffix, suffix)
    if suffix not in FORMATS:
        raise OutputError(
            f"cannot tell the format of {target!r}; end it in .jsonl, .csv or .json, or give - for stdout"
        )
    return suffix


def check_target(target: str) -> None:
    """Raise OutputError before the crawl rather than after it: bad suffix, no such folder, not writable."""
    format_of(target)
    if target != "-":
        folder = Path(target).absolute().parent
        if not folder.is_dir():
            raise OutputError(f"cannot write {target}: there is no folder {folder}; make it first")
        if not os.access(folder, os.W_OK) or Path(target).is_dir():
            raise OutputError(f"cannot write {target}: not a writable place")


async def export(store: Store, target: str, run: int | None = None) -> int:
    """Write the items of ``run`` (None: all) to ``target``; returns how many.

    Raises OutputError when the file cannot be written; the items stay in the database.
    """
    form = format_of(target)
    columns = await _columns(store, run) if form == "csv" else []
    try:
        with _opened(target) as file:
            return await _FORMS[form](store.items(run), file, columns)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - the reader has gone; so be it
        return 0
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error}; the items are safe in the database") from error


@contextmanager
def _opened(target: str) -> Iterator[TextIO]:
    if target == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(target)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def _jsonl(items: AsyncIterator[StoredItem], file: TextIO, columns: list[str]) -> int:
    number = 0
    async for item in items:
        file.write(msgspec.json.encode(item.data).decode() + "\n")
        number += 1
    return number


async def _json(items: AsyncIterator[StoredItem], file: TextIO, columns: list[str]) -> int:
    number = 0
    file.write("[")
    async for item in items:
        file.write((",\n" if number else "\n") + json.dumps(item.data, ensure_ascii=False))
        number += 1
    file.write("\n]\n" if number else "]\n")
    return number


async def _csv(items: AsyncIterator[StoredItem], file: TextIO, columns: list[str]) -> int:
    number = 0
    rows = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    rows.writeheader()
    async for item in items:
        row: dict[str, Any] = {name: _cell(value) for name, value in item.data.items()}
        if columns[:1] == ["kind"] and "kind" not in row:
            row["kind"] = item.kind
        rows.writerow(row)
        number += 1
    return number


def _cell(value: Any) -> Any:
    """Nested values as JSON; null is an empty cell."""
    if isinstance(value, bool | list | dict):
        return msgspec.json.encode(value).decode()
    return value


async def _columns(store: Store, run: int | None) -> list[str]:
    """Every field of every item, in order of appearance; led by the kind when there is more than one."""
    columns: dict[str, None] = {}
    kinds: set[str] = set()
    async for item in store.items(run):
        kinds.add(item.kind)
        columns.update(dict.fromkeys(item.data))
    return [*(["kind"] if len(kinds) > 1 and "kind" not in columns else []), *columns]


_FORMS = {"jsonl": _jsonl, "json": _json, "csv": _csv}
