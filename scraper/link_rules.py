"""Rules: which links of a page a CrawlSpider follows, and what of a rule goes with the request.

That goes by value: a rule may be edited, moved or deleted between a kill and the resumption, and what was found before
goes on as it was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from scraper.errors import CallbackError, RequestError, SpiderError
from scraper.link import Link
from scraper.link_words import unknown
from scraper.links import LinkExtractor
from scraper.request import CallbackRef, Request, link, to_json
from scraper.spider import Spider, callback_name

if TYPE_CHECKING:
    from scraper.response import Response

ARGUMENTS = ("link_extractor", "callback", "cb_kwargs", "follow", "process_links", "process_request", "errback")

MOST_TEXT = 500
"""Characters of a link's text that travel with its request."""


class Rule:
    """Which links are followed, and what reads their pages.

    Args:
        link_extractor: finds the links; None: all.
        callback: reads the page: a method of the spider, as a function of its class body or by name.
        cb_kwargs: given to the callback as keyword arguments; JSON.
        follow: whether the rules apply to the page as well; None: unless there is a callback.
        process_links: gets the list of Links found on a page and gives those to follow; a method (or name), or any
            function.
        process_request: gets each Request and the Response it was found on, and gives a Request, or None for none;
            likewise.
        errback: method (or name) called as ``errback(request, error)`` when the page is given up.

    A page's link is followed by the first of the rules that takes it. Raises SpiderError for an argument that cannot
    be meant.
    """

    __slots__ = ARGUMENTS

    def __init__(
        self,
        link_extractor: LinkExtractor | None = None,
        callback: CallbackRef = None,
        cb_kwargs: Mapping[str, Any] | None = None,
        follow: bool | None = None,
        process_links: str | Callable[..., Any] | None = None,
        process_request: str | Callable[..., Any] | None = None,
        errback: CallbackRef = None,
        **others: Any,
    ) -> None:
        for name in others:
            raise unknown(name, ARGUMENTS, "Rule")
        if link_extractor is not None and not callable(getattr(link_extractor, "extract_links", None)):
            raise SpiderError(
                f"Rule wants a LinkExtractor first, such as LinkExtractor(allow=…): {link_extractor!r:.80}"
            )
        try:
            to_json(Request("http://rule/", cb_kwargs=dict(cb_kwargs or {})))  # its callbacks are known to no one yet
        except (RequestError, TypeError, ValueError) as error:
            raise SpiderError(f"cb_kwargs of a Rule must be a dict of JSON values: {cb_kwargs!r:.200}") from error
        self.link_extractor = link_extractor if link_extractor is not None else LinkExtractor()
        self.callback = callback
        self.cb_kwargs = dict(cb_kwargs or {})
        self.follow = follow if follow is not None else callback is None
        self.process_links = process_links
        self.process_request = process_request
        self.errback = errback

    def __repr__(self) -> str:
        callback = getattr(self.callback, "__name__", self.callback)
        return f"Rule({self.link_extractor!r}, callback={callback!r}, follow={self.follow})"


class Bound:
    """A rule and what its names mean in one spider."""

    __slots__ = ("callback", "errback", "plain", "process_links", "process_request", "rule", "wrapped")

    def __init__(self, rule: Rule, wrapped: bool) -> None:
        self.rule = rule
        self.callback: str | None = None
        self.errback: str | None = None
        self.process_links: Callable[..., Any] | None = None
        self.process_request: Callable[..., Any] | None = None
        self.wrapped = wrapped
        self.plain = False

    def request(self, spider: Spider, found: Link, response: Response) -> Request | None:
        """The request for a link; None when ``process_request`` wants none."""
        url = response.urljoin(found.url)
        no = found.nofollow and response.obeys_nofollow
        rule = self.rule
        if self.plain and not no:
            return link(url, "parse_with_rules")  # nothing to store but a URL
        request: Any = Request(
            url,
            self.callback or "parse_with_rules",
            errback=self.errback,
            cb_kwargs=rule.cb_kwargs if self.callback is not None else {} if rule.follow else {"follow": False},
            meta={"link_text": found.text[:MOST_TEXT]},
            nofollow=True if no else None,
        )
        if self.process_request is not None:
            request = self.process_request(request, response)
            if request is None:
                return None
            if not isinstance(request, Request):
                raise CallbackError(
                    f"process_request of {rule!r} gave a {type(request).__name__} on {response.url}; return the "
                    "Request, or None for none",
                    request=response.request,
                )
        if self.wrapped and request.callback not in (None, "parse_with_rules"):
            name = callback_name(spider, request.callback)
            request.cb_kwargs = {
                "callback": name or "parse_start_url",
                "cb_kwargs": request.cb_kwargs or {},
                "follow": rule.follow,
            }
            request.callback = "parse_with_rules"
        made: Request = request
        return made


def bind(cls: type[Spider], spider: Any, rule: Rule, number: int, wrapped: bool) -> Bound:
    """``spider`` is the class as well, when that is only asked whether the names are known."""
    where = f"{cls.__name__}.rules[{number}]"
    found = Bound(rule, wrapped)
    found.callback = _name(cls, spider, rule.callback, f"callback of {where}")
    found.errback = _name(cls, spider, rule.errback, f"errback of {where}")
    found.plain = rule.follow and found.callback is None and found.errback is None and rule.process_request is None
    if found.callback == "parse":
        raise SpiderError(f"callback of {where} is parse(), which applies the rules; call it something else")
    if found.callback is None and rule.cb_kwargs:
        raise SpiderError(f"cb_kwargs of {where} are for a callback, and it has none")
    for what in ("process_links", "process_request"):
        given = getattr(rule, what)
        if given is not None:
            name = _own(cls, given) if callable(given) else _name(cls, spider, given, f"{what} of {where}")
            setattr(found, what, getattr(spider, name) if name is not None else given)
    return found


def _name(cls: type[Spider], spider: Any, given: Any, what: str) -> str | None:
    """The name of a method. Raises SpiderError when there is no such method: only a name can be stored."""
    if given is None:
        return None
    if isinstance(given, str):
        if callable(getattr(spider, given, None)):
            return given
        near = difflib.get_close_matches(given, [each for each in dir(cls) if not each.startswith("_")], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "write it, or name another"
        raise SpiderError(f"{what} is {given!r}, which is no method of {cls.__name__}; {hint}")
    name = _own(cls, given)
    if name is None:
        raise SpiderError(
            f"{what} is {getattr(given, '__qualname__', given)!r}, which is no method of {cls.__name__}: requests "
            "survive restarts by method name, so pass a function of the class body or a name"
        )
    return name


def _own(cls: type[Spider], given: Any) -> str | None:
    """The name under which the class, or one above it, has a function; None when it is somebody else's.

    Where the class has another one of that name, that is meant: so it is with methods.
    """
    function = getattr(given, "__func__", given)
    name: str = getattr(given, "__name__", "")
    mine = (base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)
    return name if any(getattr(each, "__func__", each) is function for each in mine) else None
