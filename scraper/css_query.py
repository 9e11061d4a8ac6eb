"""CSS queries: what a query wants of the nodes that it selects, and its matches one by one.

A match is a node or, after ``::text`` or ``::attr(name)``, a string. ``h1::text`` gives the text nodes
right below each ``h1``; ``h1 ::text`` (or ``h1 *::text``) all those at any depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from scraper.errors import ParseError

_PSEUDO = re.compile(r"""::(?:text|attr\(\s*(["']?)([^"')\s]+)\1\s*\))\s*$""", re.IGNORECASE)
_EVERYTHING = re.compile(r"(?:^|(?<![\s>+~])\s+)\*\s*$")  # the "*" of "div *", not that of "ul > *"
_BARE = re.compile(r":(?:is|not|has|where)\(", re.IGNORECASE)
_QUOTED = re.compile(r"""\[[^\]]*\]|"[^"]*"|'[^']*'""")
_MARK = re.compile(r"""\\.|"[^"]*"|'[^']*'|[()\[\],]""", re.DOTALL)


_ANY_PAGE = LexborHTMLParser("<p>")


class Part(NamedTuple):
    """What a query wants of the nodes that ``css`` selects."""

    css: str
    what: Literal["node", "attribute", "text"] = "node"
    attribute: str = ""
    deep: bool = False
    """Text at any depth; then no ``css`` means the node that is asked."""


@lru_cache(maxsize=1024)
def plan_of(query: str) -> tuple[Part, ...]:
    """A query as parts that each want something else. Raises ParseError when it is not CSS."""
    selectors: dict[Part, list[str]] = {}
    for text in _split(query):
        part = _part(text.strip())
        selectors.setdefault(part._replace(css=""), []).append(part.css)
    plan = tuple(part._replace(css=_union(css)) for part, css in selectors.items())
    if len(plan) > 1:
        plan = tuple(part._replace(css=_and_below(part.css), deep=False) if part.deep else part for part in plan)
    for part in plan:
        try:
            if part.css or not part.deep:
                _ANY_PAGE.css(part.css)
        except (SelectolaxError, UnicodeEncodeError) as error:  # the second: half a surrogate pair
            raise ParseError(f"not a CSS selector: {query!r}") from error
    return plan


def _split(query: str) -> Iterator[str]:
    """The selectors of a comma list."""
    depth = start = 0
    for mark in _MARK.finditer(query):
        if mark[0] in "([":
            depth += 1
        elif mark[0] in ")]":
            depth -= 1
        elif mark[0] == "," and depth == 0:
            yield query[start : mark.start()]
            start = mark.end()
    yield query[start:]


def _part(text: str) -> Part:
    pseudo = _PSEUDO.search(text)
    css = text[: pseudo.start()] if pseudo else text
    if "::" in _QUOTED.sub("", css):
        raise ParseError(f"{text!r}: only ::text and ::attr(name) are known, at the end of a selector")
    if _BARE.match(css):
        css = f"*{css}"  # without it lexbor (selectolax 1.0.2) finds nothing of ":not(p) a" below a grandchild
    if pseudo is None:
        return Part(css)
    outer = _EVERYTHING.sub("", css).rstrip()
    deep = outer != css or not css
    if outer.endswith((">", "+", "~")):
        outer, deep = f"{outer} *", False
    if pseudo[2] is None:
        return Part(outer, "text", deep=deep)
    return Part(_and_below(outer) if deep else outer, "attribute", pseudo[2])


def _union(selectors: list[str]) -> str:
    """One selector for several: a plain comma list would give a node once for each that it matches."""
    if len(selectors) == 1 or "" in selectors:
        return min(selectors)
    return f":is({', '.join(selectors)})"


def _and_below(css: str) -> str:
    return f":is({css}, {css} *)" if css else "*"


def matches_of(nodes: Sequence[LexborNode], plan: tuple[Part, ...]) -> Iterator[LexborNode | str]:
    """Every match, found as it is asked for."""
    css, what, attribute, deep = plan[0]
    for node in nodes:
        if len(plan) > 1:
            yield from _mixed(node, plan)
            continue
        found = node.css(css) if css or not deep else [node]
        if what == "node":
            yield from found
        elif what == "text":
            yield from _texts(found, deep)
        else:
            for each in found:
                attributes = each.attributes
                if attribute in attributes:
                    yield attributes[attribute] or ""


def _texts(found: list[LexborNode], deep: bool) -> Iterator[str]:
    """Text right below or (``deep``) anywhere below: in document order, each once, though matches may nest."""
    if len(found) == 1 and not deep:
        for each in found[0].iter(include_text=True):
            if each.is_text_node:
                yield each.text_content or ""
        return
    matched = {each.mem_id for each in found}
    met: set[int] = set()
    for top in found:
        if top.mem_id not in met:
            for node in top.traverse(include_text=True):
                if not node.is_text_node:
                    met.add(node.mem_id)
                elif deep or _above(node) in matched:
                    yield node.text_content or ""


def _mixed(node: LexborNode, plan: tuple[Part, ...]) -> Iterator[LexborNode | str]:
    """What several parts want, in document order."""
    wanted = [(part, {each.mem_id for each in node.css(part.css)}) for part in plan]
    for each in node.traverse(include_text=True):
        is_text = each.is_text_node
        owner = _above(each) if is_text else each.mem_id
        for part, matched in wanted:
            if owner not in matched or is_text != (part.what == "text"):
                continue
            if part.what == "text":
                yield each.text_content or ""
            elif part.what == "node":
                yield each
            elif part.attribute in each.attributes:
                yield each.attributes[part.attribute] or ""


def _above(node: LexborNode) -> int:
    parent = node.parent
    return parent.mem_id if parent is not None else 0
