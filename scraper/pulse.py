"""The pulse of a crawl: what those who look on from outside are told, every few seconds.

A timer drives it and not the commits: a crawl that waits for a slow host is alive too.
"""

from __future__ import annotations

import asyncio
from heapq import nlargest
from typing import Any

import msgspec

from scraper.engine import Engine
from scraper.page import Run, Snapshot
from scraper.ports import Clock, Store
from scraper.session import SessionPool

EVERY = 2.0
"""Seconds between two signs of life, and so what a kill may cost of the ledger."""

MOST_SLOTS = 20


class Pulse:
    """Writes the owner's sign of life and the ledger's new counts. ``pool`` None: the fetcher keeps no ledger."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, run: Run, pool: SessionPool | None) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._run = run
        self._pool = pool

    async def run(self) -> None:
        """Until cancelled. What fails here ends the crawl, which raises it."""
        wake = asyncio.Event()
        try:
            while True:
                await self.beat()
                wake.clear()
                self._clock.call_at(self._clock.monotonic() + EVERY, wake.set)
                await wake.wait()
        except Exception as error:  # nobody waits for this task: it would be dead and nobody knew
            self._engine.fail(error)

    async def beat(self) -> None:
        """One sign of life, now."""
        await self._store.beat(msgspec.json.encode(self._status()).decode(), self._clock.time())
        await self.save()

    async def save(self) -> None:
        """What the pool has counted, and what was learnt of the hosts, since the last time."""
        if notes := self._engine.notes():
            await self._store.save_notes(notes)
        if self._pool is not None and (counts := self._pool.take()):
            await self._store.save_ledger(counts)

    def _status(self) -> dict[str, Any]:
        engine = self._engine
        counts = msgspec.structs.asdict(engine.snapshot())
        now = self._clock.monotonic()
        busiest = nlargest(MOST_SLOTS, engine.frontier.slots, key=lambda slot: (slot.in_flight, len(slot.queue)))
        return {
            "run": self._run.id,
            **{name: counts[name] for name in Snapshot.__struct_fields__ if name not in ("drops", "reasons")},
            "draining": engine.draining,
            "slots": [
                {
                    "host": slot.key,
                    "queue": len(slot.queue),
                    "in_flight": slot.in_flight,
                    "cap": slot.limits.cap,
                    "delay": round(slot.limits.delay, 3),
                    "state": slot.limits.state,
                    "open": slot.open,
                    "wait": round(max(0.0, slot.ready_at - now), 3),
                }
                for slot in busiest
                if slot.in_flight or slot.queue
            ],
        }
