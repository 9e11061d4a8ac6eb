"""FakeFetcher and FakeClock: the two ports that a test may fake besides the store."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

from scraper.errors import FetchError
from scraper.page import Seen
from scraper.request import Request
from scraper.response import Response

Answer = Response | FetchError | str | bytes | int | Callable[[Request], Any]


class FakeFetcher:
    """Answers from a table instead of the network.

    Args:
        answers: URL to what it gives: HTML (str or bytes), a status (int), a Response, a FetchError to
            raise, or a function (plain or async) of the Request that returns one of these. URLs that are
            not there answer 404.

    ``asked`` counts the requests by URL, ``log`` has them in order.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = {Request(url).url: answer for url, answer in answers.items()}
        self.log: list[str] = []
        self.asked: Counter[str] = Counter()
        self.closed = False

    async def fetch(self, request: Request) -> Response:
        self.log.append(request.url)
        self.asked[request.url] += 1
        answer = self.answers.get(request.url, 404)
        if callable(answer):
            answer = answer(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        if isinstance(answer, FetchError):
            raise answer
        if isinstance(answer, Response):  # a new one, for each request has its own
            copy = Response(answer.url, answer.status, answer.headers, answer.body, request, answer.seen)
            copy.file, copy.sha256 = answer.file, answer.sha256
            return copy
        status, body = (answer, b"") if isinstance(answer, int) else (200, answer)
        if isinstance(body, str):
            body = body.encode()
        headers = {"Content-Type": "text/html; charset=utf-8"}
        return Response(request.url, status, headers, body, request, Seen(status, size=len(body)))

    async def close(self) -> None:
        self.closed = True


class _FakeTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """Time that stands still until ``advance``; timers go off in order while it passes.

    Args:
        now: epoch seconds at the start; ``monotonic`` begins at 0.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._start = now
        self._passed = 0.0
        self._order = count()
        self._timers: list[tuple[float, int, _FakeTimer]] = []

    def time(self) -> float:
        return self._start + self._passed

    def monotonic(self) -> float:
        return self._passed

    def call_at(self, when: float, callback: Callable[[], object]) -> _FakeTimer:
        timer = _FakeTimer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def next_timer(self) -> float | None:
        """When (monotonic seconds) the next live timer goes off; None when there is none."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def advance(self, seconds: float) -> None:
        """Let time pass; every timer that falls due on the way is called at its own moment."""
        end = self._passed + seconds
        while (when := self.next_timer()) is not None and when <= end:
            _, _, timer = heapq.heappop(self._timers)
            self._passed = max(self._passed, when)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._passed = end
