"""``kill -9``, anywhere: each of these lets several processes die on one database, then one finish.

A point is met by an event (a request, a statement, a call, a byte), except where instants are the point.
"""

import asyncio
import signal
from collections.abc import Sequence
from random import Random

from crash_bench import Life, Trial, must

START = ("before:open", "after:open", "before:begin", "after:begin", "before:add", "after:add")
MIDDLE = ("before:lease", "after:lease:2", "before:next_due", "before:commit", "after:commit", "after:commit:2")
END = ("before:release", "after:release", "before:counts", "after:counts", "before:ledger", "before:finish")
ALONE = ("before:save_ledger", "after:save_ledger", "after:finish", "before:close", "after:close")
"""Once a database: the next process has no connections to tell of, or the run is over."""

COMMITS = ("before:BEGIN", "after:BEGIN", "before:COMMIT", *(f"after:COMMIT:{number}" for number in range(1, 10)))
"""One commit after the other: were a page written in two, one of these would fall between them."""


def left(trial: Trial) -> int:
    """Pages that are not finished yet, by and large."""
    return max(trial.site.size - len(trial.done()), 2)


async def by_requests(trial: Trial, chance: Random, kills: int = 6) -> None:
    """When the site has seen so and so many requests of the process."""
    for kill in range(kills):
        point = chance.randrange(1, 3) if kill % 3 == 1 else chance.randrange(1, left(trial) // 2 + 1)
        life = await trial.start()
        trial.site.seen = lambda asked, life=life, point=point: life.kill() if asked == point else None
        await trial.end(life)
        must(life.killed, f"it was to be killed half-way: {life.err}")
    trial.site.seen = lambda asked: None
    await trial.finish()


async def at_instants(trial: Trial, chance: Random, kills: int = 4, longest: float = 1.0) -> None:
    """At a moment that nothing marks, of start-up or of the crawl."""
    for kill in range(kills):
        life = await trial.start()
        instant = chance.uniform(0.0, longest if kill else 0.2)  # the first, at least, in time
        asyncio.get_running_loop().call_later(instant, life.kill)
        await trial.end(life)
        must(life.killed or life.code == 0, life.err)
        if trial.over():
            break
    await trial.finish()


async def at_statements(trial: Trial, chance: Random, kills: int = 7) -> None:
    """When SQLite is about to run the N-th statement: while tables are made, within a transaction, between two."""
    for kill in range(kills):
        await trial.die("--die", f"statement:{chance.randrange(1, 30) if kill < 3 else chance.randrange(30, 150)}")
        if trial.over():
            break
    await trial.finish()


async def at_points(trial: Trial, chance: Random, points: Sequence[str]) -> None:
    """Before or after a call, each in a process of its own."""
    for point in points:
        await trial.die("--die", point)
    await trial.finish()


async def at_commits(trial: Trial, chance: Random) -> None:
    for point in COMMITS:
        life = await trial.live("--die", point)
        must(life.killed or life.code == 0, life.err)
        if trial.over():
            break  # there were not so many groups left
    await trial.finish()


async def in_writes(trial: Trial, chance: Random, kills: int = 4) -> None:
    """The kernel ends the process in the middle of a write, so that a frame of the WAL is torn."""
    await trial.die("--die", f"byte:{chance.randrange(0, 8_000)}")
    for _ in range(kills - 1):
        files = trial.database.parent.glob(f"{trial.database.name}*")
        size = max([40_000, *(each.stat().st_size for each in files)])
        await trial.die("--die", f"byte:{size + chance.randrange(1, 30_000)}")
    await trial.finish()


async def in_callback(trial: Trial, chance: Random) -> None:
    """A page takes the process with it, again and again; a kill less than makes it dead for that, it is mended."""
    page = chance.randrange(10, trial.site.size)
    for _ in range(4):
        trial.spider["poison"] = page
        await trial.die()
    del trial.spider["poison"]
    await trial.finish()


async def draining(trial: Trial, chance: Random) -> None:
    """SIGTERM, and while it drains (some pages hang) the kill."""
    life = await trial.start()
    point = chance.randrange(2, left(trial) // 2)
    await _drain_that_hangs(trial, life, point)
    life.kill()
    await trial.end(life)
    must(life.killed, life.err)
    trial.site.gate.set()
    await trial.finish()


async def _drain_that_hangs(trial: Trial, life: Life, point: int) -> None:
    def hang(asked: int) -> None:
        if asked == point:
            trial.site.gate.clear()
            life.send(signal.SIGTERM)

    trial.site.seen = hang
    await life.said("draining")
    trial.site.seen = lambda asked: None
