"""Pages that would stall the parser are refused; pages that are merely large are not."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from scraper.nesting import too_deep

ROW = "<tr><td class=a>one<td>two<br>three <b>four</b><td><a href='?x=%d'>five</a><p>six<p>seven <img src=x>"
CARD = (
    '<li><article class="card" data-x=\'{"a": "<b>"}\'><h3><a title="1 > 2" href="/%d">T</a></h3>'
    "<p>text</p></article></li>"
)


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
    "misnested": "<p><b><i>x</b></i></p>" * 5_000,
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
    "links": numbered("<a href=%d>x", 8_000),
    "depth below the limit": "<div>" * 4_990 + "</div>" * 4_990,
    "end tags": "</div></p></b>" * 5_000,
    "icons before a form": "<svg class='a>b'><title>t</title><!-- c --><g><path d='M0'/></g></svg>" * 9
    + "<select><option selected>a</select>",
    "drawings in a drawing": "<svg><style><![CDATA[a>b{}]]></style><svg><g/></svg></svg><option selected>",
    "a formula before a form": "<math><mi>x</mi><mo>=</mo></math><option selected>",
    "many words": "<p>" + "some text that goes on and on, " * 20_000,
    "icons": numbered("<div><i class=icon-%d></i> <b class=y>x</b></div>", 5_000),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str) -> None:
    page = HARMLESS[name]
    assert not too_deep(page)
    assert not too_deep(page.encode())
    LexborHTMLParser(page)


DEEP = 20_000
HARMFUL = {
    "div": "<div>" * DEEP,
    "span": "<span>" * DEEP,
    "upper case": "<DIV >" * DEEP,
    "list": "<ul><li>" * DEEP,
    "table": "<table><tr><td>" * DEEP,
    "table without rows": "<table><td>" * DEEP,
    "template": "<template>" * DEEP,
    "unknown self-closing": "<x-y/>" * DEEP,
    "drawing": "<svg>" + "<g>" * DEEP,
    "drawing holds page": "<svg><foreignObject>" * DEEP,
    "unquoted slash": "<svg>" + "<g a=b/>" * DEEP,
    "wrong end tag": "<div></span>" * DEEP,
    "end tag out of scope": "<div><table><td></div>" * DEEP,
    "end tag in a comment": "<div><!--</div>-->" * DEEP,
    "end tag in a script": "<div><script></div></script>" * DEEP,
    "end tag after a bogus quote": '<div "></div "><div>' * DEEP,
    "comment that hides a leaf": "<!--<b>--></b><div>" * DEEP,
    "unclosed formatting": numbered("<p><b a=%d>", 8_000),
    "formatting opened again by text": numbered("<div><b a=%d></div>x", 8_000),
    "formatting, half of it opened again": numbered("<p><b a=%d>", 4_000),
    "end tags that find nothing": "<span>" * 4_000 + "</x>" * 90_000,
    "flat but deep inside": "<div>" * 4_900 + "<div></div>" * 60_000,
    "list items in definitions": "<li><dd>" * DEEP,
    "ruby texts": "<rt>" * DEEP,
    "formatting alike, then rules": "<b>" * DEEP + "<hr>" * DEEP,
    "a form that ends before what it holds": "<form><div></form>" * DEEP,
    "end tag in an attribute": "<div a='></div>'>" * DEEP,
    "end tag of an inline element before a block": "<span><div></span>" * DEEP,
    "no list of their own": "<optgroup>" * DEEP,
    "framesets": "<frameset><script>" * DEEP,
    "cells in a drawing": "<svg>" + "<td>" * DEEP,
    "raw text in a drawing": "<svg><style>" + "<g>" * DEEP,
    "raw text that a list ignores": "<select><xmp></select>" + "<div>" * DEEP,
    "options": "<select>" + "<option>" * 30_000,
    "names of attributes": numbered("<br a%d>", 60_000),
    "names of tags": numbered("<x%d></x>", 60_000),
    "attributes of the body": numbered("<body a%d>", 30_000),
    "attributes behind a quoted end": "<p a='>' " + " ".join(f"a{number:x}" for number in range(60_000)) + ">",
    "many attributes": f"<p {' '.join(f'a{number}' for number in range(900))}>" * 2_000,
    "small tags": "<br>" * 600_000,
    "formatting in each block": "<p><b a>" * 100_000,
    "NULs": "\0" * 8_000_000,
    "attributes": "<p " + " ".join(f"a{number:x}" for number in range(40_000)) + ">",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful(name: str) -> None:
    page = HARMFUL[name]
    assert too_deep(page)
    assert too_deep("<!doctype html><title>t</title><p>hello</p>" + page)


UNSAFE = [
    "<svg><option selected>",
    "<MATH><g><Option SELECTED>",
    "<svg><!--</svg>--><option selected>",
    "<svg a='</svg>'><option selected>",
    "<svg><style></svg></style><option selected>",
    "<svg><![CDATA[</svg>]]><option selected>",
    "<svg><desc><style></svg></style></desc><option selected>",
    "<svg><foreignObject><div></svg></div></foreignObject><option selected>",
    "<svg><svg></svg><option selected>",
    "<svg><path></svg x='</svg>'><svg><option selected>",
]


@pytest.mark.parametrize("page", UNSAFE)
def test_no_option_gets_into_a_drawing(page: str) -> None:
    """The parser writes past the end of such a node: now and then the process dies of it."""
    assert too_deep(page)


def test_the_limit_can_be_set() -> None:
    page = "<div>" * 20_000
    assert too_deep(page, limit=19_999)
    assert not too_deep("<span>" * 15_000, limit=15_000)


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
UNITS += [">/", "<option selected><svg>", "<option selected><svg a='", '<svg><g a="><option selected>']
UNITS += ["<svg ", "<svg/", "<svg><g ", "<svg a='\"", "<math a=b ", "<svg a=<"]
UNITS += ["<script><!--", "<br>", "<p></p>", "<a>", "<select><option>", "<td>", "<math></s>", "<em><dl>x"]


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_input_is_read_in_linear_time(unit: str) -> None:
    """Two megabytes: what is quadratic takes minutes over each."""
    too_deep(unit.encode() * (2_000_000 // len(unit)))
    too_deep(b"<x " + unit.encode() * (2_000_000 // len(unit)))
    # Short of what is refused by its size, with what makes drawings be looked at.
    too_deep(b"<select><option selected>" + unit.encode() * (60_000 // len(unit)))
    too_deep(b"<select><option selected>" + unit.encode() * (1_000_000 // len(unit)))
