"""How hard each host may be asked: by the settings, by what it asks for itself, and by how it takes it.

Everything is kept by slot key (a host, or what ``slot_by`` makes of it). Pure: the time is passed in, in monotonic
seconds. What differs from the settings becomes a note, so that a restart forgives nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from scraper.breaker import Breaker, fails
from scraper.errors import BodyCut, ConnectTimeout, FetchError, ReadError, RobotsDenied
from scraper.grouping import host_limits, strictest
from scraper.log import Logger
from scraper.pace import Pace
from scraper.page import Down, HostLimits, Note, Seen
from scraper.ports import Clock
from scraper.settings import Settings

log = Logger("scraper.throttle")

KIND = "throttle"
KEPT_FOR = 24 * 3600.0
"""Seconds after which a penalty is forgotten that nobody has come back for."""
MOST_KNOWN = 10_000
"""Slots that are remembered; past that those go first of which there is nothing to say."""
MOST_GAPS = 100
"""Origins of one slot whose robots.txt asks for a gap."""
TOLD_EVERY = 60.0
"""Seconds in which it is said once of a host that it is slowed: one that is always at its limit is, and is not."""
NEVER = float("-inf")
BUSY = frozenset((429, 503))
"""Statuses by which a server says that it is asked too much."""


class Penalty(Struct, omit_defaults=True):
    """A slot as its note has it. ``rest`` is epoch seconds, ``silent`` seconds without an answer."""

    cap: float = 0.0
    delay: float = 0.0
    rest: float = 0.0
    pause: float = 0.0
    silent: float = 0.0
    words: str = ""
    down: bool = False


class _Known:
    """One slot: what the settings say (``base``), what robots.txt says (``gaps``), and how it has done."""

    __slots__ = ("alone", "base", "breaker", "gaps", "limits", "noted", "pace", "resting", "told")

    def __init__(self, base: HostLimits, settings: Settings, adaptive: bool) -> None:
        self.base = self.limits = base
        self.gaps: dict[str, float] = {}
        """What robots.txt asks for, by origin."""
        self.alone = False
        """The failure that comes next is of a page that has failed before, like all that wait."""
        self.told = NEVER
        """When it was last said that it is slowed."""
        self.pace = Pace(base.cap) if adaptive else None
        self.breaker = Breaker(settings)
        self.resting = 0.0
        """Until when it rests, monotonic; 0.0: it has not been told to."""
        self.noted: bytes | None = None

    @property
    def gap(self) -> float:
        """The longest gap that a robots.txt asks for."""
        return max(self.gaps.values(), default=0.0)

    def learn(self, origin: str, seconds: float) -> bool:
        """Whether ``gap`` is another now."""
        before = self.gap
        self.gaps.pop(origin, None)
        if seconds:
            if len(self.gaps) >= MOST_GAPS:  # the shortest says the least
                del self.gaps[min(self.gaps, key=lambda each: self.gaps[each])]
            self.gaps[origin] = seconds
        return self.gap != before

    def refresh(self) -> None:
        """The limits, from all that is known."""
        base, pace, breaker = self.base, self.pace, self.breaker
        cap, delay, state = base.cap, max(base.delay, self.gap), ""
        if pace is not None and not pace.is_calm:
            cap, delay, state = int(pace.cap), max(delay, pace.delay), "slowed"
        if breaker.down:  # nobody is asked any more: its pages only have to be told
            cap, delay, state = base.cap, 0.0, "down"
        elif breaker.open:
            cap, delay, state = 1, max(base.delay, self.gap), "paused"  # a pause is slow enough
        self.limits = HostLimits(cap, delay, base.jitter, state)


class FixedThrottle:
    """The limits of the settings and of robots.txt; ``Retry-After`` pauses a host, and so does its breaker.

    ``changed`` is called with the key of a slot whose limits have changed between two of its requests.
    """

    adaptive = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = HostLimits(settings.concurrency_per_host, settings.delay, settings.jitter)
        self._longest = settings.retry_after_max
        self._known: dict[str, _Known] = {}
        self._down: dict[str, Down] = {}
        self._dirty: set[str] = set()
        self.changed: Callable[[str], object] = lambda key: None

    # -- what the engine room asks

    def limits(self, host: str) -> HostLimits:
        known = self._known.get(host)
        if known is None:
            if not self._settings.hosts and not self.adaptive:
                return self._limits
            known = self._know(host)
        return known.limits

    def rest(self, host: str, now: float) -> float:
        """Seconds for which it must not be asked, by what was known of it before."""
        known = self._known.get(host)
        return max(known.resting - now, 0.0) if known is not None else 0.0

    def observe(self, host: str, seen: Seen, error: FetchError | None, now: float) -> float:
        """As the port has it: seconds of rest."""
        known = self._known.get(host)
        status = seen.status
        if error is None and status is not None and status < 400:
            if known is None:
                if not self.adaptive:
                    return 0.0
                known = self._know(host)
            known.alone = False
            if known.breaker.failures and known.breaker.answered():
                self._down.pop(host, None)
                self._touch(host, known)
            if known.pace is not None and known.pace.answered(seen.elapsed, now):
                self._touch(host, known, now)
            return 0.0
        if error is None and status is None:
            return 0.0  # nothing was seen: a fetcher broke its word, or the crawl stops
        return self._bad(host, known or self._know(host), seen, error, now)

    def forgive(self, host: str) -> None:
        """Its failures so far are forgotten, and a pause ends."""
        known = self._known.get(host)
        if known is None:
            return
        known.alone = True
        if known.breaker.failures and not known.breaker.down and known.breaker.answered():
            known.resting = 0.0
            self._touch(host, known)

    def excuses(self, host: str, error: FetchError) -> bool:
        """Whether the failure just observed is the host's own, and no attempt of the page."""
        known = self._known.get(host)
        return known is not None and known.breaker.open and fails(error, error.status)

    def trip(self, host: str, error: FetchError, attempt: int, now: float) -> float:
        """A page is about to be given up while others of its host wait. Seconds of rest when the host is paused
        instead; 0: give it up."""
        known = self._known.get(host)
        if known is None or not fails(error, error.status):
            return 0.0
        rest = known.breaker.trip(now, attempt)
        return self._rested(host, known, rest, now) if rest else 0.0

    def given_up(self, host: str) -> Down | None:
        """Since when it has not answered and what it said last, once it is not asked any more."""
        return self._down.get(host) if self._down else None

    # -- what others tell

    def learnt(self, host: str, seconds: float, origin: str = "") -> None:
        """robots.txt of one origin of the slot asks for this gap between requests (0: for none). The longest counts."""
        known = self._known.get(host)
        if known is None:
            if not seconds:
                return
            known = self._know(host)
        if known.learn(origin, seconds):
            known.refresh()
            self.changed(host)

    def join(self, key: str, host: str) -> None:
        """The host shares the slot ``key`` from now on: the strictest of their limits is that of all."""
        known = self._know(key)
        alone = self._known.get(host)
        own = host_limits(host, self._settings.hosts, self._limits)
        base = strictest(known.base, own)
        longer = False
        for origin, gap in alone.gaps.items() if alone is not None and alone is not known else ():
            longer = known.learn(origin, gap) or longer
        if base != known.base or longer:
            known.base = base
            if known.pace is not None:
                known.pace.limit(base.cap)
            known.refresh()
            self.changed(key)

    # -- what is kept between crawls

    def notes(self, now: float, date: float) -> list[Note]:
        """What has changed since the last call. ``date`` is epoch seconds at ``now``."""
        if not self._dirty:
            return []
        notes = []
        for key in self._dirty:
            known = self._known.get(key)
            if known is None:
                continue
            note = self._note(key, known, now, date)
            if note is not None:
                notes.append(note)
        self._dirty.clear()
        return notes

    def load(self, notes: Mapping[str, Note], now: float, date: float) -> None:
        """What an earlier crawl noted. A host that was given up, or is paused, is asked by one probe first."""
        for key, note in notes.items():
            try:
                kept = msgspec.json.decode(note.value or "", type=Penalty)
            except msgspec.DecodeError:  # another version's: as if there were none
                continue
            known = self._know(key)
            known.noted = (note.value or "").encode()
            pace, breaker = known.pace, known.breaker
            if pace is not None:
                if kept.cap:
                    pace.cap = min(max(kept.cap, 1.0), pace.cap)
                pace.delay = kept.delay
            most = self._longest if not kept.pause else max(self._longest, self._settings.breaker_max_pause)
            known.resting = now + min(max(kept.rest - date, 0.0), most)
            if (kept.pause or kept.down) and self._settings.breaker_failures:
                breaker.open = True
                breaker.failures = self._settings.breaker_failures
                breaker.pause = kept.pause if not kept.down else self._settings.breaker_pause / 2
                breaker.since = now - (kept.silent if not kept.down else 0.0)
                breaker.words = kept.words
            known.refresh()

    # -- inside

    def _know(self, key: str) -> _Known:
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._forget()
            base = host_limits(key, self._settings.hosts, self._limits)
            known = self._known[key] = _Known(base, self._settings, self.adaptive)
        return known

    def _forget(self) -> None:
        """Make room: a tenth, those first of which there is nothing to say, then the oldest."""
        room = max(MOST_KNOWN // 10, 1)
        calm = [key for key, each in self._known.items() if each.noted is None and each.limits == each.base]
        for key in (calm or list(self._known))[:room]:
            del self._known[key]
            self._down.pop(key, None)
            self._dirty.discard(key)

    def _bad(self, host: str, known: _Known, seen: Seen, error: FetchError | None, now: float) -> float:
        """What was not plainly good. Returns the rest."""
        status = error.status if error is not None else seen.status
        wait = seen.retry_after
        if wait is None and error is not None:
            # A robots.txt in trouble says when it may be asked for: until then no page of the host can be. One that
            # cannot be reached is the host that cannot be: its breaker is for that.
            wait = error.retry_after if status in BUSY or isinstance(error, RobotsDenied) else None
        rest = min(max(wait, 0.0), self._longest) if wait is not None else 0.0
        breaker, pace = known.breaker, known.pace
        alone, known.alone = known.alone, False
        if fails(error, status):
            words = str(error) if error is not None else f"it answered {status}"
            rest = max(rest, breaker.failed(now, seen.elapsed, words))
            if breaker.down:
                self._down[host] = Down(breaker.since, breaker.words)
            if breaker.down:
                known.resting = rest = 0.0  # its pages only have to be told
            if breaker.open:
                self._touch(host, known, now)
        elif status is not None and breaker.failures and breaker.answered():
            self._down.pop(host, None)
            self._touch(host, known)
        if pace is not None and not breaker.open:
            if status in BUSY or isinstance(error, ConnectTimeout | ReadError | BodyCut):
                began = status is not None and status not in BUSY  # it answered: that may be this page's trouble only
                changed = pace.troubled(seen.elapsed, now, alone or began)
            else:
                changed = status is not None and status < 500 and pace.answered(seen.elapsed, now)
            if changed:
                self._touch(host, known, now)
        return self._rested(host, known, rest, now) if rest else 0.0

    def _rested(self, host: str, known: _Known, rest: float, now: float) -> float:
        known.resting = max(known.resting, now + rest)
        self._touch(host, known, now)
        return rest

    def _touch(self, key: str, known: _Known, now: float = NEVER) -> None:
        before = known.limits.state
        known.refresh()
        self._dirty.add(key)
        if known.limits.state != before:
            self._tell(key, known, before, now)

    def _tell(self, key: str, known: _Known, before: str, now: float) -> None:
        """Into the log, once for each change."""
        limits, breaker = known.limits, known.breaker
        words = breaker.words[:500]
        if limits.state == "paused":
            pause = round(breaker.pause, 1)
            log.warning("host_paused", host=key, seconds=pause, failures=breaker.failures, error=words)
        elif limits.state == "down":
            silent = round(now - breaker.since, 1)
            log.warning("host_down", host=key, seconds=silent, failures=breaker.failures, error=words)
        elif before in ("paused", "down"):
            log.info("host_back", host=key)
        elif limits.state == "slowed" and now - known.told >= TOLD_EVERY:
            known.told = now
            log.info("host_slowed", host=key, cap=limits.cap, delay=round(limits.delay, 3))

    def _note(self, key: str, known: _Known, now: float, date: float) -> Note | None:
        """The note of a slot if it is another than before; one without a value when there is nothing to say now."""
        kept, pace, breaker = Penalty(), known.pace, known.breaker
        if pace is not None and not pace.is_calm:
            kept.cap, kept.delay = float(int(pace.cap)), round(pace.delay, 3)
        if known.resting > now:
            kept.rest = round(date + known.resting - now, 3)
        if breaker.open:
            kept.pause, kept.down = breaker.pause, breaker.down
            kept.silent, kept.words = round(now - breaker.since, 3), breaker.words[:500]
        lasts = kept.cap or kept.pause
        value = msgspec.json.encode(kept) if lasts or kept.rest else None
        if value == known.noted:
            return None
        known.noted = value
        until = max(date + KEPT_FOR, kept.rest) if lasts else kept.rest or date
        return Note(KIND, key, value.decode() if value is not None else None, until)


class AdaptiveThrottle(FixedThrottle):
    """And a host in trouble is asked less, until it has recovered; see ``scraper.pace``."""

    adaptive = True


class Remembering:
    """The Learner of a throttle: puts dates to its times."""

    def __init__(self, throttle: FixedThrottle, clock: Clock) -> None:
        self._throttle = throttle
        self._clock = clock

    def notes(self) -> list[Note]:
        return self._throttle.notes(self._clock.monotonic(), self._clock.time())
