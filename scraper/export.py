"""Items out of the store into a file: an export after the fact, never a second stream of truth.

The file appears whole or not at all (written beside its place, then renamed), and items pass one by one.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import msgspec

from scraper.errors import OutputError
from scraper.ports import Store

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
    try:
        with _opened(target) as file:
            return await _FORMS[form](store, run, file)
    except BrokenPipeError:  # the reader has gone; so be it, at exit too
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, ASYNC230
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


async def _jsonl(store: Store, run: int | None, file: TextIO) -> int:
    number = 0
    async for item in store.items(run):
        file.write(msgspec.json.encode(item.data).decode() + "\n")
        number += 1
    return number


async def _json(store: Store, run: int | None, file: TextIO) -> int:
    number = 0
    file.write("[")
    async for item in store.items(run):
        file.write((",\n" if number else "\n") + msgspec.json.encode(item.data).decode())
        number += 1
    file.write("\n]\n" if number else "]\n")
    return number


async def _csv(store: Store, run: int | None, file: TextIO) -> int:
    """RFC 4180: a header of every field of every item, in order of appearance.

    The kind leads when there is more than one, unless a field has that name.
    """
    columns: dict[str, None] = {}
    kinds: set[str] = set()
    async for item in store.items(run):
        kinds.add(item.kind)
        columns.update(dict.fromkeys(item.data))
    led = len(kinds) > 1 and "kind" not in columns
    # A field that appears between the two passes, in a database that is being written, is left out.
    rows = csv.DictWriter(file, ["kind", *columns] if led else [*columns], restval="", extrasaction="ignore")
    if columns:
        rows.writeheader()
    number = 0
    async for item in store.items(run):
        row: dict[str, Any] = {name: _cell(value) for name, value in item.data.items()}
        if led:
            row["kind"] = item.kind
        rows.writerow(row)
        number += 1
    return number


def _cell(value: Any) -> Any:
    """Nested values as JSON; null is an empty cell."""
    if isinstance(value, bool | list | dict):
        return msgspec.json.encode(value).decode()
    return value


_FORMS = {"jsonl": _jsonl, "json": _json, "csv": _csv}
