"""The tap: committed items on their way to the consumer of ``stream``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from scraper.page import Outcome, Receipt, Retry


class Tap:
    """A bounded queue from the writer to the consumer of ``stream``."""

    def __init__(self, bound: int = 1000) -> None:
        self.closed = False
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._room = asyncio.Semaphore(bound)  # beside the queue, so that the end always finds a place
        self._end = object()

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            if receipt.applied and not isinstance(outcome, Retry):
                for item in outcome.found.items:
                    if self.closed:
                        return
                    await self._room.acquire()
                    self._queue.put_nowait(item.value)

    def end(self) -> None:
        """The crawl is over: what is queued is the rest."""
        self._queue.put_nowait(self._end)

    def drop(self) -> None:
        """Let a writer that waits for room go on."""
        self._room.release()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (item := await self._queue.get()) is not self._end:
            self._room.release()
            yield item
