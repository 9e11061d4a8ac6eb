"""What a callback gave, as it is written to ``expected.json`` and compared: items, requests, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from scraper.offline.secrets import kept_body, kept_headers, kept_options, without_password
from scraper.page import Found, Item
from scraper.request import Request


class GivenItem(Struct, kw_only=True):
    """An item as it would be stored; ``key`` is None when the class declares none."""

    kind: str
    key: str | None = None
    data: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}" if self.key is not None else self.kind


class GivenRequest(Struct):
    """A request, without what it has by default and without secrets; ``body`` is text, base64 when it is none."""

    url: str
    callback: str = "parse"
    method: str = "GET"
    body: str | None = None
    headers: dict[str, str] = {}
    meta: dict[str, Any] = {}
    cb_kwargs: dict[str, Any] = {}
    priority: int = 0
    dont_filter: bool = False
    errback: str | None = None
    options: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class GivenReject(Struct):
    """An item that cannot be stored."""

    kind: str
    reason: str


class Given(Struct):
    """All that one page gave. ``dropped`` counts by reason what was given and is not kept: links, and items that a step
    did not want. ``error`` is what the callback raised, in one line."""

    items: list[GivenItem] = []
    requests: list[GivenRequest] = []
    rejects: list[GivenReject] = []
    dropped: dict[str, int] = {}
    error: str | None = None


def given_of(found: Found, error: str | None = None) -> Given:
    """What a crawl would store of it."""
    return Given(
        items=[_item(each) for each in found.items],
        requests=[_request(each) for each in found.links],
        rejects=[GivenReject(each.kind, each.reason) for each in found.rejects],
        dropped=_dropped(found),
        error=error,
    )


def _dropped(found: Found) -> dict[str, int]:
    """Everything that is counted by reason, in a fixed order."""
    return dict(sorted(found.drops.items()))


def _item(item: Item) -> GivenItem:
    return GivenItem(kind=item.kind, key=item.key, data=msgspec.json.decode(item.data))


def _request(request: Request) -> GivenRequest:
    return GivenRequest(
        url=without_password(request.url),
        callback=str(request.callback or "parse"),
        method=request.method,
        body=kept_body(request.body)[0],
        headers=kept_headers(request.headers or {}),
        meta=plain(request.meta),
        cb_kwargs=plain(request.cb_kwargs or {}),
        priority=request.priority,
        dont_filter=request.dont_filter,
        errback=str(request.errback) if request.errback else None,
        options=kept_options(request.options or {}),
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON: a tuple is a list there."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(values))
    return found
