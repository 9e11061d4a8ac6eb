"""The exports of a crawl: ``output`` of whoever starts it, and ``exports`` of the spider."""

from __future__ import annotations

import asyncio
import difflib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from scraper.errors import OutputError, SpiderError, StoreError
from scraper.exports.check import check
from scraper.exports.source import Look, Source, Span
from scraper.exports.spool import spooled
from scraper.exports.target import Target, target_of
from scraper.exports.write import check_look, write
from scraper.page import Run
from scraper.ports import Store

Output = str | Path | Iterable[str | Path] | None


class Wanted(Struct, frozen=True):
    """One export. ``always``: of a run that was stopped too, with what it has so far."""

    target: Target
    look: Look
    always: bool


def wanted(output: Output, exports: object, spider: str, database: Path | None) -> list[Wanted]:
    """What a crawl is to write, checked before it begins.

    Raises OutputError for a target that cannot be written, SpiderError for ``exports`` that say nothing.
    """
    given = [output] if isinstance(output, str | Path) else list(output or ())
    found = [Wanted(target_of(str(each)), Look(), True) for each in given]
    found += [Wanted(target_of(name), look, False) for name, look in _exports(exports, spider)]
    places: set[str] = set()
    for each in found:
        if each.target.place in places:
            raise OutputError(f"{each.target.name} is asked for twice")
        places.add(each.target.place)
        check(each.target, database, {"spider": spider})
        check_look(each.target, each.look)
    return found


def values_of(spider: str, run: int, started: float) -> dict[str, object]:
    """What the placeholders of a file name but ``kind`` stand for; of a run that is resumed they stay the same."""
    began = time.localtime(started)
    return {
        "spider": spider,
        "run": run,
        "date": time.strftime("%Y-%m-%d", began),
        "time": time.strftime("%H-%M-%S", began),
    }


def _exports(exports: object, spider: str) -> list[tuple[str, Look]]:
    if isinstance(exports, str):
        raise SpiderError(f"{spider}.exports is one string; make it a list: [{exports!r}]")
    if isinstance(exports, Mapping):
        return [(str(name), _look(options, f"{spider}.exports[{name!r}]")) for name, options in exports.items()]
    if not isinstance(exports, Iterable):
        raise SpiderError(f"{spider}.exports is {exports!r}; make it a list of files")
    return [(str(name), Look()) for name in exports]


def _look(options: Any, where: str) -> Look:
    if not isinstance(options, Mapping):
        raise SpiderError(f"{where} is {options!r}; make it a dict of options, {{}} for none")
    names = Look.__struct_fields__
    for name in options:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it can be {', '.join(names)}"
            raise SpiderError(f"{where}: there is no {name!r}; {hint}")
    lists = {name: [value] if isinstance(value, str) and name in _LISTS else value for name, value in options.items()}
    try:
        return msgspec.convert(lists, Look)
    except msgspec.ValidationError as error:
        raise SpiderError(f"{where}: {error}") from None


_LISTS = ("fields", "order", "kind")


async def export(store: Store, database: Path | None, all_: Sequence[Wanted], run: Run, finished: bool) -> int:
    """Write the items of a run, as it is in the store now; how many were written in all.

    ``database`` is the file of the store, if it has one of ours. Files are written on a thread of their own, and each
    is whole or is not there. Raises ExportError and other OutputErrors, StoreError.
    """
    chosen = [each for each in all_ if each.always or finished]
    if not chosen:
        return 0
    values = values_of(run.spider, run.id, run.started)
    stopped = threading.Event()
    async with AsyncExitStack() as stack:
        path = database
        if path is None:
            path = await stack.enter_async_context(spooled(store, run.id))
        try:
            return await asyncio.to_thread(_export, path, chosen, run.id, values, stopped.is_set)
        finally:
            stopped.set()


def _export(
    path: Path, chosen: Sequence[Wanted], run: int, values: Mapping[str, object], stopped: Callable[[], bool]
) -> int:
    number = 0
    try:
        with closing(reading(path)) as db:
            db.execute("begin")
            for each in chosen:
                source = Source(db, Span(run), each.look, False, stopped)
                number += write(source, each.target, each.look, values)
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    return number


def reading(path: Path) -> sqlite3.Connection:
    """A database to be read only, also while others write it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
