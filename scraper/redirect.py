"""Redirects: a page whose one link is its target, so robots, slots, offsite and dedupe apply to every hop."""

from __future__ import annotations

import re

from scraper.errors import RedirectError
from scraper.request import Request, link
from scraper.response import Response
from scraper.url import origin_of, resolve

STATUSES = frozenset((301, 302, 303, 307, 308))
PRIVATE = ("authorization", "cookie", "proxy-authorization", "host", "referer", "origin")
"""Headers that are for one origin only. (A Referer may hold what stands in a query.)"""

_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def redirected(response: Response, limit: int) -> Request | None:
    """The request that a redirect points to, or None when the response is not one.

    Method rules of RFC 9110, 15.4: 303 becomes GET, and so does a POST answered by 301 or 302. An answer without a
    Location, or with an empty one, is no redirect.

    Raises:
        RedirectError: past ``limit`` hops, for a Location that is not an http(s) URL, or for several that differ.
    """
    if response.status not in STATUSES:
        return None
    location = _location(response)
    if not location:
        return None
    url = resolve(response.url, location)
    if url is None:
        raise RedirectError(
            f"{response.url} redirects to {location[:200]!r}, not an http(s) URL", request=response.request
        )
    method = response.request.method
    becomes_get = response.status == 303 and method != "HEAD"
    return hop(response, url, limit, becomes_get or (response.status in (301, 302) and method == "POST"))


def hop(response: Response, url: str, limit: int, becomes_get: bool) -> Request:
    """The request for ``url`` in place of the response's own, with all that belongs to it.

    Credentials stay within their origin (RFC 9110, 15.4): headers, cookies and ``auth``. A body that is not sent takes
    its headers with it. A URL already met in this chain (a cookie wall) is asked for again under a name of its own;
    the hop limit ends true loops, with RedirectError.
    """
    old = response.request
    hops = len(old.trail) + 1
    if hops > limit:
        raise RedirectError(f"{old.trail[0] if old.trail else old.url} redirects more than {limit} times", request=old)
    same_origin = origin_of(url) == origin_of(old.url)
    new = link(_with_user(url, old.url) if same_origin else url, old.callback)
    new.errback, new.priority, new.depth = old.errback, old.priority, old.depth
    new._meta, new.cb_kwargs, new.dont_filter = old._meta, old.cb_kwargs, old.dont_filter
    new.trail = (*old.trail, old.url)
    new.headers, new.cookies, new.options = old.headers, old.cookies, old.options
    if becomes_get:
        new.headers = _without(new.headers, ("content-", "transfer-"))
    else:
        new.method, new.body = old.method, old.body
    if not same_origin:
        new.headers = _without(new.headers, PRIVATE)
        new.cookies = None
        if old.options and "auth" in old.options:
            new.options = {name: value for name, value in old.options.items() if name != "auth"} or None
    elif old.cookies and (given := response.cookies):  # the jar has the others
        new.cookies = {name: given.get(name, value) for name, value in old.cookies.items()}
    if new.url in new.trail or old.dont_filter:
        new.salt = f"hop {hops}:{old.fingerprint.hex()}"
    return new


def _location(response: Response) -> str:
    """The one Location, or nothing. Bytes beyond ASCII are percent-encoded as they came: so do browsers."""
    getall = getattr(response.headers, "getall", None)
    found: set[str] = set(getall("Location", ())) if getall is not None else {response.headers.get("Location", "")}
    if len(found) > 1:
        raise RedirectError(
            f"{response.url} redirects to {len(found)} places at once: {sorted(found)!r:.200}", request=response.request
        )
    location = found.pop() if found else ""
    if location.isascii():
        return location
    raw = location.encode("utf-8", "surrogateescape")
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], raw).decode()


def _with_user(url: str, old: str) -> str:
    """``url`` with the user and password of ``old``, unless it names its own."""
    user, at, _ = old.split("/", 3)[2].rpartition("@")
    scheme, _, authority, rest = url.split("/", 3)
    return f"{scheme}//{user}@{authority}/{rest}" if at and "@" not in authority else url


def _without(headers: dict[str, str] | None, starts: tuple[str, ...]) -> dict[str, str] | None:
    if not headers:
        return None
    return {name: value for name, value in headers.items() if not name.lower().startswith(starts)} or None
