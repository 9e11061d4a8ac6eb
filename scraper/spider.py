"""Spider, and ``collect``: what a callback gave, checked and sorted into links and items."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from scraper.errors import CallbackError, RequestError, ScraperError, SpiderError
from scraper.item import is_item, snake, to_item
from scraper.page import Found, Item
from scraper.ports import RetryPolicy
from scraper.request import CallbackRef, Request, to_json
from scraper.url import host_of, in_domains

if TYPE_CHECKING:
    from scraper.response import Response


class Spider:
    """Base of all spiders: where to start, and what to read from each page.

    Attributes:
        name: names the spider and its database; the class name in snake_case when not given.
        start_urls: where ``start()`` begins.
        allowed_domains: links to other hosts are dropped (subdomains are allowed); empty: all are followed.
        settings: settings of this spider; the environment and arguments win over them.
        retry_policy: when to try again; None: as the retry settings say.
    """

    name: ClassVar[str] = ""
    start_urls: Iterable[str] = ()
    allowed_domains: Iterable[str] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    retry_policy: RetryPolicy | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake(cls.__name__)

    @property
    def logger(self) -> Any:
        """A structlog logger that names the spider."""
        return structlog.get_logger("scraper.spider").bind(spider=self.name)

    async def start(self) -> AsyncIterator[Request]:
        """The first requests. Override it for seeds that are computed or read from somewhere."""
        if isinstance(self.start_urls, str):
            raise SpiderError(f"{self.name}.start_urls is one string; make it a list: [{self.start_urls!r}]")
        for url in self.start_urls:
            yield Request(url)

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
        name = callback
        if callable(getattr(spider, name, None)):
            return name if name != "parse" or what != "callback" else None
        raise RequestError(f"{what} {name!r} is not a method of spider {spider.name!r}")
    name = getattr(callback, "__name__", "")
    mine = getattr(spider, name, None)
    if mine == callback or getattr(mine, "__func__", None) is callback:
        return name if name != "parse" or what != "callback" else None
    raise RequestError(
        f"{what} {getattr(callback, '__qualname__', callback)!r} is not a method of spider {spider.name!r}: "
        "requests survive restarts by method name, so pass self.<method> or its name"
    )


class Scope:
    """Which links a spider follows, and what is checked of each; one per crawl."""

    def __init__(self, spider: Spider, max_depth: int = 0) -> None:
        if isinstance(spider.allowed_domains, str):
            domains = spider.allowed_domains
            raise SpiderError(f"{spider.name}.allowed_domains is one string; make it a list: [{domains!r}]")
        self.spider = spider
        self.domains = tuple(domain.lower().strip(".") for domain in spider.allowed_domains)
        self.max_depth = max_depth

    def prepare(self, request: Request) -> None:
        """Callbacks become names; all must be storable. Raises RequestError."""
        if request.callback is not None:
            request.callback = callback_name(self.spider, request.callback)
        if request.errback is not None:
            request.errback = callback_name(self.spider, request.errback, "errback")
        if request.priority and not (isinstance(request.priority, int) and abs(request.priority) < 2**62):
            raise RequestError(f"priority {request.priority!r} of {request!r} is not a whole number of 62 bits")
        to_json(request)

    def drop_reason(self, request: Request) -> str | None:
        """``offsite`` or ``depth`` when the link is not to be followed, else None."""
        if self.max_depth and request.depth > self.max_depth:
            return "depth"
        if self.domains and not in_domains(host_of(request.url), self.domains):
            return "offsite"
        return None


async def collect(scope: Scope, result: Any, parent: Request) -> Found:
    """Everything a callback gave, from whatever it returned.

    A bad Request or a value that is neither raises *inside* the callback, at its ``yield``, so that the
    traceback shows the line to mend. Raises what the callback raises.
    """
    found = Found()
    add = _Collector(scope, parent, found).add
    if inspect.iscoroutine(result):
        result = await result
    if result is None:
        return found
    if inspect.isgenerator(result):
        for value in result:
            while (error := add(value)) is not None:
                value = result.throw(error)
    elif inspect.isasyncgen(result):
        async for value in result:
            while (error := add(value)) is not None:
                value = await result.athrow(error)
    elif isinstance(result, Request) or is_item(result) or not isinstance(result, Iterable):
        _must(add(result))
    elif isinstance(result, (str, bytes)):
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

    __slots__ = ("depth", "found", "links", "parent", "scope", "trivial")

    def __init__(self, scope: Scope, parent: Request, found: Found) -> None:
        self.scope = scope
        self.parent = parent
        self.found = found
        self.depth = parent.depth + 1
        self.links = found.links
        self.trivial = not scope.domains and not (scope.max_depth and self.depth > scope.max_depth)

    def add(self, value: Any) -> ScraperError | None:
        """Sort one value in; the error to raise at the callback's yield, or None."""
        if isinstance(value, Request):
            return self._link(value)
        if value is None:
            return None
        if is_item(value):
            item = to_item(value)
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
        request.depth = self.depth
        try:
            self.scope.prepare(request)
        except RequestError as error:
            return error
        if request.dont_filter:  # a name of its own, and the same one if this page is visited again
            request.salt = f"{self.parent.fingerprint.hex()}:{len(self.links)}"
        if not self.trivial:
            reason = self.scope.drop_reason(request)
            if reason is not None:
                self.found.drops[reason] = self.found.drops.get(reason, 0) + 1
                return None
        self.links.append(request)
        return None
