"""Response: the bytes that came back, and what a callback reads out of them.

Nothing is parsed before it is asked for, and nothing twice. HTML bytes that are UTF-8 go straight to
selectolax; all others are decoded first, by the encoding that a browser would choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode

from scraper.encoding import decode, sniff
from scraper.errors import NestingError, ParseError, RequestError
from scraper.nesting import too_deep
from scraper.page import Seen
from scraper.request import CallbackRef, Request, link
from scraper.selector import Selector, SelectorList, select
from scraper.url import Resolver

UTF8_BOM = b"\xef\xbb\xbf"


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
        self.headers: Mapping[str, str] = headers if headers is not None else {}
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
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
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

        Raises ParseError when it is not JSON or does not fit the type.
        """
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as first:
            try:  # not UTF-8, or with a BOM: through the text
                return msgspec.json.decode(self.text.lstrip("\ufeff"), type=type)
            except (msgspec.DecodeError, UnicodeEncodeError):
                start = self.text[:60]
                raise ParseError(f"{self.url} is not the JSON asked for: {first}; it starts {start!r}") from first

    @property
    def tree(self) -> LexborHTMLParser:
        """The parsed page, parsed when first asked for.

        Raises NestingError for tags nested so deeply that parsing would stall (quadratic time).
        """
        if self._tree is None:
            self._tree = self._parse()
        return self._tree

    def _parse(self) -> LexborHTMLParser:
        body = self.body
        if too_deep(body):
            raise NestingError(f"{self.url} nests its tags too deeply to be parsed in sane time; read .text instead")
        if self.encoding == "utf-8":
            try:
                body.decode()  # selectolax must only be shown valid UTF-8
            except UnicodeDecodeError:
                return LexborHTMLParser(self.text)
            return LexborHTMLParser(body[3:] if body.startswith(UTF8_BOM) else body)
        return LexborHTMLParser(self.text)

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
            # A cheap look before the tree is searched: few pages have a base, and JSON has no tree.
            if b"<base" in self.body or b"<BASE" in self.body:
                node = self.tree.css_first("base[href]")
                if node is not None:
                    base = Resolver(base)(node.attributes.get("href") or "") or base
            self._resolver = Resolver(base)
        return self._resolver

    def urljoin(self, href: str) -> str:
        """The canonical absolute URL of ``href`` on this page (WHATWG URL, no fragment).

        Raises RequestError when it is not a valid http(s) URL.
        """
        found = self.resolver(href)
        if found is None:
            raise RequestError(f"{href!r} on {self.url} is not an http(s) URL", request=self.request)
        return found

    def links(self) -> list[str]:
        """Canonical URLs of all ``<a href>`` and ``<area href>``, each once, in the order of the page."""
        resolver = self.resolver
        seen: dict[str, None] = {}
        tree = self.tree
        for tag in ("a", "area"):
            for node in tree.tags(tag):
                href = node.attrs.get("href")
                if href is not None:
                    url = resolver(href)
                    if url is not None:
                        seen[url] = None
        return list(seen)

    def follow(self, target: str | Selector | LexborNode, callback: CallbackRef = None, **arguments: Any) -> Request:
        """A Request for a URL, or for the link in a node (its ``href``, else its ``src``).

        Takes all arguments of Request. Raises RequestError when there is no http(s) URL in it.
        """
        url = self.urljoin(_href(target, self.url))
        if not arguments:
            return link(url, callback)
        return Request(url, callback, **arguments)

    def follow_all(
        self,
        css: str | Iterable[str | Selector | LexborNode] | None = None,
        callback: CallbackRef = None,
        *,
        urls: Iterable[str | Selector | LexborNode] | None = None,
        **arguments: Any,
    ) -> Iterator[Request]:
        """Requests for every link that ``css`` selects, or for every one of ``urls``; each URL once.

        Links that are not http(s) (``mailto:``, malformed) are passed over.
        """
        targets = css if urls is None else urls
        if targets is None:
            raise RequestError("follow_all() needs css=… or urls=…", request=self.request)
        if isinstance(targets, str):
            targets = self.css(targets)
        resolver = self.resolver
        seen: set[str] = set()
        for target in targets:
            href = target if isinstance(target, str) else _link_of(target)
            url = resolver(href) if href is not None else None
            if url is not None and url not in seen:
                seen.add(url)
                yield Request(url, callback, **arguments) if arguments else link(url, callback)

    def __repr__(self) -> str:
        return f"<{self.status} {self.url}>"


def _link_of(target: Selector | LexborNode) -> str | None:
    attributes = target.attrib if isinstance(target, Selector) else target.attributes
    found = attributes.get("href")
    return found if found is not None else attributes.get("src")


def _href(target: str | Selector | LexborNode, page: str) -> str:
    if isinstance(target, str):
        return target
    href = _link_of(target)
    if href is None:
        raise RequestError(f"no href or src in {target!r} on {page}; pass a link or a URL")
    return href
