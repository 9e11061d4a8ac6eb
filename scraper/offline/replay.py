"""A page that is replayed: a crawl of this one page, as every crawl is, but that the answer comes from a file.

So steps, cleaning, checks, limits and all that a later version adds do what they would do in a crawl, and nothing of
it is built a second time here.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec import Struct

from scraper.crawl import Crawl
from scraper.errors import FetchError, UsageError
from scraper.offline.given import Given, given_of
from scraper.offline.network import forbidden
from scraper.offline.trace import Query, Spot, Trace
from scraper.page import Dead, Done, Found, Lease, Outcome, Receipt
from scraper.request import Request
from scraper.response import Response
from scraper.settings import Settings
from scraper.spider import Spider, callback_name
from scraper.stores.memory import MemoryStore


class Replayed(Struct):
    """What one page gave. ``trace`` is the traceback of a callback that raised, ``tries`` what was asked of the
    network though it was forbidden."""

    found: Found
    given: Given
    queries: list[Query]
    spots: dict[str, Spot]
    trace: str | None = None
    at: str | None = None
    tries: list[str] = []
    reason: str | None = None


class _Kept:
    """A Fetcher that has one page."""

    def __init__(self, response: Response) -> None:
        self._page = response

    async def fetch(self, request: Request) -> Response:
        page = self._page
        response = Response(page.url, page.status, page.headers, page.body, request)
        response.file, response.sha256 = page.file, page.sha256
        return response

    async def close(self) -> None:
        """Nothing is held."""


class _Never:
    """A RetryPolicy: what failed has failed."""

    def delay(self, lease: Lease, error: FetchError, now: float) -> float | None:
        return None


class _Last:
    """An Observer that keeps how the page ended."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        self.outcome = self.outcome or outcomes[0]


def replayed(spider: Spider, response: Response, settings: Settings) -> Replayed:
    """Run the callback that ``response.request`` names on this answer, and see what comes of it.

    The network is forbidden for the time. The spider is changed: make one for each replay.
    Raises UsageError for a callback that the spider does not have.
    """
    request = response.request
    callback_name(spider, request.callback)
    _stand_alone(spider, request)
    last = _Last()
    chosen = msgspec.structs.replace(settings, limit_pages=1)
    one = Crawl(
        spider,
        settings=chosen,
        store=MemoryStore(),
        fetcher=_Kept(response),
        retry=_Never(),
        observers=[last],
    )
    file = inspect.getsourcefile(type(spider)) or ""
    trace = Trace()
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.get_loop()  # made before the network is forbidden: on some systems it is a pair of sockets
        with forbidden(file) as tries, trace.noting():
            runner.run(one.run())
    return _told(last.outcome, trace, file, tries.words)


def outside_loop(call: Callable[[], Replayed]) -> Replayed:
    """The same where an event loop may be running: then in a thread, for which the loop waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def _stand_alone(spider: Spider, request: Request) -> None:
    """Nothing but this page: no seeds of its own, no words or files at the end; steps that nobody has used before."""

    async def start() -> Any:
        yield request

    for name, value in (("start", start), ("closed", lambda report: None), ("expect", ()), ("exports", ())):
        setattr(spider, name, value)
    steps: Any = getattr(spider, "steps", None)
    if isinstance(steps, list | tuple):
        setattr(spider, "steps", [_copied(step) for step in steps])  # noqa: B010 - a spider need not have any


def _copied(step: Any) -> Any:
    """A step with what it remembers as it was made: one that has seen an item must not drop it in the next replay."""
    try:
        return copy.deepcopy(step)
    except Exception:  # it holds what cannot be copied, such as a lock: then it is shared
        return step


def _told(outcome: Outcome | None, trace: Trace, file: str, tries: list[str]) -> Replayed:
    queries = list(trace.queries.values())
    if isinstance(outcome, Done):
        return Replayed(
            outcome.found, given_of(outcome.found), queries, trace.spots, tries=tries, reason=outcome.reason
        )
    if not isinstance(outcome, Dead):
        raise UsageError("the page was not visited; its request leads nowhere")
    words = outcome.error.strip().splitlines()[0] if outcome.error.strip() else outcome.reason
    at = line_in(outcome.traceback or "", file)
    given = given_of(outcome.found, words)
    return Replayed(outcome.found, given, queries, trace.spots, outcome.traceback, at, tries, outcome.reason)


def line_in(trace: str, file: str) -> str | None:
    """``books.py:47 in parse_book: float(None)``: the last line of the spider's file in a traceback."""
    found = None
    lines = trace.splitlines()
    for number, line in enumerate(lines):
        if file and line.startswith(f'  File "{file}", line '):
            place, _, function = line.partition(f'  File "{file}", line ')[2].partition(", in ")
            code = lines[number + 1].strip() if number + 1 < len(lines) else ""
            found = f"{file.replace(chr(92), '/').rpartition('/')[2]}:{place} in {function}: {code}"
    return found
