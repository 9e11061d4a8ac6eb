"""A page that was saved to a file, as the Response that it once was."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

from scraper.errors import ParseError, UsageError
from scraper.request import Request
from scraper.response import Response
from scraper.url import canonical

NOWHERE = "http://localhost/"
"""Where a page comes from that does not say so."""

_SAVED_FROM = re.compile(rb"<!-- saved from url=\(\d+\)(\S+) -->")
"""What browsers write at the top of a page that they save."""


def saved_page(path: Path, url: str | None = None) -> Response:
    """The page in a file; its links are resolved against ``url``, else against the address that it names itself.

    That is what a browser wrote as it saved the page, its ``rel=canonical``, ``og:url`` or ``<base href>``; a page
    without any of them is taken as one of ``http://localhost/``. Raises UsageError when the file cannot be read.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    kind, coding = mimetypes.guess_type(path.name)
    headers = {"Content-Type": kind} if kind is not None and coding is None else {}
    found = url or _told(body, headers) or f"{NOWHERE}{path.name}"
    return Response(Request(found).url, 200, headers, body)


def _told(body: bytes, headers: dict[str, str]) -> str | None:
    """The address that a page gives as its own."""
    if (saved := _SAVED_FROM.search(body[:4096])) is not None:
        return canonical(saved[1].decode("ascii", "replace"))
    page = Response(NOWHERE, 200, headers, body)
    if page.kind != "html":
        return None
    try:
        named = [
            *page.css("link[rel=canonical]::attr(href)").getall(),
            *page.css("meta[property='og:url']::attr(content)").getall(),
            *page.css("base::attr(href)").getall(),
        ]
    except ParseError:
        return None
    return next((found for each in named if (found := canonical(each)) is not None), None)
