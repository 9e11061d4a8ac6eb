"""A proxy: its URL, and how it is called where people read it, without its password."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

import msgspec

PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
"""Kinds of proxies and the ports they have when none is given."""

_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")


class Proxy(msgspec.Struct, frozen=True):
    """``url`` has user and password, if any; ``name`` is ``host:port`` and can be shown."""

    url: str
    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None

    @property
    def name(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def resolves(self) -> bool:
        """Whether it is given names, not addresses. Of the SOCKS kinds only those that say so: socks4a and socks5h."""
        return self.scheme not in ("socks4", "socks5")


@lru_cache(256)
def parse_proxy(text: str) -> Proxy:
    """The proxy that ``text`` means: ``http://user:password@host:port``, or another of the kinds in ``PORTS``.

    ``host:port`` alone is an HTTP proxy. Raises ValueError, whose text has no password; also for a SOCKS proxy when
    the library for these is missing.
    """
    url = text.strip()
    url = url if "://" in url else f"http://{url}"
    shown = hidden(text)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its text may hold a part of the password, and so may what stands in the place of the port
        where = shown if "@" in shown else re.sub(r"(?s):(?!//).*", ":…", shown)
        raise ValueError(
            f"{where!r} is not the URL of a proxy; write http://user:password@host:port, / as %2F"
        ) from None
    if parts.scheme not in PORTS:
        raise ValueError(f"{shown!r} is not a proxy we know; its URL begins with one of {', '.join(PORTS)}")
    if not host or any(each.isspace() for each in url):
        raise ValueError(f"{shown!r} names no host; write http://host:port")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        if "@" in url[url.find("://") + 3 + len(parts.netloc) :]:  # what looks like the host is the user
            raise ValueError(f"{shown!r} has a '/', '?' or '#' before its '@'; write / as %2F, ? as %3F, # as %23")
        raise ValueError(f"{shown!r} has more than a host and a port; write {parts.scheme}://{host}:{port or 'port'}")
    if port == 0:
        raise ValueError(f"{shown!r} has port 0; give the one that the proxy listens on")
    user = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    if user and ":" in user and not parts.scheme.startswith("socks"):
        raise ValueError(f"{shown!r}: a user name with a colon cannot be sent (RFC 7617)")
    if parts.scheme.startswith("socks") and importlib.util.find_spec("python_socks") is None:
        raise ValueError(f"{shown!r} needs the extra 'socks': pip install 'scraper[socks]'")
    return Proxy(url.rstrip("/"), parts.scheme, host, port or PORTS[parts.scheme], user, password)


def hidden(url: str) -> str:
    """A URL as it can be shown: what stands before the ``@`` is hidden."""
    at = url.rfind("@")
    if at < 0:
        return url
    scheme = _SCHEME.match(url[:at])
    return f"{scheme[0] if scheme else ''}***{url[at:]}"
