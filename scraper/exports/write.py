"""One source into one target: the format's writer put together with the place of the file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scraper.errors import OutputError
from scraper.exports import as_csv, as_json, as_xml
from scraper.exports.columns import MoreFields, survey
from scraper.exports.place import Place, place
from scraper.exports.source import Look, Source
from scraper.exports.target import BINARY, Target, named


def check_look(target: Target, look: Look) -> None:
    """Raise OutputError for what only CSV has, of a target that is none."""
    for name, wanted in (("csv_safe", look.csv_safe), ("excel", look.excel)):
        if wanted and target.format != "csv":
            raise OutputError(f"{name} is for CSV, and {target.name} is {target.format}")


def write(source: Source, target: Target, look: Look, values: Mapping[str, object]) -> int:
    """Write a target, a file for each kind where its name says so; how many items were written.

    ``values`` are those of the placeholders but ``kind``. A reader of stdout that has gone ends it well, with 0.
    Raises ExportError, OutputError, MissingExtra; Stopped when the source is.
    """
    making = bool(named(str(Path(target.name).parent)))
    try:
        if not target.by_kind:
            return _file(source, target.at(values), look, making)
        files = {kind: target.at({**values, "kind": kind}) for kind in source.kinds}
        if len({each.name for each in files.values()}) < len(files):
            raise OutputError(f"{target.name} would be the same file for several kinds: {', '.join(files)}")
        return sum(_file(source.of_kind(kind), each, look, making) for kind, each in files.items())
    except BrokenPipeError:
        if not target.stdout:
            raise
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - what else is printed goes nowhere
        return 0


def _file(source: Source, target: Target, look: Look, making: bool) -> int:
    if target.format != "csv":
        with place(target, making) as opened:
            return _formed(source, target, opened)
    columns = source.columns()
    try:
        with place(target, making) as opened:
            return as_csv.write(source, columns, opened.file, look.csv_safe, look.excel)
    except MoreFields:  # very long names and very many of them are in no table: the rows themselves must say
        if target.stdout:
            raise OutputError(
                "some items have fields that are not known beforehand; write them into a file, or name the fields"
            ) from None
    columns = source.columns(list(survey(source)))
    with place(target, making) as opened:
        return as_csv.write(source, columns, opened.file, look.csv_safe, look.excel)


def _formed(source: Source, target: Target, opened: Place) -> int:
    if target.format in BINARY:
        with _path(opened) as path:
            if target.format == "sqlite":
                from scraper.exports import as_sqlite

                return as_sqlite.write(source, path, target.name)
            from scraper.exports import as_parquet

            return as_parquet.write(source, path, target.name)
    form = {"jsonl": as_json.write_lines, "json": as_json.write_array, "xml": as_xml.write}[target.format]
    return form(source, opened.file)


@contextmanager
def _path(opened: Place) -> Iterator[str]:
    """A file to be written by its name: the place itself, or one that is copied there."""
    if opened.path is not None:
        yield opened.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole"
        path.touch()
        yield str(path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, opened.file)
