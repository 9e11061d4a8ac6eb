"""CredentialsFetcher: a Fetcher that sends cookies and credentials, and keeps the cookies that come back."""

from __future__ import annotations

from aiohttp import hdrs

from scraper.auth import HostAuth, authorization
from scraper.cookies import pairs
from scraper.jars import Jars
from scraper.ports import Fetcher
from scraper.request import Request, with_headers
from scraper.response import Response


class CredentialsFetcher:
    """Wraps the fetcher that goes to the network, so that each hop of a redirect gets what is meant for its host.

    ``jars`` None: no cookies but those that a request is given. ``auth`` None: none but a request's own.
    """

    def __init__(self, inner: Fetcher, jars: Jars | None, auth: HostAuth | None) -> None:
        self._inner = inner
        self._jars = jars
        self._auth = auth or None

    async def fetch(self, request: Request) -> Response:
        """As the inner fetcher does; the response has the request as it was given."""
        options = request.options
        jars, jar, auth = self._jars, "", self._auth is not None
        if options is not None:
            jar = options.get("cookiejar", "")
            auth = auth or "auth" in options
            if options.get("cookies") is False:
                jars = None
        sent = request
        if auth and (value := self._authorization(request)) is not None:
            sent = with_headers(sent, {hdrs.AUTHORIZATION: value})
        if jars is not None and jars.sites and (value := _cookies(request, jars, jar)):
            sent = with_headers(sent, {hdrs.COOKIE: value})
        response = await self._inner.fetch(sent)
        response.request = request
        if jars is not None and hdrs.SET_COOKIE in response.headers:
            getall = getattr(response.headers, "getall", None)
            lines = getall(hdrs.SET_COOKIE) if getall is not None else (response.headers[hdrs.SET_COOKIE],)
            jars.keep(response.url, lines, jar)
        return response

    async def close(self) -> None:
        """Close the inner fetcher."""
        await self._inner.close()

    def _authorization(self, request: Request) -> str | None:
        """The request's own header or user name in its URL goes first, then its ``auth``, then the settings."""
        if "@" in request.url.split("/", 3)[2] or _own(request, "authorization") is not None:
            return None
        own = request.options.get("auth") if request.options is not None else None
        if own is not None:
            return authorization(own)
        return self._auth.header(request.url) if self._auth is not None else None


def _cookies(request: Request, jars: Jars, jar: str) -> str:
    """The Cookie header: what the request brings and those of the jar with other names; empty for what it is anyway."""
    if not request.headers and not request.cookies:
        return jars.header(request.url, jar)
    own = _own(request, "cookie")
    names = set(request.cookies or ())
    if own is not None:
        names |= pairs(own.split(";")).keys()
    cookies = jars.header(request.url, jar, names)
    return f"{own}; {cookies}" if own and cookies else cookies


def _own(request: Request, name: str) -> str | None:
    """The value of a header that the request brings."""
    if request.headers:
        for each, value in request.headers.items():
            if each.lower() == name:
                return value
    return None
