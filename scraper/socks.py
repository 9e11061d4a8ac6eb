"""Tunnels through SOCKS proxies, by the library that the extra ``socks`` installs."""

from __future__ import annotations

import asyncio
import socket
from errno import ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT

from scraper.proxy import Proxy

# Replies of a SOCKS5 proxy that are about the host, not about the proxy (RFC 1928 section 6).
_OF_THE_HOST = {3: ENETUNREACH, 4: EHOSTUNREACH, 5: ECONNREFUSED, 6: ETIMEDOUT}
_FOR_EVER = 1e6  # the connector has its own time limit; the library's would be a shorter one


class TunnelRefused(Exception):
    """The proxy is not there, or does not want to."""


async def tunnel(proxy: Proxy, host: str, port: int, local: str | None = None) -> socket.socket:
    """A connected socket to ``host`` (a name or an address) through the proxy; ``local`` is the address to come from.

    Raises OSError when the host cannot be reached by the proxy, TunnelRefused when the proxy itself fails.
    """
    from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
    from python_socks.async_.asyncio import Proxy as Client

    kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    client = Client(
        kind, proxy.host, proxy.port, proxy.user, proxy.password, rdns=True, loop=asyncio.get_running_loop()
    )
    where = (local, 0) if local is not None else None
    try:
        return await client.connect(host, port, timeout=_FOR_EVER, local_addr=where)
    except ProxyError as error:
        if kind is ProxyType.SOCKS5 and error.error_code in _OF_THE_HOST:
            raise OSError(_OF_THE_HOST[error.error_code], f"{error}, says the SOCKS proxy {proxy.name}") from error
        raise TunnelRefused(str(error)) from error
    except (ProxyConnectionError, ProxyTimeoutError, OSError) as error:
        raise TunnelRefused(getattr(error, "strerror", None) or str(error)) from error
