"""Selector: ``.css("h1::text").get()`` over selectolax nodes, with the names a Scrapy user knows.

A match is a node or, after ``::text`` or ``::attr(name)``, a string. ``h1::text`` gives the text nodes
right below each ``h1``; ``h1 ::text`` all those at any depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar, overload

from selectolax.lexbor import LexborNode, SelectolaxError

from scraper.errors import ParseError

T = TypeVar("T")
Match = LexborNode | str

_PSEUDO = re.compile(r"(\s*)::(?:(text)|attr\(\s*([^)\s]+)\s*\))\s*$")
_SPLIT = re.compile(r""",(?=(?:[^()\[\]"']|\([^()]*\)|\[[^\]]*\]|"[^"]*"|'[^']*')*$)""")


@lru_cache(maxsize=1024)
def _plan(query: str) -> tuple[tuple[str, str, str], ...]:
    """A query as (css, what, attribute) parts; ``what`` is node, text, deep or attr.

    Parts that want the same thing are asked in one go, so matches stay in document order.
    """
    if "::" not in query:
        return ((query, "node", ""),)
    groups: dict[tuple[str, str], list[str]] = {}
    for part in _SPLIT.split(query):
        found = _PSEUDO.search(part)
        if found is None:
            what, attribute, css = "node", "", part.strip()
            if "::" in re.sub(r"\[[^\]]*\]", "", css):
                raise ParseError(f"{query!r}: only ::text and ::attr(name) are known, at the end of a selector")
        else:
            css = part[: found.start()].strip()
            attribute = found[3] or ""
            deep = bool(found[1]) or not css
            what = "attr" if attribute else ("deep" if deep else "text")
            if attribute and deep:  # "div ::attr(href)": of everything below
                css = f"{css} *" if css else "*"
            css = css or "*"
        groups.setdefault((what, attribute), []).append(css)
    return tuple((", ".join(css), what, attribute) for (what, attribute), css in groups.items())


def select(nodes: Iterable[LexborNode], query: str) -> SelectorList:
    """All matches of ``query`` at and below ``nodes``. Raises ParseError when it is not CSS."""
    matches: list[Match] = []
    for css, what, attribute in _plan(query):
        for node in nodes:
            try:
                found = node.css(css)
            except SelectolaxError as error:
                raise ParseError(f"not a CSS selector: {query!r}") from error
            if what == "node":
                matches.extend(found)
            elif what == "attr":
                for each in found:
                    attributes = each.attributes
                    if attribute in attributes:
                        matches.append(attributes[attribute] or "")
            elif what == "text":
                for each in found:
                    matches.extend(_texts(each.iter(include_text=True)))
            else:
                matches.extend(_below(found))
    return SelectorList(matches)


def _texts(nodes: Iterable[LexborNode]) -> Iterator[str]:
    for node in nodes:
        if node.is_text_node:
            yield node.text_content or ""


def _below(found: list[LexborNode]) -> Iterator[str]:
    """Text at any depth, each text node once though matches may lie inside one another."""
    seen: set[int] = set()
    for each in found:
        for node in each.traverse(include_text=True):
            if node.is_text_node and node.mem_id not in seen:
                seen.add(node.mem_id)
                yield node.text_content or ""


class Selector:
    """One match: ``node`` is the selectolax node, or None when the match is a string."""

    __slots__ = ("_match",)

    def __init__(self, match: Match) -> None:
        self._match = match

    @property
    def node(self) -> LexborNode | None:
        return None if isinstance(self._match, str) else self._match

    def css(self, query: str) -> SelectorList:
        """Matches at and below this node. Raises ParseError on a string or for a bad selector."""
        if isinstance(self._match, str):
            raise ParseError(f"css({query!r}) on text: select nodes first, ::text or ::attr() last")
        return select((self._match,), query)

    def get(self) -> str:
        """The text of a string match; the outer HTML of a node."""
        return self._match if isinstance(self._match, str) else (self._match.html or "")

    def getall(self) -> list[str]:
        """``[get()]``, so that one match and many can be treated alike."""
        return [self.get()]

    @property
    def text(self) -> str:
        """All text at and below the node, joined."""
        return self._match if isinstance(self._match, str) else self._match.text()

    @property
    def attrib(self) -> dict[str, str]:
        """Attributes by name; one without a value is the empty string. Empty for text."""
        if isinstance(self._match, str):
            return {}
        return {name: value or "" for name, value in self._match.attributes.items()}

    def re(self, pattern: str | re.Pattern[str]) -> list[str]:
        """Groups of every match of the pattern (the whole match when it has none), flattened."""
        found: list[str] = []
        for match in re.finditer(pattern, self.get()):
            found.extend(group or "" for group in match.groups()) if match.re.groups else found.append(match[0])
        return found

    @overload
    def re_first(self, pattern: str | re.Pattern[str]) -> str | None: ...
    @overload
    def re_first(self, pattern: str | re.Pattern[str], default: T) -> str | T: ...
    def re_first(self, pattern: str | re.Pattern[str], default: T | None = None) -> str | T | None:
        """The first of ``re(pattern)``, or ``default``."""
        found = self.re(pattern)
        return found[0] if found else default

    def __repr__(self) -> str:
        return f"<Selector {self.get()[:60]!r}>"


class SelectorList(Sequence[Selector]):
    """Matches in document order; most methods act on all, ``get``/``attrib``/``re_first`` on the first."""

    __slots__ = ("_matches",)

    def __init__(self, matches: list[Match]) -> None:
        self._matches = matches

    @overload
    def __getitem__(self, index: int) -> Selector: ...
    @overload
    def __getitem__(self, index: slice) -> SelectorList: ...
    def __getitem__(self, index: int | slice) -> Selector | SelectorList:
        if isinstance(index, slice):
            return SelectorList(self._matches[index])
        return Selector(self._matches[index])

    def __iter__(self) -> Iterator[Selector]:
        return map(Selector, self._matches)

    def __len__(self) -> int:
        return len(self._matches)

    def css(self, query: str) -> SelectorList:
        """Matches at and below every node here."""
        nodes = [match for match in self._matches if not isinstance(match, str)]
        if len(nodes) < len(self._matches):
            raise ParseError(f"css({query!r}) on text: select nodes first, ::text or ::attr() last")
        return select(nodes, query)

    @overload
    def get(self) -> str | None: ...
    @overload
    def get(self, default: T) -> str | T: ...
    def get(self, default: T | None = None) -> str | T | None:
        """The first match as a string (see ``Selector.get``), or ``default``."""
        for match in self._matches:
            return match if isinstance(match, str) else (match.html or "")
        return default

    def getall(self) -> list[str]:
        """Every match as a string."""
        return [match if isinstance(match, str) else (match.html or "") for match in self._matches]

    @property
    def text(self) -> str:
        """All text at and below the first match, joined; empty when there is none."""
        return self[0].text if self._matches else ""

    @property
    def attrib(self) -> dict[str, str]:
        """Attributes of the first match; empty when there is none."""
        return self[0].attrib if self._matches else {}

    def re(self, pattern: str | re.Pattern[str]) -> list[str]:
        """``Selector.re`` of every match, joined into one list."""
        return [found for each in self for found in each.re(pattern)]

    @overload
    def re_first(self, pattern: str | re.Pattern[str]) -> str | None: ...
    @overload
    def re_first(self, pattern: str | re.Pattern[str], default: T) -> str | T: ...
    def re_first(self, pattern: str | re.Pattern[str], default: T | None = None) -> str | T | None:
        """The first of ``re(pattern)``, or ``default``; stops at the first match."""
        for each in self:
            found = each.re(pattern)
            if found:
                return found[0]
        return default

    def __repr__(self) -> str:
        return f"<SelectorList of {len(self._matches)}>"
