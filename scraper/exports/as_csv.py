"""CSV (RFC 4180) in UTF-8: a header, CRLF, quotes where they are needed."""

from __future__ import annotations

import codecs
import csv
from typing import Any, BinaryIO

from scraper.exports.columns import encode, values
from scraper.exports.source import Source

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
"""What a text must not begin with in a spreadsheet, or it is taken for a formula: OWASP's list for CSV injection."""

_NESTED = frozenset((bool, list, dict))
_MARKED = (*DANGEROUS, "'")


def write(source: Source, columns: list[str], file: BinaryIO, safe: bool = False, excel: bool = False) -> int:
    """Write the rows; nested values and booleans are JSON, null is empty. No columns: an empty file.

    ``safe`` puts ``'`` in front of every text that begins with one of DANGEROUS or with ``'`` itself, so that it is
    undone by taking one ``'`` off each cell that begins with it. Numbers stay as they are. ``excel`` begins the
    file with a byte order mark. Raises MoreFields.
    """
    if excel:
        file.write(codecs.BOM_UTF8)
    rows = csv.writer(_Encoded(file))
    cell = _safe_cell if safe else _cell
    number = 0
    if columns:
        rows.writerow([cell(name) for name in columns])
    for _, row in values(source, columns, exact=True):
        rows.writerow([cell(value) for value in row])
        number += 1
    return number


class _Encoded:
    """Lines of text on their way into a file of bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._write = file.write

    def write(self, text: str) -> int:
        return self._write(text.encode())


def _cell(value: Any) -> Any:
    if type(value) in _NESTED:
        return encode(value).decode()
    return value


def _safe_cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_MARKED) else value
    return _cell(value)
