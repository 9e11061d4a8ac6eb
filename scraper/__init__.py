"""A web-scraping framework on pooled keep-alive sessions, exactly-once to the row."""

from importlib import import_module as _import_module
from typing import Any as _Any

from scraper.bodies import FormRequest, JsonRequest
from scraper.crawl import Crawl, crawl, run, stream
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
from scraper.report import CrawlReport
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
    "DropItem",
    "FetchError",
    "FormRequest",
    "Host",
    "JsonRequest",
    "MissingExtra",
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

_RARE: dict[str, str] = {}
"""Names that few spiders need, and the module of each: it is imported when the name is first asked for, for the start
of a short crawl is measured. Each stands above a second time, below ``if TYPE_CHECKING``."""


def __getattr__(name: str) -> _Any:
    if name not in _RARE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_RARE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
