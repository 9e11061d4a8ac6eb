"""Watchdog: warns when a callback keeps the event loop from turning, while it does.

A thread asks the loop now and then to show that it turns. When it has not for long, the stack of the loop's thread
says which callback holds it, for which URL and at which line. So nothing is written down for a page, and it costs the
crawl four calls in ``seconds``.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from time import monotonic
from types import FrameType
from typing import NamedTuple

from scraper.collect import DOORS as COLLECT
from scraper.log import Logger
from scraper.spider import Spider, seeds
from scraper.visit import Visitor

log = Logger("scraper.engine")

VISITS = frozenset((Visitor._read.__code__, Visitor._failed.__code__))
DOORS = VISITS | COLLECT | {seeds.__code__}
"""The code that calls a spider's; the frame above one of these is the spider's own."""


class Held(NamedTuple):
    """A callback on the stack: the line where it stands, and the innermost one, when that is in another function."""

    callback: str
    url: str | None
    at: str
    inside: str | None


class Watchdog:
    """``start`` it in a running loop, ``stop`` it there. 0 seconds: there is no thread, and nothing is watched."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._turned = True
        self._since = 0.0
        self._told = False

    def start(self) -> None:
        """Watch the running loop, on whose thread this is called."""
        if self._seconds:
            self.attach()
            self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
            self._thread.start()

    def attach(self) -> None:
        """Whom to look at, without a thread that does."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()

    def stop(self) -> None:
        """Watch no more; the thread has ended then."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._seconds / 4):
                self.look(monotonic())
        except RuntimeError:
            if not self._loop.is_closed():  # by a callback, or by who did not wait for us
                raise

    def look(self, now: float) -> None:
        """Has the loop turned since the last look? If not for too long, say what holds it: once for each time."""
        if self._turned:
            self._turned = self._told = False
            self._since = now
            self._loop.call_soon_threadsafe(self._turn)
        elif not self._told and now - self._since >= self._seconds:
            held = holder(sys._current_frames().get(self._watched))
            if held is not None:
                self._told = True
                log.warning(
                    "callback_blocks",
                    **{name: value for name, value in held._asdict().items() if value is not None},
                    seconds=round(now - self._since, 1),
                    hint="nothing else runs meanwhile: await it, or give it to asyncio.to_thread()",
                )

    def _turn(self) -> None:
        self._turned = True


def holder(frame: FrameType | None) -> Held | None:
    """The callback in whose call this frame is; None when it is in none."""
    inner = frame
    loaded = [sys.modules[name] for name in ("scraper.typed", "scraper.steps") if name in sys.modules]
    items = frozenset[object]().union(
        *(module.DOORS for module in loaded)
    )  # of cleaners and steps, where there are some
    method: FrameType | None = None
    while frame is not None:
        caller = frame.f_back
        if caller is not None and (caller.f_code in DOORS or caller.f_code in items) and _is_spiders(frame):
            method = frame
        if frame.f_code in VISITS or frame.f_code is seeds.__code__:
            break
        frame = caller
    if method is None or frame is None or inner is None:
        return None
    url = frame.f_locals["lease"].request.url if frame.f_code in VISITS else None
    return Held(method.f_code.co_qualname, url, _line(method), _line(inner) if inner is not method else None)


def _is_spiders(frame: FrameType) -> bool:
    """Whether it runs code of a spider, and none of ours that stands beside it."""
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package != "scraper" or isinstance(frame.f_locals.get("self"), Spider)


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
