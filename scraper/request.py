"""Request: what to fetch and which methods of the spider get the answer; and its stored form.

A stored request is JSON and method names, never pickle, so a run can be resumed by another
process and read by anything that reads SQLite.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import msgspec

from scraper.errors import RequestError
from scraper.json_flaw import json_flaw
from scraper.options import ARGUMENTS, OPTIONS, check_headers, check_options
from scraper.theirs import meta_flaw
from scraper.url import canonical, fingerprint, shown

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
        headers: added to the crawl's headers for this request only; not those that say where the request ends.
        body: bytes, or str sent as UTF-8.
        cookies: name to value, sent with this request only; False: no cookies at all, and none are kept.
        meta: JSON values carried to the Response (``response.meta``) and across restarts.
        cb_kwargs: JSON values given to the callback as keyword arguments.
        priority: higher goes first; equal ones in the order of discovery.
        dont_filter: fetch even when the same request was seen before in this run.
        errback: method (or name) called as ``errback(request, error)`` when the page is given up.
        options: the arguments below, by name; kept in ``options`` as a dict, None when there are none.
        cookiejar: name of the jar that this request's cookies come from and go to; a spider may have several. The
            requests of its callback keep it unless they name another ("": the common one).
        auth: ``user:password`` (Basic) or ``Bearer <token>``, for the origin of this URL only.
        proxy: URL of the proxy for this request; empty for none at all.
        obey_robots: False asks without robots.txt, whatever the setting says; True asks it first.
        nofollow: True for a link that asks not to be followed; with ``obey_nofollow`` it is not.
        resend: True sends it again, whatever its method, when it was sent and no whole answer came; False never does.
        stream_to: a file below the setting ``files`` that the body is written to while it arrives.
        max_body_size: bytes, in place of the setting.
        total_timeout: seconds for one attempt from beginning to end, in place of the setting.
        retry_attempts: attempts in all, in place of what the settings or the spider's retry policy say; 1 is no retry.
        handle_statuses: statuses that the callback sees, in place of the setting: errors, and redirects that are not
            followed then; ``"all"`` for every error.

    Raises:
        RequestError: the URL is not an absolute http(s) URL, or another argument is of the wrong type.
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
        "options",
        "priority",
        "salt",
        "stored",
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
        cookies: Mapping[str, str] | Literal[False] | None = None,
        meta: dict[str, Any] | None = None,
        cb_kwargs: dict[str, Any] | None = None,
        priority: int = 0,
        dont_filter: bool = False,
        errback: CallbackRef = None,
        **options: Any,
    ) -> None:
        found = canonical(url) if isinstance(url, str) else None
        if found is None:
            raise RequestError(
                f"not an absolute http(s) URL: {url!r}; begin it with http:// or https://, "
                "or use response.follow() for a relative link"
            )
        if body is not None and not isinstance(body, (bytes, str)):
            raise RequestError(f"body of {found} is a {type(body).__name__}; pass bytes or str, such as JSON text")
        self.url = found
        self.callback = callback
        self.method = method.upper()
        self.headers = _pairs(headers, "headers", found) if headers else None
        self.body = body.encode() if isinstance(body, str) else body
        if self.headers:
            check_headers(self.headers, self.body, found)
        if cookies is False:  # kept with the options: ``cookies`` are what is sent
            options["cookies"] = cookies
        self.cookies = _pairs(cookies, "cookies", found) if cookies else None
        self._meta = _meta(meta, found) if meta else None
        self.cb_kwargs = _named(cb_kwargs, "cb_kwargs", found) if cb_kwargs else None
        self.priority = priority
        self.dont_filter = dont_filter
        self.errback = errback
        self.options = check_options(options, found) if options else None
        self.depth = 0
        self.salt = ""
        self.stored: str | None = None
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

    MADE_OF: ClassVar[tuple[str, ...]] = ()
    """Arguments of a subclass that its body is made of."""

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that name it: xxh3-128 of method, canonical URL and body, of its cookie jar, a download's folder."""
        salt = self.salt
        if self.options is not None:
            if jar := self.options.get("cookiejar"):
                salt += f"\0{jar}"  # another session may well be shown another page
            if "download" in self.options:
                salt += f"\0file {self.options['download']['into']}"  # and a page is no file
        return fingerprint(self.method, self.url, self.body, salt)

    def replace(self, **changes: Any) -> Self:
        """A copy with the given arguments changed, as new: depth and redirects are not copied.

        What a FormRequest's or JsonRequest's body is made of can be changed as well: the body is made anew.
        Raises RequestError for a bad argument.
        """
        given: dict[str, Any] = {name: getattr(self, name) for name in ARGUMENTS}
        given |= self.options or {}
        spec, part = given.pop("download", None), given.pop("part", None)
        unknown = changes.keys() - given.keys() - OPTIONS.keys() - set(self.MADE_OF)
        if unknown:
            raise RequestError(f"{type(self).__name__}.replace() knows no argument {', '.join(sorted(unknown))}")
        if not changes.keys().isdisjoint(self.MADE_OF):
            del given["body"]
            kept = {name: each for name, each in (self.headers or {}).items() if name.lower() != "content-type"}
            given["headers"] = kept or None
        new = type(self)(**(given | changes))
        if spec is not None:
            spec = {**spec, "call": True} if changes.get("callback") else spec
            new.options = {**(new.options or {}), "download": spec}
        if part is not None:  # a feed, from its beginning
            new.options = {**(new.options or {}), "part": {}}
        return new

    @classmethod
    def from_curl(cls, command: str, *, ignore_unknown_options: bool = False, files: bool = False, **more: Any) -> Self:
        """The request that a curl command makes, such as a browser's "copy as cURL" (bash or Windows) gives.

        Args:
            command: one command with one URL. It is only read: no shell and no curl is run.
            ignore_unknown_options: pass over options that mean nothing here instead of raising.
            files: whether ``@name`` may read a file of this machine (``-d @name``, ``-F photo=@name``).
            more: arguments of Request, in place of what the command says.

        Raises RequestError for what is no curl command, and for options that are not known.
        """
        from scraper.curl import read_curl  # few crawls need it

        return cls(**(read_curl(command, ignore_unknown_options, files) | more))

    def to_curl(self, *, secrets: bool = False) -> str:
        """A curl command for a POSIX shell that makes this request. What the crawl adds is not in it.

        ``auth``, cookies, passwords and the headers that hold such things are shown as ``***`` unless ``secrets``.
        Raises RequestError when no command line can hold it: a body with NUL bytes.
        """
        from scraper.curl import write_curl

        options = self.options or {}
        return write_curl(
            self.method,
            self.url,
            self.headers or {},
            self.body or b"",
            self.cookies or {},
            auth=options.get("auth"),
            proxy=options.get("proxy"),
            secrets=secrets,
        )

    def __repr__(self) -> str:
        return f"<{self.method} {shown(self.url)}>"


def link(url: str, callback: CallbackRef = None) -> Request:
    """A plain GET of a URL that is canonical already: the hot path of ``follow_all``."""
    request = Request.__new__(Request)
    request.url = url
    request.callback = callback
    request.method = "GET"
    request.headers = request.body = request.cookies = request._meta = request.cb_kwargs = request.options = None
    request.priority = request.depth = 0
    request.dont_filter = False
    request.errback = None
    request.salt = ""
    request.stored = None
    request.trail = ()
    return request


def with_headers(request: Request, headers: Mapping[str, str]) -> Request:
    """A copy to be sent, with these headers in place of its own of the same names."""
    new = link(request.url, request.callback)
    new.method, new.body, new.cookies = request.method, request.body, request.cookies
    new._meta, new.cb_kwargs, new.options = request._meta, request.cb_kwargs, request.options
    new.priority, new.depth, new.dont_filter = request.priority, request.depth, request.dont_filter
    new.errback, new.salt, new.stored, new.trail = request.errback, request.salt, request.stored, request.trail
    new.headers = dict(headers)
    if request.headers:
        taken = {name.lower() for name in headers}
        own = {name: value for name, value in request.headers.items() if name.lower() not in taken}
        new.headers = own | new.headers
    return new


def is_plain(request: Request) -> bool:
    """True for a GET with nothing but a URL, a callback, a priority and a depth: most links are."""
    return request.method == "GET" and not (
        request.headers
        or request.body
        or request.cookies
        or request._meta
        or request.cb_kwargs
        or request.dont_filter
        or request.errback
        or request.options
        or request.salt
        or request.trail
    )


def is_download(request: Request) -> bool:
    """Whether its answer is to be kept as a file."""
    return request.options is not None and "download" in request.options


def is_part(request: Request) -> bool:
    """Whether it reads on in a feed whose body is there already."""
    return request.options is not None and bool(request.options.get("part"))


def to_json(request: Request) -> str | None:
    """The stored form of all that a plain GET link does not have, or None for a plain one.

    URL, callback, priority and depth have columns of their own. Raises RequestError naming the key of
    ``meta`` or ``cb_kwargs`` (or the header, the cookie) that is not JSON. Once ``stored`` holds the answer
    (empty for a plain one), what is done to the request's dicts cannot spoil the commit it is part of.
    """
    if request.stored is not None:
        return request.stored or None
    if is_plain(request):
        return None
    extra: dict[str, Any] = {}
    if request.method != "GET":
        extra["method"] = _checked(request.method, "method", request)
    if request.headers:
        extra["headers"] = _checked(request.headers, "headers", request)
    if request.body:
        extra["body"] = b64encode(request.body).decode()
    if request.cookies:
        extra["cookies"] = _checked(request.cookies, "cookies", request)
    if request._meta:
        extra["meta"] = _checked(_meta(request._meta, request.url), "meta", request)
    if request.cb_kwargs:
        extra["cb_kwargs"] = _checked(request.cb_kwargs, "cb_kwargs", request)
    if request.dont_filter:
        extra["dont_filter"] = True
    if request.errback:
        extra["errback"] = request.errback
    if request.options:
        extra["options"] = _checked(request.options, "options", request)
    if request.salt:
        extra["salt"] = request.salt
    if request.trail:
        extra["trail"] = request.trail
    return _encode(extra).decode()


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


def _pairs(given: Any, what: str, url: str) -> dict[str, str]:
    """Headers or cookies: a copy of the mapping. Raises RequestError when it is none, or not of text."""
    wrong = f"it is a {type(given).__name__}"
    if isinstance(given, Mapping):
        pairs = dict(given)
        if all(isinstance(each, str) for pair in pairs.items() for each in pair):
            return pairs
        name, value = next(pair for pair in pairs.items() if not all(isinstance(each, str) for each in pair))
        wrong = f"that of {name!r} is a {type(value).__name__}"  # itself it may be a secret
    raise RequestError(f"{what} of {url} must map names to values, all str: {wrong}")


def _named(given: Any, what: str, url: str) -> dict[str, Any]:
    """``meta`` or ``cb_kwargs``: a copy, so that one dict can be changed and given to the next request."""
    if isinstance(given, Mapping):
        return dict(given)
    raise RequestError(f"{what} of {url} must be a dict: {given!r:.200}")


def _meta(given: Any, url: str) -> dict[str, Any]:
    """Raises RequestError for a key that Scrapy would read."""
    meta = _named(given, "meta", url)
    if (flaw := meta_flaw(meta)) is not None:
        raise RequestError(f"Request for {url}: {flaw}")
    return meta


def _checked(value: Any, what: str, request: Request) -> Any:
    """``value`` when it comes back from JSON as it went; RequestError naming the key when not."""
    try:
        flaw = json_flaw(value)
    except RecursionError:
        flaw = " is nested too deeply, or holds itself"
    if flaw is None:
        return value
    raise RequestError(
        f"{what}{flaw} ({request!r}); it must survive a restart as JSON: pass str, numbers, lists, dicts",
        request=request,
    )
