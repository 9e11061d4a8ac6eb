"""JSONSpider: the elements of an array in JSON documents, and JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from scraper.errors import ContentError
from scraper.feeds.json_values import Broken, read_values
from scraper.feeds.paging import next_page
from scraper.feeds.reading import ReadingSpider, reject
from scraper.feeds.source import Source
from scraper.page import Reject
from scraper.response import Response


class JSONSpider(ReadingSpider):
    """Reads JSON of any size, value by value: ``parse_object(response, obj)`` gets each element of an array.

    A line of JSON Lines that is no JSON goes to the table ``rejects``, with its number.

    Attributes:
        path: keys that lead to the array, with dots between them: ``data.items``; empty: the document is the array,
            or JSON Lines.
        lines: True for JSON Lines, False for an array; None: by what it begins with.
        paging: arguments of ``next_page``, when the answer is one page of many.
    """

    path: str = ""
    lines: bool | None = None
    paging: ClassVar[Mapping[str, Any] | None] = None

    def parse_object(self, response: Response, obj: Any) -> Any:
        """Reads one value: gives items and requests as ``parse`` does. Without one of your own, it is the item."""
        return obj

    def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
        if source.look() not in ("json", "text", "empty"):  # a number or a string is JSON, too
            raise ContentError(f"{source.url} is XML, no JSON")
        return read_values(source, self.path, lines=self.lines)

    def row_callback(self) -> Callable[..., Any]:
        return self.parse_object

    def rejected(self, row: Any) -> Reject | None:
        return reject("line", f"line {row.line}: {row.reason}", row.text) if isinstance(row, Broken) else None

    def after_last(self, response: Response) -> Iterable[Any]:
        if self.paging is None:
            return
        arguments: dict[str, Any] = {"items": self.path, **self.paging}
        following = next_page(response, **arguments)
        if following is not None:
            yield following
