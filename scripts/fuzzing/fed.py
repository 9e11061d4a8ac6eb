"""What is fuzzed of feeds: the readers that take them piece by piece, which must not care where the pieces end."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

from child import Target
from hypothesis import strategies as st
from pieces import soup

from scraper.errors import ParseError
from scraper.feeds import json_values, source
from scraper.feeds.entries import read_entries
from scraper.feeds.json_values import read_values
from scraper.feeds.maps import read_map
from scraper.feeds.node import Node, NodeReader
from scraper.feeds.source import Source
from scraper.feeds.table import read_rows

HERE = "http://example.com/feed"
SIZES = (7, 64 * 1024)
"""Bytes of a piece; and characters of a window of JSON."""

READERS: dict[str, Callable[[Source], Iterator[Any]]] = {
    "map": lambda each: iter(read_map(each)[1]),
    "entries": read_entries,
    "nodes": lambda each: (_plain(node) for node in NodeReader(HERE, "item", "g:b").read(each.pieces(markup=True))),
    "rows": read_rows,
    "values": read_values,
    "array": lambda each: read_values(each, "a.b"),
}


def feeds(data: bytes) -> None:
    """Rows, then perhaps a ParseError; the same ones however it is cut into pieces."""
    for name, read in READERS.items():
        small, large = (_read(read, data, size) for size in SIZES)
        assert small[0] == large[0], name
        assert small[1] == large[1], name


def _read(read: Callable[[Source], Iterator[Any]], data: bytes, size: int) -> tuple[str, str | None]:
    source.PIECE = json_values.WINDOW = size
    rows: list[Any] = []
    try:
        for row in read(Source(data, HERE, limit=1_000_000)):
            rows.append(row)
            assert len(rows) <= len(data) * 2000
    except ParseError as error:
        assert str(error)
        return repr(rows), type(error).__name__
    return repr(rows), None


def _plain(node: Node) -> Any:
    node.get("a/@b")
    node.getall(".//*")
    node.inner()
    return str(node), node.base, node.namespace, node.attrib


PIECES = [
    *(
        f"<{each}>".encode()
        for each in ("urlset", "url", "loc", "rss", "channel", "item", "title", "g:b", "feed", "entry")
    ),
    *(
        f"</{each}>".encode()
        for each in ("urlset", "url", "loc", "rss", "channel", "item", "title", "g:b", "feed", "entry")
    ),
    b"<item xmlns:g='http://g/' xml:base='../x' a='&amp;'>",
    b"<link href='/a' rel='enclosure'/>",
    b"<?xml version='1.0' encoding='windows-1252'?>",
    b"<?xml version='1.0' encoding='utf-16'?>",
    b"<!DOCTYPE rss SYSTEM 'x'>",
    b"<!DOCTYPE rss [<!ENTITY a 'b'>]>",
    b"&nbsp;&foo;&#0;&#x80;",
    b"<![CDATA[ <x> ]]>",
    b"<!-- x -->",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xe9\x00\x0b",
    "é本".encode(),
    b"2024-01-01T00:00:00Z",
    b"\n",
    b"\r\n",
    b",",
    b'"',
    b'{"a": {"b": [1, ',
    b"[",
    b"]}}",
    b'{"items": [{"url": "/x", "tags": ["a"]}]}',
    b'"\\ud83d\\ude00"',
    b"-1.5e3",
    b"nul",
]
MAP = b"<urlset><url><loc>/a</loc><lastmod>2024</lastmod></url><url><loc>&amp;</loc></url></urlset>"
SEEDS = (
    MAP,
    gzip.compress(MAP),
    gzip.compress(MAP)[:-5],
    MAP.decode().encode("utf-16"),
    b"<rss><channel><item><guid>x</guid><pubDate>Mon, 04 Mar 2024 05:06:07 GMT</pubDate></item></channel></rss>",
    b'a,b\r\n"1\n2",3\r\n4\n',
    b'{"a": {"x": [1], "b": [1, "2", {"c": null}]}}',
    b'{"a": 1}\n{"b": nope}\n[3]',
    b"http://example.com/a\nhttp://example.com/b",
)

FED = [Target("feeds", soup(PIECES) | st.binary(max_size=200), feeds, SEEDS)]
