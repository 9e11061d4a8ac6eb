"""JSON lines and JSON: each item as it is stored, byte for byte, its keys in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from scraper.exports.source import Row, Source

_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


def write_lines(source: Source, file: BinaryIO) -> int:
    """An item a line, UTF-8, each line with its end."""
    number = 0
    for text in _objects(source):
        file.write(text + b"\n")
        number += 1
    return number


def write_array(source: Source, file: BinaryIO) -> int:
    """One array, an item a line."""
    number = 0
    for text in _objects(source):
        file.write((b",\n" if number else b"[\n") + text)
        number += 1
    file.write(b"\n]\n" if number else b"[]\n")
    return number


def _objects(source: Source) -> Iterator[bytes]:
    names, (front, behind) = source.named, source.own
    chosen = tuple(dict.fromkeys((*front, *names, *behind)))
    for row in source.rows():
        if names:
            values = {**_ours(row.front), **_ours(row.behind), **_raw(row.data)}
            yield _encode({name: values[name] for name in chosen if name in values})
        elif row.front or row.behind:
            yield _joined(row)
        else:
            yield row.data.encode()


def _ours(values: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(_encode(value)) for name, value in values.items()}


def _joined(row: Row) -> bytes:
    """The stored text with our columns around it; a field of the item by such a name takes the place of ours."""
    front, behind = row.front, row.behind
    if '"_' in row.data:
        data = _raw(row.data)
        front = {name: value for name, value in front.items() if name not in data}
        behind = {name: value for name, value in behind.items() if name not in data}
    parts = (_encode(front)[1:-1], row.data[1:-1].encode(), _encode(behind)[1:-1])
    return b"{" + b",".join(part for part in parts if part) + b"}"
