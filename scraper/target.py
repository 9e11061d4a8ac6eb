"""What can be followed: a URL, a node or a match that holds one, or what a LinkExtractor found."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from selectolax.lexbor import LexborNode

from scraper.nofollow import rel_says
from scraper.selector import Selector

if TYPE_CHECKING:
    from scraper.link import Link
    from scraper.xpath import Element

Target: TypeAlias = "str | Selector | LexborNode | Element | Link"


def says_nofollow(target: Target) -> bool:
    """Whether a link has ``rel=nofollow``; a URL by itself has no ``rel``."""
    match = target.match if isinstance(target, Selector) else target
    if isinstance(match, str):
        return False
    attributes = getattr(match, "attributes", None)
    return rel_says(attributes.get("rel")) if attributes is not None else getattr(match, "nofollow", False)


def href_of(target: Target) -> str | None:
    """The link in a target: itself, or the ``href`` or ``src`` of a node; None when it has neither."""
    match = target.match if isinstance(target, Selector) else target
    if isinstance(match, str):
        return match
    attributes = getattr(match, "attributes", None)
    if attributes is not None:
        name = "href" if "href" in attributes else "src"
        return (attributes[name] or "") if name in attributes else None
    url = getattr(match, "url", None)  # a Link's; what people pass by mistake has none
    return url if isinstance(url, str) else None
