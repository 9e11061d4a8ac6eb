"""The pace of one host: additive increase, multiplicative decrease, as TCP shares a line (RFC 5681).

Trouble (429, 503, a time-out, a reset, rising latency) halves the cap; at cap 1 it doubles the delay instead. Each
answer adds a little back: to the rate while there is a delay, to the cap after. There is one decrease a *round*: what
was asked before the last decrease tells nothing of how the host takes the new pace.
"""

from __future__ import annotations

FIRST_DELAY = (0.05, 2.0)
"""Seconds of delay that trouble at cap 1 begins with, at least and at most: between them, twice the usual latency,
which is half the rate of one request after the other."""
MOST_DELAY = 60.0
"""Where its doubling ends."""
MOST_ALONE = 2.0
"""Where it ends for pages that alone are left and have failed before: a few that are broken must not keep the end of a
crawl waiting."""
RATE = 0.1
"""What each answer adds to the rate while there is a delay, as a part of the rate at the first delay. At twice that
rate the delay is over, and it is the cap that grows."""
SLOWLY = 0.01
"""How much each answer counts in the means on the whole."""
NOISE = 0.5
"""Seconds of latency that mean nothing: a busy processor of our own must not pass for a slow server."""


class Pace:
    """``cap`` (a float, at most ``ceiling``) and ``delay`` (seconds, 0.0: none beyond that of the settings) now."""

    __slots__ = ("answers", "cap", "ceiling", "delay", "deviation", "recent", "since", "usual")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.cap = float(ceiling)
        self.delay = 0.0
        self.since = float("-inf")
        self.answers = 0
        self.recent = self.usual = self.deviation = 0.0
        """Seconds: mean latency of late, mean on the whole, and mean deviation from that."""

    @property
    def is_calm(self) -> bool:
        """Nothing to remember: it runs as fast as it may."""
        return not self.delay and self.cap >= self.ceiling

    def answered(self, elapsed: float, now: float) -> bool:
        """An answer after ``elapsed`` seconds. True when cap or delay may have changed."""
        if now - elapsed < self.since:
            return False
        self.answers += 1
        if self.answers == 1:
            self.recent = self.usual = elapsed
            self.deviation = elapsed / 2.0
        else:
            # As the time-out of TCP (RFC 6298), with a plain mean at first: pages of two kinds, one quick and one slow,
            # deviate, and are no trouble. A host that became slower for good is not held down for ever.
            share = max(1.0 / self.answers, SLOWLY)
            self.deviation += (abs(elapsed - self.usual) - self.deviation) * share
            self.usual += (elapsed - self.usual) * share
            self.recent += (elapsed - self.recent) * 0.125
            if self.cap > 1.0 and self.recent > NOISE + self.usual + 2.0 * self.deviation:
                self.recent = self.usual
                return self._slower(now)
        if self.delay:
            first = self._first_delay()
            self.delay = 1.0 / (1.0 / self.delay + RATE / first)
            if self.delay < 0.5 * first:
                self.delay = 0.0
            return True
        if self.cap < self.ceiling:
            before = int(self.cap)
            self.cap = min(self.cap + 1.0 / self.cap, float(self.ceiling))
            return int(self.cap) != before
        return False

    def troubled(self, elapsed: float, now: float, alone: bool = False) -> bool:
        """Trouble with a request that took ``elapsed`` seconds, for a page that has failed before, like all that wait,
        when ``alone``: that may be all that is wrong. True when cap or delay may have changed."""
        return False if now - elapsed < self.since else self._slower(now, MOST_ALONE if alone else MOST_DELAY)

    def limit(self, ceiling: int) -> None:
        """The settings allow no more than this."""
        self.cap = float(ceiling) if self.cap >= self.ceiling else min(self.cap, float(ceiling))
        self.ceiling = ceiling

    def _slower(self, now: float, most: float = MOST_DELAY) -> bool:
        self.since = now
        if self.cap > 1.0:
            self.cap = float(max(int(self.cap) // 2, 1))
        else:
            self.delay = max(self.delay, min(max(2.0 * self.delay, self._first_delay()), most))
        return True

    def _first_delay(self) -> float:
        least, most = FIRST_DELAY
        return min(max(2.0 * self.usual, least), most) if self.answers else 0.25 * most
