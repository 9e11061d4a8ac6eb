"""The ports: what each room promises to the engine room, in types and in prose.

Rooms never import each other; they meet here. Every Store passes ``scraper.testing.store_contract``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from scraper.errors import FetchError
from scraper.page import (
    Down,
    Figures,
    FileFact,
    HostLedger,
    HostLimits,
    Lease,
    Note,
    Outcome,
    Receipt,
    Run,
    Seen,
    Snapshot,
    Verdict,
)
from scraper.request import Request
from scraper.response import Response

Mode = Literal["auto", "fresh", "resume"]
"""Which run ``begin`` gives: the unfinished one if there is one, never that one, or that one and no other."""


class StoredItem(Struct, frozen=True):
    """An item as read back: ``data`` is its JSON object, decoded; runs are ids."""

    kind: str
    key: str
    data: dict[str, Any]
    url: str
    first_run: int
    last_run: int


class StoredPage(Struct, frozen=True):
    """A page as read back. ``state`` is due, retry, done, dead or left."""

    url: str
    state: str
    status: int | None
    attempts: int
    reason: str | None
    error: str | None
    depth: int
    run: int


class StoredFile(Struct, frozen=True):
    """A download as read back: what it came to last, and (kind, key, field) of the items that it is for.

    ``leads_to`` is the URL of the download that has the file when this one was redirected.
    """

    url: str
    fact: FileFact
    leads_to: str | None
    items: tuple[tuple[str, str, str], ...]
    first_run: int
    last_run: int


class Store(Protocol):
    """Pages, items, runs and the ledger of one spider. One owner at a time.

    All times are epoch seconds and passed in. Every method may raise StoreError; after one the
    store is only good for ``close``, and nothing that was committed is lost.
    """

    async def open(self) -> None:
        """Own the store. Raises StoreLocked while another owner is alive; a dead one never blocks."""

    async def close(self) -> None:
        """Give it back. Leases end with their owner: every page not finished is due again."""

    async def begin(self, spider: str, now: float, mode: Mode = "auto", scope: str | None = None) -> Run:
        """Resume the unfinished run, or begin a new one in which every page met is due again.

        ``fresh`` abandons an unfinished run, ``resume`` insists on one (UsageError when there is none).
        ``scope`` is JSON that says what the run follows; it is kept for those who ask why.
        A page during whose reading the owner died again and again may be dead after it.
        """

    async def revive(
        self, spider: str, reasons: Collection[str], now: float, scope: str | None = None
    ) -> tuple[Run, int]:
        """Instead of ``begin``: the dead pages of the last run are due again, in that very run, and nothing else is.

        Only those with one of ``reasons`` (shell patterns; empty: all). What their errbacks gave is taken back.
        Returns the run and how many they are; with none, nothing has changed. A revival that was stopped goes on
        as it is, and is never none: its end is still to be written. Raises UsageError when there is no run, or
        one that has not come to its end.
        """

    async def finish(self, reason: str, now: float, finished: bool, verdicts: Sequence[Verdict] | None = None) -> None:
        """End the run; ``finished`` False leaves it to be resumed. ``verdicts`` are kept with it."""

    async def figures(self, most: int = 5) -> tuple[Figures, list[Figures]]:
        """What the run came to so far, and the last ``most`` runs before it that came to their end, latest first.

        One that a limit ended, or that was abandoned, is not among them.
        """

    async def beat(self, status: str, now: float) -> None:
        """A sign of life for those who look on from outside; ``status`` is JSON."""

    def budget(self, most: int) -> None:
        """From now on a host has at most ``most`` pages in a run (0: any number), whoever began it and however often
        it was killed; further ones are dropped with reason ``host budget``, and the receipts count them."""

    def reading(self, place: int, page: int) -> None:
        """Worker ``place`` reads ``page`` now (0: none). Costs next to nothing, and outlives the process if it can."""

    async def add(self, requests: Sequence[Request], now: float) -> int:
        """Make pages due, each once a run by fingerprint. Returns how many were new in this run."""

    async def lease(
        self, limit: int, per_host: int, now: float, until: float, full: Collection[str] = ()
    ) -> list[Lease]:
        """Up to ``limit`` due pages that nobody holds, up to ``per_host`` of one host, none of ``full`` hosts.

        Higher priority first, then older. A page is not leased again before ``until`` and is after.
        """

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back unused; the attempt does not count."""

    async def next_due(self, now: float) -> float | None:
        """The earliest date after ``now`` at which a page that waits is due; None when none waits."""

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        """Finish pages: state, links, items of all of them and the notes in one transaction, or none of it.

        A stale lease changes nothing and its Receipt says so; committing twice writes once. What a download came to
        (``seen.file``) and the files of items (``found.files``) are part of it; of an item, those of an earlier run
        in the same field are forgotten with the first of a later one.
        """

    async def save_notes(self, notes: Sequence[Note]) -> None:
        """Keep notes, each in the place of an earlier one of its kind and key."""

    async def notes(self, kind: str, now: float, keys: Collection[str] | None = None) -> dict[str, Note]:
        """The notes of a kind that are not out of date at ``now``, by key; only those of ``keys``."""

    async def seed_hosts(self, most: int = 10_000) -> list[str]:
        """Hosts of pages that no page revealed: the spider named them."""

    async def save_ledger(self, ledger: Sequence[HostLedger]) -> None:
        """Add these counts to the run's ledger."""

    async def ledger(self, most: int = 1000) -> list[HostLedger]:
        """The run's ledger, busiest hosts first."""

    async def counts(self) -> Snapshot:
        """The run's own counters, over all processes that worked on it."""

    def items(self, run: int | None = None, kind: str | None = None) -> AsyncIterator[StoredItem]:
        """Stored items in order of storing; only those that ``run`` met, only of ``kind``."""

    def pages(self, run: int | None = None) -> AsyncIterator[StoredPage]:
        """Stored pages in order of discovery."""

    async def file(self, fingerprint: bytes) -> FileFact | None:
        """What the download of that fingerprint came to last, in any run; at the end of redirects, without
        validators. None when it has come to nothing yet."""

    def files(self, run: int | None = None) -> AsyncIterator[StoredFile]:
        """Downloads that came to something, in order of discovery; only those that ``run`` met last."""


class Fetcher(Protocol):
    """Turns a Request into a Response, or raises FetchError. Wrap one to extend it."""

    async def fetch(self, request: Request) -> Response:
        """One request, one answer; redirects are not followed. Raises FetchError or Postponed (and only those)."""

    async def close(self) -> None:
        """Free what it holds."""


class Learner(Protocol):
    """What remembers something of the hosts from one crawl to the next."""

    def notes(self) -> list[Note]:
        """What is new since the last call; it is committed with the pages that are finished next."""


class Throttle(Protocol):
    """How hard a host may be asked. Pure: it is told and it answers; ``now`` is monotonic seconds.

    ``host`` is the key of its slot. One of your own inherits from this, and gives at least the first two.
    """

    def limits(self, host: str) -> HostLimits: ...

    def observe(self, host: str, seen: Seen, error: FetchError | None, now: float) -> float:
        """What the last request showed. Returns seconds for which the host must rest (0: none)."""

    def rest(self, host: str, now: float) -> float:
        """Asked when a host is met: seconds for which it must not be asked yet, by what an earlier crawl knew."""
        return 0.0

    def forgive(self, host: str) -> None:
        """Told before the failure of a page when all that waits for the host has failed before: that is no sign of the
        host any more, and each page has its own attempts."""

    def excuses(self, host: str, error: FetchError) -> bool:
        """Asked after ``observe``: whether the failure is the host's, so that it counts as no attempt of the page."""
        return False

    def trip(self, host: str, error: FetchError, attempt: int, now: float) -> float:
        """Asked before a page is given up while untried ones of its host wait: seconds for which the host is paused
        instead, the page among those that wait; 0: the page is given up."""
        return 0.0

    def given_up(self, host: str) -> Down | None:
        """Not None when the host is not to be asked any more: its pages are dead then."""
        return None


class Gate(Protocol):
    """What a fetcher tells of its requests, so that gaps are counted from the moment at which they are sent."""

    def sent(self, host: str, gone: bool = True) -> None:
        """A request to this host (not its slot key) has been put on a connection. With ``gone`` False it may still be
        in a buffer of ours, and there will be another call."""

    def waits(self, host: str) -> bool:
        """Whether requests to it are spaced: then none may be sent that was not given out."""


class RetryPolicy(Protocol):
    """Whether and when to try again; asked only after a failure."""

    def delay(self, lease: Lease, error: FetchError, now: float) -> float | None:
        """Seconds until the next attempt, or None to give up."""


class Observer(Protocol):
    """Is told what was committed; must return fast. An awaitable answer holds the writer back."""

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time, passed in. ``time`` is epoch seconds (dates), ``monotonic`` never jumps (gaps)."""

    def time(self) -> float: ...

    def monotonic(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back when ``monotonic()`` reaches ``when``."""
