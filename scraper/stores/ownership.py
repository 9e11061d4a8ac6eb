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

import msgspec

from scraper.errors import StoreLocked
from scraper.log import Logger

try:
    import fcntl
except ImportError:  # Windows has no flock: there, two runs on one file are the caller's to avoid
    fcntl = None  # type: ignore[assignment]

IfRunning = Literal["exit", "wait", "replace"]

log = Logger("scraper.store")

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
            if fcntl is not None and not _try(file):
                owner = _owner(file)
                if self._given_up:
                    raise self._refusal()
                if self._if_running == "exit":
                    raise StoreLocked(
                        f"another run ({owner}) works on {path}; wait for it (--if-running wait), "
                        "put it out (--if-running replace), or choose another --db"
                    )
                log.warning("waiting_for_another_run", database=str(path), owner=str(owner))
                if self._if_running == "replace":
                    await self._replace(file, owner)
                else:
                    await self._wait(file)
            file.truncate(0)
            file.write(msgspec.json.encode(Owner(os.getpid(), platform.node(), time.time(), self._grace)).decode())
            file.flush()
        except BaseException:
            file.close()
            raise
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

        def tell() -> None:
            if not got.done():
                got.set_result(None)

        def wait() -> None:
            fcntl.flock(twin, fcntl.LOCK_EX)
            os.close(twin)  # when the file itself is closed already, this frees the lock again
            with suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=wait, name="lock", daemon=True).start()
        async with asyncio.timeout(seconds):
            await got

    async def _replace(self, file: IO[str], owner: Owner) -> None:
        """Ask the owner to end (it drains), then make it: nothing is lost either way."""
        if owner.host != platform.node():
            raise StoreLocked(
                f"{owner} works on {self._path}; only a run of this machine can be replaced, so stop it there"
            )
        _signal(owner, signal.SIGTERM)
        try:
            return await self._wait(file, owner.grace + PATIENCE)
        except TimeoutError:
            log.warning("killing_the_other_run", owner=str(owner), waited=owner.grace + PATIENCE)
            _signal(owner, signal.SIGKILL)
        try:
            await self._wait(file, PATIENCE)
        except TimeoutError:
            raise StoreLocked(
                f"{owner} works on {self._path} and cannot be ended; look at it, then try again"
            ) from None


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


def _signal(owner: Owner, number: Any) -> None:
    try:
        os.kill(owner.pid, number)
    except ProcessLookupError:  # it has just ended
        return
    except PermissionError as error:
        raise StoreLocked(f"{owner} is another user's and cannot be replaced; wait for its end") from error
