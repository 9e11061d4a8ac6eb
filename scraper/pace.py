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
RATE = 0.05
"""What each answer adds to the rate while there is a delay, as a part of the rate at the first delay. At twice that
rate the delay is over, and it is the cap that grows."""
NOISE = 0.5
"""Seconds of latency that mean nothing: a busy processor of our own must not pass for a slow server."""


class Pace:
    """``cap`` (a float, at most ``ceiling``) and ``delay`` (seconds, 0.0: none beyond that of the settings) now."""

    __slots__ = ("cap", "ceiling", "delay", "recent", "since", "usual")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.cap = float(ceiling)
        self.delay = 0.0
        self.since = float("-inf")
        self.recent = self.usual = -1.0  # mean latency of late, and on the whole; no answer yet

    @property
    def is_calm(self) -> bool:
        """Nothing to remember: it runs as fast as it may."""
        return not self.delay and self.cap >= self.ceiling

    def answered(self, elapsed: float, now: float) -> bool:
        """An answer after ``elapsed`` seconds. True when cap or delay may have changed."""
        if now - elapsed < self.since:
            return False
        usual = self.usual
        if usual < 0.0:
            self.recent = self.usual = elapsed
        else:
            # Down fast and up slowly, so that the usual is that of a host at ease; but a host that became
            # slower for good is not held down for ever.
            self.usual = usual + (elapsed - usual) * (0.125 if elapsed < usual else 0.01)
            self.recent += (elapsed - self.recent) * 0.125
            if self.recent > NOISE + 2.0 * self.usual and not self.delay:
                if self.cap <= 1.0:
                    return False
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

    def troubled(self, elapsed: float, now: float) -> bool:
        """Trouble with a request that took ``elapsed`` seconds. True when cap or delay have changed."""
        return False if now - elapsed < self.since else self._slower(now)

    def limit(self, ceiling: int) -> None:
        """The settings allow no more than this."""
        self.cap = float(ceiling) if self.cap >= self.ceiling else min(self.cap, float(ceiling))
        self.ceiling = ceiling

    def _slower(self, now: float) -> bool:
        self.since = now
        if self.cap > 1.0:
            self.cap = float(max(int(self.cap) // 2, 1))
        else:
            self.delay = min(max(2.0 * self.delay, self._first_delay()), MOST_DELAY)
        return True

    def _first_delay(self) -> float:
        least, most = FIRST_DELAY
        return min(max(2.0 * self.usual, least), most) if self.usual >= 0.0 else 0.25 * most
