"""Which proxy a request goes through: its own, the next of a list, or what the environment says.

A proxy of the list that fails rests for ``proxy_rest`` seconds, while the others take its turns; when all rest, the one
whose failure is the longest ago is asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from time import monotonic
from urllib.parse import urlsplit

import aiohttp

from scraper.errors import SettingsError
from scraper.proxy import Proxy, parse_proxy
from scraper.request import Request
from scraper.settings import Settings
from scraper.url import host_of


class ProxyFailed(aiohttp.ClientConnectionError):
    """The proxy itself failed: not there, not willing, or not saying what a proxy says."""


class Proxies:
    """The proxies of one crawl; ``variables`` are the environment's, the process's own when None.

    Raises SettingsError for a proxy that cannot be: before anything is asked.
    """

    def __init__(self, settings: Settings, variables: Mapping[str, str] | None = None) -> None:
        given = (settings.proxy,) if settings.proxy else ()
        name = "proxies" if settings.proxies else "proxy"
        self._listed = [_checked(each, f"setting {name}") for each in settings.proxies or given]
        self._rest = settings.proxy_rest
        self._turn = 0
        self._failed: dict[str, float] = {}
        """When each proxy of the list failed last, by URL (monotonic)."""
        self._environment: Environment | None = None
        if settings.proxy_env and not self._listed:
            environment = Environment(os.environ if variables is None else variables)
            self._environment = environment if environment.by_scheme else None
        self.any = bool(self._listed) or self._environment is not None
        """False: only a request that names a proxy has one."""

    def choose(self, request: Request, now: float | None = None) -> Proxy | None:
        """The proxy for this request; None goes directly. Each call is a turn of the list."""
        own = request.options.get("proxy") if request.options else None
        if own is not None:
            return parse_proxy(own) if own else None
        if self._environment is not None:
            return self._environment.proxy_for(request.url)
        if not self._listed:
            return None
        now = monotonic() if now is None else now
        number = len(self._listed)
        for step in range(number):
            proxy = self._listed[(self._turn + step) % number]
            failed = self._failed.get(proxy.url)
            if failed is None or now - failed >= self._rest:
                self._turn = (self._turn + step + 1) % number
                return proxy
        return min(self._listed, key=lambda each: self._failed[each.url])

    def failed(self, proxy: Proxy, now: float | None = None) -> None:
        """It rests from now on, if it is one of several."""
        if len(self._listed) > 1 and proxy in self._listed:
            self._failed[proxy.url] = monotonic() if now is None else now


class Environment:
    """``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in lower or upper case; the lower wins.

    ``HTTP_PROXY`` is not heard where REQUEST_METHOD is set: there it is a header that a visitor sent (CVE-2016-5385).
    Loopback never has a proxy. Raises SettingsError for a proxy that cannot be.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.by_scheme: dict[str, Proxy] = {}
        for scheme in ("http", "https"):
            for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
                value = variables.get(name, "").strip()
                if value and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in variables):
                    self.by_scheme[scheme] = _checked(value, f"environment variable {name}")
                    break
        excepted = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
        self._excepted = [each.lower() for each in excepted.replace(",", " ").split()]

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy for this canonical URL, or None."""
        proxy = self.by_scheme.get(url.partition(":")[0])
        if proxy is None:
            return None
        parts = urlsplit(f"//{host_of(url)}")
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or (443 if url.startswith("https:") else 80)
        if host == "localhost" or host.endswith(".localhost") or _is_loopback(host):
            return None
        return None if any(_covers(rule, host, port) for rule in self._excepted) else proxy


def _covers(rule: str, host: str, port: int) -> bool:
    """Whether an entry of ``no_proxy`` speaks of this host: all, a network, a name and all below it, one port of it."""
    if rule == "*":
        return True
    if "/" in rule:
        try:
            return ip_address(host) in ip_network(rule, strict=False)
        except ValueError:
            return False
    if rule.count(":") == 1 or rule.startswith("["):
        parts = urlsplit(f"//{rule}")
        try:
            if parts.port is not None and parts.port != port:
                return False
        except ValueError:
            return False
        rule = parts.hostname or ""
    rule = rule.removeprefix("*").strip(".")
    return bool(rule) and (host == rule or host.endswith(f".{rule}"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _checked(text: str, where: str) -> Proxy:
    try:
        return parse_proxy(text)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None
