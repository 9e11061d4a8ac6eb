"""Redirects: a page whose one link is its target, so robots, slots, offsite and dedupe apply to every hop."""

from __future__ import annotations

from scraper.errors import RedirectError
from scraper.request import Request, link
from scraper.response import Response
from scraper.url import origin_of, resolve

STATUSES = frozenset((301, 302, 303, 307, 308))


def redirected(response: Response, limit: int) -> Request | None:
    """The request that a redirect points to, or None when the response is not one.

    Method rules of RFC 9110, 15.4: 303 becomes GET, and so does a POST answered by 301 or 302.
    Credentials stay within their origin. A URL already met in this chain (a cookie wall) is asked for
    again under a name of its own; the hop limit ends true loops.

    Raises RedirectError past ``limit`` hops or for a Location that is not an http(s) URL.
    """
    location = response.headers.get("Location")
    if response.status not in STATUSES or location is None:
        return None
    old = response.request
    hops = len(old.trail) + 1
    if hops > limit:
        raise RedirectError(f"{old.trail[0] if old.trail else old.url} redirects more than {limit} times", request=old)
    url = resolve(response.url, location)
    if url is None:
        raise RedirectError(f"{response.url} redirects to {location[:200]!r}, not an http(s) URL", request=old)
    new = link(url, old.callback)
    new.errback, new.priority, new.depth = old.errback, old.priority, old.depth
    new._meta, new.cb_kwargs, new.dont_filter = old._meta, old.cb_kwargs, old.dont_filter
    new.trail = (*old.trail, old.url)
    new.headers, new.cookies = old.headers, old.cookies
    becomes_get = response.status == 303 and old.method != "HEAD"
    if becomes_get or (response.status in (301, 302) and old.method == "POST"):
        new.headers = _without(new.headers, "content-")
    else:
        new.method, new.body = old.method, old.body
    if origin_of(url) != origin_of(old.url):
        new.headers = _without(_without(new.headers, "authorization"), "cookie")
        new.cookies = None
    elif given := _set_cookies(response):  # what a cookie wall wants to see when it is asked again
        new.cookies = {**(new.cookies or {}), **given}
    if url in new.trail or old.dont_filter:
        new.salt = f"hop {hops}:{old.fingerprint.hex()}"
    return new


def _set_cookies(response: Response) -> dict[str, str]:
    """Names and values of the cookies that a response sets; their scope is the hop to come."""
    getall = getattr(response.headers, "getall", None)
    lines = getall("Set-Cookie", ()) if getall is not None else ()
    pairs = (line.partition(";")[0].partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _without(headers: dict[str, str] | None, start: str) -> dict[str, str] | None:
    if not headers:
        return None
    return {name: value for name, value in headers.items() if not name.lower().startswith(start)} or None
