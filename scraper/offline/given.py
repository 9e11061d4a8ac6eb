"""What a callback gave, as it is written to ``expected.json`` and compared: items, requests, and what was left out."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from scraper.offline.secrets import kept_body, kept_carried, kept_headers, kept_options, kept_url
from scraper.page import Found, Item
from scraper.request import Request

WIDTH = 120
"""Characters of a line of JSON that people read in a review."""


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
        url=kept_url(request.url),
        callback=str(request.callback or "parse"),
        method=request.method,
        body=kept_body(request.body)[0],
        headers=kept_headers(request.headers or {}),
        meta=kept_carried(request.meta),
        cb_kwargs=kept_carried(request.cb_kwargs or {}),
        priority=request.priority,
        dont_filter=request.dont_filter,
        errback=str(request.errback) if request.errback else None,
        options=kept_options(request.options or {}),
    )


def dumps(value: Any, indent: str = "") -> str:
    """``value`` as JSON text for a review: what fits on a line stands on one, and one change changes few lines."""
    short = json.dumps(value, ensure_ascii=False)
    tall = isinstance(value, list) and any(isinstance(each, dict) for each in value)  # one item, one line at least
    if not isinstance(value, dict | list) or not value or (indent and not tall and len(indent) + len(short) <= WIDTH):
        return short
    inner = f"{indent}  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name, ensure_ascii=False)}: {dumps(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + dumps(each, inner) for each in value) + f"\n{indent}]"


def bare(value: Any) -> Any:
    """A struct, or what holds some, as plain values without the fields that are as they are by default."""
    if isinstance(value, msgspec.Struct):
        found = {name: getattr(value, name) for name in value.__struct_fields__}
        default = _defaults(type(value))
        return {name: bare(each) for name, each in found.items() if name not in default or each != default[name]}
    return [bare(each) for each in value] if isinstance(value, list) else value


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    found = {}
    for field in msgspec.structs.fields(kind):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = field.default_factory()
    return found
