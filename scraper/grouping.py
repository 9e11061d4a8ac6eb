"""Which hosts share a slot, and what the settings say of each: the settings ``hosts`` and ``slot_by``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scraper.page import HostLimits
from scraper.settings import Host, Settings
from scraper.suffixes import registered_domain
from scraper.url import matches, name_of

MOST_HOSTS = 10_000
"""Hosts whose slot is remembered; the others are worked out again."""


def host_limits(host: str, hosts: Mapping[str, Host], default: HostLimits) -> HostLimits:
    """The limits of the first pattern that is meant for the host; what it leaves open is as for all others."""
    for pattern, own in hosts.items():
        if matches(host, pattern):
            return HostLimits(
                default.cap if own.cap is None else own.cap,
                default.delay if own.delay is None else own.delay,
                default.jitter if own.jitter is None else own.jitter,
            )
    return default


def strictest(one: HostLimits, other: HostLimits) -> HostLimits:
    """What suits both: hosts that share a slot share the lower cap and the longer delay."""
    return HostLimits(min(one.cap, other.cap), max(one.delay, other.delay), max(one.jitter, other.jitter))


class Groups:
    """The slot key of a host by ``slot_by``. Bounded.

    Args:
        address: the address of a host, as far as it is known by now, or None.
        join: told (key, host) when a host is met that shares a slot.
    """

    def __init__(
        self,
        settings: Settings,
        address: Callable[[str], str | None],
        join: Callable[[str, str], object],
    ) -> None:
        self._by = settings.slot_by
        self._address = address
        self._join = join
        self._keys: dict[str, str] = {}

    def __call__(self, host: str) -> str:
        """The key, e.g. ``example.co.uk`` or ``192.0.2.7``. Never raises."""
        key = self._keys.get(host)
        if key is None:
            name = name_of(host)
            known = registered_domain(name) if self._by == "domain" else self._address(name)
            if known is None:
                return host  # not yet resolved: its own until then
            key = known
            if len(self._keys) >= MOST_HOSTS:
                del self._keys[next(iter(self._keys))]
            self._keys[host] = key
            self._join(key, host)
        return key
