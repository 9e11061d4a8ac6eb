"""Selector: ``.css("h1::text").get()`` over selectolax nodes, with the names a Scrapy user knows.

A match of ``css()`` is a node or a string, one of ``xpath()`` an element of lxml or a string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from selectolax.lexbor import LexborNode

from scraper.css_query import Part, matches_of, plan_of
from scraper.errors import ParseError
from scraper.theirs import SELECTOR, Absent

if TYPE_CHECKING:
    from scraper.xpath import Element

T = TypeVar("T")
Match: TypeAlias = "LexborNode | Element | str"
Pattern = str | re.Pattern[str]
_ONLY_NODES = frozenset((LexborNode,))


def select(nodes: Sequence[LexborNode], query: str) -> SelectorList:
    """All matches of ``query`` at and below ``nodes``. Raises ParseError when it is not CSS."""
    return SelectorList(nodes, plan_of(query))


def listed(matches: list[Match]) -> SelectorList:
    """A list of what is found already."""
    found = SelectorList((), ())
    found._matches = matches
    return found


def _nodes(matches: Sequence[Any], method: str, query: str) -> Sequence[LexborNode]:
    """Those of selectolax; what lxml has is read anew. Raises ParseError for a string among them."""
    if _ONLY_NODES.issuperset(map(type, matches)):  # nearly always: all else is looked at one by one
        return matches
    nodes = [match if isinstance(match, LexborNode | str) else match.reread() for match in matches]
    if any(isinstance(node, str) for node in nodes):
        raise ParseError(f"{method}({query!r}) on text: select nodes first, and their text or attributes last")
    return [node for node in nodes if isinstance(node, LexborNode)]


def _by_xpath(
    matches: Sequence[Match], query: str, namespaces: Mapping[str, str] | None, variables: Mapping[str, Any]
) -> SelectorList:
    from scraper.xpath import below, check  # few crawls need it

    check(query)
    found: dict[Any, Match] = {}
    for match in matches:
        if isinstance(match, str):
            raise ParseError(f"xpath({query!r}) on text: select nodes first, and their text or attributes last")
        if isinstance(match, LexborNode):
            each = below(match.html or "", match.tag or "", query, variables)
        else:
            each = match.search(query, namespaces, variables)
        for one in each:
            found.setdefault(len(found) if isinstance(one, str) else one.root, one)
    return listed(list(found.values()))


class Selector:
    """One match: ``node`` is the selectolax node, or None when the match is a string or comes from ``xpath()``."""

    __slots__ = ("_match",)
    if not TYPE_CHECKING:  # which knows better that they are not there
        extract, extract_first = Absent(SELECTOR["extract"]), Absent(SELECTOR["extract_first"])

    def __init__(self, match: Match) -> None:
        self._match = match

    @property
    def node(self) -> LexborNode | None:
        return self._match if isinstance(self._match, LexborNode) else None

    @property
    def match(self) -> Match:
        """What is matched, as it is: a node of selectolax, an element that ``xpath()`` gave, or text."""
        return self._match

    @property
    def root(self) -> Any:
        """The element of lxml, when the match comes from ``xpath()``; else None."""
        return None if isinstance(self._match, LexborNode | str) else self._match.root

    def css(self, query: str) -> SelectorList:
        """Matches at and below this node. Raises ParseError on a string or for a bad selector.

        A match of ``xpath()`` takes only what is below it along, and is read by the rules of HTML.
        """
        match = self._match
        return select((match,) if type(match) is LexborNode else _nodes((match,), "css", query), query)

    def xpath(self, query: str, namespaces: Mapping[str, str] | None = None, **variables: Any) -> SelectorList:
        """What an XPath gives at this node; needs the extra ``xpath``. ``.//`` begins here.

        A match of ``css()`` takes only what is below it along: an expression that leads out of it is a ParseError, as
        are a bad one and a string that is asked. See ``Response.xpath``.
        """
        return _by_xpath((self._match,), query, namespaces, variables)

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

    def re(self, pattern: Pattern) -> list[str]:
        """Groups of every match of the pattern (the whole match when it has none), flattened."""
        found: list[str] = []
        for match in re.finditer(pattern, self.get()):
            found.extend(match.groups("") or (match[0],))
        return found

    @overload
    def re_first(self, pattern: Pattern) -> str | None: ...
    @overload
    def re_first(self, pattern: Pattern, default: T) -> str | T: ...
    def re_first(self, pattern: Pattern, default: T | None = None) -> str | T | None:
        """The first of ``re(pattern)``, or ``default``."""
        found = self.re(pattern)
        return found[0] if found else default

    def __repr__(self) -> str:
        return f"<Selector {self.get()[:60]!r}>"


class SelectorList(Sequence[Selector]):
    """Matches in document order; most methods act on all, ``get``/``attrib``/``re_first`` on the first.

    Nothing is searched before it is asked for, and for the first match no further than that.
    """

    __slots__ = ("_matches", "_nodes", "_plan")
    if not TYPE_CHECKING:
        extract, extract_first = Absent(SELECTOR["extract"]), Absent(SELECTOR["extract_first"])

    def __init__(self, nodes: Sequence[LexborNode], plan: tuple[Part, ...]) -> None:
        self._nodes = nodes
        self._plan = plan
        self._matches: list[Match] | None = None

    @property
    def matches(self) -> list[Match]:
        """The bare nodes and strings."""
        if self._matches is None:
            self._matches = list(matches_of(self._nodes, self._plan))
        return self._matches

    def _head(self) -> Match | None:
        """The first match, without the others where the first node has it, as is most often so."""
        if self._matches is None and len(self._nodes) == 1 and len(self._plan) == 1:
            css, what, attribute, deep = self._plan[0]
            if not deep:
                node = self._nodes[0].css_first(css)
                if node is None:
                    self._matches = []
                elif what == "node":
                    return node
                elif what == "text":
                    child = node.first_child
                    if child is not None and child.is_text_node:
                        return child.text_content
                elif (value := node.attributes.get(attribute)) is not None:
                    return value
        return self.matches[0] if self.matches else None

    @overload
    def __getitem__(self, index: int) -> Selector: ...
    @overload
    def __getitem__(self, index: slice) -> SelectorList: ...
    def __getitem__(self, index: int | slice) -> Selector | SelectorList:
        if isinstance(index, slice):
            part = SelectorList((), self._plan)
            part._matches = self.matches[index]
            return part
        return Selector(self.matches[index])

    def __iter__(self) -> Iterator[Selector]:
        return map(Selector, self.matches)

    def __len__(self) -> int:
        return len(self.matches)

    def css(self, query: str) -> SelectorList:
        """Matches at and below every node here."""
        return select(_nodes(self.matches, "css", query), query)

    def xpath(self, query: str, namespaces: Mapping[str, str] | None = None, **variables: Any) -> SelectorList:
        """``Selector.xpath`` of every node here; an element that several lead to is there once."""
        return _by_xpath(self.matches, query, namespaces, variables)

    @overload
    def get(self) -> str | None: ...
    @overload
    def get(self, default: T) -> str | T: ...
    def get(self, default: T | None = None) -> str | T | None:
        """The first match as a string (see ``Selector.get``), or ``default``."""
        match = self._head()
        if match is None:
            return default
        return match if isinstance(match, str) else (match.html or "")

    def getall(self) -> list[str]:
        """Every match as a string."""
        return [match if isinstance(match, str) else (match.html or "") for match in self.matches]

    @property
    def text(self) -> str:
        """All text at and below the first match, joined; empty when there is none."""
        match = self._head()
        return Selector(match).text if match is not None else ""

    @property
    def attrib(self) -> dict[str, str]:
        """Attributes of the first match; empty when there is none."""
        match = self._head()
        return Selector(match).attrib if match is not None else {}

    def re(self, pattern: Pattern) -> list[str]:
        """``Selector.re`` of every match, joined into one list."""
        return [found for each in self for found in each.re(pattern)]

    @overload
    def re_first(self, pattern: Pattern) -> str | None: ...
    @overload
    def re_first(self, pattern: Pattern, default: T) -> str | T: ...
    def re_first(self, pattern: Pattern, default: T | None = None) -> str | T | None:
        """The first of ``re(pattern)``, or ``default``; stops at the first match."""
        match = self._head()
        if match is None:
            return default
        found = Selector(match).re(pattern)
        if not found:
            matches = matches_of(self._nodes, self._plan) if self._matches is None else self._matches
            found = next(filter(None, (Selector(each).re(pattern) for each in matches)), [])
        return found[0] if found else default

    def __repr__(self) -> str:
        first = f": {self[0].get()[:60]!r}{', …' if len(self) > 1 else ''}" if self else ""
        return f"<SelectorList of {len(self)}{first}>"
