"""One cookie: read from its Set-Cookie line and matched to a URL. RFC 6265, as its successor (6265bis) amends it.

Pure: the time is passed in. Which cookies are kept, and how many, is for the jars to say. SameSite does not count
here: it is about pages that embed others, and a crawler has asked for every page itself.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from scraper.suffixes import is_address, is_public_suffix

MOST_BYTES = 4096
"""Of a name and its value together; a longer cookie is ignored, as the RFC has it."""
MOST_ATTRIBUTE = 1024
LONGEST_LIFE = 400 * 86_400.0
"""Seconds for which a cookie is kept at most, whatever its date."""


class Place(NamedTuple):
    """What of a URL decides about cookies. ``host`` has no port: cookies do not know ports."""

    host: str
    path: str
    secure: bool


class Cookie(Struct, array_like=True):
    """``expires`` and ``created`` are epoch seconds; without ``expires`` it ends with its run.

    ``exact``: for its very host, not for those below it. ``secure``: for https only.
    """

    name: str
    value: str
    domain: str
    path: str
    created: float
    expires: float | None = None
    exact: bool = True
    secure: bool = False
    used: float = 0.0
    """When it was sent last (epoch seconds), as far as it matters: for which of too many are forgotten first."""

    @property
    def pair(self) -> str:
        """As it is sent."""
        return f"{self.name}={self.value}" if self.name else self.value

    @property
    def size(self) -> int:
        """Characters, more or less the bytes."""
        return len(self.name) + len(self.value) + len(self.path)

    def goes_to(self, place: Place) -> bool:
        """Whether it is sent there, unless its time is over."""
        return (
            (place.host == self.domain or (not self.exact and below(place.host, self.domain)))
            and path_matches(place.path, self.path)
            and (place.secure or not self.secure)
        )


def place_of(url: str) -> Place:
    """The place of a canonical URL."""
    scheme, _, authority, path = url.split("/", 3)
    authority = authority.rpartition("@")[2]
    host = authority[: authority.find("]") + 1] if authority.startswith("[") else authority.partition(":")[0]
    return Place(host, "/" + path.partition("?")[0], scheme == "https:")


def below(host: str, domain: str) -> bool:
    """RFC 6265, 5.1.3: whether ``host`` is ``domain`` or a name below it; an address is nothing but itself."""
    return host == domain or (host.endswith("." + domain) and not is_address(host))


def path_matches(path: str, of_cookie: str) -> bool:
    """RFC 6265, 5.1.4."""
    return path.startswith(of_cookie) and (
        len(path) == len(of_cookie) or of_cookie.endswith("/") or path[len(of_cookie)] == "/"
    )


def default_path(path: str) -> str:
    """The folder of a path: what a cookie without a path of its own is for."""
    return path[: max(path.rfind("/"), 0)] or "/"


def pairs(lines: Iterable[str]) -> dict[str, str]:
    """Names and values of Set-Cookie lines, whatever becomes of them; the last of a name."""
    found = {}
    for line in lines:
        name, value = _pair(line.partition(";")[0])
        if name or value:
            found[name] = value
    return found


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""None of these may be in a line; the lone surrogates are what was no UTF-8, and could not be sent back."""


def read(line: str, place: Place, now: float) -> Cookie | None:
    """The cookie that a Set-Cookie line gives when it comes from ``place``; None for one to be ignored.

    One whose time is over, which takes an earlier one away, has an ``expires`` that is not after ``now``.
    """
    if _CONTROL.search(line):
        return None
    first, *rest = line.split(";")
    name, value = _pair(first)
    if not (name or value) or len(name) + len(value) > MOST_BYTES or _bytes(name, value) > MOST_BYTES:
        return None
    attributes: dict[str, str] = {}
    for each in rest:
        key, _, text = each.partition("=")
        text = text.strip(" \t")
        if len(text) <= MOST_ATTRIBUTE:
            key = key.strip(" \t").lower()
            if key in ("expires", "max-age") and _ends(key, text, now) is None:
                continue  # one that cannot be read does not take the place of one that can
            attributes[key] = text
    cookie = Cookie(name, value, place.host, default_path(place.path), now, secure="secure" in attributes)
    path = attributes.get("path", "")
    if path.startswith("/"):
        cookie.path = path
    for key in ("max-age", "expires"):  # the first wins
        if key in attributes:
            cookie.expires = _ends(key, attributes[key], now)
            break
    domain = attributes.get("domain", "").removeprefix(".").lower()
    if domain and not _set_domain(cookie, domain, place):
        return None
    if (cookie.secure and not place.secure) or not _keeps_prefix(cookie, path):
        return None
    return cookie


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        name, value = "", name
    return name.strip(" \t"), value.strip(" \t")


def _bytes(*texts: str) -> int:
    return sum(len(text.encode()) for text in texts)


def _set_domain(cookie: Cookie, domain: str, place: Place) -> bool:
    """False when the host may not set cookies for that domain."""
    if not domain.isascii() or not below(place.host, domain):
        return False
    if domain == place.host and is_public_suffix(domain):
        return True  # for itself only
    if domain != place.host and is_public_suffix(domain):
        return False
    cookie.domain, cookie.exact = domain, False
    return True


def _keeps_prefix(cookie: Cookie, path: str) -> bool:
    """What a name that begins with __Secure- or __Host- promises; a cookie without a name must not look like one."""
    name = cookie.name.lower() or cookie.value.lower()
    if not name.startswith(("__secure-", "__host-")):
        return True
    if not cookie.name or not cookie.secure:
        return False
    return name.startswith("__secure-") or (cookie.exact and path == "/")


def _ends(key: str, text: str, now: float) -> float | None:
    """When a cookie with this attribute ends; None when it cannot be read."""
    if key == "max-age":
        if not re.fullmatch(r"-?\d+", text, re.ASCII):
            return None
        life = -1.0 if text.startswith("-") else float(text[:12])
        return now + min(life, LONGEST_LIFE) if life > 0 else 0.0
    ends = date(text)
    return None if ends is None else min(ends, now + LONGEST_LIFE)


_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D.*)?", re.ASCII | re.DOTALL)
_DAY = re.compile(r"(\d{1,2})(?:\D.*)?", re.ASCII | re.DOTALL)
_YEAR = re.compile(r"(\d{2,4})(?:\D.*)?", re.ASCII | re.DOTALL)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def date(text: str) -> float | None:
    """Epoch seconds of a cookie date (RFC 6265, 5.1.1: parts in any order); None for what is none."""
    time = day = month = year = None
    for token in _DELIMITERS.split(text):
        if time is None and (found := _TIME.fullmatch(token)):
            time = [int(part) for part in found.groups()]
        elif day is None and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.fullmatch(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    leap = month != 2 or day < 29 or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    if not (1 <= day <= _DAYS[month - 1] and leap and year >= 1601):
        return None
    if time[0] > 23 or time[1] > 59 or time[2] > 59:
        return None
    return float(timegm((year, month, day, *time)))
