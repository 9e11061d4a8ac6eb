"""Pages that would stall the parser are refused; pages that are merely large are not."""

import random

import pytest
from selectolax.lexbor import LexborHTMLParser

from scraper.nesting import too_deep


ROW = "<tr><td class=a>one<td>two<br>three <b>four</b><td><a href='?x=%d'>five</a><p>six<p>seven <img src=x>"
CARD = '<li><article class="card" data-x=\'{"a": "<b>"}\'><h3><a title="1 > 2" href="/%d">T</a></h3><p>text</p></article></li>'


def numbered(pattern: str, count: int) -> str:
    return "".join(pattern % number for number in range(count))


HARMLESS = {
    "empty": "",
    "text": "a < b " * 10_000,
    "cards": f"<ul>{numbered(CARD, 5_000)}</ul>",
    "cells without end tags": f"<table>{numbered(ROW, 5_000)}</table>",
    "items without end tags": "<ul>" + "<li>x" * 10_000 + "</ul><p>" + "<p>y" * 10_000,
    "definitions and options": "<dl>" + "<dt>a<dd>b" * 5_000 + "</dl><select>" + "<option>a" * 5_000 + "</select>",
    "void elements": "<p>" + "<br><img src=x><hr><input>" * 3_000,
    "unclosed fonts in cells": f"<table>{numbered('<tr><td><font size=%d>x</td></tr>', 6_000)}</table>",
    "misnested": "<p><b><i>x</b></i></p>" * 5_000,
    "unclosed inline elements in blocks": "<div><span><em>x</div>" * 5_000,
    "drawings": "<svg>" + "<g><path d='M0'/><title>t</title></g>" * 5_000 + "</svg>",
    "a large drawing": "<svg>" + "<path d='M0'/><use/>" * 5_000 + "</svg>",
    "comments": "<!-- <div> -->" * 8_000 + "<!--><!--->",
    "a script that writes": "<script>" + "document.write('<div>');" * 8_000 + "</script>",
    "a commented script": "<script><!--\n" + "w('<script><\\/script><div>');" * 6_000 + "--></script>",
    "raw text": "<style>"
    + "<b>" * 8_000
    + "</style><textarea>"
    + "<div>" * 8_000
    + "</textarea><title>"
    + "<i>" * 8_000
    + "</title>",
    "plain text": "<plaintext>" + "<div>" * 8_000,
    "attributes": numbered("<p id=%d class='a b' data-x='<div><div>'>x</p>", 6_000),
    "links": numbered("<a href=%d>x", 8_000),
    "depth below the limit": "<div>" * 4_990 + "</div>" * 4_990,
    "end tags": "</div></p></b>" * 5_000,
    "icons": numbered("<div><i class=icon-%d></i> <b class=y>x</b></div>", 5_000),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str) -> None:
    page = HARMLESS[name]
    assert not too_deep(page)
    assert not too_deep(page.encode())
    LexborHTMLParser(page)


DEEP = 6_000
HARMFUL = {
    "div": "<div>" * DEEP,
    "span": "<span>" * DEEP,
    "upper case": "<DIV >" * DEEP,
    "list": "<ul><li>" * DEEP,
    "definition in item": "<li><dd>" * DEEP,
    "table": "<table><tr><td>" * DEEP,
    "table without rows": "<table><td>" * DEEP,
    "form": "<form><div></form>" * DEEP,
    "template": "<template>" * DEEP,
    "unknown self-closing": "<x-y/>" * DEEP,
    "drawing": "<svg>" + "<g>" * DEEP,
    "drawing holds page": "<svg><foreignObject>" * DEEP,
    "unquoted slash": "<svg>" + "<g a=b/>" * DEEP,
    "style in drawing": "<svg><style>" + "<g>" * DEEP,
    "data section": "<svg>" + "<g><![CDATA[></g>]]>" * DEEP,
    "wrong end tag": "<div></span>" * DEEP,
    "end tag out of scope": "<div><table><td></div>" * DEEP,
    "end tag behind a block": "<span><div></span>" * DEEP,
    "end tag in a value": '<div a="></div>">' * DEEP,
    "end tag in a comment": "<div><!--</div>-->" * DEEP,
    "end tag in a script": "<div><script></div></script>" * DEEP,
    "end tag in an escaped script": "<div><script><!--<script></script></div>--></script>" * DEEP,
    "end tag after a bogus quote": '<div "></div "><div>' * DEEP,
    "comment that hides a leaf": "<!--<b>--></b><div>" * DEEP,
    "unclosed formatting": numbered("<p><b a=%d>", 4_000),
    "formatting opened again by text": numbered("<div><b a=%d></div>x", 4_000),
    "formatting then blocks": numbered("<i a=%d>", 500) + "<p>x</p>" * 4_000,
    "fonts of a few kinds": "".join(f"<{tag} a={kind}>" for tag in ("b", "i", "tt", "u") for kind in range(30)) * 3
    + "<p>x" * 9_000,
    "flat but deep inside": "<div>" * 4_900 + "<div></div>" * 60_000,
    "end tags looked for in vain": "<span>" * 4_900 + "</p>" * 60_000,
    "attributes": "<p " + " ".join(f"a{number:x}" for number in range(40_000)) + ">",
    "quoted attributes": "<p " + " ".join(f"a{number:x}='>'" for number in range(40_000)) + ">",
    "attributes of the body": numbered("<body a%d>", 40_000),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful(name: str) -> None:
    page = HARMFUL[name]
    assert too_deep(page)
    assert too_deep("<!doctype html><title>t</title><p>hello</p>" + page)


def test_the_limit_can_be_set() -> None:
    page = "<div>" * 50
    assert too_deep(page, limit=49)
    assert not too_deep(page, limit=51)


def test_text_that_is_no_utf8() -> None:
    assert too_deep("\ud800" + "<div>" * DEEP)
    assert too_deep(b"\xff" + b"<div>" * DEEP)


UNITS = [
    "<!--",
    "<",
    "<script",
    "<a <a <a",
    '<a b="',
    "<a b='\"",
    "<a/b=",
    "<!",
    "</",
    "<style>",
    "<![CDATA[",
    "<b></i>",
]
UNITS += ["<script><!--", "<br>", "<p></p>", "<a>", "<select><option>", "<td>", "<math></s>", "<em><dl>x"]


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_input_is_read_in_linear_time(unit: str) -> None:
    """Eight megabytes: anything quadratic would take hours here."""
    too_deep(unit.encode() * (8_000_000 // len(unit)))
    too_deep(b"<x " + unit.encode() * (8_000_000 // len(unit)))


NAMES = "div span b a p li ul table tr td caption select option button form h1 svg math g foreignObject mi title object dd font"
NAMES += " nobr section style ruby rt col fieldset noscript input br hr desc optgroup article"


def tree_depth(page: str) -> int:
    root = LexborHTMLParser(page).root
    deepest, pending = 0, [(root, 1)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        child = node.child if node is not None else None
        while child is not None:
            pending.append((child, depth + 1))
            child = child.next
    return deepest


class Depth(Outline):
    """The outline of a page, and how deep it went."""

    def __init__(self) -> None:
        super().__init__(10**9)
        self.deepest = 0

    def _push(self, *args, **named) -> None:  # type: ignore[no-untyped-def]
        super()._push(*args, **named)
        self.deepest = max(self.deepest, len(self._names))


def test_the_outline_is_as_deep_as_the_tree() -> None:
    """Random markup, repeated: what nests in the parser's tree nests in the outline, within a factor.

    A tree can be up to twice as deep as the parser's stack: `form` leaves the stack before what it holds.
    """
    dice = random.Random(5)
    names = NAMES.split()
    for _ in range(3_000):
        tags = [
            dice.choice(["<%s>", "<%s>", "<%s>", "<%s/>", "<%s a=1>", "</%s>", "</%s>"]) % dice.choice(names)
            for _ in range(12)
        ]
        first, again = "".join(tags[: dice.randrange(6)]), "".join(tags[6 : 7 + dice.randrange(6)])
        page = first + again * 60
        outline = Depth()
        outline.exceeds(page.encode())
        assert 3 * outline.deepest + 30 > tree_depth(page), page[:200]


def test_the_budget_is_about_a_second() -> None:
    assert BUDGET * 5e-9 <= 1.0
