"""What differs between what was expected of a page and what it gave: item by item, field by field. Values only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, TypeVar

from msgspec import Struct

from scraper.offline.given import Given, GivenItem, GivenRequest, bare

T = TypeVar("T")
K = TypeVar("K")

MOST_SHOWN = 70
"""Characters of a value that are shown."""
AROUND = 24
"""Of these, those that are shown before the first difference of two long texts."""

MISSING = object()


class Difference(Struct):
    """One thing that is not as expected. ``what`` is the item, the request or the like; ``field`` one of its fields.

    ``expected`` and ``got`` are as people read them; None: there is none.
    """

    what: str
    field: str | None = None
    expected: str | None = None
    got: str | None = None


def differences(expected: Given, got: Given, ignore: Collection[str] = ()) -> list[Difference]:
    """All of them, items first. Items are compared by kind and key; those that share both, or have no key, by place.

    Requests are compared whatever their order. ``ignore`` has names of fields, also as ``kind.field``.
    """
    found = [*_items(expected.items, got.items, ignore), *_requests(expected.requests, got.requests)]
    if got.error is None:
        if expected.error is not None:
            found.append(Difference("the callback", "error", expected.error, "none"))
        found += _rejects(expected, got)
        found += _plain("dropped", dict(expected.dropped), dict(got.dropped))
    return found


def _rejects(expected: Given, got: Given) -> Iterator[Difference]:
    """By kind and reason, however often and in whatever order."""
    before = Counter((each.kind, each.reason) for each in expected.rejects)
    after = Counter((each.kind, each.reason) for each in got.rejects)
    for (kind, reason), number in (before - after).items():
        yield Difference(f"{kind} rejected{_times(number)}", None, reason, None)
    for (kind, reason), number in (after - before).items():
        yield Difference(f"{kind} rejected{_times(number)}", None, None, reason)


def _times(number: int) -> str:
    return f" {number} times" if number > 1 else ""


def _plain(what: str, expected: dict[str, Any], got: dict[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*expected, *got)):
        yield from _field(what, name, expected.get(name, MISSING), got.get(name, MISSING))


def _items(expected: Sequence[GivenItem], got: Sequence[GivenItem], ignore: Collection[str]) -> Iterator[Difference]:
    before, after = (_grouped(each, lambda item: (item.kind, item.key)) for each in (expected, got))
    for place in dict.fromkeys((*before, *after)):
        kind, key = place
        items, others = before.get(place, []), after.get(place, [])
        many = len(items) + len(others) > 2
        for number, was, now in _paired(items, others, ignore):
            what = " ".join([kind, *([key] if key is not None else []), *([str(number)] if many else [])])
            if was is not None and now is not None:
                yield from _fields(what, was, now, ignore)
            elif was is not None:
                yield Difference(what, None, _json(was.data), None)
            elif now is not None:
                yield Difference(what, None, None, _json(now.data))


def _paired(
    before: Sequence[GivenItem], after: Sequence[GivenItem], ignore: Collection[str]
) -> Iterator[tuple[int, GivenItem | None, GivenItem | None]]:
    """Items of one kind and key side by side: equal ones first, so that a missing one does not shift all others."""
    matcher = SequenceMatcher(
        None, [_whole(each, ignore) for each in before], [_whole(each, ignore) for each in after], autojunk=False
    )
    for tag, start, end, other, other_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for step in range(max(end - start, other_end - other)):
            item = before[start + step] if start + step < end else None
            now = after[other + step] if other + step < other_end else None
            yield (start + step if item is not None else other + step) + 1, item, now


def _whole(item: GivenItem, ignore: Collection[str]) -> str:
    kept = {name: value for name, value in item.data.items() if not _ignored(item.kind, name, ignore)}
    return json.dumps(kept, sort_keys=True)


def _ignored(kind: str, name: str, ignore: Collection[str]) -> bool:
    return name in ignore or f"{kind}.{name}" in ignore


def _fields(what: str, expected: GivenItem, got: GivenItem, ignore: Collection[str]) -> Iterator[Difference]:
    for name in dict.fromkeys((*expected.data, *got.data)):
        if not _ignored(expected.kind, name, ignore):
            yield from _field(what, name, expected.data.get(name, MISSING), got.data.get(name, MISSING))


def _requests(expected: Sequence[GivenRequest], got: Sequence[GivenRequest]) -> Iterator[Difference]:
    """Requests by method, URL and body; those that are there more than once in their order."""
    before, after = (
        _grouped(each, lambda request: (request.method, request.url, request.body)) for each in (expected, got)
    )
    for identity, requests in before.items():
        others = after.pop(identity, [])
        for number, request in enumerate(requests):
            if number >= len(others):
                yield Difference(f"request {request}", None, _call(request), None)
                continue
            was, now = bare(request), bare(others[number])
            for name in GivenRequest.__struct_fields__:
                default = "parse" if name == "callback" else MISSING
                yield from _field(f"request {request}", name, was.get(name, default), now.get(name, default))
        for request in others[len(requests) :]:
            yield Difference(f"request {request}", None, None, _call(request))
    for requests in after.values():
        for request in requests:
            yield Difference(f"request {request}", None, None, _call(request))


def _grouped(values: Sequence[T], by: Callable[[T], K]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for each in values:
        found.setdefault(by(each), []).append(each)
    return found


def _call(request: GivenRequest) -> str:
    """``parse_book(name='x')``"""
    return f"{request.callback}({', '.join(f'{name}={value!r}' for name, value in request.cb_kwargs.items())})"


def _field(what: str, name: str, expected: Any, got: Any) -> Iterator[Difference]:
    if type(expected) is type(got) and isinstance(expected, dict):
        for key in dict.fromkeys((*expected, *got)):
            yield from _field(what, f"{name}.{key}", expected.get(key, MISSING), got.get(key, MISSING))
    elif type(expected) is type(got) and isinstance(expected, list) and len(expected) == len(got):
        for number, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _field(what, f"{name}[{number}]", one, other)
    elif isinstance(expected, bool) != isinstance(got, bool) or expected != got:
        yield Difference(what, name, *_shown(expected, got))


def _shown(expected: Any, got: Any) -> tuple[str, str]:
    """Both as people read them; of long texts the part where they begin to differ."""
    if isinstance(expected, str) and isinstance(got, str) and max(len(expected), len(got)) > MOST_SHOWN:
        same = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), None)
        start = max(0, (min(len(expected), len(got)) if same is None else same) - AROUND)
        return _part(expected, start), _part(got, start)
    return _json(expected), _json(got)


def _part(text: str, start: int) -> str:
    end = start + MOST_SHOWN
    part = json.dumps(text[start:end], ensure_ascii=False)
    return f"{'…' if start else ''}{part}{'…' if end < len(text) else ''} ({len(text):,} characters)"


def _json(value: Any) -> str:
    if value is MISSING:
        return "no such field"
    if value is None:
        return "None"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
