"""XPath 1.0 over lxml, for those who have the extra ``xpath``; its matches have the names that CSS matches have.

HTML is read by ``lxml.html`` from text that is decoded already, so libxml2 guesses no encoding. Its tree is the one
that Scrapy's users wrote their expressions for: by rules older than those of the HTML standard, which ``css()``
follows; a table without ``<tbody>`` stays without one. XML is read without its DTD: no entity is resolved, nothing
is fetched. The limits of libxml2 stay on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from scraper.errors import NestingError, ParseError
from scraper.extra import need
from scraper.nesting import too_deep

PREFIXES = {"re": "http://exslt.org/regular-expressions", "set": "http://exslt.org/sets"}
"""Prefixes that every expression may use: ``re:test(@href, '[0-9]+$')``."""

_TOO_MUCH = 114
"""libxml2's number for a document that is beyond one of its limits: depth, text, entities."""

_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
_OUTWARDS = re.compile(
    r"(?:^|[(\[,|=<>!+-]|\b(?:and|or|div|mod)\b)\s*"  # where a path begins
    r"(?:/|\.\.|(?:parent|(?:ancestor|following|preceding)[\w-]*)\s*::)"
    r"|\b(?:ancestor(?:-or-self)?|following|preceding)\s*::"
)
_AROUND = {
    "tr": "<table><tbody>",
    **dict.fromkeys(("td", "th"), "<table><tbody><tr>"),
    **dict.fromkeys(("tbody", "thead", "tfoot", "caption", "colgroup"), "<table>"),
    "col": "<table><colgroup>",
}
"""What an HTML parser must have seen to keep such an element."""


@cache
def _lxml() -> Any:
    """``lxml.html``, and with it ``lxml.etree``. Raises MissingExtra without them."""
    need("lxml", "xpath", "XPath")
    return need("lxml.html", "xpath", "XPath")


def parse(body: bytes, url: str, xml: bool) -> Any:
    """The root element of UTF-8 markup. Raises NestingError beyond libxml2's limits, ParseError for XML without one."""
    html = _lxml()
    if xml:
        parser = html.etree.XMLParser(
            encoding="utf-8", recover=True, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
        )
    else:
        parser = html.HTMLParser(encoding="utf-8", huge_tree=False)
    root = error = None
    try:
        root = html.etree.fromstring(body.replace(b"\0", b"").strip() or (b"" if xml else b"<html/>"), parser)
    except html.etree.XMLSyntaxError as failure:
        error = failure
    if any(each.type == _TOO_MUCH for each in parser.error_log):
        raise NestingError(f"{url} is nested too deeply for XPath, or its entities or texts grow too large")
    if root is None:
        if not xml:
            return parse(b"", url, xml)
        raise ParseError(f"{url} holds no XML element to search") from error
    return root


def _has_class(context: Any, *names: Any) -> bool:
    """``has-class('a', 'b')``: whether the element has all these classes."""
    if not names or not all(isinstance(name, str) for name in names):
        raise ParseError("has-class() takes one or more class names as text: has-class('price')")
    return set(names) <= set((context.context_node.get("class") or "").split())


@lru_cache(maxsize=1024)
def _compiled(query: str, namespaces: tuple[tuple[str, str], ...]) -> Any:
    etree = _lxml().etree
    known = PREFIXES | dict(namespaces)
    return etree.XPath(query, namespaces=known, extensions={(None, "has-class"): _has_class}, smart_strings=False)


def check(query: str) -> None:
    """Raises ParseError when it is no XPath."""
    if not isinstance(query, str):
        raise ParseError(f"an XPath is text: {query!r:.80}")
    try:
        _compiled(query, ())
    except (_lxml().etree.XPathError, ValueError) as error:  # the second: a NUL, or half a surrogate pair
        raise ParseError(f"not an XPath: {query!r} ({error})") from error


class Element:
    """An element that an XPath gave, with as much of a selectolax node's face as a Selector asks for.

    ``root`` is what lxml has, which may be a comment or an instruction as well.
    """

    __slots__ = ("_xml", "root")

    def __init__(self, root: Any, xml: bool) -> None:
        self.root = root
        self._xml = xml

    @property
    def html(self) -> str:
        """Its markup, without the text behind it."""
        method = "xml" if self._xml else "html"
        return str(_lxml().etree.tostring(self.root, method=method, encoding="unicode", with_tail=False))

    @property
    def attributes(self) -> dict[str, str | None]:
        return dict(self.root.attrib)

    def text(self) -> str:
        """All text at and below it, joined."""
        return "".join(self.root.xpath(".//text()", smart_strings=False))

    def search(self, query: str, namespaces: Mapping[str, str] | None, variables: Mapping[str, Any]) -> list[Found]:
        """What an expression gives here."""
        return search(self.root, query, namespaces, variables, self._xml)

    def reread(self) -> LexborNode | None:
        """The same by selectolax, which can be asked for CSS; what is around it is left behind."""
        tag = self.root.tag if isinstance(self.root.tag, str) else ""
        markup = (_AROUND.get(tag, "") + self.html).encode("utf-8", "replace")
        if too_deep(markup):
            raise NestingError(f"css() of this <{tag}> would stall, flood or break the parser; go on with xpath()")
        tree = LexborHTMLParser(markup)
        plain = tag and tag.isidentifier()  # others may stand in the tree by another name
        return next(iter(tree.tags(tag)), tree.root) if plain else tree.body


Found = Element | str


def search(
    root: Any, query: str, namespaces: Mapping[str, str] | None, variables: Mapping[str, Any], xml: bool
) -> list[Found]:
    """What an expression gives at an element: elements and texts, or the one text, number or boolean it comes to.

    A whole number has no ``.0``, and a boolean is ``1`` or ``0``. Raises ParseError for a bad expression: its syntax,
    or a prefix, function or variable that is not known.
    """
    check(query)
    try:
        found = _compiled(query, tuple(dict(namespaces or {}).items()))(root, **variables)
    except _lxml().etree.XPathError as error:
        hint = ""
        if "prefix" in str(error).lower():
            declared = {name: uri for name, uri in root.nsmap.items() if name}
            hint = f"; pass namespaces={declared or {'x': 'http://…'}!r}"
        elif "variable" in str(error).lower():
            hint = "; pass the value of $name as name=…"
        raise ParseError(f"XPath {query!r} cannot be answered: {error}{hint}") from error
    except (TypeError, ValueError, re.error) as error:  # a prefix or variable of a wrong type, a pattern of re:test()
        raise ParseError(f"XPath {query!r} cannot be answered: {error}") from error
    if isinstance(found, list):
        return [Element(each, xml) if hasattr(each, "tag") else _text(each) for each in found]
    return [_text(found)]


def below(markup: str, tag: str, query: str, variables: Mapping[str, Any]) -> list[Found]:
    """XPath at and below one match of ``css()``, whose markup is read anew: what is around it cannot be reached.

    Raises ParseError for an expression that leads out of it.
    """
    check(query)
    if _OUTWARDS.search(_LITERAL.sub("''", query)):
        raise ParseError(
            f"xpath({query!r}) leads out of a match of css(), which takes only what is below it along: "
            "begin with .// or ./ there, or use response.xpath()"
        )
    root = parse(markup.encode("utf-8", "replace"), f"<{tag}>", False)
    node = next((each for each in root.iter() if each.tag == tag), root)
    if (parent := node.getparent()) is not None:
        node.tail = None
        parent.remove(node)
    return search(node, query, None, variables, False)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value[1]) if isinstance(value, tuple) else str(value)  # the namespace axis gives pairs
