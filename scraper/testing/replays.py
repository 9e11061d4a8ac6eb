"""replay: a page from a file through a callback, for tests that say themselves what they expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from scraper.discover import build
from scraper.errors import CallbackError
from scraper.offline.replay import outside_loop, replayed
from scraper.request import Request
from scraper.response import Response
from scraper.saved import saved_page
from scraper.settings import load
from scraper.spider import Spider, callback_name


@dataclass(frozen=True)
class Replay:
    """What a callback gave of a page.

    Attributes:
        items: the items as they would be stored, objects of the spider's own classes, after its steps.
        rows: the same as JSON objects, each with ``kind`` besides its fields.
        requests: the requests that would be followed.
        rejects: items that cannot be stored, as pairs of kind and reason.
        dropped: how many links and items were left out, by reason.
    """

    items: list[Any]
    rows: list[dict[str, Any]]
    requests: list[Request]
    rejects: list[tuple[str, str]]
    dropped: dict[str, int]


def replay(
    spider: type[Spider],
    page: str | Path | bytes | Response,
    *,
    url: str | None = None,
    callback: str | None = None,
    cb_kwargs: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Replay:
    """Run a callback on a page as a crawl would, steps and checks included, with the network forbidden.

    Args:
        spider: the class; it is made anew each time, with ``arguments``.
        page: a file, the body itself as bytes, or a Response.
        url: where the page comes from; by default what a saved page says itself, else ``http://localhost/``.
        callback: name of the method; ``parse`` by default.
        cb_kwargs, meta: of its request.
        status, headers: of the answer; the Content-Type is told by the file's suffix unless it is given.
        settings: settings by name, besides those of the spider and of ``scraper.toml``.

    Raises:
        CallbackError: the callback raised, or asked the network; the message has its traceback.
        UsageError: no such file, callback, argument or setting.
    """
    made = build(spider, arguments)
    if isinstance(page, Response):
        answer = page
    elif isinstance(page, bytes):
        answer = Response(Request(url or "http://localhost/").url, status, headers, page)
    else:
        answer = saved_page(Path(page), url)
    request = Request(url or answer.url, cb_kwargs=dict(cb_kwargs or {}), meta=dict(meta or {}))
    request.callback = callback_name(made, callback)
    if isinstance(page, Response) and not (callback or cb_kwargs or meta or url):
        request = page.request
    chosen = answer.headers if headers is None else {**dict(answer.headers), **headers}
    response = Response(request.url, status if status != 200 else answer.status, chosen, answer.body, request)
    found = outside_loop(lambda: replayed(made, response, load(settings or {}, spider=made.settings)))
    if found.tries:
        raise CallbackError(f"the network was asked for {', '.join(found.tries)}; a replay has none", request=request)
    if found.given.error is not None:
        trace = f"\n\n{found.trace}" if found.trace is not None else ""
        raise CallbackError(f"{found.given.error}{trace}", request=request)
    return Replay(
        items=[each.value for each in found.found.items],
        rows=[{"kind": each.kind, **msgspec.json.decode(each.data)} for each in found.found.items],
        requests=list(found.found.links),
        rejects=[(each.kind, each.reason) for each in found.found.rejects],
        dropped=found.given.dropped,
    )
