"""Response: the bytes that came back, and what a callback reads out of them.

Nothing is parsed before it is asked for, and nothing twice. HTML bytes that are UTF-8 go straight to
selectolax; all others are decoded first, by the encoding that a browser would choose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from multidict import CIMultiDict
from selectolax.lexbor import LexborHTMLParser

from scraper.content import Kind, essence, has_tags, kind_of
from scraper.cookies import pairs
from scraper.encoding import decode, sniff
from scraper.errors import ContentError, NestingError, ParseError, RequestError
from scraper.nesting import too_deep
from scraper.page import Seen
from scraper.request import CallbackRef, Request, link
from scraper.robots_text import robots_text, sitemaps
from scraper.selector import SelectorList, listed, select
from scraper.target import Target, href_of, says_nofollow
from scraper.url import Resolver, resolve, shown

if TYPE_CHECKING:
    from scraper.media import Download

_BASE = re.compile(r"""<base\s(?:[^<>]*?\s)?href\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s<>"']+))""", re.IGNORECASE)
"""A ``<base href>`` in a page that is not parsed."""
UTF8_BOM = b"\xef\xbb\xbf"

NO_LINK = "about:blank"
"""Stands for the link of an anchor that has none: not http(s), so it is passed over."""


class Response:
    """One answer.

    Attributes:
        url: canonical URL that was fetched.
        status: HTTP status code.
        headers: case-insensitive.
        body: decoded content (gzip and the like undone), bytes.
        request: the Request that led here; ``meta`` and ``cb_kwargs`` are its.
        seen: timing and connection facts (seconds, bytes, whether the connection was reused).
        file: where the body is, when ``stream_to`` asked for a file and the status was 2xx; else None. ``body`` is
            empty then.
        sha256: of what is in the file, in hex; None without a file.
        obeys_nofollow: whether ``rel=nofollow`` counts, as ``obey_nofollow`` has it: ``links()`` leaves such links out
            (``left_out`` has their URLs), and the requests that ``follow()`` and ``follow_all()`` make of them are
            marked ``nofollow=True``, so that they are dropped once they are yielded.
    """

    __slots__ = (
        "_encoding",
        "_kind",
        "_resolver",
        "_root",
        "_text",
        "_tree",
        "body",
        "file",
        "headers",
        "left_out",
        "obeys_nofollow",
        "request",
        "seen",
        "sha256",
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
        self.file: Path | None = None
        self.sha256: str | None = None
        self._encoding: str | None = None
        self._kind: Kind | None = None
        self._text: str | None = None
        self._tree: LexborHTMLParser | None = None
        self._root: Any = None
        self._resolver: Resolver | None = None
        self.obeys_nofollow = False
        self.left_out: list[str] | None = None

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
    def cookies(self) -> dict[str, str]:
        """Names and values of the cookies that this answer sets, kept or not; those of the jar are not shown."""
        getall = getattr(self.headers, "getall", None)
        return pairs(getall("Set-Cookie", ())) if getall is not None else {}

    @property
    def content_type(self) -> str:
        """``type/subtype`` of the Content-Type header in lower case; empty when there is none."""
        return essence(self.headers.get("Content-Type"))

    @property
    def kind(self) -> Kind:
        """``html``, ``xml``, ``json``, ``text`` or ``binary``: by the header, and by the first bytes where it says
        nothing of use or is plainly wrong (WHATWG MIME Sniffing)."""
        if self._kind is None:
            self._kind = kind_of(self.headers.get("Content-Type"), self.body)
        return self._kind

    @property
    def encoding(self) -> str:
        """WHATWG name by BOM, header, meta prescan of 1,024 bytes, then UTF-8 or windows-1252."""
        if self._encoding is None:
            self._encoding = sniff(self.body, self.headers.get("Content-Type"))
        return self._encoding

    @property
    def text(self) -> str:
        """The body as text; what cannot be decoded becomes U+FFFD. Never raises, also for what is no text."""
        if self._text is None:
            self._text = decode(self.body, self.encoding)
        return self._text

    def json(self, type: Any = Any) -> Any:
        """The body as JSON (RFC 8259), converted to ``type`` by msgspec when one is given.

        What is not UTF-8, and the lone surrogates and NaN that servers do send, are read all the same.
        Raises ParseError when it is not JSON or does not fit the type, ContentError when it is something else.
        """
        try:
            try:
                return msgspec.json.decode(self.body, type=type)
            except ValueError:
                return msgspec.convert(json.loads(self.text), type)
        except (ValueError, RecursionError) as error:
            start = self.text[:60]
            kind = ContentError if self.kind in ("html", "xml", "binary") else ParseError
            raise kind(
                f"{self.url} is not the JSON asked for: {error}; it is {self._named()} and starts {start!r}",
                request=self.request,
            ) from error

    @property
    def tree(self) -> LexborHTMLParser:
        """The parsed page, parsed when first asked for.

        XML is read by the rules of HTML: names in lower case, no namespaces. Raises ContentError for what is no
        markup, NestingError for markup that would stall, flood or break the parser.
        """
        if self._tree is None:
            self._tree = LexborHTMLParser(self._markup())
        return self._tree

    @property
    def is_markup(self) -> bool:
        """Whether there may be tags in it: all but binary data, JSON, code and the like, and text without a tag."""
        kind = self.kind
        if kind == "text":
            return self.content_type in ("", "text/plain") and has_tags(self.body)
        return kind in ("html", "xml")

    def _named(self) -> str:
        """What it is, for people."""
        kind = {"html": "HTML", "xml": "XML", "json": "JSON", "binary": "binary data"}.get(self.kind, self.kind)
        return f"{kind} ({self.content_type or 'without a Content-Type'})"

    def _markup(self) -> bytes:
        """The body as UTF-8, when it can be parsed."""
        if self.body[:1] != b"<" and self.body and not self.is_markup:
            use = {"json": ".json()", "text": ".text"}.get(self.kind, ".body")
            raise ContentError(
                f"{self.url} is {self._named()}, so there is no page to search; read {use} instead",
                request=self.request,
            )
        # Bytes that are no UTF-8 where it was promised are U+FFFD to selectolax, as they are in ``text``.
        body = self.body.removeprefix(UTF8_BOM) if self.encoding == "utf-8" else self.text.encode()
        if too_deep(body):
            raise NestingError(
                f"{self.url} holds markup that would stall, flood or break the parser; read .text instead",
                request=self.request,
            )
        return body

    def css(self, query: str) -> SelectorList:
        """All matches of a CSS selector; ``::text`` and ``::attr(name)`` give strings.

        Raises ParseError for a selector that is not CSS, ContentError for a body that is no markup.
        """
        root = self.tree.root
        return select((root,) if root is not None else (), query)

    def xpath(self, query: str, namespaces: Mapping[str, str] | None = None, **variables: Any) -> SelectorList:
        """All matches of an XPath 1.0 expression; one that comes to a string, number or boolean gives that as text.

        ``namespaces`` are prefix to URI, for XML (``re`` and ``set`` of EXSLT are known); ``variables`` the values of
        ``$name``. ``has-class('a', 'b')`` asks for classes. HTML is read by libxml2, whose tree differs from that of
        ``css()`` where markup is broken or left out. Raises MissingExtra without lxml, ParseError for a wrong
        expression, and for the page what ``css()`` raises.
        """
        from scraper.xpath import parse, search  # few crawls need it

        xml = self.kind == "xml"
        if self._root is None:
            self._markup()  # what must not be parsed, is not
            self._root = parse(self.text.encode("utf-8", "replace"), self.url, xml)
        return listed([*search(self._root, query, namespaces, variables, xml)])

    @property
    def resolver(self) -> Resolver:
        """href -> canonical URL or None, by ``<base href>`` or the page's URL; remembers what it resolved."""
        if self._resolver is None:
            base = self.url
            # Few pages have a base, so none is parsed for it: JSON has no tree to look into.
            if self._tree is not None or (self.is_markup and "<base" in self.text.lower()):
                base = resolve(base, self._base_href()) or base
            self._resolver = Resolver(base)
        return self._resolver

    def _base_href(self) -> str:
        try:
            node = next((each for each in self.tree.tags("base") if "href" in each.attributes), None)
        except NestingError:  # links that are given as text can be followed all the same
            found = _BASE.search(self.text)
            return (found[1] or found[2] or found[3]) if found is not None else ""
        return (node.attributes["href"] or "") if node is not None else ""

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
        if self.obeys_nofollow:
            marked = self._marked([node for tag in ("a", "area") for node in tree.tags(tag)])
            self.left_out = [url for url, nofollow in marked.items() if nofollow]
            return [url for url, nofollow in marked.items() if not nofollow]
        hrefs = dict.fromkeys(
            [node.attributes.get("href", NO_LINK) for tag in ("a", "area") for node in tree.tags(tag)]
        )
        return resolver.urls([href or "" for href in hrefs])

    def sitemaps(self) -> list[str]:
        """The URLs of the ``Sitemap`` lines of a robots.txt: canonical, in its order, each once."""
        return sitemaps(robots_text(self.body), self.url)

    def follow(self, target: Target, callback: CallbackRef = None, **arguments: Any) -> Request:
        """A Request for a URL, or for the link in a node: its ``href``, else its ``src``.

        Takes all arguments of Request. Raises RequestError when there is no http(s) URL in it.
        """
        href = href_of(target)
        if href is None:
            raise RequestError(
                f"no href or src in {target!r} on {self.url}; pass a URL or one link", request=self.request
            )
        url = self.urljoin(href)
        if self.obeys_nofollow and says_nofollow(target):
            arguments.setdefault("nofollow", True)
        return Request(url, callback, **arguments) if arguments else link(url, callback)

    def download(self, target: Target, into: str = "", **arguments: Any) -> Download:
        """A Download of a URL, or of the link in a node: its ``href``, else its ``src`` (``<img src>``).

        Takes all arguments of Download. Raises RequestError when there is no http(s) URL in it.
        """
        from scraper.media import download_of  # few spiders need it

        return download_of(self, target, into, arguments)

    def follow_all(
        self,
        css: str | Iterable[Target] | None = None,
        callback: CallbackRef = None,
        *,
        urls: Iterable[Target] | None = None,
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
        if self.obeys_nofollow:
            return iter(
                [
                    Request(url, callback, **({"nofollow": True} | arguments if nofollow else arguments))
                    for url, nofollow in self._marked(targets).items()
                ]
            )
        hrefs = [target if isinstance(target, str) else href_of(target) for target in targets]
        found = self.resolver.urls([href for href in hrefs if href is not None])
        if arguments:  # one at a time: of a million nobody takes more than a page may give
            return (Request(url, callback, **arguments) for url in found)
        return map(link, found, repeat(callback))

    def _marked(self, targets: Iterable[Target]) -> dict[str, bool]:
        """The URLs of these links, and whether every link to one of them says nofollow."""
        found: dict[str, bool] = {}
        for target in targets:
            href = href_of(target)
            url = self.resolver[href] if href is not None else None
            if url is not None:
                found[url] = found.get(url, True) and says_nofollow(target)
        return found

    def __repr__(self) -> str:
        return f"<{self.status} {shown(self.url)}>"
