"""Ownership: one process at a time works on a file.

An OS lock on a file beside it says so. The kernel frees it however the owner ends, so a killed one never
stands in the way, and no process number has to be guessed right for it.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal
from weakref import WeakSet

import msgspec

from scraper.errors import StoreLocked
from scraper.log import Logger

try:
    import fcntl
except ImportError:  # Windows has no flock: there, two runs on one file are the caller's to avoid
    fcntl = None  # type: ignore[assignment]

IfRunning = Literal["exit", "wait", "replace"]

log = Logger("scraper.store")

MOMENT = 0.5
"""Seconds in which one who is just coming or going has come or gone."""

MOST_ASKED = 20

PATIENCE = 10.0
"""Seconds beyond its own ``grace`` that an owner gets to end, when it is to be replaced."""


class Owner(msgspec.Struct):
    """Who holds the lock, as it wrote it down itself. ``grace``: seconds it may take to end when asked to."""

    pid: int = 0
    host: str = ""
    started: float = 0.0
    grace: float = 0.0

    def __str__(self) -> str:
        there = "" if self.host == platform.node() else f" on {self.host}"
        return f"process {self.pid}{there}" if self.pid else "a process that is just starting"


class Claim:
    """A claim to the lock on ``path``.

    Args:
        if_running: what to do while another owner has it: give up (``exit``), ``wait``, or ask it to end (``replace``).
        grace: seconds that we may take to end once we are asked to.
    """

    def __init__(self, path: Path, if_running: IfRunning, grace: float) -> None:
        self._path = path
        self._if_running = if_running
        self._grace = grace
        self._given_up = ""
        self._got: asyncio.Future[None] | None = None

    async def own(self) -> IO[str]:
        """The lock, held until the file that is returned is closed.

        Raises StoreLocked when another owner has it and keeps it; OSError when no lock can be had here at all.
        """
        path = self._path
        file = open(path.with_name(path.name + ".lock"), "a+", encoding="utf-8")  # noqa: SIM115, ASYNC230
        try:
            if fcntl is not None and not _try(file) and not await self._have_back(file):
                if self._given_up:
                    raise self._refusal()
                if self._if_running == "exit":
                    raise StoreLocked(
                        f"another run ({_owner(file)}) works on {path}; wait for it (--if-running wait), "
                        "put it out (--if-running replace), or choose another --db"
                    )
                log.warning("waiting_for_another_run", database=str(path), owner=str(_owner(file)))
                if self._if_running == "replace":
                    await self._replace(file)
                else:
                    await self._wait(file)
            file.truncate(0)
            file.write(msgspec.json.encode(Owner(os.getpid(), platform.node(), time.time(), self._grace)).decode())
            file.flush()
        except BaseException:
            file.close()
            raise
        _locks.add(file)
        return file

    def give_up(self, why: str) -> None:
        """Wait for another owner no longer: ``own`` raises StoreLocked. Changes nothing once the lock is ours."""
        self._given_up = self._given_up or why
        if self._got is not None and not self._got.done():
            self._got.set_exception(self._refusal())

    def _refusal(self) -> StoreLocked:
        return StoreLocked(f"{self._given_up} while another run worked on {self._path}; run it again later")

    async def _wait(self, file: IO[str], seconds: float | None = None) -> None:
        """Until the lock is ours. Raises TimeoutError.

        The kernel wakes a thread of its own, a daemon: one that waits for ever must not hold up our exit. It waits
        on a duplicate of the file, which means the same lock, so that it can be left behind.
        """
        loop = asyncio.get_running_loop()
        got = self._got = loop.create_future()
        twin = os.dup(file.fileno())
        _twins.add(twin)

        def tell() -> None:
            if not got.done():
                got.set_result(None)

        def wait() -> None:
            fcntl.flock(twin, fcntl.LOCK_EX)
            _twins.discard(twin)
            os.close(twin)  # when the file itself is closed already, this frees the lock again
            with suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=wait, name="lock", daemon=True).start()
        async with asyncio.timeout(seconds):
            await got

    async def _have_back(self, file: IO[str]) -> bool:
        """True when it was only a thread of ours, one that had given up waiting, that was just handed the lock."""
        if not _twins:
            return False
        try:
            await self._wait(file, MOMENT)
        except TimeoutError:
            return False
        return True

    async def _replace(self, file: IO[str]) -> None:
        """Ask the owner to end (it drains), then make it: nothing is lost either way.

        Others may wait as well, and each that comes before us is the next owner to be asked.
        """
        asked: dict[int, int] = {}
        for _ in range(MOST_ASKED):
            owner = _owner(file)
            if not owner.pid or not _is_owner(owner, file):  # it is just coming or going
                patience = MOMENT
            elif owner.host != platform.node():
                raise StoreLocked(
                    f"{owner} works on {self._path}; only a run of this machine can be replaced, so stop it there"
                )
            elif owner.pid == os.getpid():
                raise StoreLocked(f"this very process works on {self._path}; stop that crawl before another one")
            else:
                times = asked[owner.pid] = asked.get(owner.pid, 0) + 1
                if times > 2:
                    break
                if times == 2:
                    log.warning("killing_the_other_run", owner=str(owner), waited=owner.grace + PATIENCE)
                _signal(owner, signal.SIGTERM if times == 1 else signal.SIGKILL)
                patience = owner.grace + PATIENCE if times == 1 else PATIENCE
            with suppress(TimeoutError):
                return await self._wait(file, patience)
        raise StoreLocked(f"{_owner(file)} works on {self._path} and cannot be ended; look at it, then try again")


_locks: WeakSet[IO[str]] = WeakSet()
_twins: set[int] = set()
"""What a child must not inherit: a lock belongs to an open file, which fork() shares, and a worker process of a
callback that outlives its killed parent would keep the next crawl out."""


def _disinherit() -> None:
    for file in list(_locks):
        file.close()
    for twin in _twins:
        os.close(twin)
    _twins.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disinherit)


def disown(file: IO[str]) -> None:
    """Give the lock back; what stands in the file would name a process that may be another one by then."""
    if not file.closed:  # by a fork, in the child
        with suppress(OSError):  # a full disk: it is stale then, and those who read it look twice
            file.truncate(0)
        file.close()


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(file: IO[str]) -> Owner:
    file.seek(0)
    try:
        return msgspec.json.decode(file.read(), type=Owner)
    except msgspec.DecodeError:  # it has the lock and has not yet written who it is
        return Owner()


def _is_owner(owner: Owner, file: IO[str]) -> bool:
    """Whether that process has the lock file open; True when it cannot be told."""
    if owner.host != platform.node():
        return True
    return holds(owner.pid, file.name) is not False


def holds(pid: int, lock: str) -> bool | None:
    """Whether process ``pid`` of this machine has the file ``lock`` open; None when the system does not tell."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return False if os.path.isdir("/proc/self/fd") else None
    except OSError:
        return None
    target = os.path.realpath(lock)
    for name in names:
        with suppress(OSError):  # closed meanwhile
            if os.readlink(f"{folder}/{name}") == target:
                return True
    return False


def _signal(owner: Owner, number: Any) -> None:
    try:
        os.kill(owner.pid, number)
    except ProcessLookupError:  # it has just ended
        return
    except PermissionError as error:
        raise StoreLocked(f"{owner} is another user's and cannot be replaced; wait for its end") from error
