"""FeedSpider: the entries of RSS, Atom and JSON feeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scraper.feeds.entries import Entry, read_entries
from scraper.feeds.reading import ReadingSpider
from scraper.feeds.source import Source
from scraper.response import Response
from scraper.spider import Spider


class FeedSpider(ReadingSpider):
    """Reads RSS 0.9x, 1.0 and 2.0, Atom and JSON Feed: ``parse_entry(response, entry)`` gets each entry.

    Whatever the format, an Entry has id, link, title, published, updated, author, summary, content, categories and
    enclosures.
    """

    parse = Spider.parse  # of pages, to which entries lead

    def parse_entry(self, response: Response, entry: Entry) -> Any:
        """Reads one entry: gives items and requests as ``parse`` does.

        Without one of your own, its link is followed to ``parse``; a spider that has no ``parse`` keeps the entry.
        """
        if type(self).parse is not Spider.parse and entry.link is not None:
            return response.follow(entry.link)
        return entry

    def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
        return read_entries(source)

    def row_callback(self) -> Callable[..., Any]:
        return self.parse_entry
