"""The next page of an API: by cursor, page number, offset, Link header (RFC 8288), or a URL in the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from scraper.errors import ContentError, ParseError, RequestError
from scraper.request import Request
from scraper.response import Response
from scraper.url import resolve

MOST_BODY = 64 * 1024 * 1024
"""Bytes of an answer in a file that are read for the place where the next page is told."""

_PARAMETER = re.compile(r""";\s*([!#$%&'*+.^_`|~\w-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?\s*""")
_TARGET = re.compile(r"[\s,]*<([^>]*)>\s*")


def next_page(
    response: Response,
    *,
    cursor: str | None = None,
    param: str | None = None,
    url: str | None = None,
    page: str | None = None,
    pages: str | None = None,
    offset: str | None = None,
    limit: int | str | None = None,
    total: str | None = None,
    items: str | None = None,
    first: int = 1,
    **arguments: Any,
) -> Request | None:
    """The request for the page after this one, with all that belongs to this one's; None on the last.

    Give the way in which the API goes on; without one, the ``Link`` header is asked for ``rel="next"``. Paths are keys
    (or numbers, in arrays) with dots between them: ``meta.next``.

    Args:
        response: a page, as JSON.
        cursor: path to what the next page is asked for by; nothing there is the end.
        param: the parameter that it is sent in; the last key of ``cursor`` when not given.
        url: path to the URL of the next page.
        page: the parameter with the number of the page, which counts from ``first``.
        pages: path to the number of pages, if the answer has it.
        offset: the parameter with the number of rows before the page.
        limit: rows to a page, or the parameter that says how many; those that came when not given.
        total: path to the number of all rows, if the answer has it.
        items: path to the rows; a page without any is the last. Empty: the answer itself is the list.
        arguments: of Request, in place of those of this page.

    In a request with a body (JSON, as of JsonRequest), ``param``, ``page`` and ``offset`` are paths into that body.
    Raises ParseError when nothing is where it was to be, and RequestError for two ways at once.
    """
    ways = [name for name, given in (("cursor", cursor), ("url", url), ("page", page), ("offset", offset)) if given]
    if len(ways) > 1:
        raise RequestError(f"next_page() takes one of cursor, url, page and offset, not {' and '.join(ways)}")
    request = response.request
    rows: Any = None
    if items is not None and (ways or response.body or response.file):
        rows = _at(response, items)
        if rows is None or (isinstance(rows, list | dict) and not rows):
            return None
    if cursor is not None:
        value = _at(response, cursor)
        name = param or cursor.rpartition(".")[2]
        if value is None or value == "" or value is False or str(value) == _sent(request, name):
            return None
        if not isinstance(value, str | int):
            raise ParseError(f"{response.url} has no cursor at {cursor!r} but {value!r:.60}", request=request)
        return _with(request, {name: value}, arguments)
    if page is not None:
        number = _number(_sent(request, page), first)
        if pages is not None and number - first + 1 >= _count(response, pages):
            return None
        return _with(request, {page: number + 1}, arguments)
    if offset is not None:
        before = _number(_sent(request, offset), 0)
        step = _step(request, limit, rows, response)
        if step < 1 or (total is not None and before + step >= _count(response, total)):
            return None
        return _with(request, {offset: before + step}, arguments)
    href = _at(response, url) if url is not None else _next_link(response)
    if href is None or href == "":
        return None
    found = resolve(response.url, href) if isinstance(href, str) else None
    if found is None:
        raise ParseError(f"{response.url} names {href!r:.100} as its next page, no http(s) URL", request=request)
    if found == response.url:
        return None
    return request.replace(**{"url": found, "dont_filter": False, **arguments})


def link_header(value: str) -> list[tuple[str, dict[str, str]]]:
    """The links of a ``Link`` header (RFC 8288): target and parameters, names in lower case, of each."""
    links = []
    at = 0
    while target := _TARGET.match(value, at):
        at = target.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(value, at):
            at = parameter.end()
            text = parameter[2] or ""
            if text.startswith('"'):
                text = re.sub(r"\\(.)", r"\1", text[1:-1])
            parameters.setdefault(parameter[1].lower(), text)
        links.append((target[1].strip(), parameters))
    return links


def _next_link(response: Response) -> str | None:
    getall = getattr(response.headers, "getall", None)
    values: Any = getall("Link", ()) if getall is not None else (response.headers.get("Link", ""),)
    for value in values:
        for target, parameters in link_header(value):
            if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
                return target
    return None


def _at(response: Response, path: str) -> Any:
    """What is at a path of the answer; None when it ends on the way."""
    value = _answer(response)
    for key in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.lstrip("-").isdigit() and -len(value) <= int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _answer(response: Response) -> Any:
    if response.file is None:
        return response.json()
    if response.file.stat().st_size > MOST_BODY:
        raise ContentError(f"{response.url} is too large to look for its next page in it", request=response.request)
    body = response.file.read_bytes()
    return Response(response.url, headers=dict(response.headers), body=body, request=response.request).json()


def _sent(request: Request, name: str) -> str | None:
    """The value of a parameter as it was sent, in the URL or in a body of JSON."""
    if request.body:
        value: Any = _body(request)
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return None if value is None else str(value)
    return next((value for key, value in _query(request) if key == name), None)


def _query(request: Request) -> Iterator[tuple[str, str]]:
    return iter(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def _body(request: Request) -> Any:
    try:
        return msgspec.json.decode(request.body or b"")
    except ValueError as error:
        raise RequestError(f"the body of {request.url} is no JSON, so no page can be asked for in it") from error


def _with(request: Request, values: dict[str, Any], arguments: dict[str, Any]) -> Request:
    changes: dict[str, Any] = {"dont_filter": False}
    if request.body:
        whole = _body(request)
        for path, value in values.items():
            *parents, last = path.split(".")
            inner = whole
            for key in parents:
                inner = inner.setdefault(key, {})
            inner[last] = value
        changes["body"] = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    else:
        parts = urlsplit(request.url)
        left = [(key, value) for key, value in _query(request) if key not in values]
        changes["url"] = urlunsplit(parts._replace(query=urlencode([*left, *values.items()])))
    return request.replace(**(changes | arguments))


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else default


def _count(response: Response, path: str) -> int:
    value = _at(response, path)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParseError(f"{response.url} has no number at {path!r} but {value!r:.60}", request=response.request)
    return value


def _step(request: Request, limit: int | str | None, rows: Any, response: Response) -> int:
    if isinstance(limit, int):
        return limit
    sent = _number(_sent(request, limit), 0) if limit is not None else 0
    if sent:
        return sent
    if isinstance(rows, list | dict):
        return len(rows)
    raise RequestError(f"next_page() by offset needs limit=…, or items=… to count the rows of {response.url}")
