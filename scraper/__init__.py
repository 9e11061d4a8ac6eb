"""A web-scraping framework on pooled keep-alive sessions, exactly-once to the row."""

import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from scraper.bodies import FormRequest, JsonRequest
from scraper.crawl import Crawl
from scraper.errors import (
    BodyError,
    CallbackError,
    ConnectError,
    DropItem,
    FetchError,
    MissingExtra,
    ParseError,
    ReadError,
    RequestError,
    RobotsDenied,
    ScraperError,
    SettingsError,
    SpiderError,
    StatusError,
    StoreError,
    StoreLocked,
    UsageError,
)
from scraper.front_door import crawl, run, stream
from scraper.report import CrawlReport
from scraper.request import Request
from scraper.response import Response
from scraper.retry import RetryPolicy
from scraper.selector import Selector, SelectorList
from scraper.settings import VERSION as __version__
from scraper.settings import Host, Settings
from scraper.spider import Spider
from scraper.theirs import PUBLIC as _PUBLIC

if _TYPE_CHECKING:
    from scraper.crawl_spider import CrawlSpider
    from scraper.feeds.csv_rows import CSVSpider
    from scraper.feeds.json_objects import JSONSpider
    from scraper.feeds.news import FeedSpider
    from scraper.feeds.paging import next_page
    from scraper.feeds.sitemaps import SitemapSpider
    from scraper.feeds.xml_nodes import XMLSpider
    from scraper.fields import Field
    from scraper.link import Link
    from scraper.link_rules import Rule
    from scraper.links import LinkExtractor
    from scraper.media import Download
    from scraper.rows import items

__all__ = [
    "BodyError",
    "CSVSpider",
    "CallbackError",
    "ConnectError",
    "Crawl",
    "CrawlReport",
    "CrawlSpider",
    "Download",
    "DropItem",
    "FeedSpider",
    "FetchError",
    "Field",
    "FormRequest",
    "Host",
    "JSONSpider",
    "JsonRequest",
    "Link",
    "LinkExtractor",
    "MissingExtra",
    "ParseError",
    "ReadError",
    "Request",
    "RequestError",
    "Response",
    "RetryPolicy",
    "RobotsDenied",
    "Rule",
    "ScraperError",
    "Selector",
    "SelectorList",
    "Settings",
    "SettingsError",
    "SitemapSpider",
    "Spider",
    "SpiderError",
    "StatusError",
    "StoreError",
    "StoreLocked",
    "UsageError",
    "XMLSpider",
    "__version__",
    "crawl",
    "items",
    "next_page",
    "run",
    "stream",
]

_RARE: dict[str, str] = {
    "CSVSpider": "scraper.feeds.csv_rows",
    "CrawlSpider": "scraper.crawl_spider",
    "Download": "scraper.media",
    "FeedSpider": "scraper.feeds.news",
    "Field": "scraper.fields",
    "JSONSpider": "scraper.feeds.json_objects",
    "Link": "scraper.link",
    "LinkExtractor": "scraper.links",
    "Rule": "scraper.link_rules",
    "SitemapSpider": "scraper.feeds.sitemaps",
    "XMLSpider": "scraper.feeds.xml_nodes",
    "items": "scraper.rows",
    "next_page": "scraper.feeds.paging",
}
"""Names that few spiders need, and the module of each: it is imported when the name is first asked for, for the start
of a short crawl is measured. Each stands above a second time, below ``if TYPE_CHECKING``."""


def __getattr__(name: str) -> _Any:
    if name not in _RARE:
        words = f"module {__name__!r} has no attribute {name!r}"
        if (hint := _PUBLIC.get(name)) is None:
            raise AttributeError(words)
        # Of an AttributeError ``from scraper import Item`` would not show the words.
        importing = _sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap"
        raise (ImportError if importing else AttributeError)(f"{words}; {hint}")
    value = globals()[name] = getattr(_import_module(_RARE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
