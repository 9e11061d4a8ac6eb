"""Spider, and ``collect``: what a callback gave, checked and sorted into links and items."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from scraper.errors import CallbackError, RequestError, ScraperError, SpiderError
from scraper.item import is_item, snake, to_item
from scraper.log import Logger
from scraper.page import Found, Item
from scraper.ports import RetryPolicy
from scraper.request import CallbackRef, Request, is_plain, to_json
from scraper.url import canonical, host_of, in_domains, origin_of

if TYPE_CHECKING:
    from scraper.response import Response


MOST_HOSTS = 10_000
"""Hosts whose being on or off site is remembered."""

NOT_READ = (
    ("custom_settings", "settings"),
    ("start_requests", "start"),
    ("start_url", "start_urls"),
    ("allowed_domain", "allowed_domains"),
    ("expects", "expect"),
)
"""What people write, and what they mean."""

MOST_EXAMPLES = 100
"""Links that are shown of each reason for which they are dropped; the others are counted."""


class Spider:
    """Base of all spiders: where to start, and what to read from each page.

    Attributes:
        name: names the spider and its database; the class name in snake_case when not given.
        start_urls: where ``start()`` begins.
        allowed_domains: links to other hosts are dropped (subdomains are allowed); empty: all are followed.
        settings: settings of this spider; the environment and arguments win over them.
        retry_policy: when to try again; None: as the retry settings say.
        expect: rules that a finished run must meet, such as ``"book.price >= 95%"``; see docs/rules.md.
    """

    name: ClassVar[str] = ""
    start_urls: Iterable[str] = ()
    allowed_domains: Iterable[str] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    retry_policy: RetryPolicy | None = None
    expect: Iterable[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake(cls.__name__)
        for theirs, ours in NOT_READ:
            if theirs in cls.__dict__:
                raise SpiderError(f"{cls.__name__}.{theirs} would not be read; here it is called {ours!r}")

    @property
    def logger(self) -> Logger:
        """A logger (of structlog's kind) that names the spider."""
        return Logger("scraper.spider", spider=self.name)

    async def start(self) -> AsyncIterator[Request]:
        """The first requests. Override it for seeds that are computed or read from somewhere."""
        if isinstance(self.start_urls, str):
            raise SpiderError(f"{self.name}.start_urls is one string; make it a list: [{self.start_urls!r}]")
        none = True
        for url in self.start_urls:
            none = False
            yield Request(url)
        if none:
            raise SpiderError(f"{self.name} has no start_urls and no start() of its own, so there is nothing to fetch")

    def parse(self, response: Response) -> Any:
        """Reads a page: may be a generator, async generator, coroutine or plain function.

        It yields or returns items (dict, dataclass, msgspec.Struct, attrs, pydantic) and Requests.
        """
        raise SpiderError(f"spider {self.name!r} has no parse() method for {response.url}; write one")

    def closed(self, report: Any) -> Any:
        """Called once with the report when the crawl has ended; may be async."""


def callback_name(spider: Spider, callback: CallbackRef, what: str = "callback") -> str | None:
    """The method name to store, or None for ``parse``.

    Raises RequestError for a lambda, a nested or a foreign function: only a name survives a restart.
    """
    if callback is None:
        return None
    if isinstance(callback, str):
        name, known = callback, callable(getattr(spider, callback, None))
    else:
        name = getattr(callback, "__name__", "")
        mine = getattr(spider, name, None)
        known = mine == callback or getattr(mine, "__func__", None) is callback
    if known:
        return name if name != "parse" or what != "callback" else None
    raise RequestError(
        f"{what} {getattr(callback, '__qualname__', callback)!r} is not a method of spider {spider.name!r}: "
        "requests survive restarts by method name, so pass self.<method> or its name"
    )


class Scope:
    """Which links a spider follows, and what is checked of each; one per crawl."""

    def __init__(self, spider: Spider, max_depth: int = 0, max_url_length: int = 0) -> None:
        domains = spider.allowed_domains or ()
        if isinstance(domains, str):
            raise SpiderError(f"{spider.name}.allowed_domains is one string; make it a list: [{domains!r}]")
        self.spider = spider
        self.domains = tuple(_domain(spider, domain) for domain in domains)
        self.max_depth = max_depth
        self.max_url_length = max_url_length or sys.maxsize
        self._inside: dict[str, bool] = {}
        self._shown: dict[str, set[str]] = {}

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

    def drop_reason(self, request: Request) -> str | None:
        """``offsite``, ``depth`` or ``length`` when the link is not to be followed, else None."""
        if self.max_depth and request.depth > self.max_depth:
            return "depth"
        if len(request.url) > self.max_url_length:
            return "length"
        return None if self.follows(request.url) else "offsite"

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
    host = domain.strip().strip(".") if isinstance(domain, str) else ""
    url = canonical(f"http://{host}/")
    if url is None or "*" in host or url != f"http://{host_of(url)}/" or not in_domains(host_of(url), (url[7:-1],)):
        raise SpiderError(f"{spider.name}.allowed_domains has {domain!r}; give host names, such as 'example.org'")
    return host_of(url)


async def seeds(spider: Spider) -> AsyncGenerator[Request, None]:
    """The requests of ``start()``, which may be an async generator or, as people write it, a plain one.

    Raises RequestError for what is not a Request, SpiderError for what cannot be iterated.
    """
    started: Any = spider.start()
    if hasattr(started, "__aiter__"):
        async for request in started:
            yield _seed(request, spider)
    elif isinstance(started, Iterable):
        for request in started:
            yield _seed(request, spider)
    else:
        if inspect.iscoroutine(started):
            started.close()
        raise SpiderError(
            f"{spider.name}.start() gave a {type(started).__name__}; write it as 'async def' with 'yield'"
        )


def _seed(request: Any, spider: Spider) -> Request:
    if isinstance(request, Request):
        return request
    raise RequestError(f"{spider.name}.start() gave {request!r:.80}; yield Requests there and items from callbacks")


async def collect(scope: Scope, result: Any, parent: Request) -> Found:
    """Everything a callback gave, from whatever it returned.

    A bad Request or a value that is neither raises *inside* the callback, at its ``yield``, so that the
    traceback shows the line to mend. Raises what the callback raises.
    """
    found = Found()
    add = _Collector(scope, parent, found).add
    if inspect.isawaitable(result):
        result = await result
    if result is None:
        return found
    if inspect.isgenerator(result):
        with closing(result), suppress(StopIteration):  # of throw(): the callback may catch the error and return
            for value in result:
                while (error := add(value)) is not None:
                    value = result.throw(error)
    elif inspect.isasyncgen(result):
        async with aclosing(result):
            with suppress(StopAsyncIteration):
                async for value in result:
                    while (error := add(value)) is not None:
                        value = await result.athrow(error)
    elif isinstance(result, AsyncIterable):
        async for value in result:
            _must(add(value))
    elif is_item(result) or isinstance(result, str | bytes) or not isinstance(result, Iterable):
        _must(add(result))
    else:
        for value in result:
            _must(add(value))
    return found


def _must(error: ScraperError | None) -> None:
    if error is not None:
        raise error


class _Collector:
    """Takes the values of one callback; the parent's fingerprint is made only when it is needed."""

    __slots__ = ("bounded", "depth", "found", "links", "longest", "near", "parent", "scope")

    def __init__(self, scope: Scope, parent: Request, found: Found) -> None:
        self.scope = scope
        self.parent = parent
        self.found = found
        self.depth = parent.depth + 1
        self.links = found.links
        self.longest = scope.max_url_length
        too_deep = bool(scope.max_depth) and self.depth > scope.max_depth
        self.bounded = too_deep or bool(scope.domains)
        # Most links stay where they are: they are told by their beginning, without a look at their host.
        here = f"{origin_of(parent.url)}/"
        self.near: str | tuple[()] = () if too_deep or not scope.follows(here) else here

    def add(self, value: Any) -> ScraperError | None:
        """Sort one value in; the error to raise at the callback's yield, or None."""
        if isinstance(value, Request):
            return self._link(value)
        if value is None:
            return None
        try:
            item = to_item(value) if is_item(value) else None
        except CallbackError as error:
            return error
        if item is not None:
            if isinstance(item, Item):
                self.found.items.append(item)
            else:
                self.found.rejects.append(item)
            return None
        return CallbackError(
            f"the callback for {self.parent.url} gave a {type(value).__name__} ({value!r:.60}); "
            "yield Requests and items (dict, dataclass, msgspec.Struct, attrs, pydantic)",
            request=self.parent,
        )

    def _link(self, request: Request) -> ScraperError | None:
        if request.depth or request is self.parent:  # given before: what waits to be stored must not change
            request = request.replace()
        request.depth = self.depth
        if request.callback is not None or request.priority or not is_plain(request):
            salt = ""
            if request.dont_filter:  # a name of its own, and the same one if this page is visited again
                salt = f"{self.parent.fingerprint.hex()}:{len(self.links)}"
            try:
                self.scope.prepare(request, salt)
            except RequestError as error:
                return error
        else:
            request.stored = ""
        url = request.url
        if (self.bounded and not url.startswith(self.near)) or len(url) > self.longest:
            reason = self.scope.drop_reason(request)
            if reason is not None:
                self.scope.drop(self.found, reason, (url,))
                return None
        self.links.append(request)
        return None
