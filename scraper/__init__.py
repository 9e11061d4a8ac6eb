"""A web-scraping framework on pooled keep-alive sessions, exactly-once to the row."""

from scraper.bodies import FormRequest, JsonRequest
from scraper.crawl import Crawl, CrawlReport, crawl, run, stream
from scraper.errors import (
    BodyError,
    CallbackError,
    ConnectError,
    FetchError,
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
from scraper.request import Request
from scraper.response import Response
from scraper.retry import RetryPolicy
from scraper.selector import Selector, SelectorList
from scraper.settings import VERSION as __version__
from scraper.settings import Host, Settings
from scraper.spider import Spider

__all__ = [
    "BodyError",
    "CallbackError",
    "ConnectError",
    "Crawl",
    "CrawlReport",
    "FetchError",
    "FormRequest",
    "Host",
    "JsonRequest",
    "ParseError",
    "ReadError",
    "Request",
    "RequestError",
    "Response",
    "RetryPolicy",
    "RobotsDenied",
    "ScraperError",
    "Selector",
    "SelectorList",
    "Settings",
    "SettingsError",
    "Spider",
    "SpiderError",
    "StatusError",
    "StoreError",
    "StoreLocked",
    "UsageError",
    "__version__",
    "crawl",
    "run",
    "stream",
]
