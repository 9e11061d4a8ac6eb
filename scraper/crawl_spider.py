"""CrawlSpider: follows links by rules."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from scraper.errors import CallbackError, SpiderError
from scraper.item import is_item
from scraper.link import Link
from scraper.link_rules import Bound, Rule, bind
from scraper.request import CallbackRef, Request
from scraper.spider import Spider

if TYPE_CHECKING:
    from scraper.response import Response


class CrawlSpider(Spider):
    """A spider that follows links by ``rules``, and reads what they lead to.

    Attributes:
        rules: of a page's links each goes by the first that takes it.

    The pages of ``start_urls`` are read by ``parse_start_url()``, and the rules apply to them. ``parse()`` applies the
    rules, so it must not be overridden.
    """

    rules: ClassVar[Sequence[Rule]] = ()
    _reads = frozenset({"rules"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.parse is not CrawlSpider.parse:
            raise SpiderError(
                f"{cls.__name__}.parse would switch the rules off: call what reads start pages parse_start_url, and "
                "any other callback something else, such as Rule(…, callback='parse_item')"
            )
        if not cls.__name__.startswith("_"):  # such a one is a base; those below it have the methods
            _bound(cls, cls)

    async def start(self) -> AsyncIterator[Request]:
        """The first requests, once the rules are known to make sense."""
        if not self._all() and type(self).parse_start_url is CrawlSpider.parse_start_url:
            raise SpiderError(f"{self.name} has no rules; write rules = [Rule(LinkExtractor(…), callback=…)]")
        async for request in super().start():
            yield request

    def parse(self, response: Response, **kwargs: Any) -> Any:
        """Reads a start page by ``parse_start_url()`` and applies the rules to it."""
        return self.parse_with_rules(response, "parse_start_url", kwargs)

    def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
        """Reads a start page, or any other whose request names no callback; override it."""

    def process_results(self, response: Response, results: Any) -> Any:
        """Gets what a callback of a rule, or ``parse_start_url``, gave, and gives what is kept of it; override it."""
        return results

    def parse_with_rules(
        self,
        response: Response,
        callback: CallbackRef = None,
        cb_kwargs: Mapping[str, Any] | None = None,
        follow: bool = True,
    ) -> Any:
        """What a callback gives, and after it the links of the page that the rules follow, unless ``follow`` is False.

        Raises CallbackError for a name of no method.
        """
        result = None
        if callback is not None:
            call = getattr(self, callback, None) if isinstance(callback, str) else callback
            if call is None:
                raise CallbackError(
                    f"spider {self.name!r} has no method {callback!r} any more", request=response.request
                )
            result = call(response, **(cb_kwargs or {}))
        keeps = self.process_results
        waits = inspect.iscoroutinefunction(keeps) or inspect.isasyncgenfunction(keeps)
        if waits or inspect.isawaitable(result) or isinstance(result, AsyncIterable):
            return self._later(response, result, follow)
        return self._now(response, result, follow)

    def follow_rules(self, response: Response) -> Iterator[Request]:
        """A request for each link of the page that a rule takes; none for what is no markup."""
        taken: set[str] = set()
        for rule in self._all():
            links = [each for each in rule.rule.link_extractor.extract_links(response) if each.url not in taken]
            if rule.process_links is not None:
                links = _links(rule.process_links(links), response, rule.rule)
            for each in links:
                taken.add(each.url)
                request = rule.request(self, each, response)
                if request is not None:
                    yield request

    def _now(self, response: Response, result: Any, follow: bool) -> Iterator[Any]:
        yield from _iterated(self.process_results(response, result))
        if follow:
            yield from self.follow_rules(response)

    async def _later(self, response: Response, result: Any, follow: bool) -> AsyncIterator[Any]:
        if inspect.isawaitable(result):
            result = await result
        result = self.process_results(response, result)
        if inspect.isawaitable(result):
            result = await result
        if inspect.isasyncgen(result):
            try:
                value = await anext(result)
                while True:
                    try:
                        yield value
                    except Exception as error:  # that the value is no good shows at the line that yielded it
                        value = await result.athrow(error)
                    else:
                        value = await anext(result)
            except StopAsyncIteration:
                pass
            finally:
                await result.aclose()
        elif isinstance(result, AsyncIterable):
            async for value in result:
                yield value
        else:
            for value in _iterated(result):
                yield value
        if follow:
            for request in self.follow_rules(response):
                yield request

    def _all(self) -> list[Bound]:
        """The rules of this instance, their callbacks found; ``__init__`` may have given it some of its own."""
        kept: tuple[Any, list[Bound]] | None = self.__dict__.get("_bound")
        if kept is None or kept[0] is not self.rules:
            kept = self.__dict__["_bound"] = (self.rules, _bound(type(self), self))
        return kept[1]


def _rules(spider: Any) -> Iterable[Rule]:
    """Raises SpiderError for what is no list of rules."""
    rules: Any = spider.rules
    name = spider.__name__ if inspect.isclass(spider) else type(spider).__name__
    if isinstance(rules, Rule) or not isinstance(rules, list | tuple):
        raise SpiderError(f"{name}.rules is a {type(rules).__name__}; make it a list: [Rule(…)]")
    for number, rule in enumerate(rules):
        if not isinstance(rule, Rule):
            raise SpiderError(f"{name}.rules[{number}] is no Rule: {rule!r:.80}")
    return rules


def _bound(cls: type[CrawlSpider], spider: Any) -> list[Bound]:
    """The rules of a spider, or of its class: what their names mean."""
    changed = cls.process_results is not CrawlSpider.process_results
    return [bind(cls, spider, rule, number, rule.follow or changed) for number, rule in enumerate(_rules(spider))]


def _links(given: Any, response: Response, rule: Rule) -> list[Link]:
    links = list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else None
    if links is None or not all(isinstance(each, Link) for each in links):
        raise CallbackError(
            f"process_links of {rule!r} gave {given!r:.80} on {response.url}; return a list of Links",
            request=response.request,
        )
    return links


def _iterated(result: Any) -> Iterable[Any]:
    """What a callback gave, as ``collect`` would take it."""
    if result is None:
        return ()
    alone = isinstance(result, Request | str | bytes) or is_item(result) or not isinstance(result, Iterable)
    return (result,) if alone else result
