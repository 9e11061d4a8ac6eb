"""The Public Suffix List: under which domain a host is registered.

The list comes with the library, as it was when that was released. Reading it takes about 75 ms, once, when a host
is first asked about that is neither an address nor a single label.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


def is_address(host: str) -> bool:
    """Whether a canonical host is an IP address: the URL standard makes all that end in a number one."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


@lru_cache(maxsize=10_000)
def registered_domain(host: str) -> str:
    """``example.co.uk`` for ``www.example.co.uk``. ``host`` is canonical and has no port.

    A host that has none is its own: an address, a single label such as ``localhost``, a public suffix itself.
    """
    if "." not in host or is_address(host):
        return host
    return _list().privatesuffix(host.rstrip(".")) or host


def is_public_suffix(domain: str) -> bool:
    """Whether anybody may register names below it: ``com``, ``co.uk``, ``github.io``. A single label always is."""
    if is_address(domain):
        return False
    return "." not in domain or _list().publicsuffix(domain) == domain


@cache
def _list() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList  # few crawls need it

    return PublicSuffixList()
