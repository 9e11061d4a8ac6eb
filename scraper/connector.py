"""How a connection is made: to which addresses, through which proxy, from where, and with what TLS.

Nothing here runs for a request on a kept connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp import ClientTimeout, hdrs
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from scraper.guard import Guard, Refused
from scraper.proxies import ProxyFailed
from scraper.proxy import Proxy, parse_proxy
from scraper.settings import Host
from scraper.socks import TunnelRefused, tunnel
from scraper.url import matches


class Route:
    """One connection on its way: through which proxy, and whether that has done its part."""

    __slots__ = ("passed", "proxy", "sockets")

    def __init__(self, proxy: Proxy | None) -> None:
        self.proxy = proxy
        self.passed = False
        self.sockets: list[socket.socket] = []

    def disown(self) -> None:
        """The connection broke while it was made. uvloop has closed its descriptor then, or is about to; a socket
        that goes on believing in it would close it once more, when it may long be another connection's or the
        database's."""
        if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            for each in self.sockets:
                each.detach()


# aiohttp's calls between "open a connection" and "resolve this name" carry nothing of ours.
_route: ContextVar[Route] = ContextVar("route")


def _socket(address: AddrInfoType) -> socket.socket:
    """A socket for an address, remembered by the connection it is for."""
    made = socket.socket(*address[:3])
    _route.get().sockets.append(made)
    return made


class RoutedConnector(aiohttp.TCPConnector):
    """aiohttp's connector, which also knows the guard, SOCKS, and TLS rules per host.

    ``guard`` None asks whomever it is told to. ``bind`` is the local address of every connection. ``hosts`` are the
    rules of the setting, of which ``verify_tls`` counts here; ``tls`` is for connections whose certificates are
    checked. ``agent`` is how we name ourselves to a proxy.
    """

    def __init__(
        self,
        *,
        guard: Guard | None,
        bind: str | None,
        hosts: Mapping[str, Host],
        tls: ssl.SSLContext | None,
        agent: str,
        **options: Any,
    ) -> None:
        super().__init__(local_addr=(bind, 0) if bind is not None else None, socket_factory=_socket, **options)
        self._guard = guard
        self._bind = bind
        self._hosts = hosts if any(each.verify_tls is not None for each in hosts.values()) else {}
        self._tls = tls
        self._agent = agent

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 (aiohttp's name)
    ) -> ResponseHandler:
        proxy = parse_proxy(str(req.proxy)) if req.proxy is not None else None
        route = Route(proxy)
        _route.set(route)
        if proxy is None:
            return await super()._create_connection(req, traces, timeout)
        if proxy.is_socks:
            _without_proxy(req)
        elif self._guard is not None:
            self._guard.check_name(req.host)
        try:
            return await super()._create_connection(req, traces, timeout)
        except (aiohttp.ClientError, HttpProcessingError) as error:
            if route.passed or isinstance(error, Refused | ProxyFailed):
                raise
            raise ProxyFailed(f"{proxy.name}: {words(error)}") from error

    def passed(self) -> bool:
        """Of the connection that this task tried to make last: whether its proxy, if any, had done its part."""
        route = _route.get(None)
        return route is None or route.proxy is None or route.passed

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[ResolveResult]:
        proxy = _route.get().proxy
        if proxy is not None and proxy.is_socks and proxy.resolves:
            if self._guard is not None:
                self._guard.check_name(host)
            return [ResolveResult(hostname=host, host=host, port=port, family=0, proto=0, flags=0)]
        found = await super()._resolve_host(host, port, traces)
        if self._guard is not None and (proxy is None or proxy.is_socks):
            found = self._guard.permitted(host, found)
        if self._bind is not None and (proxy is None or not proxy.is_socks):
            found = [each for each in found if (":" in each["host"]) == (":" in self._bind)]
            if not found:
                version = ip_address(self._bind).version
                raise aiohttp.ClientConnectionError(f"{host} has no IPv{version} address, as bind_address is")
        return found

    async def _wrap_create_connection(self, *args: Any, **options: Any) -> Any:
        route = _route.get()
        try:
            if route.proxy is None or not route.proxy.is_socks:
                return await super()._wrap_create_connection(*args, **options)
            host, port = options.pop("addr_infos")[0][4][:2]
            sock = await self._tunnel(route, route.proxy, host, port, options["req"])
            return await self._wrap_existing_connection(*args, sock=sock, **options)
        except BaseException:  # once it is made, uvloop takes the socket along
            route.disown()
            raise

    async def _tunnel(self, route: Route, proxy: Proxy, host: str, port: int, req: ClientRequest) -> socket.socket:
        try:
            made = await tunnel(proxy, host, port, self._bind)
        except TunnelRefused as error:
            raise ProxyFailed(f"{proxy.name}: {error}") from error
        except OSError as error:
            route.passed = True
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        route.passed = True  # what comes now is between us and the host
        route.sockets.append(made)
        return made

    async def _start_tls_connection(self, *args: Any, **options: Any) -> Any:
        _route.get().passed = True  # the tunnel stands; what comes now is between us and the host
        return await super()._start_tls_connection(*args, **options)

    def _update_proxy_auth_header_and_build_proxy_req(self, req: ClientRequest) -> ClientRequest:
        if req.proxy is not None and req.proxy.scheme.startswith("socks"):  # a kept tunnel
            _without_proxy(req)
            return req
        # What is set for the hosts (cookies, tokens) is not for the proxy.
        req.proxy_headers = CIMultiDict({hdrs.USER_AGENT: self._agent})
        return super()._update_proxy_auth_header_and_build_proxy_req(req)

    def _get_ssl_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        if not req.is_ssl():
            return None
        verify = self._ssl is True
        for pattern, host in self._hosts.items():
            if matches(req.url.host_port_subcomponent or req.host, pattern):
                verify = verify if host.verify_tls is None else host.verify_tls
                break
        if not verify:
            return aiohttp.connector._SSL_CONTEXT_UNVERIFIED
        return self._tls or aiohttp.connector._SSL_CONTEXT_VERIFIED


def via(proxy: URL | None, host: str) -> str:
    """How the ledger calls the connections of a host: ``example.org``, ``example.org via proxy.test:3128``."""
    return host if proxy is None else f"{host} via {parse_proxy(str(proxy)).name}"


def words(error: BaseException) -> str:
    """What an error says, without aiohttp's frame around it and without the URL of a proxy."""
    if isinstance(error, aiohttp.ClientHttpProxyError):  # its own text has the URL with the password
        return f"{error.status} {error.message}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = getattr(error, "_certificate_error", error)
        return getattr(inner, "verify_message", None) or str(inner)
    inner = getattr(error, "_os_error", None) or error  # of a ClientConnectorError
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _without_proxy(req: ClientRequest) -> None:
    """What goes through a tunnel is sent as if there were no proxy. aiohttp has noted it in the connection's key."""
    req.proxy = None
    req.proxy_headers = None
