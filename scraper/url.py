"""URLs by the WHATWG URL Standard: resolve, canonical form, host key, fingerprint.

A *canonical URL* is the standard's serialisation of an absolute http(s) URL without its fragment: scheme and
host in lower case, the host in ASCII, a default port left out, dot segments removed. The case and order of path
and query stay as the page wrote them, because servers may tell them apart.

Everything that reads a URL here takes any ``str`` and raises nothing: what cannot be crawled is ``None``.
The functions that take a URL apart (`host_of`, `origin_of`) rely on the canonical form and only slice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase

import can_ada
from xxhash import xxh3_128_digest

__all__ = [
    "Resolver",
    "canonical",
    "domain_of",
    "fingerprint",
    "host_of",
    "in_domains",
    "matches",
    "name_of",
    "origin_of",
    "repeats",
    "resolve",
    "shown",
]

_PUNYCODE = re.compile("xn--", re.IGNORECASE)
_USERINFO = re.compile(
    r"(?<=:)//(?!\*\*\*@)[^\s/?#\\\"<>]*@"
    r"|(?<![^\s'\"(<])//(?!\*\*\*@)[^\s/?#\\\"<>(\[]+@"  # without a scheme; //a[@href] and //@href are XPaths
)
_STAND_IN = "xn0in0place0of0punycode0"
_AUTHORITY = re.compile(
    r"[\t\n\f\r ]*(?:https?:)?//(?:[^/?#\\]*@)?"
    # host and port, when they are ASCII and nothing in them is percent-encoded
    r"([!-$&-.0->A-\[\]^-~]*+)(?=[/?#\\\t\n\f\r ]|\Z)",
    re.IGNORECASE,
)


def canonical(url: str) -> str | None:
    """The canonical form of an absolute URL, or None when it is not a valid http(s) URL."""
    try:
        return _crawlable(str(can_ada.parse(url)))
    except (ValueError, TypeError):
        return _second_look(None, url)


def resolve(base: str, href: str) -> str | None:
    """The canonical URL that ``href`` means on the page ``base``, or None when there is none to crawl."""
    try:
        return _crawlable(str(can_ada.parse(base) + href))
    except (ValueError, TypeError):
        return _second_look(base, href)


class Resolver(dict[str, str | None]):
    """`resolve` for one page: parses the base once and answers a repeated href by a dict look-up.

    ``resolver(href)`` and ``resolver[href]`` are the same; the second is the faster by a call. Memory is that
    of the distinct hrefs asked for.
    """

    __slots__ = ("_base", "_parsed")

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self._parsed: can_ada.URL | None
        try:
            self._parsed = can_ada.parse(base)
        except (ValueError, TypeError):
            self._parsed = None  # every href then gets the second look of `resolve`

    def __missing__(self, href: str) -> str | None:
        url: str | None
        if self._parsed is None:
            url = resolve(self._base, href)
        else:
            try:
                url = _crawlable(str(self._parsed + href))
            except (ValueError, TypeError):
                url = _second_look(self._base, href)
        self[href] = url
        return url

    def urls(self, hrefs: Iterable[str]) -> list[str]:
        """The URLs of those hrefs that have one, each once, in their order: `resolver[href]` without its calls."""
        found: dict[str, None] = {}
        base = self._parsed
        for href in hrefs:
            if href in self or base is None:
                url = self[href]
            else:
                try:
                    url = str(base + href)
                except (ValueError, TypeError):
                    url = self[href]
                else:
                    if "#" in url:
                        url = url.partition("#")[0]
                    if url[:8] != "https://" and url[:7] != "http://":
                        url = None
                    self[href] = url
            if url is not None:
                found[url] = None
        self.update(zip(found, found, strict=True))  # `links()` feeds `follow_all()`: what came out may come in again
        return list(found)

    __call__ = dict.__getitem__  # a Python-level method would cost more than the look-up itself


def host_of(url: str) -> str:
    """The slot key of a canonical URL: ``example.org``, ``example.org:8080``, ``[::1]:8080``."""
    authority = url.split("/", 3)[2]
    # In a canonical URL an "@" of the user name or password is written %40, so one "@" is the separator.
    return authority.rpartition("@")[2] if "@" in authority else authority


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` of a canonical URL, without user name and password."""
    scheme, _, authority, *_ = url.split("/", 3)
    return f"{scheme}//{authority.rpartition('@')[2]}"


def shown(text: str) -> str:
    """A URL, or a text with URLs in it, without user names and passwords: for errors, logs and whoever looks on."""
    return _USERINFO.sub("//", text) if "@" in text else text


def name_of(host: str) -> str:
    """A host (as `host_of` gives it) without its port."""
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


def matches(host: str, pattern: str) -> bool:
    """Whether a shell pattern is meant for a host: by its name, or by name and port when it names a port.

    ``*.example.com`` is also meant for ``example.com`` itself: a site with and without ``www`` is one site.
    """
    pattern = pattern.lower()
    return any(
        each == pattern or fnmatchcase(each, pattern) or (pattern.startswith("*.") and each == pattern[2:])
        for each in (host, name_of(host))
    )


def repeats(url: str) -> int:
    """How often the most frequent segment stands in the path of a canonical URL."""
    path = url.split("/", 3)[3].partition("?")[0]
    return max(Counter(path.split("/")).values())


def in_domains(host: str, domains: tuple[str, ...]) -> bool:
    """Whether ``host`` (as `host_of` gives it; the port does not count) is one of ``domains`` or below one.

    ``domains`` are canonical hosts: lower case, ASCII, no port. False when there are none.
    """
    if ":" in host and not host.endswith("]"):
        host = host.rpartition(":")[0]
    for domain in domains:
        if host == domain or host.endswith("." + domain):
            return True
    return False


def domain_of(text: str) -> str | None:
    """A domain as people write it, as `in_domains` wants it: lower case, ASCII, no port; None for what is no host."""
    host = text.strip().strip(".")
    url = canonical(f"http://{host}/")
    if url is None or "*" in host or url != f"http://{host_of(url)}/" or not in_domains(host_of(url), (url[7:-1],)):
        return None
    return host_of(url)


def fingerprint(method: str, url: str, body: bytes | None = None, salt: str = "") -> bytes:
    """16 bytes (xxh3-128) that name a request: method, canonical URL, body and, to set twins apart, a salt.

    No body and an empty body are the same request. The method's case does not count. The hash is fast, not
    secret: somebody who chooses URLs on purpose could make two collide, and would lose his own pages by it.
    """
    if method != "GET":
        method = method.upper()
    if method == "GET" and not body and not salt:
        return xxh3_128_digest(url.encode())
    # Lengths first, so that no part can pass for the end of another. The text starts with a digit and a URL
    # with a letter, so this form never equals the plain one above.
    head = f"{len(method)} {len(url)} {len(salt)} {method}{url}{salt}"
    return xxh3_128_digest(head.encode("utf-8", "surrogatepass") + (body or b""))


def _crawlable(href: str) -> str | None:
    """A serialised URL without its fragment, or None when its scheme is not ours."""
    if href[:8] != "https://" and href[:7] != "http://":
        return None
    # "#" is escaped everywhere else in a serialised URL.
    return href.partition("#")[0] if "#" in href else href


def _second_look(base: str | None, href: str) -> str | None:
    """What can_ada refuses and the standard allows: lone surrogates, and ASCII hosts with a bad ``xn--`` label.

    The standard keeps an ASCII host as it is (some that are not valid IDNA do exist in the DNS), so such a label
    is parsed under a stand-in name.
    """
    plain_base, plain_href = _hide_punycode(_scalar(base or "")), _hide_punycode(_scalar(href))
    if (plain_base, plain_href) == (base or "", href):
        return None
    try:
        url = can_ada.parse(plain_href) if base is None else can_ada.parse(plain_base) + plain_href
    except ValueError:
        return None
    return _crawlable(str(url).replace(_STAND_IN, "xn--"))


def _hide_punycode(url: str) -> str:
    authority = _AUTHORITY.match(url)
    if authority is None or _STAND_IN in url:
        return url
    start, end = authority.span(1)
    return url[:start] + _PUNYCODE.sub(_STAND_IN, url[start:end]) + url[end:]


def _scalar(text: str) -> str:
    """Lone surrogates replaced by U+FFFD, pairs joined: the standard's input is a string of scalar values."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
