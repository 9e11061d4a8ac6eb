"""CSV read row by row (RFC 4180, and what else Python's csv reads)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from scraper.errors import ParseError
from scraper.feeds.source import Source

MOST_LINE = 4 * 1024 * 1024
"""Characters of one line; Python's csv takes 131,072 in one field."""


class Wrong(NamedTuple):
    """A row that does not fit the columns: the number of its last line, its values and what is wrong with it."""

    line: int
    values: list[str]
    reason: str


def read_rows(
    source: Source,
    headers: Sequence[str] | None = None,
    *,
    delimiter: str | None = None,
    quotechar: str | None = None,
    dialect: Any = "excel",
) -> Iterator[dict[str, str] | Wrong]:
    """The rows as dicts, in the order of the file. Empty lines are none; ``headers`` None: the first row has them.

    A row with more or fewer values than columns is given as `Wrong`. Raises ContentError for HTML and binary data,
    ParseError for columns that are called alike, and where the file breaks, after what was whole.
    """
    if source.look() == "empty":
        return
    given: dict[str, Any] = {"delimiter": delimiter, "quotechar": quotechar}
    lines = _Lines(source)
    rows = csv.reader(lines, dialect, **{name: value for name, value in given.items() if value is not None})
    names: list[str] | None = list(headers) if headers is not None else None
    try:
        for values in rows:
            if not values:
                continue
            if names is None:
                names = [value.strip() for value in values]
                if len(set(names)) < len(names):
                    twice = sorted({name for name in names if names.count(name) > 1})
                    raise ParseError(
                        f"{source.url} has columns that are called alike: {', '.join(map(repr, twice))}; "
                        "give their names as headers = […]"
                    )
            elif len(values) != len(names):
                reason = f"line {rows.line_num}: {len(values)} values in place of {len(names)}"
                yield Wrong(rows.line_num, values, reason)
            else:
                yield dict(zip(names, values, strict=True))
    except csv.Error as error:
        raise ParseError(
            f"{source.url} is no CSV from line {rows.line_num} on: {error}; is a quote open there, or the delimiter "
            "another? What is whole before that is kept"
        ) from error


class _Lines:
    """Lines with their ends; without NULs, which old spreadsheets leave behind."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = source.lines()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MOST_LINE)
        if not line:
            raise StopIteration
        if len(line) >= MOST_LINE:
            raise ParseError(f"{self._source.url} has a line of more than {MOST_LINE:,} characters, no CSV")
        return line.replace("\0", "") if "\0" in line else line
