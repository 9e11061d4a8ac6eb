"""Selectors: what a Scrapy user expects of ``.css()``, in document order, each match once."""

import re
from collections.abc import Sequence

import pytest

from scraper.errors import ParseError
from scraper.response import Response
from scraper.selector import Selector, SelectorList

PAGE = """<html><body>
<div id=a class="x y"><p>one <b>two</b> three</p><p>four</p><div id=b><p>five</p></div></div>
<a href="/q?b=1,2" title="a::text" hidden>L</a><ul><li>1</li><li>2<i>!</i></li></ul>
<script>var a = "<p>no</p>";</script><dl><dd><i>x</i>y</dd></dl></body></html>"""


def page(html=PAGE):
    return Response("http://example.org/", body=html.encode())


# Each of these is what parsel 1.12 answers for the same page.
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("p::text", ["one ", " three", "four", "five"]),
        ("p ::text", ["one ", "two", " three", "four", "five"]),
        ("p *::text", ["one ", "two", " three", "four", "five"]),
        ("p  *::text", ["one ", "two", " three", "four", "five"]),
        ("p > *::text", ["two"]),
        ("p>*::text", ["two"]),
        ("p > ::text", ["two"]),
        ("p::TEXT", ["one ", " three", "four", "five"]),
        ("p::text ", ["one ", " three", "four", "five"]),
        ("p, b::text", ["<p>one <b>two</b> three</p>", "two", "<p>four</p>", "<p>five</p>"]),
        ("p::text, b::text", ["one ", "two", " three", "four", "five"]),
        ("b ::text, #a ::text", ["one ", "two", " three", "four", "five"]),
        ("div#a,\n b::text", None),
        ("a::text, p::text", ["one ", " three", "four", "five", "L"]),
        ("a::attr(href), p::text", ["one ", " three", "four", "five", "/q?b=1,2"]),
        ("a::attr(title), a::attr(href)", ["a::text", "/q?b=1,2"]),
        ("a::attr(href)", ["/q?b=1,2"]),
        ("a::attr( href )", ["/q?b=1,2"]),
        ("a::attr('href')", ["/q?b=1,2"]),
        ('a::attr("href")', ["/q?b=1,2"]),
        ("a::attr(hidden)", [""]),
        ("a::attr(nope)", []),
        ("#a ::attr(id)", ["a", "b"]),
        ("#a *::attr(id)", ["a", "b"]),
        ("::attr(id)", ["a", "b"]),
        ("a[href*=',']::text", ["L"]),
        ('a[title="a::text"]::attr(href)', ["/q?b=1,2"]),
        ("p:nth-child(1)::text", ["one ", " three", "five"]),
        ("div:has(p)::attr(id)", ["a", "b"]),
        ("p:first-child, p:last-child", ["<p>one <b>two</b> three</p>", "<p>five</p>"]),
        ("li, li:first-child, ul > li", ["<li>1</li>", "<li>2<i>!</i></li>"]),
        ("script::text", ['var a = "<p>no</p>";']),
        ("h1", []),
    ],
)
def test_a_query_gives_what_it_gives_in_scrapy(query, expected):
    found = page().css(query).getall()
    if expected is None:  # nodes and strings of nested elements: the outer one first
        assert found[0].startswith('<div id="a"')
        assert found[1:] == ["two"]
    else:
        assert found == expected


@pytest.mark.parametrize("query", ["a::text, p:not(:is(.x,.y))::text", "p:not(:is(.x,.y))::text, a::text"])
def test_a_comma_inside_brackets_splits_nothing(query):
    assert page().css(query).getall() == ["one ", " three", "four", "five", "L"]


@pytest.mark.parametrize("query", ["*::text", "::text"])
def test_all_text_of_a_page_comes_in_the_order_of_the_page(query):
    text = page("<p>a<b>b<i>c</i>d</b>e<!-- no --></p><p>f</p>").css(query).getall()
    assert text == ["a", "b", "c", "d", "e", "f"]


def test_text_right_below_nested_matches_comes_in_the_order_of_the_page():
    assert page("<div>a<div>b<span>-</span></div>c</div>").css("div::text").getall() == ["a", "b", "c"]


@pytest.mark.parametrize("query", ["", "  ", "p,", "> p", "p[", "p::before", "p::text::text", "p::text b", "a::attr()"])
def test_what_is_no_selector_is_a_parse_error_that_shows_it(query):
    with pytest.raises(ParseError) as caught:
        page().css(query)
    assert query.strip() in str(caught.value)


def test_matches_are_selected_from_again():
    card = page().css("#a")
    assert card.css("p::text").getall() == ["one ", " three", "four", "five"]
    assert card[0].css("b::text").get() == "two"
    assert card.css("#a")[0].attrib["id"] == "a"  # a node is among its own matches
    assert card.css("li") == [] or len(card.css("li")) == 0
    assert page().css("li").css("i::text").getall() == ["!"]
    assert [li.css("::text").getall() for li in page().css("li")] == [["1"], ["2", "!"]]


def test_selecting_from_text_says_what_to_do_instead():
    for text in (page().css("p::text"), page().css("p::text")[0]):
        with pytest.raises(ParseError, match="select nodes first"):
            text.css("b")


NODES = ["#a", "a", "ul", "body", "p, li, a"]
QUERIES = (
    "p;p::text;#a;#a::attr(id);::attr(id);::text;li i::text;li::text;b, i;div ::text;div > div::text;a::attr(hidden);"
    "ul::attr(id);a::attr(title), p::text;p, b::text;dd::text;h1;h1::text;body::text;script::text;*;*::attr(id)"
).split(";")


@pytest.mark.parametrize("query", QUERIES)
def test_the_first_match_is_the_same_whether_or_not_the_others_were_asked_for(query):
    response = page()
    for start in (response, response.css("body")[0], *(response.css(node) for node in NODES)):
        whole = start.css(query)
        strings = whole.getall()
        first = whole[0] if strings else None
        assert start.css(query).get("none") == (strings[0] if strings else "none")
        assert start.css(query).attrib == (first.attrib if first else {})
        assert start.css(query).text == (first.text if first else "")
        assert start.css(query).re_first(r"[!a-z]\w+") == next(iter(whole.re(r"[!a-z]\w+")), None)
        assert (whole.get(), len(start.css(query))) == (strings[0] if strings else None, len(strings))


def test_get_gives_the_first_or_the_default():
    assert page().css("p::text").get() == "one "
    assert page().css("p").get() == "<p>one <b>two</b> three</p>"
    assert page().css("h1::text").get() is None
    assert page().css("h1::text").get("none") == "none"
    assert page().css("h1::text").get(default="") == ""
    assert page().css("b")[0].get() == "<b>two</b>"
    assert page().css("b")[0].getall() == ["<b>two</b>"]


def test_attrib_and_text_are_those_of_the_first_match():
    link = page().css("a")
    assert link.attrib == link[0].attrib == {"href": "/q?b=1,2", "title": "a::text", "hidden": ""}
    assert page().css("h1").attrib == {}
    assert page().css("a::text")[0].attrib == {}
    assert page().css("p").text == page().css("p")[0].text == "one two three"
    assert page().css("h1").text == ""
    assert page().css("p::text")[0].text == "one "


def test_re_gives_the_groups_or_the_whole_match():
    assert page().css("p::text").re(r"\w+") == ["one", "three", "four", "five"]
    assert page().css("p::text").re(r"(\w)(\w)\w+") == ["o", "n", "t", "h", "f", "o", "f", "i"]
    assert page().css("p::text").re(r"(x)?(\w{5})") == ["", "three"]
    assert page().css("p::text").re_first(re.compile("T.*", re.IGNORECASE)) == "three"
    assert page().css("p::text").re_first("nope") is None
    assert page().css("p::text").re_first("nope", default="x") == "x"
    assert page().css("h1").re_first("x", "y") == "y"
    first = page().css("p::text")[0]
    assert (first.re("o"), first.re_first("o"), first.re_first("z"), first.re_first("z", "d")) == (
        ["o"],
        "o",
        None,
        "d",
    )
    assert page().css("a").re_first(r'href="([^"]+)"') == "/q?b=1,2"  # of nodes: their HTML


def test_a_list_is_a_sequence_of_selectors():
    paragraphs = page().css("p")
    assert isinstance(paragraphs, Sequence)
    assert len(paragraphs) == 3
    assert all(isinstance(each, Selector) for each in paragraphs)
    assert isinstance(paragraphs[1:], SelectorList)
    assert paragraphs[1:].css("::text").getall() == ["four", "five"]
    assert paragraphs[-1].get() == "<p>five</p>"
    assert [each.text for each in reversed(paragraphs)] == ["five", "four", "one two three"]
    assert not page().css("h1")
    with pytest.raises(IndexError):
        page().css("h1")[0]


def test_the_node_of_selectolax_is_at_hand():
    assert page().css("b")[0].node.tag == "b"
    assert page().css("b::text")[0].node is None
    assert [each if isinstance(each, str) else each.tag for each in page().css("b, b::text").matches] == ["b", "two"]


def test_long_nested_pages_are_walked_once():
    deep = "<div>" * 400 + "x" + "</div>" * 400
    assert page(deep).css("div ::text").getall() == ["x"]
    assert page(deep).css("div::text").getall() == ["x"]
    assert len(page(deep).css("div ::attr(class), div")) == 400


def test_half_a_surrogate_pair_is_no_css() -> None:
    with pytest.raises(ParseError, match="not a CSS selector"):
        Response("http://h/", headers={"Content-Type": "text/html"}, body=b"<p>").css("p\ud800")


@pytest.mark.parametrize(
    "query", ["*", ":is(.c)", ":not(i)", ":where(div)", ":has(b)", ":is(i), :is(.c)", "div:is(.c)"]
)
def test_a_function_alone_may_stand_before_what_is_further_below(query: str) -> None:
    found = page("<div class=c><p><b>1</b><b>2</b></div><div class=c><p><b>3</b></div>")
    wanted = ", ".join(f"{part} b" for part in query.split(", "))
    assert found.css(f"{wanted}").getall() == ["<b>1</b>", "<b>2</b>", "<b>3</b>"]
    assert found.css(", ".join(f"{part} b::text" for part in query.split(", "))).getall() == ["1", "2", "3"]
    assert found.css(f"{query} ::text").getall() == ["1", "2", "3"]


def test_a_prompt_shows_how_many_and_the_first() -> None:
    found = page("<p>" + "long " * 20 + "</p><p>b")
    assert repr(found.css("b")) == "<SelectorList of 0>"
    assert repr(found.css("p + p::text")) == "<SelectorList of 1: 'b'>"
    assert repr(found.css("p")) == f"<SelectorList of 2: {('<p>' + 'long ' * 20)[:60]!r}, …>"
