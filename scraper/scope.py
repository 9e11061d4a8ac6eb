"""Scope: which links a spider follows, how much one page may give, and how the others are told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Self

from scraper.errors import RequestError, SpiderError
from scraper.page import Found
from scraper.request import Request, is_download, to_json
from scraper.settings import Settings
from scraper.spider import Spider, callback_name
from scraper.url import domain_of, host_of, in_domains, repeats

if TYPE_CHECKING:
    from scraper.steps import Steps

MOST_HOSTS = 10_000
"""Hosts whose being on or off site is remembered."""

MOST_EXAMPLES = 100
"""Links that are shown of each reason for which they are dropped; the others are counted."""


MOST_WORDS = 100
"""Reasons that steps give in their own words, and that are counted one by one."""


class Scope:
    """Which links a spider follows, what is checked of each, and its item steps; one per crawl."""

    def __init__(
        self,
        spider: Spider,
        max_depth: int = 0,
        max_url_length: int = 0,
        max_path_repeats: int = 0,
        max_results: int = 100_000,
        max_item_size: int = sys.maxsize,
    ) -> None:
        domains = spider.allowed_domains or ()
        if isinstance(domains, str):
            raise SpiderError(f"{spider.name}.allowed_domains is one string; make it a list: [{domains!r}]")
        self.spider = spider
        self.domains = tuple(_domain(spider, domain) for domain in domains)
        self.max_depth = max_depth
        self.max_url_length = max_url_length or sys.maxsize
        self.max_path_repeats = max_path_repeats
        self.most_slashes = max_path_repeats + 2 if max_path_repeats else sys.maxsize
        """A URL with no more of them cannot repeat itself too often, so its path is not looked at."""
        self.max_results = max_results
        self.max_item_size = max_item_size
        self.large = asyncio.Lock()
        """Held by the one page that gives more than a few results: what it gave so far is in memory."""
        self.room: Callable[[], Awaitable[None]] | None = None
        """Waits while too much of what other pages gave is not stored yet; None: nobody stores."""
        self.steps: Steps | None = None
        if spider.steps:
            from scraper.steps import Steps  # few spiders have some

            self.steps = Steps(spider)
        self._said: set[str] = set()
        self._inside: dict[str, bool] = {}
        self._shown: dict[str, set[str]] = {}

    @classmethod
    def of(cls, spider: Spider, settings: Settings) -> Self:
        """As the settings have it."""
        names = ("max_depth", "max_url_length", "max_path_repeats", "max_results", "max_item_size")
        return cls(spider, **{name: getattr(settings, name) for name in names})

    def prepare(self, request: Request, salt: str = "") -> None:
        """Callbacks become names, and the rest its stored form; ``salt`` names a ``dont_filter`` one.

        Raises RequestError for what cannot be stored.
        """
        if request.callback is not None:
            request.callback = callback_name(self.spider, request.callback)
        if request.errback is not None:
            request.errback = callback_name(self.spider, request.errback, "errback")
        if request.priority and not (isinstance(request.priority, int) and abs(request.priority) < 2**62):
            raise RequestError(f"priority {request.priority!r} of {request!r} is not a whole number of 62 bits")
        if request.dont_filter:
            request.salt = salt
        request.stored = to_json(request) or ""
        if len(request.stored) > self.max_item_size:
            size = len(request.stored) - len(request.body or b"") * 4 // 3  # a body that is sent is no note to oneself
            if size > self.max_item_size:
                raise RequestError(
                    f"{request!r} carries {size:,} bytes of meta, cb_kwargs and the like as JSON, more than "
                    f"max_item_size ({self.max_item_size:,}); keep large things in items or files"
                )

    def drop_reason(self, request: Request) -> str | None:
        """``offsite``, ``depth``, ``length`` or ``path`` when the link is not to be followed, else None.

        A download is bound to neither site nor depth: it leads nowhere, and pictures often lie on a host of their own.
        """
        file = is_download(request)
        if self.max_depth and request.depth > self.max_depth and not file:
            return "depth"
        if len(request.url) > self.max_url_length:
            return "length"
        if request.url.count("/") > self.most_slashes and repeats(request.url) > self.max_path_repeats:
            return "path"
        return None if file or self.follows(request.url) else "offsite"

    def drop(self, found: Found, reason: str, urls: Sequence[str]) -> None:
        """Count links that are not followed, and show the first of each reason."""
        found.drops[reason] = found.drops.get(reason, 0) + len(urls)
        shown = self._shown.setdefault(reason, set())
        for url in urls:
            if len(shown) >= MOST_EXAMPLES:
                return
            if url not in shown:
                shown.add(url)
                found.dropped.append((reason, url))

    def drop_item(self, found: Found, step: str, words: str) -> None:
        """Count an item that a step does not want, as ``item STEP`` with its words, while these are few."""
        reason = f"item {step}"
        if words and (
            (longer := f"{reason}: {' '.join(words.split())}"[:200]) in self._said or len(self._said) < MOST_WORDS
        ):
            self._said.add(longer)
            reason = longer
        found.drops[reason] = found.drops.get(reason, 0) + 1

    def follows(self, url: str) -> bool:
        """Whether a canonical URL is within ``allowed_domains``; remembered, for pages link to few hosts."""
        if not self.domains:
            return True
        host = host_of(url)
        inside = self._inside.get(host)
        if inside is None:
            if len(self._inside) >= MOST_HOSTS:
                self._inside.clear()
            inside = self._inside[host] = in_domains(host, self.domains)
        return inside


def _domain(spider: Spider, domain: str) -> str:
    """A domain as it stands in canonical URLs: lower case, ASCII, without a port."""
    found = domain_of(domain) if isinstance(domain, str) else None
    if found is None:
        raise SpiderError(f"{spider.name}.allowed_domains has {domain!r}; give host names, such as 'example.org'")
    return found
