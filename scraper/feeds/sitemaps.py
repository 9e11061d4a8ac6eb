"""SitemapSpider: the pages that a site lists in its site maps."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from scraper.errors import ParseError, SpiderError
from scraper.feeds.dates import parse_date
from scraper.feeds.maps import Row, read_map
from scraper.feeds.reading import ReadingSpider, reject
from scraper.feeds.source import Source
from scraper.page import LinkDrop
from scraper.request import CallbackRef, Request
from scraper.response import Response
from scraper.spider import Spider
from scraper.suffixes import registered_domain
from scraper.url import host_of

MOST_LEVELS = 10
"""Indexes in indexes; the protocol allows one."""

Rule = tuple[str | re.Pattern[str], CallbackRef]


class Entries:
    """What ``sitemap_filter`` gets: the entries of one part of a site map, as dicts.

    ``type`` is ``urlset``, ``sitemapindex``, ``text``, or that of a feed.
    """

    def __init__(self, type: str, rows: Sequence[Row]) -> None:
        self.type = type
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)


class SitemapSpider(ReadingSpider):
    """Follows the URLs of site maps (sitemaps.org): XML, gzipped or not, indexes of them, text, RSS and Atom.

    Attributes:
        sitemap_urls: URLs of site maps; that of a robots.txt stands for the site maps it names.
        sitemap_rules: (pattern, callback) pairs; the first whose pattern is found in a URL gets its page. A URL that
            matches none is passed over, and so is one whose callback is None.
        sitemap_follow: patterns; of an index, the site maps with one of them are followed.
        sitemap_alternate_links: whether the same page in other languages (``xhtml:link``) is followed, too.
        sitemap_changed_only: whether pages are passed over whose ``lastmod`` is older than the beginning of the last
            run that came to its end. What has no ``lastmod``, or one that is no date, is fetched.
        sitemap_other_hosts: whether URLs on other sites than the map's own are followed. Without it, only those of its
            registered domain, of the site whose robots.txt names it, and of ``allowed_domains`` if there are any.
    """

    sitemap_urls: Sequence[str] = ()
    sitemap_rules: ClassVar[Sequence[Rule]] = (("", "parse"),)
    sitemap_follow: ClassVar[Sequence[str | re.Pattern[str]]] = ("",)
    sitemap_alternate_links: bool = False
    sitemap_changed_only: bool = False
    sitemap_other_hosts: bool = False

    parse = Spider.parse  # of pages

    async def start(self) -> AsyncIterator[Request]:
        """A request for each site map, or robots.txt, of ``sitemap_urls``."""
        if isinstance(self.sitemap_urls, str):
            raise SpiderError(f"{self.name}.sitemap_urls is one string; make it a list: [{self.sitemap_urls!r}]")
        if not self.sitemap_urls:
            raise SpiderError(f"{self.name} has no sitemap_urls; give them, or the URL of a robots.txt that names them")
        for url in self.sitemap_urls:
            if url.partition("?")[0].endswith("/robots.txt"):
                yield Request(url, self.parse_robots)
            else:
                yield self.sitemap_request(url)

    def sitemap_request(self, url: str, level: int = 0, site: str = "") -> Request:
        """A request for a site map; ``level`` counts the indexes above it, ``site`` is the host that vouches for it."""
        given: dict[str, Any] = ({"level": level} if level else {}) | ({"site": site} if site else {})
        return self.feed_request(url, self.parse_sitemap, cb_kwargs=given or None)

    def sitemap_filter(self, entries: Entries) -> Iterable[Row]:
        """The entries that are to be followed: dicts with ``loc``, and ``lastmod`` and so on where they are given."""
        return entries

    def parse_robots(self, response: Response) -> Iterator[Request]:
        """Follows the ``Sitemap`` lines of a robots.txt."""
        found = response.sitemaps()
        if not found:
            raise ParseError(f"{response.url} names no site map; give its URL in sitemap_urls, if there is one")
        for url in found:
            yield self.sitemap_request(url, site=host_of(response.url))

    async def parse_sitemap(self, response: Response, level: int = 0, site: str = "") -> Any:
        """Reads some entries of a site map, and asks for the part after them."""
        rows, more = await self.take_rows(response)
        return self._follow(response, rows, more, level, site)

    async def parse_feed(self, response: Response) -> Any:
        """As ``parse_sitemap``."""
        return await self.parse_sitemap(response)

    def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
        kind, rows = read_map(source)
        return ((kind, row) for row in rows)

    def _follow(
        self, response: Response, rows: list[tuple[str, Row]], more: Request | None, level: int, site: str
    ) -> Iterator[Any]:
        kind = rows[0][0] if rows else ""
        is_index = kind == "sitemapindex"
        vouched = {_site(response.url), registered_domain(_name(site)) if site else ""}
        vouched.update(_site(url) for url in response.request.trail)
        anywhere = self.sitemap_other_hosts or bool(self.allowed_domains)
        given = [row for _, row in rows if row.get("loc")]
        for _, row in rows:
            if not row.get("loc"):
                yield reject("entry", "it has no loc", row)
        for row in self.sitemap_filter(Entries(kind, given)):
            changed = not self.sitemap_changed_only or self._may_have_changed(row.get("lastmod"))
            for loc in (row["loc"], *(row.get("alternate", ()) if self.sitemap_alternate_links else ())):
                url = response.resolver[loc]
                if url is None:
                    continue  # counted with the links that are no http(s) URLs
                if not anywhere and _site(url) not in vouched:
                    yield LinkDrop("other host", url)
                elif not changed:
                    yield LinkDrop("unchanged", url)
                elif is_index:
                    yield from self._follow_map(url, level + 1, site)
                elif (callback := self.callback_for(url)) is not None:
                    yield Request(url, callback)
        if more is not None:
            yield more

    def _follow_map(self, url: str, level: int, site: str) -> Iterator[Any]:
        if level > MOST_LEVELS:
            yield LinkDrop("depth", url)
        elif any(re.search(pattern, url) for pattern in self.sitemap_follow):
            yield self.sitemap_request(url, level, site)

    def callback_for(self, url: str) -> CallbackRef:
        """The callback that ``sitemap_rules`` have for a URL; None for one that is passed over."""
        for pattern, callback in self.sitemap_rules:
            if re.search(pattern, url):
                return callback
        return None

    def _may_have_changed(self, lastmod: str | None) -> bool:
        """Whether a page may have changed since the last run began; by what cannot be read, it may."""
        date = parse_date(lastmod) if lastmod else None
        if date is None or self.last_run is None or lastmod is None:
            return True
        return date + _vagueness(lastmod) >= self.last_run


def _vagueness(lastmod: str) -> timedelta:
    """How much later than the moment that was read it may have been: a day is a day, somewhere on earth."""
    length = len(lastmod.strip())
    days = 0 if length > 10 else 1 if length > 7 else 31 if length > 4 else 366
    return timedelta(days=days, hours=12) if days else timedelta(0)


def _site(url: str) -> str:
    return registered_domain(_name(host_of(url)))


def _name(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
