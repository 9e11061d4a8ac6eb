"""Items as rows of a table: which columns there are, what they hold, and the values of each row."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from scraper.errors import OutputError
from scraper.exports.source import Row, Source

MOST = 20_000
"""Columns of a table. Items with more fields than that have keys for field names, and belong into a jsonl file."""

EXACT = 2**53
LONGEST = 2**63


class MoreFields(Exception):
    """An item has a field that no column was foreseen for."""


decode = msgspec.json.Decoder(dict[str, Any]).decode


def _number(digits: str) -> float | Decimal:
    value = float(digits)
    return value if encode(value).decode() == digits else Decimal(digits)


encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON as it is stored, of what was decoded exactly."""
_exactly = msgspec.json.Decoder(dict[str, Any], float_hook=_number).decode


def merged(row: Row, exact: bool = False) -> dict[str, Any]:
    """The fields of an item and our columns around them; a field of the item wins over one of ours by that name.

    ``exact`` has a Decimal in the place of a float that would be written with other digits.
    """
    data = _exactly(row.data) if exact else decode(row.data)
    if not row.front and not row.behind:
        return data
    return {**row.front, **data, **{name: value for name, value in row.behind.items() if name not in data}}


def values(source: Source, columns: list[str], exact: bool = False) -> Iterator[tuple[str, list[Any]]]:
    """Kind and values of each row, in the order of the columns; None for what it does not have.

    For ``exact`` see ``merged``. Raises MoreFields unless only some fields were asked for.
    """
    known = None if source.named else frozenset(columns)
    for row in source.rows():
        data = merged(row, exact)
        if known is not None and not known.issuperset(data):
            raise MoreFields
        get = data.get
        yield row.kind, [get(name) for name in columns]


def survey(source: Source) -> dict[str, set[str]]:
    """What each field holds, by one pass over the rows: ``bool``, ``int`` (exact as a double), ``long`` (in 64 bits),
    ``big`` (beyond), ``float``, ``str``, ``json`` (list or object).

    Raises OutputError for more than MOST fields.
    """
    found: dict[str, set[str]] = {}
    names = source.named
    for row in source.rows(survey=True):
        data = merged(row)
        if names:
            data = {name: data[name] for name in names if name in data}
        for name, value in data.items():
            held = found.get(name)
            if held is None:
                held = found[name] = set()
                if len(found) > MOST:
                    raise OutputError(f"the items have more than {MOST:,} different fields; export them as jsonl")
            kind = _HOLDS[type(value)]
            held.add(kind if kind != "int" or -EXACT <= value <= EXACT else _size(value))
    for held in found.values():
        held.discard("null")
    return found


_HOLDS = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "json",
    dict: "json",
}


def _size(number: int) -> str:
    return "long" if -LONGEST <= number < LONGEST else "big"


def text(value: Any) -> Any:
    """A value as text, where it is not text: JSON. None stays."""
    return value if value is None or type(value) is str else msgspec.json.encode(value).decode()
