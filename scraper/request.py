"""Request: what to fetch and which methods of the spider get the answer; and its stored form.

A stored request is JSON and method names, never pickle, so a run can be resumed by another
process and read by anything that reads SQLite.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from scraper.errors import RequestError
from scraper.url import canonical, fingerprint

CallbackRef = str | Callable[..., Any] | None
"""A method name, a method of the spider, or None for ``parse``."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode


class Request:
    """One thing to fetch.

    Args:
        url: absolute http(s) URL; kept in canonical form (WHATWG URL, no fragment).
        callback: method of the spider (or its name) that gets the Response; None is ``parse``.
        method: HTTP method, upper-cased.
        headers: added to the crawl's headers for this request only.
        body: bytes, or str sent as UTF-8.
        cookies: name to value, sent with this request only.
        meta: JSON values carried to the Response (``response.meta``) and across restarts.
        cb_kwargs: JSON values given to the callback as keyword arguments.
        priority: higher goes first; equal ones in the order of discovery.
        dont_filter: fetch even when the same request was seen before in this run.
        errback: method (or name) called as ``errback(request, error)`` when the page is given up.

    Raises:
        RequestError: the URL is not an absolute http(s) URL.
    """

    __slots__ = (
        "_meta",
        "body",
        "callback",
        "cb_kwargs",
        "cookies",
        "depth",
        "dont_filter",
        "errback",
        "headers",
        "method",
        "priority",
        "salt",
        "trail",
        "url",
    )

    def __init__(
        self,
        url: str,
        callback: CallbackRef = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        cookies: Mapping[str, str] | None = None,
        meta: dict[str, Any] | None = None,
        cb_kwargs: dict[str, Any] | None = None,
        priority: int = 0,
        dont_filter: bool = False,
        errback: CallbackRef = None,
    ) -> None:
        found = canonical(url)
        if found is None:
            raise RequestError(f"not an absolute http(s) URL: {url!r}; use response.follow() for relative links")
        self.url = found
        self.callback = callback
        self.method = method.upper()
        self.headers = dict(headers) if headers else None
        self.body = body.encode() if isinstance(body, str) else body
        self.cookies = dict(cookies) if cookies else None
        self._meta = meta
        self.cb_kwargs = cb_kwargs
        self.priority = priority
        self.dont_filter = dont_filter
        self.errback = errback
        self.depth = 0
        self.salt = ""
        self.trail: tuple[str, ...] = ()

    @property
    def meta(self) -> dict[str, Any]:
        """JSON values that travel with the request; made when first touched."""
        if self._meta is None:
            self._meta = {}
        return self._meta

    @meta.setter
    def meta(self, value: dict[str, Any]) -> None:
        self._meta = value

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that name this request: xxh3-128 of method, canonical URL and body."""
        return fingerprint(self.method, self.url, self.body, self.salt)

    def replace(self, **changes: Any) -> Request:
        """A copy with the given arguments changed. Raises RequestError for a bad URL."""
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("url callback method headers body cookies meta cb_kwargs priority dont_filter errback".split())
        }
        unknown = changes.keys() - given.keys()
        if unknown:
            raise RequestError(f"Request.replace() knows no argument {', '.join(sorted(unknown))}")
        copy = Request(**(given | changes))
        copy.depth, copy.salt, copy.trail = self.depth, self.salt, self.trail
        return copy

    def __repr__(self) -> str:
        return f"<{self.method} {self.url}>"


def link(url: str, callback: CallbackRef = None) -> Request:
    """A plain GET of a URL that is canonical already: the hot path of ``follow_all``."""
    request = Request.__new__(Request)
    request.url = url
    request.callback = callback
    request.method = "GET"
    request.headers = request.body = request.cookies = request._meta = request.cb_kwargs = None
    request.priority = request.depth = 0
    request.dont_filter = False
    request.errback = None
    request.salt = ""
    request.trail = ()
    return request


def to_json(request: Request) -> str | None:
    """The stored form of all that a plain GET link does not have, or None for a plain one.

    URL, callback, priority and depth have columns of their own. Raises RequestError naming what is not
    JSON: a key of ``meta`` or ``cb_kwargs``, a header, a cookie.
    """
    extra: dict[str, Any] = {}
    if request.method != "GET":
        extra["method"] = request.method
    if request.headers:
        extra["headers"] = plain_json(request.headers, f"headers of {request!r}")
    if request.body:
        extra["body"] = b64encode(request.body).decode()
    if request.cookies:
        extra["cookies"] = plain_json(request.cookies, f"cookies of {request!r}")
    if request._meta:
        extra["meta"] = plain_json(request._meta, f"meta of {request!r}")
    if request.cb_kwargs:
        extra["cb_kwargs"] = plain_json(request.cb_kwargs, f"cb_kwargs of {request!r}")
    if request.dont_filter:
        extra["dont_filter"] = True
    if request.errback:
        extra["errback"] = request.errback
    if request.salt:
        extra["salt"] = request.salt
    if request.trail:
        extra["trail"] = request.trail
    return _encode(extra).decode() if extra else None


def from_json(url: str, callback: str | None, priority: int, depth: int, extra: str | None) -> Request:
    """The Request that was stored; the URL is trusted to be canonical."""
    request = link(url, callback)
    request.priority = priority
    request.depth = depth
    if extra:
        for name, value in _decode(extra).items():
            if name == "body":
                request.body = b64decode(value)
            elif name == "meta":
                request._meta = value
            elif name == "trail":
                request.trail = tuple(value)
            else:
                setattr(request, name, value)
    return request


def plain_json(value: Any, where: str) -> Any:
    """``value`` if it is JSON (None, bool, int, float, str, list, dict); RequestError naming the key if not.

    msgspec would write dates, sets and dataclasses too, but they would come back as something else.
    """
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, str):
        if value.isascii() or value.encode("utf-8", "replace").decode() == value:
            return value
        raise RequestError(f"{where} holds text that is not Unicode (lone surrogates): {value!r:.80}")
    if isinstance(value, (list, tuple)):
        return [plain_json(each, f"{where}[{n}]") for n, each in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise RequestError(f"{where} has the key {key!r}; JSON keys are strings")
        return {key: plain_json(each, f"{where}[{key!r}]") for key, each in value.items()}
    raise RequestError(
        f"{where} is {'too large a number' if isinstance(value, int) else 'a ' + type(value).__name__}, which is "
        "not JSON: it must survive a restart, so pass strings, numbers, lists or dicts"
    )
