"""The guard against being led into private networks (server-side request forgery).

A page of the web may link or redirect to ``http://169.254.169.254/`` or to a name of its own that resolves there.
The guard looks at the addresses of a new connection after the name was resolved, so what is checked is what is
connected to: a DNS that changes its answer between two looks cannot slip anything through. It stands in the
connector, so pages, redirects, robots.txt, sitemaps and files all pass it, and a reused connection costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import aiohttp
from aiohttp.abc import ResolveResult

from scraper.errors import SettingsError
from scraper.settings import Settings
from scraper.url import canonical, host_of

MOST_NAMES = 10_000
"""Hosts that are remembered whatever they are called; after that, only those that look private,"""
MOST_PRIVATE = 100_000
"""and of these so many: what is remembered must not grow with what ``start()`` gives."""

# What no host of the public internet has: the special-purpose registries of IANA (RFC 6890), multicast (RFC 5771),
# the relays of 6to4 (RFC 7526), and the one address of a public block that answers inside a cloud machine.
_NOT_PUBLIC = tuple(
    map(
        IPv4Network,
        """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
        192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 168.63.129.16/32
        """.split(),
    )
)
# Only 2000::/3 is given out as global unicast, so IPv4-mapped and -compatible, unique-local, site-local, link-local and
# multicast are all outside. Inside of it: protocol assignments with Teredo, documentation, 6to4, documentation.
_GLOBAL = IPv6Network("2000::/3")
_NOT_GLOBAL = tuple(map(IPv6Network, "2001::/23 2001:db8::/32 2002::/16 3fff::/20".split()))
_NAT64 = IPv6Network("64:ff9b::/96")

_PRIVATE_NAMES = ".localhost .local .localdomain .internal .intranet .private .corp .home .lan .home.arpa".split()


class Refused(aiohttp.ClientConnectionError):
    """The host has no address that may be asked; the text is ``host (address)``."""


@lru_cache(2048)
def is_public(address: str) -> bool:
    """Whether an address is one of the public internet; what is no address is not.

    The IPv4 address inside a NAT64 one (RFC 6052) decides for it: that is how a network with IPv6 only reaches the web.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC)
    if found in _NAT64:
        return is_public(str(IPv4Address(int(found) & 0xFFFF_FFFF)))
    return found in _GLOBAL and not any(found in network for network in _NOT_GLOBAL)


def looks_private(host: str) -> bool:
    """Whether a name is likely to be that of a private host: a private address, no dot, or a name for use at home."""
    if ":" in host or host.replace(".", "").isdigit():
        return not is_public(host)
    return "." not in host or host.endswith(tuple(_PRIVATE_NAMES))


class Guard:
    """Which hosts may be asked though their addresses are private: those that the user named.

    ``seen_public`` is called once, when the first public host is about to be asked. Raises SettingsError for
    an ``allow_private`` that cannot be read.
    """

    def __init__(self, settings: Settings, seen_public: Callable[[], object] | None = None) -> None:
        allowed = settings.allow_private
        self._all = allowed == "all"
        self._seen_public = seen_public
        self._names: set[str] = set()
        self._patterns: list[str] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        for each in () if allowed == "all" else allowed:
            self._allow(each.strip())

    def name(self, url: str) -> None:
        """The host of this canonical URL is the user's own choice."""
        host = _bare(host_of(url))
        if len(self._names) < MOST_NAMES or (looks_private(host) and len(self._names) < MOST_PRIVATE):
            self._names.add(host)

    def name_hosts(self, hosts: Iterable[str]) -> None:
        """The same for hosts, with or without a port. Only the very names: one below them may be anybody's."""
        for host in hosts:
            self.name(f"http://{host}/")

    def permitted(self, host: str, addresses: list[ResolveResult]) -> list[ResolveResult]:
        """Those of a host's addresses that may be connected to. Raises Refused when there are none."""
        found = [each for each in addresses if is_public(each["host"])]
        if found:
            self._note_public()
        if len(found) == len(addresses) or self._is_named(host):
            return addresses
        found = [each for each in addresses if is_public(each["host"]) or self._is_in_network(each["host"])]
        if not found:
            raise Refused(_shown(host, addresses[0]["host"]))
        return found

    def check_name(self, host: str) -> None:
        """For a host whose name a proxy will resolve: what can be said without its address. Raises Refused."""
        private = looks_private(_bare(host))
        if private and not self._is_named(host) and not self._is_in_network(host):
            raise Refused(host)
        if not private:
            self._note_public()

    def _note_public(self) -> None:
        if self._seen_public is not None:
            told, self._seen_public = self._seen_public, None
            told()

    def _is_named(self, host: str) -> bool:
        host = _bare(host)
        return self._all or host in self._names or any(fnmatchcase(host, pattern) for pattern in self._patterns)

    def _is_in_network(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def _allow(self, text: str) -> None:
        try:
            self._networks.append(ip_network(text, strict=False))
            return
        except ValueError:
            pass
        if "*" in text or "?" in text:
            self._patterns.append(_bare(text.lower()))
            return
        url = canonical(f"http://{text}/") if text and "/" not in text else None
        if url is None:
            raise SettingsError(
                f"allow_private: {text!r} is neither a host, a pattern such as *.lan, nor a network such as 10.0.0.0/8"
            )
        self._names.add(_bare(host_of(url)))


def _bare(host: str) -> str:
    """A host without port, brackets and final dot."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return host.rstrip(".")


def _shown(host: str, address: str) -> str:
    return host if host == address else f"{host} ({address})"
