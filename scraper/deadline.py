"""One time limit for many requests, with one timer.

``asyncio.timeout`` costs about 15 µs a request and aiohttp's total time-out 25: each arms a timer of its own.
Here all have the same number of seconds, so they fall due in the order they began, and only the oldest needs one.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import TracebackType
from typing import Any


class Overdue(Exception):
    """The block took longer than it may."""


class Deadlines:
    """``with deadlines.one():`` raises Overdue when the block takes longer than ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # A dict, for its order, and because one slow request must not keep thousands of finished ones in a queue.
        self._running: dict[Deadline, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def one(self) -> Deadline:
        """A ``with`` block for the current task."""
        return Deadline(self)

    def begin(self, deadline: Deadline) -> None:
        deadline.due = monotonic() + self._seconds
        self._running[deadline] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def end(self, deadline: Deadline) -> None:
        self._running.pop(deadline, None)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = monotonic()
        while self._running:
            first = next(iter(self._running))
            if first.due > now:
                # Loops count in milliseconds: a timer may come a moment early.
                rest = max(first.due - now, 0.001)
                self._timer = asyncio.get_running_loop().call_later(rest, self._expire)
                return
            del self._running[first]
            first.expire()


class Lone(Deadlines):
    """A limit for one request: its timer goes with it."""

    def end(self, deadline: Deadline) -> None:
        super().end(deadline)
        self.stop()


class Deadline:
    """One use of a limit. As with ``asyncio.timeout``, a cancel from outside stays a cancel."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "due")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False
        self.due = 0.0

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # only a task can be interrupted
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._deadlines.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.end(self)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise Overdue from error

    def expire(self) -> None:
        """Interrupt the block."""
        self._expired = True
        self._task.cancel()
