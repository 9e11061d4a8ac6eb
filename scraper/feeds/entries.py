"""Entries of RSS 0.9x, 1.0 and 2.0, Atom (RFC 4287) and JSON Feed 1.x, in one form.

Every part is read where any of the formats, or of the modules that feeds mix in (Dublin Core, content, Media RSS), may
put it; feeds seldom keep to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from scraper.errors import ContentError
from scraper.feeds.dates import parse_date
from scraper.feeds.json_values import read_values
from scraper.feeds.markup import XML
from scraper.feeds.node import Node, NodeReader
from scraper.feeds.source import Source
from scraper.url import resolve

FEEDS = frozenset(("rss", "rdf", "feed", "channel"))
"""Names of the roots of feeds in XML."""

ATOM = ("http://www.w3.org/2005/Atom", "http://purl.org/atom/ns#")
_DC = ("http://purl.org/dc/elements/1.1/", "http://purl.org/dc/terms/")
_CONTENT = "http://purl.org/rss/1.0/modules/content/"
_MEDIA = "http://search.yahoo.com/mrss/"
MOST_PARTS = 500
"""Categories and enclosures of one entry: each is compared with those before it."""


class Enclosure(msgspec.Struct, frozen=True):
    """A file that belongs to an entry; ``length`` in bytes, as the feed says."""

    url: str
    type: str | None = None
    length: int | None = None


class Entry(msgspec.Struct, kw_only=True, dict=True):
    """One entry; an item of its own if it is yielded. What the feed does not say is None, or an empty list.

    ``link`` and the URLs of enclosures are absolute, by ``xml:base``, else by the URL of the feed; one that is not
    http(s) is left out. ``summary`` and ``content`` are as the feed has them, most often HTML. Dates have a zone: UTC
    when they name none. ``id`` is the ``guid`` or ``id``, else the link, else made of the text.
    """

    key = "id"

    id: str | None = None
    link: str | None = None
    title: str | None = None
    published: datetime | None = None
    updated: datetime | None = None
    author: str | None = None
    summary: str | None = None
    content: str | None = None
    categories: list[str] = []
    enclosures: list[Enclosure] = []

    @property
    def raw(self) -> Any:
        """The Node (or the object of JSON) that it was read from, for all that is not here; it is not stored."""
        return self.__dict__.get("raw")


def _made(raw: Any, **fields: Any) -> Entry:
    entry = Entry(**fields)
    entry.__dict__["raw"] = raw
    return entry


def _named(entry: Entry, *names: str | None) -> Entry:
    """With an id: the first of these, else its link, else one that is the same whenever it says the same."""
    entry.id = next(filter(None, (*names, entry.link)), None)
    if entry.id is None:
        said = msgspec.json.encode((entry.title, entry.published, entry.summary, entry.content))
        entry.id = sha256(said).hexdigest()[:32]
    return entry


def read_entries(source: Source) -> Iterator[Entry]:
    """The entries of a feed as they come.

    Raises ContentError when it is no feed, ParseError where it breaks, after the entries that were whole.
    """
    kind = source.look()
    if kind == "json":
        for value in read_values(source, "items"):
            if isinstance(value, dict):
                yield _of_json(value, source.url)
        return
    if kind not in FEEDS:
        shown = {"text": "text", "empty": "empty"}.get(kind, f"XML whose root is <{kind[:60]}>")
        raise ContentError(f"{source.url} is {shown}, no feed: those begin with <rss>, <feed> or <rdf:RDF>")
    for node in NodeReader(source.url, "item", "entry").read(source.pieces(markup=True)):
        yield of_node(node, source.url)


def of_node(node: Node, url: str) -> Entry:
    """The entry in an ``<item>`` or ``<entry>``; ``url`` is that of the feed."""
    entry = _made(node)
    base = resolve(url, node.base) or url if node.base else url
    about = node.element.attrib.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about")
    for element in node.element:
        if not isinstance(element.tag, str):
            continue
        space, _, name = element.tag[1:].rpartition("}") if element.tag.startswith("{") else ("", "", element.tag)
        own = element.attrib.get(f"{{{XML}}}base")
        _take(entry, space, name, element, (resolve(base, own) or base) if own else base)
    if entry.link is None and entry.id is not None and _is_permalink(node):
        entry.link = resolve(base, entry.id)
    if entry.link is None and about:
        entry.link = resolve(base, about)
    return _named(entry, entry.id, about)


def _take(entry: Entry, space: str, name: str, element: Any, base: str) -> None:
    """One child of an item. Of what is there twice, the first counts, but for lists."""
    attributes = element.attrib
    if space == _MEDIA:
        if name == "content" and attributes.get("url"):
            _enclose(entry, attributes["url"], attributes.get("type"), attributes.get("fileSize"), base)
        elif name == "group":
            for child in element:
                if child.tag == f"{{{_MEDIA}}}content" and child.attrib.get("url"):
                    _enclose(entry, child.attrib["url"], child.attrib.get("type"), child.attrib.get("fileSize"), base)
        return
    if name == "link":
        _link(entry, attributes, _text(element), base)
        return
    if name == "enclosure":
        if attributes.get("url"):
            _enclose(entry, attributes["url"], attributes.get("type"), attributes.get("length"), base)
        return
    if name == "author" or (name == "creator" and space in _DC):
        person = next((_text(child) for child in element if child.tag.rpartition("}")[2] == "name"), None)
        entry.author = entry.author or person or _text(element)
        return
    if name in ("category", "subject"):
        word = attributes.get("label") or attributes.get("term") or _text(element)
        if word and len(entry.categories) < MOST_PARTS and word not in entry.categories:
            entry.categories.append(word)
        return
    text = _text(element)
    if text is None:
        return
    if name in ("guid", "id", "identifier"):
        entry.id = entry.id or text
    elif name == "title":
        entry.title = entry.title or text
    elif name in ("pubDate", "published", "issued", "date"):
        entry.published = entry.published or parse_date(text)
    elif name in ("updated", "modified", "lastBuildDate"):
        entry.updated = entry.updated or parse_date(text)
    elif name in ("description", "summary", "abstract"):
        entry.summary = entry.summary or text
    elif (name == "encoded" and space in (_CONTENT, "")) or (name == "content" and space in ATOM):
        entry.content = entry.content or text


def _link(entry: Entry, attributes: dict[str, str], text: str | None, base: str) -> None:
    href = attributes.get("href") or text
    if href is None:
        return
    relation = attributes.get("rel", "alternate")
    if relation == "enclosure":
        _enclose(entry, href, attributes.get("type"), attributes.get("length"), base)
    elif relation == "alternate" and entry.link is None:
        entry.link = resolve(base, href)


def _enclose(entry: Entry, href: str, kind: str | None, length: Any, base: str) -> None:
    if len(entry.enclosures) >= MOST_PARTS:
        return
    url = resolve(base, href.strip())
    if url is None or any(each.url == url for each in entry.enclosures):
        return
    text = str(length or "").strip()
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    entry.enclosures.append(Enclosure(url, kind or None, size))


def _is_permalink(node: Node) -> bool:
    guid = node.find("guid")
    return guid is not None and guid.attrib.get("isPermaLink", "true").lower() == "true"


def _text(element: Any) -> str | None:
    """What is in it; the markup of XHTML content (RFC 4287, 3.1.1.3) as text."""
    if len(element) and element.attrib.get("type") == "xhtml":
        return Node(element, {}).inner() or None
    return "".join(element.itertext()).strip() or None


def _of_json(value: dict[str, Any], url: str) -> Entry:
    """JSON Feed 1.1, and 1.0 with its one author."""

    def text(name: str) -> str | None:
        found = value.get(name)
        return str(found).strip() or None if isinstance(found, str | int | float) else None

    def all_of(name: str) -> list[Any]:
        found = value.get(name)
        return found if isinstance(found, list) else []

    first = next(iter(all_of("authors")), None) or value.get("author")
    entry = _made(
        value,
        link=resolve(url, href) if (href := text("url") or text("external_url")) else None,
        title=text("title"),
        published=parse_date(text("date_published")),
        updated=parse_date(text("date_modified")),
        author=str(first["name"]) if isinstance(first, dict) and first.get("name") else None,
        summary=text("summary"),
        content=text("content_html") or text("content_text"),
        categories=[each for each in all_of("tags")[:MOST_PARTS] if isinstance(each, str)],
    )
    for each in all_of("attachments"):
        if isinstance(each, dict) and isinstance(each.get("url"), str):
            kind = each.get("mime_type")
            _enclose(entry, each["url"], kind if isinstance(kind, str) else None, each.get("size_in_bytes"), url)
    return _named(entry, text("id"))
