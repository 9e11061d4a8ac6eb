"""Parquet, by pyarrow (the extra ``parquet``): a schema from what the fields hold, row group by row group."""

from __future__ import annotations

from typing import Any

from scraper.exports.columns import MoreFields, merged, survey, text
from scraper.exports.source import Source
from scraper.extra import need

ROWS = 50_000
"""Rows of a row group at most."""

BYTES = 8 << 20
"""And about so many bytes of JSON."""


def library(name: str) -> Any:
    """pyarrow. Raises MissingExtra."""
    return need("pyarrow", "parquet", f"writing {name}")


def write(source: Source, path: str, shown: str) -> int:
    """Write the rows into a file, which messages call ``shown``.

    A column is boolean, int64, double or string, by all that its field holds.
    Integers and fractions together are doubles while the integers are exact in them. What has no such type is
    string: lists and objects as JSON, integers beyond 64 bits, and of a field that holds several types all but the
    texts as JSON. A field that is always null is a string.
    """
    arrow: Any = library(shown)
    parquet: Any = need("pyarrow.parquet", "parquet", f"writing {shown}")
    held = survey(source)
    columns = source.columns(list(held))
    schema = arrow.schema([(name, _type(arrow, held.get(name, set()))) for name in columns])
    texts = [schema.field(number).type == arrow.string() for number in range(len(columns))]
    known = None if source.named else frozenset(columns)
    total = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        batch: list[dict[str, Any]] = []
        size = 0

        def flush() -> None:
            arrays = [
                arrow.array(
                    [text(row.get(name)) if plain else row.get(name) for row in batch], type=schema.field(number).type
                )
                for number, (name, plain) in enumerate(zip(columns, texts, strict=True))
            ]
            file.write_batch(arrow.record_batch(arrays, schema=schema), row_group_size=ROWS)
            batch.clear()

        for row in source.rows():
            data = merged(row)
            if known is not None and not known.issuperset(data):
                raise MoreFields  # the survey saw every row of the same moment
            batch.append(data)
            size += len(row.data)
            total += 1
            if len(batch) >= ROWS or size >= BYTES:
                flush()
                size = 0
        if batch:
            flush()
    return total


def _type(arrow: Any, held: set[str]) -> Any:
    if held == {"bool"}:
        return arrow.bool_()
    if held and held <= {"int", "long"}:
        return arrow.int64()
    if held and held <= {"int", "float"}:
        return arrow.float64()
    return arrow.string()
