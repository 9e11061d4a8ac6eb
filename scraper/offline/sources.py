"""Which requests are recorded: of URLs, of curl commands, and of pages that a crawl has in its database.

``scraper parse`` asks as well which callback a URL is for.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from scraper.errors import ScraperError, StoreError, UsageError
from scraper.link import Link
from scraper.request import Request, from_json
from scraper.response import Response
from scraper.spider import Spider, callback_name, seeds
from scraper.url import canonical

MOST_SEEDS = 10_000
"""First requests of a spider that are looked through."""

_ROW = "select url, callback, priority, depth, request from pages"


def stored(db: Path, url: str) -> Request | None:
    """The request that a crawl made for this URL, with its callback and all that it carried; None when it made none.

    Of several (a form sent with other fields) the first. Raises StoreError when the database cannot be read.
    """
    found = list(_rows(db, f"{_ROW} where url = ? order by id limit 1", (url,)))
    return found[0] if found else None


def failed(db: Path, most: int) -> list[Request]:
    """The requests of dead pages of the last run, those whose callback failed first."""
    return list(
        _rows(
            db,
            f"{_ROW} where state = 'dead' and run = (select max(id) from runs) "
            "order by reason not in ('callback', 'parse', 'content type'), id limit ?",
            (most,),
        )
    )


def _rows(db: Path, query: str, values: tuple[Any, ...]) -> Iterator[Request]:
    if not db.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            for row in opened.execute(query, values).fetchall():
                yield from_json(*row)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"cannot read {db}: {error}") from error


def asked_for(spider: Spider, url: str, db: Path, given: dict[str, Any]) -> Request:
    """The request for a URL: as the database has it, else as ``start()`` or the spider's rules would make it.

    What is given (callback, meta, cb_kwargs) wins, and with a callback neither is asked. Raises RequestError for what
    is no URL, UsageError for a callback that the spider does not have.
    """
    request = Request(url)
    known = stored(db, request.url)
    if known is not None:
        request = known
    elif "callback" not in given:
        request = led_to(spider, request)[0]
    for name, value in given.items():
        setattr(request, name, value)
    name = str(request.callback or "parse")
    if not callable(getattr(spider, name, None)):
        there = [each for each, value in vars(type(spider)).items() if callable(value) and not each.startswith("_")]
        raise UsageError(f"spider {spider.name!r} has no method {name!r}; there: {', '.join(there) or 'none'}")
    request.stored = None
    return request


def led_to(spider: Spider, request: Request) -> tuple[Request, str]:
    """The request for this URL as the spider makes it, and what makes it: start(), its rules, or (empty) nothing.

    Raises UsageError when several rules may.
    """
    if (seed := _seed(spider, request.url)) is not None:
        return seed, "start()"
    ruled = _by_rules(spider, request)
    return (request, "") if ruled is None else (ruled, "its rules")


def first(spider: Spider, most: int) -> list[Request]:
    """The requests that its ``start()`` gives, up to so many. Raises SpiderError when there are none."""

    async def asked() -> list[Request]:
        found: list[Request] = []
        async with aclosing(seeds(spider)) as requests:
            async for request in requests:
                found.append(_named(spider, request))
                if len(found) >= most:
                    break
        return found

    return asyncio.run(asked())


def _seed(spider: Spider, url: str) -> Request | None:
    """The first request of ``start()`` for this URL, of the first ten thousand; None when there is none."""

    async def found() -> Request | None:
        number = 0
        async with aclosing(seeds(spider)) as requests:
            async for request in requests:
                number += 1
                if request.url == url:
                    return _named(spider, request)
                if number >= MOST_SEEDS:
                    break
        return None

    try:
        return asyncio.run(found())
    except ScraperError:  # it has no start_urls, or needs what we were not given: its pages are named here
        return None


def _named(spider: Spider, request: Request) -> Request:
    """Its callbacks as names."""
    request.callback = callback_name(spider, request.callback)
    if request.errback is not None:
        request.errback = callback_name(spider, request.errback, "errback")
    return request


def _by_rules(spider: Spider, request: Request) -> Request | None:
    """What the rules of a CrawlSpider or a SitemapSpider make of a link to this URL; None where no rule takes it, or
    there is none.

    A rule that looks at a part of a page only (``restrict_css`` and the like) is asked after all others: whether the
    link stood there is not known. Raises UsageError when several such are left.
    """
    from scraper.crawl_spider import CrawlSpider
    from scraper.feeds.sitemaps import SitemapSpider

    if isinstance(spider, SitemapSpider):
        callback = spider.callback_for(request.url)
        return _named(spider, request.replace(callback=callback)) if callback is not None else None
    if not isinstance(spider, CrawlSpider) or request.url in {canonical(url) for url in spider.start_urls}:
        return None
    taking = [each for each in spider._all() if each.rule.link_extractor.matches(request.url)]
    certain = [each for each in taking if not _looks_at_places(each.rule.link_extractor)]
    if len(taking) > 1 and not certain:
        raise UsageError(
            f"{len(taking)} rules of spider {spider.name!r} may lead to {request.url}; name the callback with -c, or "
            "crawl the page first: then its database says which it was"
        )
    for each in certain or taking:
        return each.request(spider, Link(request.url), Response(request.url))
    return None


def _looks_at_places(extractor: object) -> bool:
    return any(getattr(extractor, name, None) for name in ("_css", "_xpaths", "_text"))
