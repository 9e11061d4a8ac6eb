"""What is known of each origin's robots.txt: in memory while it is in use, in the store for a day."""

from __future__ import annotations

import msgspec

from scraper.errors import FetchError
from scraper.page import Note
from scraper.ports import Clock, Store
from scraper.robots_rules import Rules, read_rules

KIND = "robots"
KEPT_FOR = 24 * 3600.0
"""Seconds; RFC 9309 section 2.4. An older answer is not used, not even while there is no newer one."""
MOST_ORIGINS = 1_000
MOST_KEPT = 8 * 1024 * 1024
"""Characters of robots.txt whose rules are in memory, where they take some ten times as much (all for us: twenty)."""
MOST_NOTES = 100
"""Notes that wait for a page to be committed with; past that they are saved by themselves."""


class Kept(msgspec.Struct):
    """A note: the answer as it came, for the rules depend on who asks. ``text`` is empty when it was not 2xx."""

    status: int
    at: float
    text: str = ""


class Known:
    """What is known of one origin until ``until`` (monotonic seconds): its rules, or why they could not be had.

    Neither, where everything is allowed. ``failures`` counts those in a row, the first at ``since``; ``elsewhere``
    when it was another host, to which robots.txt was redirected, that failed. ``paces`` when those who waited for it
    must wait for their turn.
    """

    __slots__ = ("elsewhere", "failure", "failures", "paces", "rules", "since", "until")

    def __init__(self, until: float, rules: Rules | None = None) -> None:
        self.until = until
        self.rules = rules
        self.failure: FetchError | None = None
        self.failures = 0
        self.since = 0.0
        self.elsewhere = False
        self.paces = False


class Origins:
    """The origins in use; those used least go first, and come back from the store."""

    def __init__(self, token: str, clock: Clock, store: Store | None) -> None:
        self._token = token
        self._clock = clock
        self._store = store
        self._known: dict[str, Known] = {}  # least recently used first
        self._size = 0
        self._fresh: dict[str, Note] = {}
        self._fresh_size = 0

    def get(self, origin: str) -> Known | None:
        """What is in memory of it, also when that is out of date."""
        known = self._known.pop(origin, None)
        if known is not None:
            self._known[origin] = known
        return known

    def keep(self, origin: str, known: Known) -> None:
        """Remember it, in place of what was known."""
        self._drop(origin)
        self._known[origin] = known
        self._size += known.rules.size if known.rules is not None else 0
        while len(self._known) > 1 and (len(self._known) > MOST_ORIGINS or self._size > MOST_KEPT):
            self._drop(next(iter(self._known)))

    async def recall(self, origin: str) -> Known | None:
        """What an earlier crawl was told, or this one before it had to forget."""
        note = self._fresh.get(origin)
        if note is None and self._store is not None:
            note = (await self._store.notes(KIND, self._clock.time(), [origin])).get(origin)
        now = self._clock.time()
        if note is None or note.value is None or note.until <= now:
            return None
        try:
            kept = msgspec.json.decode(note.value, type=Kept)
        except msgspec.DecodeError:  # of another version: it is asked for again
            return None
        return await self._read(kept.text, min(note.until - now, KEPT_FOR))  # the clock may have been set back

    async def learn(self, origin: str, status: int, text: str) -> Known:
        """What it has just answered; a note of it is committed with the pages that are finished next."""
        if self._store is not None:
            now = self._clock.time()
            value = msgspec.json.encode(Kept(status, now, text)).decode()
            self._fresh[origin] = Note(KIND, origin, value, now + KEPT_FOR)
            self._fresh_size += len(text)
            if len(self._fresh) >= MOST_NOTES or self._fresh_size > MOST_KEPT:
                await self._store.save_notes(self.notes())
        return await self._read(text, KEPT_FOR)

    def notes(self) -> list[Note]:
        """Answers that came since the last call."""
        fresh, self._fresh, self._fresh_size = self._fresh, {}, 0
        return list(fresh.values())

    async def _read(self, text: str, seconds: float) -> Known:
        return Known(self._clock.monotonic() + seconds, await read_rules(text, self._token) if text else None)

    def _drop(self, origin: str) -> None:
        known = self._known.pop(origin, None)
        if known is not None and known.rules is not None:
            self._size -= known.rules.size
