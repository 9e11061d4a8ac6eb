"""Pages that send the reader on: the Refresh header and ``<meta http-equiv=refresh>``."""

from __future__ import annotations

import re
from typing import NamedTuple

from selectolax.lexbor import LexborNode

from scraper.errors import NestingError
from scraper.redirect import hop
from scraper.request import Request
from scraper.response import Response

LONGEST_WAIT = 100
"""Seconds; a page that is shown for longer is one to be read, and may well renew itself."""

_SPACE = r"[\t\n\f\r ]*"
_REFRESH = re.compile(
    rf"{_SPACE}(?:([0-9]+)|(?=\.))[0-9.]*(?:\Z|(?=[;,\t\n\f\r ]){_SPACE}[;,]?{_SPACE})"
    rf"(?:url{_SPACE}={_SPACE})?(?:\"([^\"]*)|'([^']*)|(.*))",
    re.IGNORECASE | re.DOTALL,
)
_META = re.compile(rb"http-equiv", re.IGNORECASE)
_HIDDEN = frozenset(("noscript", "template"))


class Refresh(NamedTuple):
    """Seconds to wait, and the URL as written; an empty one is the page itself."""

    wait: int
    url: str


def parse_refresh(text: str) -> Refresh | None:
    """What a Refresh header or the ``content`` of its ``<meta>`` says; None when it says nothing.

    HTML's "shared declarative refresh steps":
    https://html.spec.whatwg.org/multipage/semantics.html#shared-declarative-refresh-steps
    """
    found = _REFRESH.match(text)
    if found is None:
        return None
    wait, *urls = found.groups()
    return Refresh(int((wait or "0")[:9]), next((url for url in urls if url is not None), ""))


def refreshed(response: Response, limit: int) -> Request | None:
    """The request that a page sends its reader on to, or None when it does not.

    The header wins over the page. One that leads back to itself, that waits for more than `LONGEST_WAIT`, or to no
    http(s) URL is no redirect: the page is what it is. It becomes a GET. Raises RedirectError past ``limit`` hops.
    """
    found = _found(response) if response.file is None else None
    if found is None or found.wait > LONGEST_WAIT or not found.url:
        return None
    url = response.resolver[found.url]
    return hop(response, url, limit, becomes_get=True) if url is not None and url != response.url else None


def _found(response: Response) -> Refresh | None:
    header = response.headers.get("Refresh")
    if header is not None:
        return parse_refresh(header)
    if response.kind != "html":
        return None
    wide = response.encoding.startswith("utf-16")
    if not _META.search(response.text.encode() if wide else response.body):
        return None
    try:
        nodes = response.tree.tags("meta")
    except NestingError:
        return None
    known: dict[int, bool] = {}
    for node in nodes:
        attributes = node.attributes
        if (attributes.get("http-equiv") or "").lower() == "refresh" and not _is_hidden(node, known):
            found = parse_refresh(attributes.get("content") or "")
            if found is not None:
                return found
    return None


def _is_hidden(node: LexborNode, known: dict[int, bool]) -> bool:
    """Whether it is only for readers without scripts, or for scripts. ``known`` are the elements looked at before, so
    that none is twice: a hostile page has thousands, one in another."""
    path = []
    above = node.parent
    while above is not None and above.mem_id not in known:
        path.append(above.mem_id)
        if above.tag in _HIDDEN:
            known[above.mem_id] = True
            break
        above = above.parent
    hidden = above is not None and known[above.mem_id]
    known.update(dict.fromkeys(path, hidden))
    return hidden
