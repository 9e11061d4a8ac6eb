"""The cookie jars of a crawl: what is kept, how much of it, what is sent, and the notes that outlive the process.

A cookie that a page set is in the notes that are committed with that page or before it, so that no page is done
whose cookie a kill could take away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec
from msgspec import Struct

from scraper.cookies import LONGEST_LIFE, Cookie, Place, below, path_matches, place_of, read
from scraper.log import Logger
from scraper.page import Note
from scraper.ports import Clock
from scraper.suffixes import registered_domain

log = Logger("scraper.cookies")

KIND = "cookies"
MOST_LINES = 500
"""Set-Cookie headers of one answer that are looked at."""
MOST_OF_SITE, MOST_BYTES_OF_SITE = 180, 64 * 1024
"""Of one registered domain in one jar; browsers keep as many, and no server reads a longer Cookie header."""
MOST_OF_JAR = 3000
MOST, MOST_BYTES = 50_000, 32 * 1024 * 1024
"""Of all jars together."""
MOST_READY = 10_000
NAME = tuple[str, str, str, bool]
"""What one cookie replaces another by: name, domain, path, and whether it is for that very host."""


class _Stored(Struct):
    """A note's value. Cookies without a date end with ``run``."""

    run: int
    cookies: list[Cookie]


class _Site:
    """The cookies of one registered domain in one jar. ``ready`` are the keys of what was made ready of them."""

    __slots__ = ("cookies", "ready", "used")

    def __init__(self) -> None:
        self.cookies: dict[NAME, Cookie] = {}
        self.ready: set[str] = set()
        self.used = 0.0


class _Ready:
    """What goes to one origin: ``header`` when that is the same for all its paths, for as long as ``until``."""

    __slots__ = ("cookies", "header", "site", "until", "used")

    def __init__(self, site: _Site, cookies: list[Cookie]) -> None:
        self.site = site
        self.used = 0.0
        # RFC 6265, 5.4: the longer path first, then the older cookie.
        self.cookies = sorted(cookies, key=lambda each: (-len(each.path), each.created))
        self.until = min((each.expires for each in cookies if each.expires is not None), default=float("inf"))
        plain = all(each.path == "/" for each in cookies)
        self.header = "; ".join([each.pair for each in self.cookies]) if plain else None


class Jars:
    """All jars by name; the one of those who name none is "". A Learner."""

    def __init__(self, clock: Clock, run: int) -> None:
        self._now = clock.time
        self._run = run
        self.sites: dict[tuple[str, str], _Site] = {}
        """By jar and registered domain; empty as long as nothing can be sent."""
        self._counts: Counter[str] = Counter()
        self._count = self._bytes = 0
        self._dirty: dict[tuple[str, str], None] = {}
        self._ready: dict[str, _Ready | int] = {}
        """By origin and jar; an int for nothing there, as long as it is the number of sites ever made."""
        self._made = 0

    def load(self, notes: Iterable[Note]) -> None:
        """Put in what earlier processes kept. Cookies without a date are left out when they were of another run."""
        now = self._now()
        for note in notes:
            site, _, jar = note.key.partition(" ")
            try:
                stored = msgspec.json.decode(note.value or "", type=_Stored)
            except msgspec.DecodeError as error:
                log.warning("cookies_lost", site=site, error=str(error), hint="the note in the database is not ours")
                continue
            live = [each for each in stored.cookies if (each.expires or now + 1) > now]
            if stored.run != self._run:
                live = [each for each in live if each.expires is not None]
            if len(live) < len(stored.cookies):
                self._dirty[jar, site] = None
            for each in live:
                self._put(jar, site, each)
            self._trim(jar)

    def header(self, url: str, jar: str = "", without: Collection[str] = ()) -> str:
        """The value of the Cookie header for a canonical URL, empty when there is none; not those of these names."""
        origin = url[: url.find("/", 8)]
        key = f"{origin} {jar}" if jar else origin
        ready = self._ready.get(key)
        if isinstance(ready, int):
            if ready == self._made:
                return ""
            ready = None
        now = self._now()
        if ready is None or ready.until <= now:
            ready = self._make_ready(key, url, jar, now)
            if ready is None:
                return ""
        ready.used = ready.site.used = now
        if ready.header is not None and not without:
            return ready.header
        path = url[len(origin) :].partition("?")[0]
        cookies = [each for each in ready.cookies if path_matches(path, each.path) and each.name not in without]
        for each in cookies:
            each.used = now
        return "; ".join([each.pair for each in cookies])

    def keep(self, url: str, lines: Iterable[str], jar: str = "") -> None:
        """Take the Set-Cookie lines of an answer from a canonical URL."""
        place, now = place_of(url), self._now()
        site = registered_domain(place.host)
        for line, _ in zip(lines, range(MOST_LINES), strict=False):
            cookie = read(line, place, now)
            if cookie is not None:
                self._set(jar, site, cookie, place, now)
        kept = self.sites.get((jar, site))
        if kept is not None:
            self._trim_site(jar, site, kept, now)
            self._trim(jar)

    def notes(self) -> list[Note]:
        """The sites whose cookies have changed, each as it is now."""
        if not self._dirty:
            return []
        notes = []
        now = self._now()
        for jar, site in self._dirty:
            kept = self.sites.get((jar, site))
            key = f"{site} {jar}" if jar else site  # no host has a space in it
            if kept is None:
                notes.append(Note(KIND, key, None, now))
                continue
            cookies = list(kept.cookies.values())
            until = max(now + LONGEST_LIFE if each.expires is None else each.expires for each in cookies)
            notes.append(Note(KIND, key, msgspec.json.encode(_Stored(self._run, cookies)).decode(), until))
        self._dirty.clear()
        return notes

    def __len__(self) -> int:
        return self._count

    def _make_ready(self, key: str, url: str, jar: str, now: float) -> _Ready | None:
        """Collect what goes to the origin of this URL."""
        place = place_of(url)
        site = self._find(jar, place.host)
        if len(self._ready) >= MOST_READY:
            self._ready.clear()
            for each in self.sites.values():
                each.ready.clear()
        if site is None:
            self._ready[key] = self._made
            return None
        cookies = [
            each
            for each in site.cookies.values()
            if (each.expires is None or each.expires > now) and each.goes_to(Place(place.host, each.path, place.secure))
        ]
        ready = self._ready[key] = _Ready(site, cookies)
        site.ready.add(key)
        return ready

    def _find(self, jar: str, host: str) -> _Site | None:
        """Its site, without the list of suffixes: of the names above a host, one at most is a site."""
        while True:
            site = self.sites.get((jar, host))
            if site is not None or "." not in host:
                return site
            host = host.partition(".")[2]

    def _set(self, jar: str, site: str, cookie: Cookie, place: Place, now: float) -> None:
        kept = self.sites.get((jar, site))
        name = (cookie.name, cookie.domain, cookie.path, cookie.exact)
        old = kept.cookies.get(name) if kept is not None else None
        if kept is not None and not place.secure and _would_hide(cookie, kept.cookies.values()):
            return
        if cookie.expires is not None and cookie.expires <= now:
            if old is not None:
                self._drop(jar, site, name)
            return
        if old is not None:
            cookie.created, cookie.used = old.created, old.used
            if cookie == old:
                return
        self._put(jar, site, cookie)
        self._dirty[jar, site] = None

    def _put(self, jar: str, site: str, cookie: Cookie) -> None:
        kept = self.sites.get((jar, site))
        if kept is None:
            kept = self.sites[jar, site] = _Site()
            self._made += 1
        name = (cookie.name, cookie.domain, cookie.path, cookie.exact)
        old = kept.cookies.get(name)
        if old is None:
            self._counts[jar] += 1
            self._count += 1
        self._bytes += cookie.size - (old.size if old is not None else 0)
        kept.cookies[name] = cookie
        kept.used = max(kept.used, cookie.used, cookie.created)
        self._forget_ready(kept)

    def _drop(self, jar: str, site: str, name: NAME) -> None:
        kept = self.sites[jar, site]
        self._bytes -= kept.cookies.pop(name).size
        self._counts[jar] -= 1
        self._count -= 1
        self._dirty[jar, site] = None
        self._forget_ready(kept)
        if not kept.cookies:
            del self.sites[jar, site]
            if not self._counts[jar]:
                del self._counts[jar]

    def _forget_ready(self, kept: _Site) -> None:
        for key in kept.ready:
            ready = self._ready.pop(key, None)
            if isinstance(ready, _Ready) and ready.header is not None:
                for each in ready.cookies:
                    each.used = max(each.used, ready.used)
        kept.ready.clear()

    def _trim_site(self, jar: str, site: str, kept: _Site, now: float) -> None:
        """Too many of one site go in the order of RFC 6265bis, 5.7: dead ones, those that are not secure, then the
        one that was not used for longest."""
        size = sum(each.size for each in kept.cookies.values())
        if len(kept.cookies) <= MOST_OF_SITE and size <= MOST_BYTES_OF_SITE:
            return

        def order(name: NAME) -> tuple[bool, bool, float]:
            each = kept.cookies[name]
            alive = each.expires is None or each.expires > now
            return alive, each.secure, max(each.used, each.created)

        for name in sorted(kept.cookies, key=order):
            if len(kept.cookies) <= MOST_OF_SITE and size <= MOST_BYTES_OF_SITE:
                break
            size -= kept.cookies[name].size
            self._drop(jar, site, name)

    def _trim(self, jar: str) -> None:
        """Too many of this jar, or of all: the sites that were not asked for longest go, a tenth more than must."""
        if self._counts[jar] > MOST_OF_JAR:
            self._trim_to(MOST_OF_JAR * 9 // 10, MOST_BYTES, [key for key in self.sites if key[0] == jar])
        if self._count > MOST or self._bytes > MOST_BYTES:
            self._trim_to(MOST * 9 // 10, MOST_BYTES * 9 // 10, list(self.sites))

    def _trim_to(self, most: int, size: int, keys: list[tuple[str, str]]) -> None:
        count = sum(len(self.sites[key].cookies) for key in keys)
        for key in sorted(keys, key=lambda key: self.sites[key].used):
            if count <= most and self._bytes <= size:
                return
            names = list(self.sites[key].cookies)
            count -= len(names)
            for name in names:
                self._drop(*key, name)


def _would_hide(cookie: Cookie, others: Iterable[Cookie]) -> bool:
    """Whether a cookie that came over http would take the place of one of https (RFC 6265bis, 5.7, 16)."""
    return not cookie.secure and any(
        each.secure
        and each.name == cookie.name
        and (below(each.domain, cookie.domain) or below(cookie.domain, each.domain))
        and path_matches(cookie.path, each.path)
        for each in others
    )
