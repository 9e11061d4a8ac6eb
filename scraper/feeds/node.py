"""Node: one element of a large XML document with all that is in it, and how it is read out of the stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder, tostring

from scraper.errors import ParseError
from scraper.feeds.markup import XML, MarkupReader
from scraper.selector import SelectorList, listed
from scraper.url import resolve

_STEP = re.compile(r"(?<![\w.{}:@'\"=-])([A-Za-z_][\w.-]*)(?![\w(:{}'\"-])")
"""A plain name in a path, where it stands for an element of whatever namespace."""


class Node:
    """An element of an XML document, as ``XMLSpider.parse_node`` gets it.

    Paths are those of ElementTree (``offer/price``, ``.//price``, ``link[@rel='next']``); ``@name`` at the end is an
    attribute. A plain name matches in any namespace and in none, ``g:price`` in that of the prefix, which
    ``namespaces`` of the spider or the document itself declares.

    Attributes:
        element: the ``xml.etree.ElementTree.Element``, for all that is not here.
        name: without namespace and prefix.
        namespace: empty when there is none.
        base: ``xml:base`` of what is around it and its own, an absolute URL; empty when there is none.
    """

    __slots__ = ("_prefixes", "base", "element")

    def __init__(self, element: Element, prefixes: Mapping[str, str], base: str = "") -> None:
        self.element = element
        self._prefixes = prefixes
        self.base = base

    @property
    def name(self) -> str:
        return self.element.tag.rpartition("}")[2]

    @property
    def namespace(self) -> str:
        return self.element.tag[1:].partition("}")[0] if self.element.tag.startswith("{") else ""

    @property
    def attrib(self) -> dict[str, str]:
        """Its attributes, by names without namespace."""
        return {name.rpartition("}")[2]: value for name, value in self.element.attrib.items()}

    @property
    def text(self) -> str:
        """All text in it, also that of the elements in it, without white space around it."""
        return "".join(self.element.itertext()).strip()

    def find(self, path: str) -> Node | None:
        """The first element at a path. Raises ParseError for what is no path."""
        found = self.findall(path)
        return found[0] if found else None

    def findall(self, path: str) -> list[Node]:
        """All elements at a path. Raises ParseError for what is no path."""
        try:
            found = self.element.findall(_anywhere(path), dict(self._prefixes))
        except (SyntaxError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ParseError(f"{path!r} is no path of ElementTree: {error}") from error
        return [Node(each, self._prefixes, _based(each, self.base)) for each in found]

    def get(self, path: str, default: str | None = None) -> str | None:
        """The text (or ``@attribute``) of the first match; ``default`` when there is none."""
        found = self.getall(path)
        return found[0] if found else default

    def getall(self, path: str) -> list[str]:
        """The texts (or ``@attributes``) of all matches."""
        where, at, attribute = path.rpartition("@") if "]" not in path.rpartition("@")[2] else (path, "", "")
        if not at:
            return [each.text for each in self.findall(path)]
        where = where.rstrip("/")
        nodes = self.findall(where) if where else [self]
        name = attribute
        prefix, colon, local = attribute.rpartition(":")
        if colon:
            name = f"{{{self._prefixes.get(prefix, prefix)}}}{local}"
        return [value for each in nodes for value in each._values(name, bool(colon))]

    def xpath(self, query: str, namespaces: Mapping[str, str] | None = None, **variables: Any) -> SelectorList:
        """As ``response.xpath()``, on a document of this element alone; its prefixes are known.

        Raises MissingExtra without lxml (the extra ``xpath``), ParseError for what is no XPath.
        """
        from scraper.xpath import parse, search  # few spiders need it

        known = {prefix: space for prefix, space in self._prefixes.items() if prefix and prefix != "xml" and space}
        root = parse(str(self).encode("utf-8", "replace"), self.name, True)
        return listed([*search(root, query, known | dict(namespaces or {}), variables, True)])

    def _values(self, name: str, exact: bool) -> list[str]:
        attributes = self.element.attrib if exact else self.attrib
        return [attributes[name]] if name in attributes else []

    def inner(self) -> str:
        """What is in it as markup, names without namespaces: XHTML in a feed as the HTML that it is."""
        copy = TreeBuilder()
        pending: list[tuple[Element, bool]] = [(self.element, False)]
        while pending:
            each, over = pending.pop()
            name = each.tag.rpartition("}")[2]
            if over:
                copy.end(name)
                if each is not self.element:
                    copy.data(each.tail or "")
                continue
            copy.start(name, {key.rpartition("}")[2]: value for key, value in each.attrib.items()})
            copy.data(each.text or "")
            pending.append((each, True))
            pending.extend((child, False) for child in reversed(each))
        whole = tostring(copy.close(), "unicode", "html")
        return whole[whole.index(">") + 1 : whole.rindex("<")].strip()

    def __str__(self) -> str:
        return tostring(self.element, "unicode")

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.text[:40]!r}>"


@lru_cache(maxsize=512)  # a spider asks for few different ones
def _anywhere(path: str) -> str:
    """The path with each plain name in any namespace. What stands in quotes or after ``@`` is left alone."""
    parts = re.split(r"""('[^']*'|"[^"]*"|\{[^}]*\})""", path)
    return "".join(each if number % 2 else _STEP.sub(r"{*}\1", each) for number, each in enumerate(parts))


def _based(element: Element, base: str) -> str:
    own = element.attrib.get(f"{{{XML}}}base")
    return (resolve(base, own) or base) if own is not None and base else (resolve(own, "") or "") if own else base


class NodeReader(MarkupReader):
    """Gives each element called ``tag`` as a Node: ``item`` in any namespace, ``g:item`` or ``{namespace}item`` in one.

    One in another is part of that one. ``url`` is where relative ``xml:base`` begin.
    """

    def __init__(self, url: str, *tags: str, namespaces: Mapping[str, str] | None = None) -> None:
        super().__init__(url)
        self._given = dict(namespaces or {})
        self._wanted = frozenset(tags)
        self._matches: dict[str, bool] = {}
        self._builder: TreeBuilder | None = None
        self._row_depth = 0
        self._bases: list[tuple[int, str]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        builder = self._builder
        if builder is not None:
            builder.start(tag, attributes)
            return
        base = attributes.get(f"{{{XML}}}base") if attributes else None
        if base is not None:
            self._bases.append((self.depth, resolve(self._base or self.url, base) or self._base))
        matches = self._matches.get(tag)
        if matches is None:
            matches = self._matches[tag] = self._is_wanted(tag)
        if matches:
            self._builder = builder = TreeBuilder()
            builder.start(tag, attributes)
            self._row_depth = self.depth
            self.begin_row()
            self.parser.CharacterDataHandler = builder.data

    def end(self) -> None:
        builder = self._builder
        if builder is not None:
            builder.end("")
            if self.depth == self._row_depth:
                self.parser.CharacterDataHandler = None
                self._builder = None
                self.end_row(Node(builder.close(), self.prefixes | self._given, self._base))
        if self._builder is None and self._bases and self._bases[-1][0] == self.depth:
            self._bases.pop()

    def text(self, text: str) -> None:
        if self._builder is not None:
            self._builder.data(text)

    @property
    def _base(self) -> str:
        return self._bases[-1][1] if self._bases else ""

    def _is_wanted(self, tag: str) -> bool:
        if tag in self._wanted or tag.rpartition("}")[2] in self._wanted:
            return True
        prefixes = self.prefixes | self._given
        for each in self._wanted:
            prefix, colon, local = each.rpartition(":")
            if colon and not each.startswith("{") and tag == f"{{{prefixes.get(prefix, '')}}}{local}":
                return True
        return False
