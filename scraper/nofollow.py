"""Links that a page asks robots not to follow: ``rel=nofollow``, the robots meta tag, ``X-Robots-Tag``.

There is no RFC for these; search engines wrote down what they mean. Asked only with ``obey_nofollow``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborNode

from scraper.errors import ParseError

if TYPE_CHECKING:
    from scraper.response import Response

NO = frozenset(("nofollow", "none"))
FOR_ALL = frozenset(("robots", "*"))
VALUED = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
"""Rules that have a value behind a colon; any other word before one is the name of a robot."""

_NAME = re.compile(r"[\w.*-]+", re.ASCII)


def rel_says(rel: str | None) -> bool:
    """Whether the ``rel`` of a link has ``nofollow`` in it. ``ugc`` and ``sponsored`` alone say nothing of following:
    who means both writes both."""
    return rel is not None and "nofollow" in rel.lower().split()


def page_says(response: Response, token: str) -> bool:
    """Whether a page asks us, ``token``, to follow none of its links."""
    token = token.lower()
    if headers_say(response.headers, token):
        return True
    if not response.body or not response.is_markup:
        return False
    try:
        return meta_says(response.tree.tags("meta"), token)
    except ParseError:  # the callback meets it when it asks for the tree, and may never ask
        return False


def headers_say(headers: Mapping[str, str], token: str) -> bool:
    """The same of the ``X-Robots-Tag`` headers: rules, or ``robot: rules`` for one robot; ``token`` in lower case."""
    if "X-Robots-Tag" not in headers:
        return False
    getall = getattr(headers, "getall", None)
    for line in getall("X-Robots-Tag") if getall is not None else (headers["X-Robots-Tag"],):
        meant = True
        for part in line.lower().split(","):
            name, colon, rule = part.partition(":")
            name = name.strip()
            if colon and name not in VALUED and _NAME.fullmatch(name):
                meant = name in FOR_ALL or name == token
            elif colon:
                continue
            else:
                rule = part
            if meant and rule.strip() in NO:
                return True
    return False


def meta_says(nodes: Iterable[LexborNode], token: str) -> bool:
    """The same of the meta tags of a page: those for all robots and those for us; ``token`` in lower case."""
    for node in nodes:
        attributes = node.attributes
        name = (attributes.get("name") or "").strip().lower()
        if name == "robots" or (name and name == token):
            rules = re.split(r"[\s,]+", (attributes.get("content") or "").lower())
            if not NO.isdisjoint(rules):
                return True
    return False
