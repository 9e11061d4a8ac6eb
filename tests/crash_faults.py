"""What may befall a crawl beside ``kill -9``: signals, storage that fails, clocks that jump, a second process.

Where it cannot go on it must stop with exit code 4 and a line that names the file, and go on once the cause is gone.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import crash_kills as kills
from crash_bench import CONCURRENCY, LEFT, LOCKED, Life, Trial, Unable, Verdict, must
from crash_kills import left
from crash_site import CrashSite

HOUR = 3600.0
GRACE = 0.5
MOMENT = 0.4
AGAIN = "same command"
"""The words that say what to do next."""


async def _begun(trial: Trial, chance: Random) -> None:
    """A crawl that was stopped half-way, cleanly: all is in its file, and none of it in a WAL."""
    life = await trial.start()
    point = chance.randrange(20, 70)
    trial.site.seen = lambda asked: life.send(signal.SIGTERM) if asked == point else None
    await trial.end(life)
    trial.site.seen = lambda asked: None
    life.expect(LEFT)
    wal = _wal(trial.database)
    must(not wal.exists() or not wal.stat().st_size, "a clean stop leaves no WAL")
    _without_wal(trial.database)  # our own reader made an empty one


# -- signals


async def drained(trial: Trial, chance: Random, number: signal.Signals = signal.SIGTERM) -> None:
    """A signal: what has begun is finished and kept, so nothing at all is fetched twice."""
    life = await trial.start()
    point = chance.randrange(1, left(trial) // 2)
    trial.site.seen = lambda asked: life.send(number) if asked == point else None
    await trial.end(life)
    trial.site.seen = lambda asked: None
    life.expect(LEFT, f"Stopped ({number.name})", AGAIN)
    life.bound = 0
    trial.to_exit.append(life.seconds)
    await trial.finish()


async def hanging(trial: Trial, chance: Random) -> None:
    """SIGTERM while some pages never come: they are given back after ``grace``, as if they had not been asked for."""
    stuck = {f"/{number}" for number in (5, 7, 11, 20)}
    trial.site.stuck = stuck.__contains__
    trial.site.gate.clear()
    life = await trial.start(grace=GRACE, read_timeout=HOUR, total_timeout=HOUR)

    def stop(asked: int) -> None:
        if len(stuck & {url[url.rindex("/") :] for url in trial.site.asked[life.number]}) == len(stuck):
            trial.site.seen = lambda asked: None
            life.send(signal.SIGTERM)

    trial.site.seen = stop
    await trial.end(life)
    life.expect(LEFT, "Stopped (SIGTERM)", AGAIN)  # by itself, and not by who watches over it
    life.bound = len(stuck)
    trial.to_exit.append(life.seconds)
    trial.site.gate.set()
    await trial.finish()


async def all_hanging(trial: Trial, chance: Random) -> None:
    """SIGTERM while every connection hangs, even in robots.txt."""
    for point in (0, CONCURRENCY + 10):
        life = await trial.start(grace=GRACE, read_timeout=HOUR, total_timeout=HOUR)

        def stop(asked: int, life: Life = life, point: int = point) -> None:
            if asked == point:
                trial.site.gate.clear()
                life.send(signal.SIGTERM)

        trial.site.stuck = lambda path: True
        trial.site.seen = stop
        await trial.end(life)
        trial.site.seen = lambda asked: None
        life.expect(LEFT, "Stopped (SIGTERM)", AGAIN)
        life.bound = CONCURRENCY
        trial.to_exit.append(life.seconds)
        trial.site.gate.set()
    await trial.finish()


async def second_signal(trial: Trial, chance: Random) -> None:
    """SIGINT twice while the drain hangs: it stops at once."""
    life = await trial.start(grace=HOUR)
    point = chance.randrange(10, left(trial) // 2)

    def hang(asked: int) -> None:
        if asked == point:
            trial.site.gate.clear()
            life.send(signal.SIGINT)

    trial.site.seen = hang
    await life.said("draining")
    trial.site.seen = lambda asked: None
    life.send(signal.SIGINT)
    await trial.end(life)
    life.expect(LEFT, "Stopped at once", AGAIN)
    trial.to_exit.append(life.seconds)
    trial.site.gate.set()
    await trial.finish()


# -- storage


async def full(trial: Trial, chance: Random) -> None:
    """No file may grow past a limit (EFBIG): at the first write, while tables are made, in the crawl."""
    for room in (0, 9_000, 36_000, 150_000 + chance.randrange(0, 60_000)):
        life = await trial.live("--room", room)
        life.complains(trial.database)
    await trial.finish()


async def full_disk(trial: Trial, chance: Random) -> None:
    """A file system of its own runs out of space (ENOSPC), and is given more."""
    with small_disk(trial.database.parent / "disk", "size=400k") as disk:
        trial.database = disk / "crash.db"
        life = await trial.live()
        life.complains(trial.database, "full")
        must(life.kept > 0, "it was to fail half-way")
        _mount("-o", "remount,size=64m", str(disk))
        await trial.finish()
        trial.database = Path(shutil.copy(trial.database, disk.parent))


async def locked(trial: Trial, chance: Random) -> None:
    """Another process keeps the write lock for longer than ``busy_timeout``: from the start, and in the crawl."""
    await _begun(trial, chance)
    with _write_lock(trial.database):
        life = await trial.live(busy_timeout=0.3)
        life.complains(trial.database, "0.3 s", AGAIN)
    point = left(trial) * 3 // 5 + chance.randrange(0, 30)  # more is known by then than may wait for the writer
    with closing(sqlite3.connect(trial.database, isolation_level=None)) as other:
        trial.site.seen = lambda asked: other.execute("begin immediate") if asked == point else None
        life = await trial.live(busy_timeout=1)  # long enough for the workers to fill the waiting room
        trial.site.seen = lambda asked: None
        life.complains(trial.database, "1 s", AGAIN)
    await trial.finish()


async def locked_for_a_moment(trial: Trial, chance: Random) -> None:
    """... or for less: it waits, and nothing is lost at all."""
    point = chance.randrange(10, left(trial))
    life = await trial.start()
    with closing(sqlite3.connect(trial.database, isolation_level=None)) as other:

        def hold(asked: int) -> None:
            if asked == point:
                other.execute("begin immediate")
                asyncio.get_running_loop().call_later(MOMENT, other.execute, "rollback")

        trial.site.seen = hold
        await trial.end(life)
    life.expect(0)


async def read_only(trial: Trial, chance: Random) -> None:
    """The file may not be written; then its folder, with the lock file there and without."""
    await _begun(trial, chance)
    folder, lock = trial.database.parent, trial.database.with_name(f"{trial.database.name}.lock")
    for path, mode, keep in ((trial.database, 0o444, True), (folder, 0o555, True), (folder, 0o555, False)):
        if not keep:
            lock.unlink()
        _without_wal(trial.database)
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            life = await trial.live("--modes", readable=False)  # our reader would make the WAL that it cannot
        finally:
            path.chmod(before)
        life.complains(trial.database)
    await trial.finish()


async def corrupted(trial: Trial, chance: Random) -> None:
    """The head of the file is overwritten, then a page in its middle; after that the good file is put back."""
    await _begun(trial, chance)
    good = trial.database.read_bytes()
    size = trial.read("pragma page_size")[0][0]
    [(root,)] = trial.read("select rootpage from sqlite_schema where name = 'pages'")
    for at, garbage in ((0, 100), ((root - 1) * size, size)):
        spoilt = bytearray(good)
        spoilt[at : at + garbage] = chance.randbytes(garbage)
        trial.database.write_bytes(spoilt)
        life = await trial.live(readable=False)
        life.complains(trial.database, "damaged")
        must(AGAIN not in life.err, "the same command is no help against damage")
        trial.database.write_bytes(good)
        _without_wal(trial.database)
    await trial.finish()


async def wal_left(trial: Trial, chance: Random) -> None:
    """A kill leaves commits in the WAL alone; file and WAL are moved together to another place."""
    life = await trial.start()
    point = chance.randrange(60, left(trial) * 2 // 3)
    trial.site.seen = lambda asked: life.kill() if asked == point else None
    await trial.end(life)
    trial.site.seen = lambda asked: None
    must(life.killed and life.kept, "it was to be killed half-way")
    there = trial.database.parent / "there"
    there.mkdir()
    whole, alone = there / trial.database.name, there / "alone.db"
    shutil.copy(trial.database, alone)
    shutil.copy(trial.database, whole)
    shutil.copy(_wal(trial.database), _wal(whole))
    trial.database = alone
    must(not trial.exists("pages") or trial.committed() < life.kept, "the WAL was to hold the last commits")
    trial.database = whole
    must(trial.committed() == life.kept, "the WAL was to be moved")
    await trial.finish()


# -- clocks


async def clock_jumps(trial: Trial, chance: Random) -> None:
    """The wall clock goes back an hour while pages wait for their retry; they are not to wait an hour for it."""
    life = await trial.live("--jump", -HOUR)
    life.expect(0, "the clock jumped")


async def clock_differs(trial: Trial, chance: Random) -> None:
    """The next process has a clock that is an hour behind: dates of retries lie in its future."""
    trial.spider["pause"] = 0.5  # so that some still wait when it stops
    life = await trial.start("--clock", HOUR)
    trial.site.seen = lambda asked: life.send(signal.SIGTERM) if asked == 30 else None
    await trial.end(life)
    trial.site.seen = lambda asked: None
    life.expect(LEFT)
    must(trial.read("select count(*) from pages where state = 'retry'") > [(0,)], "pages were to wait for a retry")
    trial.spider["pause"] = 0.02
    await trial.finish()


# -- two at once


async def two_at_once(trial: Trial, chance: Random) -> None:
    """A second process on the same database is refused, and does no harm."""
    point = chance.randrange(1, left(trial))
    reached = trial.site.reach(point)
    first = await trial.start()
    await reached
    second = await trial.live()
    second.expect(LOCKED, str(trial.database), str(first.process.pid))
    must(not trial.site.asked[second.number], "the second asked for pages")
    second.kept = 0
    trial.site.gate.set()
    await trial.end(first)
    first.expect(0)


# -- what the faults are made of


def _wal(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _without_wal(database: Path) -> None:
    for rest in ("-wal", "-shm"):
        database.with_name(database.name + rest).unlink(missing_ok=True)


@contextmanager
def _write_lock(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs of so many bytes; raises Unable where nobody may mount one."""
    folder.mkdir()
    if os.geteuid() != 0:
        raise Unable("only root may mount a small file system")
    _mount("-t", "tmpfs", "-o", options, "none", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, stdin=subprocess.DEVNULL)


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unable(f"mount: {getattr(error, 'stderr', b'').decode().strip() or error}") from error


@dataclass(frozen=True)
class Fault:
    """One way to try a promise: what is done, how large the site is, and how often ``scripts/crash`` does it."""

    name: str
    what: Callable[[Trial, Random], Awaitable[None]]
    size: int = 150
    trials: int = 1


FAULTS = (
    Fault("kill -9 after so many requests", kills.by_requests, 400, 3),
    Fault("kill -9 at random instants", kills.at_instants, 400, 4),
    Fault("kill -9 before any statement", kills.at_statements, 150, 3),
    Fault("kill -9 around BEGIN and COMMIT", kills.at_commits, 400, 3),
    Fault("kill -9 in start-up", partial(kills.at_points, points=kills.START)),
    Fault("kill -9 in the loop of leases and commits", partial(kills.at_points, points=kills.MIDDLE)),
    Fault("kill -9 in a run's end", partial(kills.at_points, points=kills.END)),
    *(Fault(f"kill -9 {point}", partial(kills.at_points, points=[point])) for point in kills.ALONE),
    Fault("kill -9 in the middle of a write", kills.in_writes, 300, 3),
    Fault("kill -9 in a callback", kills.in_callback),
    Fault("kill -9 in a drain", kills.draining),
    Fault("SIGTERM", drained),
    Fault("SIGINT", partial(drained, number=signal.SIGINT)),
    Fault("SIGTERM, some pages hang", hanging),
    Fault("SIGTERM, all hangs, robots.txt too", all_hanging),
    Fault("SIGINT twice", second_signal),
    Fault("no room: a limit on the file's size", full),
    Fault("no room: a full disk", full_disk, 600),
    Fault("locked for too long", locked, 900),
    Fault("locked for a moment", locked_for_a_moment),
    Fault("read-only file, read-only folder", read_only),
    Fault("file corrupted", corrupted),
    Fault("WAL left behind, and moved", wal_left),
    Fault("clock goes back an hour", clock_jumps),
    Fault("next process an hour behind", clock_differs),
    Fault("two at once", two_at_once),
)
"""In the order in which docs/reliability.md tells of them."""


async def attempt(fault: Fault, folder: Path, seed: int) -> Verdict:
    """Bring it about once, on a site and a database of its own, and judge. Raises Broken and Unable."""
    async with CrashSite(fault.size) as site, Trial(site, folder) as trial:
        await fault.what(trial, Random(seed))
        return await trial.judge()
