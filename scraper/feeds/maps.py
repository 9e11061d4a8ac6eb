"""Site maps read as they come: XML (sitemaps.org), an index of them, text with a URL a line, and feeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scraper.errors import ContentError, ParseError
from scraper.feeds.entries import FEEDS, read_entries
from scraper.feeds.markup import MOST_ROW, MarkupReader
from scraper.feeds.source import Source

Row = dict[str, Any]
"""What a site map says of one URL: ``loc``, and ``lastmod``, ``changefreq``, ``priority``, ``alternate`` (a list) when
it does. All are text as it stands there, without white space around it."""

LONGEST_LINE = 8192
"""Characters of a URL in a text site map."""


def read_map(source: Source) -> tuple[str, Iterator[Row]]:
    """Its type (``urlset``, ``sitemapindex``, ``text``, or ``rss``, ``rdf``, ``feed``) and its rows.

    Raises ContentError when it is none. The rows raise ParseError where it breaks, after what was whole.
    """
    kind = source.look()
    if kind in ("urlset", "sitemapindex"):
        return kind, _MapReader(source.url).read(source.pieces(markup=True))
    if kind == "text":
        return kind, _lines(source)
    if kind in FEEDS:
        return kind, _links(source)
    if kind == "empty":
        raise ContentError(f"{source.url} is empty, no site map")
    shown = "JSON" if kind == "json" else f"XML whose root is <{kind[:60]}>"
    raise ContentError(f"{source.url} is {shown}, no site map: those begin with <urlset> or <sitemapindex>")


class _MapReader(MarkupReader):
    """``<url>`` and ``<sitemap>`` elements. Only what stands directly in them counts: images, videos and news that
    extensions put in have URLs of their own."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._row: Row = {}
        self._field = ""
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.depth == 2:
            self._row = {}
            if tag.rpartition("}")[2] in ("url", "sitemap"):
                self.begin_row()
        elif self.depth == 3 and self.row_at is not None:
            self._field = tag.rpartition("}")[2]
            self._text.clear()
            self.parser.CharacterDataHandler = self._text.append
            if self._field == "link" and attributes.get("rel") == "alternate" and attributes.get("href"):
                self._row.setdefault("alternate", []).append(attributes["href"])
        else:
            self.parser.CharacterDataHandler = None

    def end(self) -> None:
        if self.depth == 3 and self.row_at is not None:
            self.parser.CharacterDataHandler = None
            value = "".join(self._text).strip()
            if value and self._field not in self._row and self._field != "link":
                self._row[self._field] = value
        elif self.depth == 2 and self.row_at is not None:
            self.end_row(self._row)

    def text(self, text: str) -> None:
        if self.depth == 3:
            self._text.append(text)


def _lines(source: Source) -> Iterator[Row]:
    """A URL a line; empty lines and lines that begin with ``#`` are none."""
    stream = source.lines()
    while line := stream.readline(MOST_ROW):
        if len(line) >= MOST_ROW:
            raise ParseError(f"{source.url} has a line of more than {MOST_ROW:,} characters, no text site map")
        line = line.strip()
        if line and not line.startswith("#"):
            yield {"loc": line}


def _links(source: Source) -> Iterator[Row]:
    for entry in read_entries(source):
        if entry.link:
            date = entry.updated or entry.published
            yield {"loc": entry.link} | ({"lastmod": date.isoformat()} if date is not None else {})
