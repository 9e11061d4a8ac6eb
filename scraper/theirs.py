"""What people know from Scrapy and nothing here would read: what to write in its place."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NoReturn

META = {
    "cookiejar": "write Request(…, cookiejar='…')",
    "proxy": "write Request(…, proxy='…')",
    "dont_merge_cookies": "write Request(…, cookies=False)",
    "dont_obey_robotstxt": "write Request(…, obey_robots=False)",
    "download_maxsize": "write Request(…, max_body_size=…)",
    "handle_httpstatus_list": "write Request(…, handle_statuses=[…])",
    "handle_httpstatus_all": "write Request(…, handle_statuses='all')",
    "download_timeout": "write Request(…, total_timeout=…)",
    "download_slot": "it has no counterpart per request; the settings slot_by and hosts are of the crawl",
    "bindaddress": "it has no counterpart per request; the setting bind_address is of the crawl",
    "dont_redirect": "write Request(…, handle_statuses=[301, 302, 303, 307, 308])",
    "dont_retry": "write Request(…, retry_attempts=1)",
    "max_retry_times": "write Request(…, retry_attempts=…); the first attempt counts",
    "allow_offsite": "it has no counterpart per request; allowed_domains is of the spider",
    "dont_cache": "there is no cache",
    "redirect_urls": "response.request.trail has the URLs before this one",
    "redirect_times": "len(response.request.trail) says it",
    "retry_times": "attempts are counted in the database (pages.attempts)",
}
"""Keys of ``meta`` that Scrapy reads or sets."""

ATTRIBUTES = {
    "custom_settings": "here it is called 'settings'",
    "start_requests": "here it is called 'start'",
    "start_url": "here it is called 'start_urls'",
    "allowed_domain": "here it is called 'allowed_domains'",
    "expects": "here it is called 'expect'",
    "key": "a key is of the items: write upc: str = Field(key=True) in their class, or class Row(dict): key = 'upc'; "
    "call it something else when it is the spider's own",
    "http_user": "write settings = {'auth': 'user:password'}",
    "http_pass": "write settings = {'auth': 'user:password'}",
    "http_auth_domain": "write settings = {'hosts': {'example.org': {'auth': 'user:password'}}}",
    "handle_httpstatus_list": "write settings = {'handle_statuses': […]}",
    "handle_httpstatus_all": "write settings = {'handle_statuses': 'all'}",
    "max_concurrent_requests": "write settings = {'concurrency_per_host': …}",
    "rules": "derive the spider from CrawlSpider instead of Spider",
}
"""Attributes of a spider; those of Scrapy's settings are added to them where the settings are known."""


SETTINGS = {
    "ITEM_PIPELINES": "write steps = [clean, Enrich()] on the spider; see docs/items.md",
    "CONCURRENT_ITEMS": "nothing is to be set: the items of a page go through the steps one after the other",
    "DOWNLOADER_MIDDLEWARES*": "settings do most of it (retries, cookies, proxies, headers, auth); else give a fetcher "
    "of your own to scraper.run(…, fetcher=…)",
    "DOWNLOAD_HANDLERS*": "give a fetcher of your own to scraper.run(…, fetcher=…)",
    "SPIDER_MIDDLEWARES*": "put a function around what a callback yields, or write steps = […] for the items",
    "EXTENSIONS*": "write closed(report) on the spider, or give observers to scraper.run(…, observers=[…])",
    "SCHEDULER*": "the database is the schedule; write Request(…, priority=…) for an order",
    "DUPEFILTER_*": "pages are told apart by method, URL and body; write Request(…, dont_filter=True)",
    "REQUEST_FINGERPRINTER_*": "pages are told apart by method, URL and body; write Request(…, dont_filter=True)",
    "DEPTH_PRIORITY": "write Request(…, priority=…)",
    "JOBDIR": "nothing is to be set: each crawl is kept in its database, and the same command resumes it",
    "HTTPCACHE_*": "there is no cache; scraper record keeps pages for tests, see docs/testing.md",
    "RETRY_ENABLED": "write retry_attempts = 1 for none",
    "RETRY_*": "write retry_attempts and retry_statuses, or retry_policy on the spider; see docs/retries.md",
    "REDIRECT_ENABLED": "write handle_statuses = [301, 302, 303, 307, 308] for none",
    "COOKIES_DEBUG": "run scraper fetch URL, which shows the headers of both sides",
    "AUTOTHROTTLE_DEBUG": "run scraper status during the crawl",
    "CLOSESPIDER_ERRORCOUNT": "write expect = ['failures <= 10'] on the spider: a rule that the finished run must meet",
    "CLOSESPIDER_*": "write expect = ['items >= 1000'] on the spider, or deadline; see docs/rules.md",
    "BOT_NAME": "write user_agent and contact; a spider has a name of its own",
    "FEED*": "here it is the spider's attribute 'exports', see docs/exports.md",
    "FILES_*": "here it is an argument of Download, see docs/media.md",
    "IMAGES_*": "here it is an argument of Download, see docs/media.md",
    "MEDIA_*": "here it is an argument of Download, see docs/media.md",
    "STATS*": "nothing is to be set: scraper status and scraper runs show them, report.counts has them",
    "MEMUSAGE_*": "set a limit of the system, such as MemoryMax of systemd",
    "MAIL_*": "let cron mail: the exit code and the rules say how a run went, see docs/cron.md",
    "TELNETCONSOLE_*": "run scraper status during the crawl",
    "LOG_FORMAT": "here log_format is auto, console or json; a line is one event, see docs/settings.md",
    "LOG_*": "write log_format (auto, console or json), log_level and log_file; see docs/settings.md",
    "NEWSPIDER_MODULE": "write spiders, a folder",
    "TWISTED_REACTOR": "nothing is to be set: it runs on asyncio and uvloop",
    "REACTOR_*": "nothing is to be set: it runs on asyncio and uvloop",
    "ADDONS": "give parts of your own to scraper.run(…), such as fetcher and observers",
}
"""Settings of Scrapy's without a setting of ours; ``*`` stands for any end. The first that fits counts."""

SPIDER = {
    "log": "write self.logger.info('…')",
    "crawler": "what a spider needs is given to it: arguments of __init__, self.settings, self.state",
}
SELECTOR = {
    "extract": "write .get() for the first match, .getall() for all",
    "extract_first": "write .get()",
}
"""Attributes that our objects of these kinds do not have; see ``Absent``."""

PUBLIC = {
    "Item": "an item is a dict, a dataclass, a msgspec.Struct, an attrs or a pydantic object; see docs/items.md",
    "ItemLoader": "write price: Decimal = Field(clean=fields.price) in a dataclass; see docs/items.md",
    "signals": "write closed(report) on the spider, or give observers to scraper.run(…, observers=[…])",
    "CloseSpider": "write limits or a deadline in settings, or rules in expect",
    "CrawlerProcess": "write scraper.run(Shop)",
    "CrawlerRunner": "write await scraper.crawl(Shop)",
    "HtmlResponse": "here it is called 'Response'",
    "TextResponse": "here it is called 'Response'",
    "XMLFeedSpider": "here it is called 'XMLSpider'",
    "CSVFeedSpider": "here it is called 'CSVSpider'",
}
"""Names that people import."""


class Absent:
    """An attribute that there is not: who asks for it is told what to write. One that is set wins."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, one: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no {self._name!r}; {self._words}")


def setting_hint(name: str) -> str | None:
    """What to write in place of a setting of Scrapy's that has no counterpart; None for any other name."""
    return next((words for theirs, words in SETTINGS.items() if fnmatchcase(name.upper(), theirs)), None)


def meta_flaw(meta: Mapping[str, Any]) -> str | None:
    """What is wrong with a request's ``meta``: a key that Scrapy would read. None when nothing is."""
    if META.keys().isdisjoint(meta):
        return None
    name = next(name for name in META if name in meta)
    return f"meta[{name!r}] would not be read; {META[name]}"
