"""CSVSpider: the rows of CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from scraper.feeds.reading import ReadingSpider, reject
from scraper.feeds.source import Source
from scraper.feeds.table import Wrong, read_rows
from scraper.page import Reject
from scraper.response import Response


class CSVSpider(ReadingSpider):
    """Reads CSV files of any size, row by row: ``parse_row(response, row)`` gets each as a dict of text.

    A row with more or fewer values than there are columns goes to the table ``rejects``, with its line.

    Attributes:
        delimiter: between values; a comma when None.
        quotechar: around values that hold one; ``"`` when None.
        headers: the names of the columns; None: the first row has them.
        dialect: name or class of a dialect of Python's csv, for all that is not given.
    """

    _reads: ClassVar[frozenset[str]] = frozenset({"headers"})  # which is a setting of the crawl elsewhere

    delimiter: str | None = None
    quotechar: str | None = None
    headers: Sequence[str] | None = None
    dialect: ClassVar[Any] = "excel"

    def parse_row(self, response: Response, row: dict[str, str]) -> Any:
        """Reads one row: gives items and requests as ``parse`` does. Without one of your own, the row is the item."""
        return row

    def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
        return read_rows(source, self.headers, delimiter=self.delimiter, quotechar=self.quotechar, dialect=self.dialect)

    def row_callback(self) -> Callable[..., Any]:
        return self.parse_row

    def rejected(self, row: Any) -> Reject | None:
        return reject("row", row.reason, row.values) if isinstance(row, Wrong) else None
