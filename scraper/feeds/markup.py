"""XML read as it comes (expat), with bounds on all that a document can make large.

Refused: declared entities and default attributes (so no billion laughs, no quadratic blow-up, and no file or URL is
ever opened), elements in elements beyond `MOST_DEEP`, single tokens and rows beyond some megabytes, and names without
end, which the parser would remember. Taken as they are meant: ``&nbsp;`` and the other names of HTML, which feeds use
without declaring them, and prefixes that nobody declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html.entities import html5
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from scraper.errors import NestingError, ParseError

MOST_DEEP = 500
"""Elements in elements."""
MOST_TOKEN = 4 * 1024 * 1024
"""Bytes of one tag or comment."""
MOST_ROW = 8 * 1024 * 1024
"""Bytes of one row: one ``<url>``, one ``<item>``."""
MOST_INSIDE = 100_000
"""Elements of one row."""
MOST_NAMES = 10_000
"""Different names of elements and attributes."""
MOST_PREFIXES = 1000

XML = "http://www.w3.org/XML/1998/namespace"


class MarkupReader:
    """One document. A subclass says in ``start``, ``end`` and ``text`` what is made of it, and puts rows into ``rows``.

    ``depth`` counts the open elements; ``row_at`` is the byte at which the row that is being read begins, or None.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.rows: list[Any] = []
        self.depth = 0
        self.row_at: int | None = None
        self.prefixes: dict[str, str] = {"xml": XML}
        self._scopes: list[tuple[int, dict[str, str]]] = []
        self._tags: dict[str, str] = {}
        self._names: set[str] = set()
        self._inside = 0
        self._fed = 0
        parser = self.parser = ParserCreate("utf-8", None, None)  # no table of names: it would have no end
        parser.buffer_text = True
        parser.UseForeignDTD(True)  # names that are not declared are told to us, not an error
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.SkippedEntityHandler = self._undeclared
        parser.EntityDeclHandler = self._refuse
        parser.AttlistDeclHandler = self._refuse

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins; ``tag`` is ``{namespace}name``, or the name alone."""

    def end(self) -> None:
        """The element at ``depth`` ends."""

    def text(self, text: str) -> None:
        """Some of the text of an element; all of it comes in one or more calls."""

    def read(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """The rows, as they come.

        Raises ParseError (NestingError) where it breaks, after all rows that were whole before it.
        """
        error: ParseError | None = None
        pieces = iter(pieces)
        while error is None:
            try:
                piece = next(pieces, b"")
                self._feed(piece)
            except ParseError as failure:
                error = failure
            else:
                if not piece:
                    break
            yield from self.rows
            self.rows.clear()
        yield from self.rows
        self.rows.clear()
        if error is not None:
            raise error

    def _feed(self, piece: bytes) -> None:
        try:
            self.parser.Parse(piece, not piece)
        except ExpatError as error:
            raise ParseError(
                f"{self.url} is not well-formed XML: {error}; what is whole before that is kept"
            ) from error
        self._fed += len(piece)
        at = self.parser.CurrentByteIndex
        if self._fed - max(at, 0) > MOST_TOKEN:
            raise ParseError(f"{self.url} has a tag or comment of more than {MOST_TOKEN:,} bytes (line {self._line})")
        if self.row_at is not None and at - self.row_at > MOST_ROW:
            raise ParseError(f"{self.url} has a row of more than {MOST_ROW:,} bytes (line {self._line})")

    @property
    def _line(self) -> int:
        return self.parser.CurrentLineNumber

    def begin_row(self) -> None:
        """The element that begins is a row."""
        self.row_at = self.parser.CurrentByteIndex
        self._inside = 0

    def end_row(self, row: Any) -> None:
        """The row is whole."""
        self.row_at = None
        self.rows.append(row)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MOST_DEEP:
            raise NestingError(f"{self.url} has elements nested more than {MOST_DEEP} deep (line {self._line})")
        if self.row_at is not None:
            self._inside += 1
            if self._inside > MOST_INSIDE:
                raise ParseError(f"{self.url} has a row of more than {MOST_INSIDE:,} elements (line {self._line})")
        if attributes:
            attributes = self._resolved(attributes)
        tag = self._tags.get(name)
        self.start(tag if tag is not None else self._tag(name), attributes)

    def _end(self, name: str) -> None:
        self.end()
        if self._scopes and self._scopes[-1][0] == self.depth:
            self.prefixes = self._scopes.pop()[1]
            self._tags.clear()
        self.depth -= 1

    def _resolved(self, attributes: dict[str, str]) -> dict[str, str]:
        """Attributes without the declarations of prefixes, which count from here on; names as in ``start``."""
        told = {name[6:]: value for name, value in attributes.items() if name == "xmlns" or name.startswith("xmlns:")}
        if not told.items() <= self.prefixes.items():
            self._scopes.append((self.depth, self.prefixes))
            self.prefixes = self.prefixes | told
            self._tags.clear()
            if len(self.prefixes) > MOST_PREFIXES:
                raise ParseError(f"{self.url} declares more than {MOST_PREFIXES:,} prefixes (line {self._line})")
        known = self._names
        if not known.issuperset(attributes):
            known.update(attributes)
            self._bound()
        if not told and not any(":" in name for name in attributes):
            return attributes
        return {
            self._expanded(name, ""): value
            for name, value in attributes.items()
            if name != "xmlns" and not name.startswith("xmlns:")
        }

    def _tag(self, name: str) -> str:
        self._names.add(name)
        self._bound()
        tag = self._tags[name] = self._expanded(name, self.prefixes.get("", ""))
        return tag

    def _expanded(self, name: str, default: str) -> str:
        prefix, colon, local = name.rpartition(":")
        space = self.prefixes.get(prefix, "") if colon else default
        return f"{{{space}}}{local}" if space else local

    def _bound(self) -> None:
        if len(self._names) > MOST_NAMES:
            raise ParseError(f"{self.url} has more than {MOST_NAMES:,} different names of elements (line {self._line})")

    def _undeclared(self, name: str, is_parameter: bool) -> None:
        if not is_parameter:
            self.text(html5.get(f"{name};", f"&{name};"))

    def _refuse(self, *declared: object) -> None:
        raise ParseError(
            f"{self.url} declares entities or default attributes of its own (line {self._line}); such XML is not read, "
            "for a few bytes of it can fill the memory"
        )
