"""Who we are to a host: the Authorization header, and to which hosts it may go.

No message of an error here shows what was given: it is a secret.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from scraper.errors import SettingsError
from scraper.url import canonical, host_of, in_domains, matches

if TYPE_CHECKING:
    from scraper.settings import Host

MOST_HOSTS = 10_000
"""Hosts whose answer is remembered."""
MOST_STARTS = 10_000
"""Start URLs that are looked at for their hosts."""

_SCHEME = re.compile(r"[A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z-]*")


def authorization(auth: str) -> str:
    """The header's value for ``user:password`` (Basic, RFC 7617, UTF-8), or for ``<scheme> <credentials>`` as it is:
    ``Bearer …`` (RFC 6750), ``Token …``, ``ApiKey …``.

    Raises ValueError, which says what is expected and nothing else, for any other text.
    """
    if auth.isprintable():
        scheme, _, rest = auth.partition(" ")
        credentials = rest.strip()
        if is_basic(auth):
            if ":" in auth:
                return basic(auth)
        elif credentials and credentials.isascii():
            return f"{'Bearer' if scheme.lower() == 'bearer' else scheme} {credentials}"
    raise ValueError(
        "must be 'user:password', or a scheme, a space and what it wants, such as 'Bearer <token>' or 'Token <token>', "
        "without control characters"
    )


def is_basic(auth: str) -> bool:
    """Whether it is ``user:password``, and no scheme with what that wants."""
    scheme, space, _ = auth.partition(" ")
    return not (space and _SCHEME.fullmatch(scheme))


def basic(pair: str) -> str:
    """The header's value for a user and a password (RFC 7617)."""
    return f"Basic {b64encode(pair.encode()).decode()}"


def _checked(auth: str, where: str) -> str:
    try:
        return authorization(auth)
    except ValueError as error:
        raise SettingsError(f"{where} {error}") from None  # its cause would show the text


class HostAuth:
    """The credentials of the settings by host.

    ``hosts`` are the rules of the setting, the first pattern that matches counts. Without an ``auth`` of its own,
    ``auth`` is sent to the hosts of ``starts`` and to ``domains`` and what is below them; over http only when
    there is a start URL of http. That of a rule is not sent over http when the start URLs it fits are all https.

    Raises SettingsError for what is no credential, and for ``auth`` without any host it could go to.
    """

    def __init__(
        self, auth: str | None, hosts: Mapping[str, Host], starts: Iterable[str], domains: tuple[str, ...]
    ) -> None:
        self._auth = None if auth is None else _checked(auth, "setting auth")
        # A generator is left to start(): it gives its URLs once.
        given = starts if isinstance(starts, Collection) else ()
        urls = [url for start, _ in zip(given, range(MOST_STARTS), strict=False) if (url := canonical(str(start)))]
        self._starts = frozenset(map(host_of, urls))
        self._rules = [
            (
                pattern,
                None if rule.auth is None else _checked(rule.auth, f"auth of hosts[{pattern!r}]"),
                _is_plain([url for url in urls if matches(host_of(url), pattern)]),
            )
            for pattern, rule in hosts.items()
        ]
        self._domains = domains
        self._plain = _is_plain(urls)
        if self._auth is not None and not self._starts and not domains:
            raise SettingsError(
                "setting auth goes to the hosts of start_urls (a list) and allowed_domains only, and the spider has "
                "neither; name them there, or give it by host: hosts={'api.example.org': {'auth': …}}"
            )
        self._known: dict[str, str | None] = {}

    def __bool__(self) -> bool:
        return self._auth is not None or any(auth is not None for _, auth, _ in self._rules)

    def header(self, url: str) -> str | None:
        """The Authorization header for a canonical URL, or None."""
        origin = url[: url.find("/", 8)]
        if origin not in self._known:
            if len(self._known) >= MOST_HOSTS:
                self._known.clear()
            self._known[origin] = self._find(url)
        return self._known[origin]

    def _find(self, url: str) -> str | None:
        host = host_of(url)
        for pattern, auth, plain in self._rules:
            if matches(host, pattern):
                if auth is not None:
                    return auth if plain or url.startswith("https:") else None
                break
        if self._auth is None or not (self._plain or url.startswith("https:")):
            return None
        return self._auth if host in self._starts or in_domains(host, self._domains) else None


def _is_plain(urls: list[str]) -> bool:
    """Whether http will do: not when all that was named is https."""
    return not urls or any(url.startswith("http:") for url in urls)
