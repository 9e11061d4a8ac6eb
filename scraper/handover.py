"""Handover: a visit's outcome on its way to the writer, with the spider's state when its callback touched that."""

from __future__ import annotations

from collections.abc import Sequence

from scraper.errors import CallbackError
from scraper.log import Logger
from scraper.page import Dead, Lease, Note, Outcome, Retry
from scraper.state import State
from scraper.visit import Visitor
from scraper.workers import Workers
from scraper.writer import Writer

log = Logger("scraper.engine")


class Handover:
    """Between the workers and the writer of one crawl."""

    def __init__(self, state: State, workers: Workers, visitor: Visitor, writer: Writer) -> None:
        self._state = state
        self._workers = workers
        self._visitor = visitor
        self._writer = writer
        self.putting = 0
        """Outcomes that the writer has no room for yet."""

    def checked(self, number: int, outcome: Outcome) -> Outcome:
        """The outcome of a visit that has just ended; it is dead when it left in the state what cannot be kept."""
        if number in self._state.inside:
            try:
                self._state.ended()
            except CallbackError as error:
                if not isinstance(outcome, Dead) or outcome.traceback is None:  # its own error is the one to be told
                    return self._visitor.broken(outcome.lease, outcome.seen, error)
        return outcome

    async def put(self, number: int, outcome: Outcome) -> None:
        """End the visit of worker ``number``; waits while the store is far behind, or the state must not be read."""
        if number in self._state.inside:
            await self._state.together(number, outcome, self._together)
            await self._writer.room()
            return
        self._workers.ends(number)
        self.putting += 1
        await self._writer.put(outcome)
        self.putting -= 1

    def left(self, number: int) -> None:
        """The visit came to nothing that is committed: its page waits, or is given back."""
        if number in self._state.inside:
            self._state.left(number, self._together)
        self._workers.ends(number)

    def _together(self, ended: Sequence[tuple[int, Outcome]], note: Note | None) -> None:
        """Visits that touched the state, and the state as it is after them, in one transaction. They end at once: the
        lease of one that is in the writer's hands must not be given back."""
        for number, _ in ended:
            self._workers.ends(number)
        self._writer.put_together([outcome for _, outcome in ended], note)


def tell(lease: Lease, outcome: Outcome) -> None:
    """What a visit came to, into the log at debug."""
    if not log.writes("debug"):
        return
    found = outcome.found if not isinstance(outcome, Retry) else None
    why = {"reason": outcome.reason, "error": outcome.error} if isinstance(outcome, Retry) else {}
    log.debug(
        "page",
        url=lease.request.url,
        status=outcome.seen.status,
        outcome=type(outcome).__name__.lower(),
        attempt=lease.attempt,
        ms=round(outcome.seen.elapsed * 1000, 1),
        reused=outcome.seen.reused,
        items=len(found.items) if found is not None else 0,
        links=len(found.links) if found is not None else 0,
        **why,
    )
