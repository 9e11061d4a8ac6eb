"""SessionPool: the one aiohttp session of a crawl.

Two of aiohttp's own services are switched off and done here, cheaper or better: its total time-out (25 µs a
request; ours is one timer for all of them) and its hidden re-send (which may take another stale connection;
ours takes a fresh one and is counted).
"""

from __future__ import annotations

import dataclasses
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import unquote_to_bytes

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from scraper.deadline import Deadline, Deadlines, Lone
from scraper.errors import Postponed, SettingsError
from scraper.guard import Guard
from scraper.ledger import LedgerConnector
from scraper.log import Logger
from scraper.options import may_repeat
from scraper.page import HostLedger
from scraper.ports import Gate
from scraper.proxies import Proxies, ProxyFailed
from scraper.proxy import Proxy
from scraper.request import Request
from scraper.settings import Settings
from scraper.url import host_of
from scraper.wire import Dropped, Wire

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ACCEPT_ENCODING = "gzip, deflate, br, zstd"
LONGEST_LINE = 65_536  # bytes of one header; aiohttp's 8,190 refuses real sites
_AGENT = Settings().user_agent
_parsed = lru_cache(256)(URL)


class Answer(aiohttp.ClientResponse):
    """A response that remembers its connection, which may serve others before its body is looked at."""

    wire: Wire
    reused = False

    def start(self, connection: Connection) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        wire = connection.protocol
        assert isinstance(wire, Wire)
        self.wire = wire
        self.reused = wire.served > 1
        return super().start(connection)


class _NoCookies(aiohttp.DummyCookieJar):
    """Cookies belong to requests; aiohttp's dummy would still parse every Set-Cookie."""

    def update_cookies_from_headers(self, headers: Iterable[str], response_url: URL) -> None:
        pass


class SessionPool:
    """The pooled session and its ledger; ``async with`` it or ``await close()``.

    Nothing is made before the first request, which must be in a running loop; all others belong to that loop.
    ``resolver`` replaces aiohttp's own (aiodns when installed, else a thread). ``guard`` keeps private addresses out;
    None asks whomever it is told to. ``tls`` checks certificates; by default the authorities are those of the system
    and of SSL_CERT_FILE. Raises SettingsError for a proxy, an agent, a ``bind_address`` or an SSL_CERT_FILE that
    cannot be.
    """

    def __init__(
        self,
        settings: Settings,
        resolver: AbstractResolver | None = None,
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._guard = guard
        self._tls = tls
        self._agent = agent(settings)
        self._bind = _address(settings.bind_address)
        if settings.verify_tls and tls is None:
            _check_authorities()
        self._proxies = Proxies(settings)
        self._session: aiohttp.ClientSession | None = None
        self._connector: LedgerConnector | None = None
        self._deadlines = Deadlines(settings.total_timeout)
        self.details = Details() if settings.trace_connections else None
        """What only aiohttp's trace hooks see; None unless ``trace_connections`` is set."""
        self.gate: Gate | None = None
        """Told of each request that is sent; asked before one is sent again. Set before the first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, request: Request) -> Answer:
        """Send it and wait for the head of the answer; redirects are not followed, the body is not read.

        A request whose reused connection breaks before the answer is sent once more, at once, on a fresh
        connection, if its method is idempotent or it is asked for. Raises aiohttp's errors, Refused, ProxyFailed.
        """
        proxy = None
        if self._proxies.any or request.options is not None:
            proxy = self._proxies.choose(request)
        try:
            if proxy is not None:
                return await self._through(proxy, request)
            return await self._ask(request)
        except Dropped as drop:
            if not may_repeat(request.method, request.options, self._settings.resend_unsafe):
                raise
            if self.gate is not None and self.gate.waits(host_of(request.url)):
                raise Postponed(f"{request.url} waits for its turn to be sent again", request=request) from drop
            self._open()[1].record(drop.host).resent += 1
        if proxy is not None:
            return await self._through(proxy, request, middlewares=(self._freshly,))
        return await self._ask(request, middlewares=(self._freshly,))

    def address(self, host: str) -> str | None:
        """The address of a host name, once a connection to it was made; None when that is not known."""
        return self._connector.addresses.get(host) if self._connector is not None else None

    def deadline(self, options: Mapping[str, Any] | None = None) -> Deadline:
        """A ``with`` block that raises Overdue when it takes longer than ``total_timeout``, the request's or ours."""
        if options is not None and "total_timeout" in options:
            return Lone(options["total_timeout"]).one()
        return self._deadlines.one()

    def ledger(self) -> list[HostLedger]:
        """Copies of the counts since the last ``take``."""
        return self._connector.ledger() if self._connector is not None else []

    def take(self) -> list[HostLedger]:
        """The counts since the last ``take`` (``peak`` is absolute); then hosts without connections are
        forgotten, so that memory is that of the hosts in use."""
        return self._connector.take() if self._connector is not None else []

    async def close(self) -> None:
        """Close every connection. Requests in flight fail; the ledger can still be read."""
        self._deadlines.stop()
        if self._session is not None and not self._session.closed:
            await self._session.close()
            if self.details is not None:
                log = Logger("scraper.session")
                log.info("connections", **dataclasses.asdict(self.details))

    async def _through(self, proxy: Proxy, request: Request, **options: Any) -> Answer:
        """Ask through a proxy; what is the proxy's own failure is a ProxyFailed, and it rests."""
        try:
            answer = await self._ask(request, proxy=_parsed(proxy.url), **options)
        except ProxyFailed:
            self._proxies.failed(proxy)
            raise
        except aiohttp.ConnectionTimeoutError as error:
            if self._open()[1].passed():
                raise
            self._proxies.failed(proxy)
            raise ProxyFailed(f"{proxy.name}: no connection within {self._settings.connect_timeout:g} s") from error
        if not proxy.is_socks and request.url.startswith("http:"):  # else the proxy has no say in the answer
            if answer.status == 407:
                answer.close()
                self._proxies.failed(proxy)
                raise ProxyFailed(f"{proxy.name}: 407 {answer.reason or 'Proxy Authentication Required'}")
            if answer.status in (502, 504):  # the proxy's or the host's own, nobody can tell: another one is tried next
                self._proxies.failed(proxy)
        return answer

    def _ask(self, request: Request, **options: Any) -> Coroutine[Any, Any, Answer]:
        headers: Mapping[str, str] | None = request.headers
        url = request.url
        if "@" in url:
            url, headers = _authorized(url, headers)
        if request.cookies:
            pairs = [f"{name}={value}" for name, value in request.cookies.items()]
            merged = CIMultiDict(headers or {})
            pairs = merged.popall("Cookie", []) + pairs
            merged["Cookie"] = "; ".join(pairs)
            headers = dict(merged)
        # The context manager that session.request() wraps around this coroutine is not needed.
        return self._open()[0]._request(  # type: ignore[return-value]
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=request.body,
            allow_redirects=False,
            **options,
        )

    async def _freshly(self, req: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        self._open()[1].fresh = True
        return await handler(req)

    def _open(self) -> tuple[aiohttp.ClientSession, LedgerConnector]:
        if self._session is not None and self._connector is not None:
            return self._session, self._connector
        settings = self._settings
        keep = settings.keepalive_timeout
        self._connector = LedgerConnector(
            read_timeout=settings.read_timeout,
            # A safety belt: the frontier never lets so many through.
            limit=settings.most_at_once,
            limit_per_host=settings.most_per_host,
            # 0 means none: aiohttp would keep the connections and never use them.
            **({"keepalive_timeout": keep} if keep > 0 else {"force_close": True}),
            ttl_dns_cache=settings.dns_cache_ttl,
            ssl=settings.verify_tls,
            resolver=self._resolver,
            gate=self.gate,
            guard=self._guard,
            bind=self._bind,
            hosts=settings.hosts,
            tls=self._tls,
            agent=self._agent,
        )
        # After Host; in this order, and what the settings add after these.
        headers = CIMultiDict({"User-Agent": self._agent, "Accept": ACCEPT, "Accept-Encoding": ACCEPT_ENCODING})
        headers.update(settings.headers)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            headers=headers,
            cookie_jar=_NoCookies(),
            response_class=Answer,
            # "connect" bounds name look-up, TCP and TLS together.
            timeout=aiohttp.ClientTimeout(
                total=None, connect=settings.connect_timeout, sock_read=settings.read_timeout
            ),
            trust_env=False,
            auto_decompress=False,
            raise_for_status=False,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            trace_configs=[_tracing(self.details)] if self.details is not None else None,
        )
        self._session._retry_connection = False
        return self._session, self._connector


def agent(settings: Settings) -> str:
    """How we name ourselves: ``user_agent``; our own name is followed by the contact, if there is one."""
    named = settings.user_agent
    if named == _AGENT and settings.contact:
        named = f"{named} (+{settings.contact})"
    if not named.isprintable():
        raise SettingsError(f"user_agent and contact must be one line of text: {named!r}")
    return named


def is_anonymous(settings: Settings) -> bool:
    """Whether those who run a site cannot find out from our requests whom to write to."""
    return settings.user_agent == _AGENT and not settings.contact


def _address(text: str | None) -> str | None:
    if not text:
        return None
    try:
        address = ip_address(text)
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6) as probe:
            probe.bind((str(address), 0))
    except (ValueError, OSError) as error:
        why = f": {error.strerror}" if isinstance(error, OSError) else ""
        raise SettingsError(f"bind_address: {text!r} is not an IP address of this machine{why}") from None
    return str(address)


def _check_authorities() -> None:
    """OpenSSL passes over a file that is not there, and every certificate would be found untrusted."""
    if (file := os.environ.get("SSL_CERT_FILE")) and not os.path.isfile(file):
        raise SettingsError(f"SSL_CERT_FILE is {file!r}, and there is no such file; mend or unset that variable")


def _authorized(url: str, headers: Mapping[str, str] | None) -> tuple[str, Mapping[str, str] | None]:
    """User and password of a URL are Basic credentials (RFC 7617), as in browsers; the request's own header wins."""
    authority = url.split("/", 3)[2]
    userinfo, at, host = authority.rpartition("@")
    if not at:
        return url, headers
    url = url.replace(authority, host, 1)
    if any(name.lower() == "authorization" for name in headers or ()):
        return url, headers
    user, _, password = userinfo.partition(":")
    token = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
    return url, {**(headers or {}), "Authorization": f"Basic {token}"}


@dataclass(slots=True)
class Details:
    """What only trace hooks see: name look-ups by the cache or not, requests that had to queue inside the
    connector (none, or a slot let too many through) and seconds from request to response head."""

    dns_cached: int = 0
    dns_looked_up: int = 0
    queued: int = 0
    answers: int = 0
    head_seconds: float = 0.0
    head_slowest: float = 0.0


def _tracing(details: Details) -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()

    async def begun(_: Any, context: SimpleNamespace, __: Any) -> None:
        context.begun = monotonic()

    async def ended(_: Any, context: SimpleNamespace, __: Any) -> None:
        took = monotonic() - context.begun
        details.answers += 1
        details.head_seconds += took
        details.head_slowest = max(details.head_slowest, took)

    async def cached(*_: Any) -> None:
        details.dns_cached += 1

    async def looked_up(*_: Any) -> None:
        details.dns_looked_up += 1

    async def queued(*_: Any) -> None:
        details.queued += 1

    config.on_request_start.append(begun)
    config.on_request_end.append(ended)
    config.on_dns_cache_hit.append(cached)
    config.on_dns_cache_miss.append(looked_up)
    config.on_connection_queued_start.append(queued)
    return config
