"""The words that pass between rooms: what is leased, how a visit ended, what the store answered.

msgspec Structs: they are made once or more for every page (0.1 µs each; a slotted dataclass takes 0.3, and its
class half a millisecond at every start).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from scraper.request import Request


class Lease(Struct):
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
    slot: str = ""
    """The key of its slot, once it waits in one."""
    after: int = 0
    """How often it was passed over in its slot: those passed over less often go first."""


class Item(Struct):
    """One thing a callback yielded, ready to be stored.

    ``key`` is the value of the declared key, or None: then the page and the ordinal name it.
    ``data`` is a JSON object; ``value`` the object itself, for ``stream()``. ``empty`` are those of its fields
    that hold nothing: None, "", [] or {}. ``given`` is what the callback yielded, where ``value`` is another object:
    cleaned, converted, or what a step made of it.
    """

    kind: str
    key: str | None
    data: str
    fields: tuple[str, ...]
    value: Any = None
    empty: tuple[str, ...] = ()
    given: Any = None


class Reject(Struct):
    """An item that cannot be stored, and why."""

    kind: str
    reason: str
    data: str


class LinkDrop(Struct):
    """A link that a callback does not follow, and why: it is counted like those that the spider's scope drops."""

    reason: str
    url: str


class FileLink(Struct):
    """An item's wish for a file: the item by kind and key, or (key None) by its place among those of its page.

    ``wanted`` is what the callback named, until it is known which item that is. ``position`` counts the files of one
    callback.
    """

    request: Request
    field: str
    position: int
    wanted: Any = None
    kind: str = ""
    key: str | None = None
    ordinal: int = 0


class FileFact(Struct):
    """What a download came to, or came to before.

    ``status``: fetched, kept (nothing was asked), not modified, redirect (``leads_to`` is the fingerprint of its
    target), or refused (``flaw`` says why). ``path`` is below the folder of files; ``thumbs`` has by name the path,
    width, height and box of each. ``flaw`` is also why there are no thumbnails. Dates are epoch seconds: when it came,
    and when the server was last asked for it.
    """

    status: str = "fetched"
    folder: str = ""
    path: str | None = None
    sha256: str | None = None
    size: int | None = None
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    thumbs: dict[str, dict[str, Any]] = {}
    flaw: str | None = None
    leads_to: bytes | None = None
    fetched_at: float | None = None
    asked_at: float | None = None


class Unwanted(Struct, frozen=True):
    """An item that a step does not want; ``words`` are its own, or empty."""

    step: str
    words: str


class Unfit(ValueError):
    """An item that does not keep to its class; the words name the field, show the value and say why."""


class Found(Struct):
    """What one callback gave.

    ``drops`` counts the links that were not followed, by reason; ``dropped`` are some of them: (reason, URL).
    ``files`` says which of the links are files of which items; ``refused`` are objects that became no items.
    """

    links: list[Request] = []
    items: list[Item] = []
    rejects: list[Reject] = []
    drops: dict[str, int] = {}
    dropped: list[tuple[str, str]] = []
    files: list[FileLink] | None = None
    refused: list[Any] = []


class Seen(Struct):
    """What a fetch showed of the server, whether or not it gave a page.

    ``elapsed`` is seconds from the request to the whole body; ``size`` the decoded bytes.
    """

    status: int | None = None
    elapsed: float = 0.0
    size: int = 0
    reused: bool | None = None
    """Whether the connection had served before; None when that is not known."""
    keepalive: bool = True
    etag: str | None = None
    last_modified: str | None = None
    retry_after: float | None = None
    """Seconds that a 429 or 503 asked us to wait."""
    file: FileFact | None = None
    """Of a download only."""


class Done(Struct):
    """The page is finished: its links and items and its state are one write."""

    lease: Lease
    seen: Seen
    found: Found
    reason: str | None = None
    """``redirect`` when the page's one link is where it points to (``redirect offsite`` when that is not
    followed); else None."""

    @property
    def redirects(self) -> bool:
        return self.reason is not None and self.reason.startswith("redirect")


class Retry(Struct):
    """Not now: due again ``delay`` seconds after the commit, one attempt later."""

    lease: Lease
    seen: Seen
    delay: float
    reason: str
    error: str


class Dead(Struct):
    """Given up. What its errback yielded is kept."""

    lease: Lease
    seen: Seen
    reason: str
    error: str
    traceback: str | None = None
    found: Found = field(default_factory=Found)


Outcome = Done | Retry | Dead


class Note(Struct):
    """Something learnt about a host that the next crawl should know: cookies, robots.txt, how hard it may be asked.

    ``kind`` and ``key`` name it, ``value`` is text (None: forget it), ``until`` epoch seconds.
    """

    kind: str
    key: str
    value: str | None
    until: float


class Receipt(Struct):
    """What a commit did with one outcome. ``applied`` is False for a stale lease: nothing was written."""

    page: int
    applied: bool
    new_links: int = 0
    over_budget: int = 0
    """Links that were dropped because their host has all the pages that it may have."""


class HostLimits(Struct, frozen=True):
    """How hard one host may be asked: ``cap`` requests at once, ``delay`` seconds between starts.

    Each gap is stretched by a random share of up to ``jitter`` of the delay (0.5: 1.0 to 1.5 times):
    never shorter than the delay, so that the promise can be proven. ``state`` is for those who look: ``slowed``
    (by the adaptive throttle), ``paused`` (its breaker is open) or ``down`` (given up).
    """

    cap: int
    delay: float = 0.0
    jitter: float = 0.0
    state: str = ""


class Down(Struct, frozen=True):
    """A host that is given up: ``since`` when it has not answered (monotonic seconds), ``words`` of the last error."""

    since: float
    words: str


class Run(Struct, frozen=True):
    """One execution until its frontier is empty. ``resumed`` when an earlier process began it.

    ``reopened`` when it had ended (for that reason) and goes on for its dead pages only.
    """

    id: int
    spider: str
    started: float
    resumed: bool
    reopened: str | None = None
    asked_until: float | None = None
    """Epoch seconds after which no process before this one has sent a request; None when there was none."""


class Figures(Struct):
    """What a run came to, for the rules that judge it.

    ``kinds`` counts its items by kind, ``fills`` those with a value by kind and field; ``started`` is epoch seconds.
    """

    run: int
    pages: int = 0
    items: int = 0
    rejects: int = 0
    retries: int = 0
    dead: int = 0
    kinds: dict[str, int] = {}
    fills: dict[str, dict[str, int]] = {}
    started: float = 0.0


class Verdict(Struct, frozen=True):
    """A rule as it was written, the figure it was held against as people read it, and whether it was met."""

    rule: str
    figure: str
    met: bool


class HostLedger(Struct):
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


class Snapshot(Struct, frozen=True):
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
    drops: dict[str, int] = {}
    reasons: dict[str, int] = {}
    """Dead pages by reason."""
    files: dict[str, int] = {}
    """Downloads by what they came to: fetched, kept, not modified, redirect, refused."""
    rejected: dict[str, int] = {}
    """Rejected items by kind and reason, in the words of the first of those alike; the five commonest."""

    @property
    def pages_per_second(self) -> float:
        return self.pages / self.seconds if self.seconds > 0 else 0.0
