"""The writer: many finished pages, one transaction.

Outcomes wait here until a group is worth a commit or one has waited long enough; the next group gathers
while the last is written. The waiting room is bounded, so a slow store slows the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from scraper.page import Note, Outcome, Receipt, Retry
from scraper.ports import Clock, Store, Timer

GROUP = 200
"""Outcomes that may be uncommitted at any moment, those being written included.

What a kill makes us fetch again is what was in flight and this. A commit begins at half of it, so that the
other half gathers meanwhile."""

MOST_RESULTS = 100_000
"""Links and items that may be uncommitted before ``put`` waits: some 30 MB of them. One outcome may have as many."""

Committed = Callable[[Sequence[Outcome], Sequence[Receipt]], Awaitable[None]]


class Writer:
    """Bounded group commit.

    Args:
        store: where the groups go.
        clock: dates and the timer of the longest wait.
        committed: awaited after each commit, before the next; what it counts is kept.
        group: outcomes that are worth a commit at once.
        linger: seconds the first outcome of a group waits at most.
        bound: outcomes that may be uncommitted before ``put`` waits.
        notes: asked before each commit for what is to be written with it.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        committed: Committed,
        *,
        group: int = GROUP // 2,
        linger: float = 0.1,
        bound: int = GROUP,
        notes: Callable[[], Sequence[Note]] = tuple,
    ) -> None:
        self._store = store
        self._clock = clock
        self._committed = committed
        self._group = group
        self._linger = linger
        self._bound = bound
        self._notes = notes
        self._waiting: list[Outcome] = []
        self._note: Note | None = None
        self._writing = 0
        self._load = 0
        self._timer: Timer | None = None
        self._go = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def pending(self) -> int:
        """Outcomes put and not yet committed."""
        return len(self._waiting) + self._writing

    async def put(self, outcome: Outcome) -> None:
        """Hand an outcome over; waits while the store is far behind."""
        await self.room()
        self.put_together((outcome,), None)

    def put_together(self, outcomes: Sequence[Outcome], note: Note | None) -> None:
        """Hand over at once, however far behind the store is, what one transaction must have: these and, in the place
        of an earlier one, the note that they made true."""
        self._note = note or self._note
        self._waiting += outcomes
        for outcome in outcomes:
            self._load += _weight(outcome)
        self._idle.clear()
        if len(self._waiting) >= self._group or self._load >= MOST_RESULTS:
            self._go.set()
        elif self._timer is None:
            self._timer = self._clock.call_at(self._clock.monotonic() + self._linger, self._go.set)

    async def room(self) -> None:
        """Wait while the store is far behind."""
        while self.pending >= self._bound or self._load >= MOST_RESULTS:
            self._space.clear()
            await self._space.wait()

    def flush(self) -> None:
        """Commit what waits without lingering."""
        if self._waiting:
            self._go.set()

    async def close(self) -> None:
        """Commit what waits and let ``run`` return."""
        self._closed = True
        self._go.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Commit group after group until closed. Raises StoreError; nothing is half written then."""
        while True:
            await self._go.wait()
            self._go.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            group, self._waiting = self._waiting, []
            note, self._note = self._note, None
            if group or note is not None:
                self._writing = len(group)
                notes = self._notes() if note is None else [*self._notes(), note]
                receipts = await self._store.commit(group, self._clock.time(), notes)
                await self._committed(group, receipts)
                self._writing = 0
                self._load -= sum(map(_weight, group))
                self._space.set()
            if len(self._waiting) >= self._group or (self._closed and self._waiting):
                self._go.set()
            elif not self._waiting:
                self._idle.set()
                if self._closed:
                    return


def _weight(outcome: Outcome) -> int:
    return 0 if isinstance(outcome, Retry) else len(outcome.found.links) + len(outcome.found.items)
