"""What a crawl asks of the process it has to itself: an event loop, signals that drain, an end that comes."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from scraper.log import Logger
from scraper.settings import Settings

T = TypeVar("T")

log = Logger("scraper.process")

M_TRIM_THRESHOLD = -1
KEPT_HEAP = 64 * 1024 * 1024
"""Bytes of free heap that are kept for the next page."""

LAST = 10.0
"""Seconds after its grace in which a crawl that drains must have come to its end."""

STOPPED_WITH_WORK_LEFT = 4
"""Exit code, as the command line has it."""


class Stoppable(Protocol):
    """A crawl, seen from here."""

    settings: Settings
    drained: bool
    """True once nothing is being fetched or read any more;"""
    cut_short: bool
    """and whether that was before its end."""

    def stop(self, reason: str = ...) -> None: ...

    def abort(self) -> None: ...


def run_alone(one: Stoppable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work()`` in an event loop of its own (uvloop where it can be had).

    The first SIGINT or SIGTERM drains ``one``, the second aborts it. Raises KeyboardInterrupt after that.
    A drain that does not end (a callback that holds the process) ends the process: the grace and 10 s after the
    signal or the deadline, with exit code 4. So does a loop that cannot be closed then (a callback's thread).
    """
    watchdog = _Watchdog(one)

    async def main() -> T:
        with _signals(one, watchdog):
            if one.settings.deadline:
                watchdog.watch(one.settings.deadline)
            try:
                return await work()
            finally:
                watchdog.close_up()

    if not faulthandler.is_enabled():
        with suppress(OSError, ValueError, AttributeError):  # stderr is no file: then there is no place for it
            faulthandler.enable()  # a parser in C that crashes leaves at least a traceback

    with _settled_memory(), watchdog, asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            return runner.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt("stopped at once by a second signal; the next crawl resumes") from None


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop of a crawl: uvloop's, or None for asyncio's own where that is not to be had."""
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


class _Watchdog:
    """Ends the process when a drain does not end. A thread of its own, for the loop may be what is stuck.

    What comes after the drain (an export, ``closed()``) may take its time; the loop's own end may not, for that
    waits for threads that callbacks have left behind.
    """

    def __init__(self, one: Stoppable) -> None:
        self._one = one
        self._timers: list[threading.Timer] = []

    def watch(self, seconds: float = 0.0) -> None:
        """A drain begins in so many seconds; from then on it has its grace, and a little, to end."""
        end_within(seconds + self._one.settings.grace + LAST, self._timers, lambda: not self._one.drained)

    def close_up(self) -> None:
        """The crawl has returned; one that was cut short has a little to close its loop."""
        self._calm()
        if self._one.cut_short:
            end_within(LAST, self._timers)

    def _calm(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def __enter__(self) -> _Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self._calm()


def end_within(
    seconds: float, timers: list[threading.Timer] | None = None, really: Callable[[], bool] = lambda: True
) -> None:
    """End the process with exit code 4 if it is still there then, and it is ``really`` meant."""

    def end() -> None:
        if not really():
            return
        text = (
            "Error: the crawl was to end and does not: a callback, a thread of one, or the disk holds it up. "
            "The process ends here; nothing committed is lost, the same command goes on.\n"
        )
        try:
            os.write(2, text.encode())
        finally:
            os._exit(STOPPED_WITH_WORK_LEFT)

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), end)
    timer.daemon = True
    timer.start()
    if timers is not None:
        timers.append(timer)


@contextmanager
def _signals(one: Stoppable, watchdog: _Watchdog) -> Iterator[None]:
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
            watchdog.watch()
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
