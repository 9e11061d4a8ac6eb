"""What a spider makes of a page, without a crawl: the visit of a crawl, and nothing stored.

Whatever a crawl would do with a page (redirects, error statuses, rejects, links that are dropped, a callback that
raises) happens here by the very same code.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from scraper.clock import SystemClock
from scraper.curl import SECRET
from scraper.errors import FetchError
from scraper.offline.secrets import kept_body
from scraper.oneoff import OneOff
from scraper.page import Dead, Done, Found, Lease, Outcome, Retry, Run
from scraper.ports import Fetcher
from scraper.request import Request, to_json
from scraper.response import Response
from scraper.scope import Scope
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.url import host_of, shown
from scraper.visit import Visitor

OF_OWNER = {"auth", "proxy"}
HIDDEN = "***"
PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


class Tried(msgspec.Struct):
    """One page and what its callback gave.

    ``items`` are JSON objects by kind, ``drops`` counts by reason the links that would not be followed and the items
    that a step did not want, ``dropped`` shows some of them. ``error``: why there was no page, or the traceback of the
    callback.
    """

    url: str
    status: int | None
    callback: str
    error: str | None = None
    reason: str | None = None
    items: dict[str, list[dict[str, Any]]] = {}
    requests: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []
    drops: dict[str, int] = {}
    dropped: dict[str, list[str]] = {}


class _Known:
    """A fetcher that has some pages; all others come from the web, or (``inner`` None) are not to be had."""

    def __init__(self, pages: Iterable[Response], inner: Fetcher | None) -> None:
        self._pages = {page.url: page for page in pages}
        self._inner = inner

    async def fetch(self, request: Request) -> Response:
        page = self._pages.get(request.url)
        if page is not None:
            page.request = request
            return page
        if self._inner is None:
            raise FetchError(f"{request.url} is not among the pages that are known", request=request)
        return await self._inner.fetch(request)

    async def close(self) -> None:
        """Holds nothing."""


class _Never:
    """No page is tried again."""

    def delay(self, lease: Lease, error: Exception, now: float) -> None:
        return None


async def try_out(
    spider: Spider,
    settings: Settings,
    requests: Sequence[Request],
    *,
    pages: Sequence[Response] = (),
    offline: bool = False,
    depth: int = 1,
    most: int = 20,
) -> list[Tried]:
    """The pages of ``requests`` and those they lead to, ``depth`` deep, ``most`` in all.

    Those among ``pages`` are not fetched; ``offline``, no others are to be had. A redirect is followed and counts as
    no depth of its own.
    """
    tried: list[Tried] = []
    met = {each.fingerprint for each in requests}
    waiting = deque((each, 1) for each in requests)
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        fetcher: Fetcher = _Known(pages, None)
        if not offline:
            oneoff = await stack.enter_async_context(OneOff(spider, settings))
            for each in requests:
                oneoff.name(each.url)
            fetcher = _Known(pages, oneoff)
        scope = Scope.of(spider, settings)
        visitor = Visitor(spider, scope, settings, fetcher, _Never(), clock, lambda *_: False, lambda *_: None)
        stack.callback(visitor.close)
        if scope.steps is not None:
            await stack.enter_async_context(scope.steps.opened(Run(1, spider.name, clock.time(), False)))
        while waiting and len(tried) < most:
            asked, level = waiting.popleft()
            lease = Lease(1, 1, asked, host_of(asked.url), 1, float("inf"))
            outcome = await visitor.visit(lease, 0)
            tried.append(_told(asked, outcome))
            if not isinstance(outcome, Done):
                continue
            if outcome.redirects or level < depth:
                for each in outcome.found.links:
                    if each.fingerprint not in met and len(waiting) < most:
                        met.add(each.fingerprint)
                        waiting.append((each, level if outcome.redirects else level + 1))
    return tried


def _told(request: Request, outcome: Outcome | None) -> Tried:
    found = Found() if outcome is None or isinstance(outcome, Retry) else outcome.found
    told = Tried(
        url=shown(request.url),
        status=outcome.seen.status if outcome is not None else None,
        callback=str(request.callback or "parse"),
        reason=outcome.reason if outcome is not None else None,
        items={},
        requests=[_request(each) for each in found.links],
        rejects=[{"kind": each.kind, "reason": each.reason, "data": each.data} for each in found.rejects],
        drops=found.drops,
        dropped={},
    )
    for item in found.items:
        told.items.setdefault(item.kind, []).append(msgspec.json.decode(item.data))
    for reason, url in found.dropped:
        told.dropped.setdefault(reason, []).append(url)
    if isinstance(outcome, Dead):
        told.error = _own(outcome.traceback) if outcome.traceback else f"{outcome.reason}: {outcome.error}"
    return told


def _own(trace: str) -> str:
    """A traceback without the frames of this package: how the page got to the callback says nothing."""
    lines, ours = [], False
    for line in trace.splitlines():
        if line.startswith('  File "'):
            ours = line.startswith(f'  File "{PACKAGE}')
        elif not line.startswith("   "):
            ours = False
        if not ours:
            lines.append(line)
    return "\n".join(lines) if any(line.startswith("  File ") for line in lines) else trace


def _request(request: Request) -> dict[str, Any]:
    """A request as it would be stored, its credentials hidden; a body that is text as text, else as ``base64:…``."""
    stored = to_json(request)
    more = msgspec.json.decode(stored) if stored else {}
    for name, value in more.get("headers", {}).items():
        more["headers"][name] = HIDDEN if SECRET.search(name) else value
    if "body" in more:
        more["body"] = kept_body(request.body)[0]
    if "cookies" in more:
        more["cookies"] = HIDDEN
    for name in OF_OWNER & more.get("options", {}).keys():
        more["options"][name] = HIDDEN
    return {
        "url": shown(request.url),
        "method": request.method,
        "callback": str(request.callback or "parse"),
        "more": more,
    }
