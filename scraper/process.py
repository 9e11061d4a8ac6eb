"""What a crawl asks of the process it has to itself: an event loop, signals that drain, memory that stays."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from scraper.log import Logger

T = TypeVar("T")

log = Logger("scraper.process")

M_TRIM_THRESHOLD = -1
KEPT_HEAP = 64 * 1024 * 1024
"""Bytes of free heap that are kept for the next page."""


class Stoppable(Protocol):
    """A crawl, seen from here."""

    def stop(self, reason: str = ...) -> None: ...

    def abort(self) -> None: ...


def run_alone(one: Stoppable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work()`` in an event loop of its own (uvloop where it can be had).

    The first SIGINT or SIGTERM drains ``one``, the second aborts it. Raises KeyboardInterrupt after that.
    """

    async def main() -> T:
        with _signals(one):
            return await work()

    with _settled_memory(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt("stopped at once by a second signal; the next crawl resumes") from None


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not made for this platform
        return None
    return uvloop.new_event_loop


@contextmanager
def _settled_memory() -> Iterator[None]:
    """Two settings that are worth 15 % of a crawl's CPU time, measured on the demo site.

    A parsed page is a third of a megabyte at the top of the heap, and glibc gives that back to the system
    after every page only to ask for it again (malloc's trim threshold). And what was imported before the
    crawl will be there after it: the collector need not look at it again and again.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # another C library: it keeps its own counsel
            ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, KEPT_HEAP)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _signals(one: Stoppable) -> Iterator[None]:
    """The first signal drains, the second aborts; when the loop itself is stuck, the second interrupts it."""
    loop = asyncio.get_running_loop()
    count = 0
    draining = False

    def drain(name: str) -> None:
        nonlocal draining
        draining = True
        log.warning("draining", signal=name, hint="again to stop at once; nothing is lost either way")
        one.stop(name)

    def on_signal(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        if count == 1:
            loop.call_soon_threadsafe(drain, signal.Signals(number).name)
        elif count == 2 and draining:
            loop.call_soon_threadsafe(one.abort)
        else:
            raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    for each in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # not in the main thread: then the caller stops the crawl
            before[each] = signal.signal(each, on_signal)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
