"""CSS selectors for nodes: the shortest that mean something to people and find what they should."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

_NAME = re.compile(r"-?[A-Za-z_][\w-]*", re.ASCII)
_LAYOUT = re.compile(
    r"(?:col|row|grid|flex|container|wrapper|clearfix|active|first|last|odd|even)(?:-.*|\d.*)?"
    r"|(?:[mpwhzd]|[mp][tblrxy]|text|bg|font|border|rounded|shadow|sm|md|lg|xl|is|has|js)-.*"
    r"|css-.*|.*[_-]{2}.{5,}|.*\d{4,}.*",
    re.IGNORECASE,
)
"""Classes that say where a thing stands, or that a tool has made up; not what it is."""


def classes(node: LexborNode) -> list[str]:
    """The classes that can stand in a selector as they are; those that say what it is go first."""
    found = [each for each in (node.attributes.get("class") or "").split() if _NAME.fullmatch(each)]
    return sorted(dict.fromkeys(found), key=lambda each: _LAYOUT.fullmatch(each) is not None)


def has_meaning(name: str) -> bool:
    """Whether a class says what a thing is."""
    return _LAYOUT.fullmatch(name) is None


def own_selectors(node: LexborNode) -> Iterator[str]:
    """Selectors that a node fits by itself, the most telling first: ``p.price``, ``p``."""
    tag = node.tag or "*"
    for name in classes(node):
        if has_meaning(name):
            yield f"{tag}.{name}"
    for name in ("itemprop", "data-testid", "data-test"):
        value = node.attributes.get(name)
        if value and _NAME.fullmatch(value):
            yield f"{tag}[{name}={value}]"
    yield tag
    for name in classes(node):
        if not has_meaning(name):
            yield f"{tag}.{name}"


def selectors(node: LexborNode, within: LexborNode | None) -> Iterator[str]:
    """Selectors for a node below ``within``: its own, then those that name what it stands in."""
    own = list(own_selectors(node))
    yield from own
    above = node.parent
    while above is not None and above.tag not in ("body", "html", "-undef") and not _same(above, within):
        named = next((each for each in own_selectors(above) if each != above.tag), None)
        identity = above.attributes.get("id") or ""
        if within is None and _NAME.fullmatch(identity) and not re.search(r"\d{3}", identity):
            named = f"#{identity}"
        if named is not None or above.tag in ("h1", "h2", "h3", "h4", "th", "td", "time"):
            for each in own:
                yield f"{named or above.tag} {each}"
        above = above.parent


def _same(one: LexborNode, other: LexborNode | None) -> bool:
    return other is not None and one.mem_id == other.mem_id
