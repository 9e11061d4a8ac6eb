"""The circuit breaker of one host: after so many failures in a row it is paused, then probed by one request.

    closed    it answers, or has not failed often enough
    open      it rests for ``pause``, is asked once, and each failed probe doubles the pause
    down      open for longer than ``patience``: given up for this crawl

While it is open, failures are the host's and not the page's: they count as no attempt.
"""

from __future__ import annotations

from scraper.errors import (
    AddressDenied,
    BodyCut,
    ConnectError,
    FetchError,
    HostDown,
    NoSuchHost,
    ProxyError,
    ReadError,
    RobotsDenied,
    TlsError,
)
from scraper.settings import Settings

GATEWAY = frozenset((502, 503, 504, 522, 524))
"""Statuses by which something in front of the server says that the server does not answer."""

SOON = 0.01
"""Seconds before the end of its patience that are no pause any more."""

EARLY = 2
"""Failures in a row from which a page may be spared its last attempt, see `Breaker.trip`."""


def fails(error: FetchError | None, status: int | None) -> bool:
    """Whether the host has failed, and not just this page of it.

    No connection, a time-out, a reset, or a gateway's status. Any other status line is an answer, whatever becomes of
    the body after it. Nor: a name that does not exist, a bad certificate, a proxy of ours that refuses, an address we
    do not ask; those say nothing that waiting would change.
    """
    if isinstance(error, RobotsDenied):  # robots.txt could not be had: for the reason that it was raised from
        cause = error.__cause__
        return isinstance(cause, FetchError) and fails(cause, cause.status)
    if status is not None:
        return status in GATEWAY
    if isinstance(error, NoSuchHost | TlsError | ProxyError | AddressDenied | HostDown):
        return False
    return isinstance(error, ConnectError | ReadError | BodyCut)


class Breaker:
    """Times are monotonic seconds. ``since``: of the first failure after the last answer."""

    __slots__ = ("down", "failures", "open", "pause", "settings", "since", "turned", "words")

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failures = 0
        self.open = False
        self.down = False
        self.pause = 0.0
        self.since = 0.0
        self.turned = float("-inf")
        self.words = ""
        """What the last failure said."""

    def failed(self, now: float, elapsed: float, words: str) -> float:
        """A failure. Returns seconds for which the host is to rest now (0: none)."""
        if not self.failures:
            self.since = now - elapsed
        self.failures += 1
        self.words = words
        if self.open:
            # One that was on its way as the host was paused is no probe of it.
            return 0.0 if self.down or now - elapsed < self.turned else self._paused(now)
        most = self.settings.breaker_failures
        return self._paused(now) if most and self.failures >= most else 0.0

    def trip(self, now: float, attempt: int) -> float:
        """A page's last attempt failed, while others wait: open early if nothing has answered since its first.

        Or a host that is down for some minutes would cost its oldest pages all their attempts before it has failed
        often enough. Returns seconds of rest; 0: it is the page's own failure.
        """
        if not self.settings.breaker_failures or self.open or not EARLY <= attempt <= self.failures:
            return 0.0
        return self._paused(now)

    def answered(self) -> bool:
        """It answers: closed. True when there was something to forget."""
        changed = self.open
        self.failures = 0
        self.open = self.down = False
        self.pause = 0.0
        return changed

    def _paused(self, now: float) -> float:
        settings = self.settings
        patience = settings.breaker_patience
        left = self.since + patience - now
        self.turned = now
        if self.open and patience and left <= SOON:
            self.down = True
            return 0.0
        self.pause = min(2.0 * self.pause if self.open else settings.breaker_pause, settings.breaker_max_pause)
        self.open = True
        # The last probe comes when patience ends; there is one, too, where that was over before the first pause.
        return min(self.pause, left) if patience and left > SOON else self.pause
