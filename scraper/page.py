"""The words that pass between rooms: what is leased, how a visit ended, what the store answered.

Plain slotted dataclasses: they are made once or more for every page (0.3 µs each; frozen ones 1.7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scraper.request import Request


@dataclass(slots=True)
class Lease:
    """The right to visit one page until ``until`` (epoch seconds).

    ``token`` tells this lease from an earlier one of the same page; ``attempt`` counts from 1.
    """

    page: int
    token: int
    request: Request
    host: str
    attempt: int
    until: float
    first_tried: float | None = None
    """Epoch seconds of the first attempt of this page in this run; None on the first attempt."""


@dataclass(slots=True)
class Item:
    """One thing a callback yielded, ready to be stored.

    ``key`` is the value of the declared key, or None: then the page and the ordinal name it.
    ``data`` is a JSON object; ``value`` the object itself, for ``stream()``.
    """

    kind: str
    key: str | None
    data: str
    fields: tuple[str, ...]
    value: Any = None


@dataclass(slots=True)
class Reject:
    """An item that cannot be stored, and why."""

    kind: str
    reason: str
    data: str


@dataclass(slots=True)
class Found:
    """What one callback gave. ``drops`` counts the links that were not followed, by reason."""

    links: list[Request] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    drops: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """What a fetch showed of the server, whether or not it gave a page.

    ``elapsed`` is seconds from the request to the whole body; ``size`` the decoded bytes.
    """

    status: int | None = None
    elapsed: float = 0.0
    size: int = 0
    reused: bool = False
    keepalive: bool = True
    etag: str | None = None
    last_modified: str | None = None


@dataclass(slots=True)
class Done:
    """The page is finished: its links and items and its state are one write."""

    lease: Lease
    seen: Seen
    found: Found
    reason: str | None = None
    """``redirect`` when the page's one link is where it points to; else None."""


@dataclass(slots=True)
class Retry:
    """Not now: due again ``delay`` seconds after the commit, one attempt later."""

    lease: Lease
    seen: Seen
    delay: float
    reason: str
    error: str


@dataclass(slots=True)
class Dead:
    """Given up. What its errback yielded is kept."""

    lease: Lease
    seen: Seen
    reason: str
    error: str
    traceback: str | None = None
    found: Found = field(default_factory=Found)


Outcome = Done | Retry | Dead


@dataclass(slots=True)
class Receipt:
    """What a commit did with one outcome. ``applied`` is False for a stale lease: nothing was written."""

    page: int
    applied: bool
    new_links: int = 0


@dataclass(slots=True, frozen=True)
class HostLimits:
    """How hard one host may be asked: ``cap`` requests at once, ``delay`` seconds between starts.

    Each gap is stretched by a random share of up to ``jitter`` of the delay (0.5: 1.0 to 1.5 times):
    never shorter than the delay, so that the promise can be proven.
    """

    cap: int
    delay: float = 0.0
    jitter: float = 0.0


@dataclass(slots=True, frozen=True)
class Run:
    """One execution until its frontier is empty. ``resumed`` when an earlier process began it."""

    id: int
    spider: str
    started: float
    resumed: bool


@dataclass(slots=True)
class HostLedger:
    """The connections of one host as we counted them; seconds where it says time.

    ``requests``: put on a connection. ``reused``: of these, on one that had served before.
    ``unanswered``: of the requests, those without a response head. ``opened``/``closed_by_peer``:
    connections. ``dropped``: reused connections that broke before an answer. ``resent``: requests that
    aiohttp sent again by itself. ``dns``/``connect``/``tls``: time paid; ``saved``: time that reuse
    saved, by this host's own mean cost of a new connection. ``peak``: most connections at once.
    """

    host: str
    requests: int = 0
    reused: int = 0
    unanswered: int = 0
    opened: int = 0
    closed_by_peer: int = 0
    dropped: int = 0
    resent: int = 0
    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    saved: float = 0.0
    peak: int = 0


@dataclass(slots=True, frozen=True)
class Snapshot:
    """All counters of a run at one moment; ``seconds`` since this process began it."""

    pages: int = 0
    items: int = 0
    rejects: int = 0
    retries: int = 0
    dead: int = 0
    links: int = 0
    redirects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    in_flight: int = 0
    queued: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    """Dead pages by reason."""

    @property
    def pages_per_second(self) -> float:
        return self.pages / self.seconds if self.seconds > 0 else 0.0
