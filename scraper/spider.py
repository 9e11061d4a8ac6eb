"""Spider: where to start, and what to read; and its callbacks by the names under which they are stored."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from scraper.errors import RequestError, SpiderError
from scraper.item import Built, snake
from scraper.log import Logger
from scraper.ports import RetryPolicy
from scraper.request import CallbackRef, Request
from scraper.settings import NAMES, SCRAPY_NAMES
from scraper.state import state_of
from scraper.theirs import ATTRIBUTES, SPIDER, Absent

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
        expect: rules that a finished run must meet, such as ``"book.price >= 95%"``; see docs/rules.md.
        exports: files that each run writes when it is over, such as ``"data/{spider}-{run}.jsonl.gz"``, or a dict of
            files with options; see docs/exports.md.
        steps: what is done to each item before it is stored: callables of an item that return one, or None to drop
            it; see docs/items.md.
    """

    name: ClassVar[str] = ""
    start_urls: Iterable[str] = ()
    allowed_domains: Iterable[str] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    retry_policy: RetryPolicy | None = None
    expect: Iterable[str] = ()
    _reads: ClassVar[frozenset[str]] = frozenset()  # of the names that others' spiders know, those that are read here
    exports: Iterable[str] | Mapping[str, Mapping[str, Any]] = ()
    steps: Iterable[Callable[[Any], Any]] = ()
    if not TYPE_CHECKING:  # which knows better that they are not there
        log, crawler = Absent(SPIDER["log"]), Absent(SPIDER["crawler"])

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake(cls.__name__)
        for name, value in cls.__dict__.items():
            if name not in cls._reads and (flaw := _unread(name, value)) is not None:
                raise SpiderError(f"{cls.__name__}.{name} would not be read; {flaw}")

    @property
    def state(self) -> dict[str, Any]:
        """A dict of JSON that outlives the process and the run, committed with the page whose callback changes it.

        Ask for it as ``self.state`` in each callback; see docs/items.md.
        """
        return state_of(self).touch()

    @state.setter
    def state(self, values: dict[str, Any]) -> None:
        state_of(self).replace(values)

    def build(self, kind: type, /, **values: Any) -> Any:
        """To be yielded: an item of ``kind`` from these values, cleaned and converted before the class sees them.

        What the class does not take goes to ``rejects`` with the field and the reason, and the page goes on.
        """
        return Built(kind, values)

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


def _unread(name: str, value: Any) -> str | None:
    """What to write in place of an attribute that looks as if it did something; None for all others.

    What is called or computed (a method, a property, a class) is the spider's own.
    """
    own = callable(value) or hasattr(type(value), "__get__")
    if name == "state" and not own:
        return "the state is kept in the database: begin it in start(), as in self.state.setdefault('seen', [])"
    if name in ATTRIBUTES and (not own or name == "start_requests"):
        return ATTRIBUTES[name]
    setting = name if name in NAMES else SCRAPY_NAMES.get(name.upper())
    if setting is None or own:
        return None
    return f"put it into settings = {{{setting!r}: …}}, or call it something else when it is the spider's own"


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
        if getattr(request, "item", None) is not None:
            raise RequestError(f"{spider.name}.start() gave {request!r} with an item; items come from callbacks")
        return request
    raise RequestError(f"{spider.name}.start() gave {request!r:.80}; yield Requests there and items from callbacks")
