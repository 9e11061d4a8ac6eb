"""Response: the bytes that came back, and what a callback reads out of them.

Nothing is parsed before it is asked for, and nothing twice. HTML bytes that are UTF-8 go straight to
selectolax; all others are decoded first, by the encoding that a browser would choose.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from multidict import CIMultiDict
from selectolax.lexbor import LexborHTMLParser, LexborNode

from scraper.encoding import decode, sniff
from scraper.errors import NestingError, ParseError, RequestError
from scraper.nesting import too_deep
from scraper.page import Seen
from scraper.request import CallbackRef, Request, link
from scraper.selector import Selector, SelectorList, select
from scraper.url import Resolver, resolve

UTF8_BOM = b"\xef\xbb\xbf"

NO_LINK = "about:blank"
"""Stands for the link of an anchor that has none: not http(s), so it is passed over."""

Link = str | Selector | LexborNode
"""What can be followed: a URL, or a node or match that holds one."""


class Response:
    """One answer.

    Attributes:
        url: canonical URL that was fetched.
        status: HTTP status code.
        headers: case-insensitive.
        body: decoded content (gzip and the like undone), bytes.
        request: the Request that led here; ``meta`` and ``cb_kwargs`` are its.
        seen: timing and connection facts (seconds, bytes, whether the connection was reused).
    """

    __slots__ = (
        "_encoding",
        "_resolver",
        "_text",
        "_tree",
        "body",
        "headers",
        "request",
        "seen",
        "status",
        "url",
    )

    def __init__(
        self,
        url: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        request: Request | None = None,
        seen: Seen | None = None,
    ) -> None:
        self.url = url
        self.status = status
        self.headers: Mapping[str, str] = (
            CIMultiDict(headers or {}) if headers is None or type(headers) is dict else headers
        )
        self.body = body
        self.request = request if request is not None else Request(url)
        self.seen = seen if seen is not None else Seen(status=status, size=len(body))
        self._encoding: str | None = None
        self._text: str | None = None
        self._tree: LexborHTMLParser | None = None
        self._resolver: Resolver | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """The request's ``meta``."""
        return self.request.meta

    @property
    def cb_kwargs(self) -> dict[str, Any]:
        """The request's ``cb_kwargs``."""
        return self.request.cb_kwargs or {}

    @property
    def ok(self) -> bool:
        """True for a status below 400."""
        return self.status < 400

    def retry_after(self, now: float) -> float | None:
        """Seconds that Retry-After asks for (RFC 9110, 10.2.3: seconds or an HTTP date); None when unusable.

        ``now`` is epoch seconds; a date in the past is 0.
        """
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            date = parsedate_to_datetime(text)
            return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
        except (ValueError, OverflowError):
            return None

    @property
    def encoding(self) -> str:
        """WHATWG name by BOM, header, meta prescan of 1,024 bytes, then UTF-8 or windows-1252."""
        if self._encoding is None:
            self._encoding = sniff(self.body, self.headers.get("Content-Type"))
        return self._encoding

    @property
    def text(self) -> str:
        """The body as text; what cannot be decoded becomes U+FFFD. Never raises."""
        if self._text is None:
            self._text = decode(self.body, self.encoding)
        return self._text

    def json(self, type: Any = Any) -> Any:
        """The body as JSON (RFC 8259), converted to ``type`` by msgspec when one is given.

        What is not UTF-8, and the lone surrogates and NaN that servers do send, are read all the same.
        Raises ParseError when it is not JSON or does not fit the type.
        """
        try:
            try:
                return msgspec.json.decode(self.body, type=type)
            except ValueError:
                return msgspec.convert(json.loads(self.text), type)
        except (ValueError, RecursionError) as error:
            start = self.text[:60]
            raise ParseError(
                f"{self.url} is not the JSON asked for: {error}; it starts {start!r}", request=self.request
            ) from error

    @property
    def tree(self) -> LexborHTMLParser:
        """The parsed page, parsed when first asked for.

        Raises NestingError for tags nested so deeply that parsing would stall (quadratic time).
        """
        if self._tree is None:
            self._tree = self._parse()
        return self._tree

    def _parse(self) -> LexborHTMLParser:
        # Bytes that are no UTF-8 where it was promised are U+FFFD to selectolax, as they are in ``text``.
        body = self.body.removeprefix(UTF8_BOM) if self.encoding == "utf-8" else self.text.encode()
        if too_deep(body):
            raise NestingError(
                f"{self.url} nests its tags too deeply to be parsed in sane time; read .text instead",
                request=self.request,
            )
        return LexborHTMLParser(body)

    def css(self, query: str) -> SelectorList:
        """All matches of a CSS selector; ``::text`` and ``::attr(name)`` give strings.

        Raises ParseError for a selector that is not CSS.
        """
        root = self.tree.root
        return select((root,) if root is not None else (), query)

    @property
    def resolver(self) -> Resolver:
        """href -> canonical URL or None, by ``<base href>`` or the page's URL; remembers what it resolved."""
        if self._resolver is None:
            base = self.url
            # Few pages have a base, so none is parsed for it: JSON has no tree to look into.
            if self._tree is not None or "<base" in self.text.lower():
                node = next((each for each in self.tree.tags("base") if "href" in each.attributes), None)
                if node is not None:
                    base = resolve(base, node.attributes["href"] or "") or base
            self._resolver = Resolver(base)
        return self._resolver

    @property
    def passed_over(self) -> list[str] | None:
        """The hrefs resolved so far that are no http(s) URL, such as ``mailto:``; None when there are none."""
        if self._resolver is None or None not in self._resolver.values():
            return None
        return [href for href, url in self._resolver.items() if url is None and href != NO_LINK] or None

    def urljoin(self, href: str) -> str:
        """The canonical absolute URL of ``href`` on this page (WHATWG URL, no fragment).

        Raises RequestError when it is not a valid http(s) URL.
        """
        found = self.resolver[href]
        if found is None:
            raise RequestError(f"{href!r} on {self.url} is not an http(s) URL", request=self.request)
        return found

    def links(self) -> list[str]:
        """Canonical URLs of all ``<a href>``, then all ``<area href>``: in the order of the page, each once."""
        tree, resolver = self.tree, self.resolver
        hrefs = dict.fromkeys(
            [node.attributes.get("href", NO_LINK) for tag in ("a", "area") for node in tree.tags(tag)]
        )
        return resolver.urls([href or "" for href in hrefs])

    def follow(self, target: Link, callback: CallbackRef = None, **arguments: Any) -> Request:
        """A Request for a URL, or for the link in a node: its ``href``, else its ``src``.

        Takes all arguments of Request. Raises RequestError when there is no http(s) URL in it.
        """
        href = _href(target)
        if href is None:
            raise RequestError(
                f"no href or src in {target!r} on {self.url}; pass a URL or one link", request=self.request
            )
        url = self.urljoin(href)
        return Request(url, callback, **arguments) if arguments else link(url, callback)

    def follow_all(
        self,
        css: str | Iterable[Link] | None = None,
        callback: CallbackRef = None,
        *,
        urls: Iterable[Link] | None = None,
        **arguments: Any,
    ) -> Iterator[Request]:
        """Requests for every link that ``css`` selects, or for every one of ``urls``; each URL once.

        Links that are not http(s) (``mailto:``, malformed) are passed over. Takes all arguments of Request.
        """
        targets = css if urls is None else urls
        if targets is None or (css is not None and urls is not None) or isinstance(urls, str):
            raise RequestError("follow_all() needs css=… or urls=[…], one of them", request=self.request)
        if isinstance(targets, str):
            targets = self.css(targets)
        if isinstance(targets, SelectorList):
            targets = targets.matches  # as they are: a Selector around each costs more than its look-up
        hrefs = [target if isinstance(target, str) else _href(target) for target in targets]
        found = self.resolver.urls([href for href in hrefs if href is not None])
        if arguments:
            return iter([Request(url, callback, **arguments) for url in found])
        return iter([link(url, callback) for url in found])

    def __repr__(self) -> str:
        return f"<{self.status} {self.url}>"


def _href(target: Link) -> str | None:
    """The link in a target: itself, or the ``href`` or ``src`` of a node; None when it has neither."""
    if isinstance(target, str):
        return target
    if isinstance(target, Selector):
        return target.get() if target.node is None else _href(target.node)
    if isinstance(target, LexborNode):
        attributes = target.attributes
        name = "href" if "href" in attributes else "src"
        return (attributes[name] or "") if name in attributes else None
    return None
