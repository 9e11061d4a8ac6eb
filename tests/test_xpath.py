"""XPath by lxml: matches with the names of CSS matches, errors that say what to do, and no harm from a page."""

import re
import sys
from pathlib import Path

import pytest

from scraper import FormRequest, LinkExtractor, MissingExtra, ParseError, Response, xpath
from scraper.errors import ContentError, NestingError
from scraper.xpath import Element, parse

ATOM = "http://www.w3.org/2005/Atom"
PAGE = (
    "<div class='a b'><h2>T &amp; é</h2><a href=/x rel=nofollow>l <b>bold</b><!-- c --></a><a href=y>k</a>"
    "<table><tr><td>1<td>2</table></div>tail<p>7"
)


def page(body: str | bytes = PAGE, kind: str = "text/html; charset=utf-8") -> Response:
    return Response(
        "http://e.org/p/q", headers={"Content-Type": kind}, body=body if isinstance(body, bytes) else body.encode()
    )


# what is found


def test_nodes_texts_and_attributes() -> None:
    response = page()
    assert response.xpath("//h2/text()").get() == "T & é"
    assert response.xpath("//a/@href").getall() == ["/x", "y"]
    assert response.xpath("//h2").get() == "<h2>T &amp; é</h2>"
    assert response.xpath("//div").get("").endswith("</div>"), "without what stands behind it"
    assert response.xpath("//a").text == "l bold"
    assert response.xpath("//a")[1].attrib == {"href": "y"}
    assert response.xpath("//a").attrib["rel"] == "nofollow"
    assert response.xpath("//td").re(r"\d") == ["1", "2"]
    assert response.xpath("//td/text()").re_first("[2-9]") == "2"
    assert response.xpath("//i").get() is None
    assert response.xpath("//i").get("none") == "none"
    assert len(response.xpath("//a")[1:]) == 1
    assert not response.xpath("//i")
    assert response.xpath("//comment()").get() == "<!-- c -->"
    assert (response.xpath("//comment()").attrib, response.xpath("//comment()").text) == ({}, "")
    assert response.xpath("//a")[0].root.tag == "a"
    assert response.xpath("//a")[0].node is None
    assert response.css("a")[0].root is None


def test_the_tree_is_that_of_libxml2() -> None:
    assert page().xpath("//table/tr/td/text()").getall() == ["1", "2"]
    assert page().css("table > tbody > tr > td::text").getall() == ["1", "2"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("count(//a)", "2"),
        ("sum(//td) div 2", "1.5"),
        ("boolean(//a)", "1"),
        ("boolean(//i)", "0"),
        ("string(//a)", "l bold"),
        ("normalize-space(//p)", "7"),
    ],
)
def test_what_is_no_node_is_text(query: str, text: str) -> None:
    assert page().xpath(query).getall() == [text]


def test_variables_classes_and_patterns() -> None:
    response = page()
    assert response.xpath("//a[@href=$href]/text()", href="y").getall() == ["k"]
    assert response.xpath("//a[position()=$n]/text()", n=2).get() == "k"
    assert response.xpath("//div[has-class('b', 'a')]").attrib == {"class": "a b"}
    assert not response.xpath("//div[has-class('a', 'c')]")
    assert response.xpath("//a[re:test(@href, '^/.$')]/@href").getall() == ["/x"]


def test_matches_within_matches() -> None:
    div = page().xpath("//div")
    assert div.xpath("./a/@href").getall() == ["/x", "y"]
    assert div[0].xpath("a[2]/text()").get() == "k"
    assert div.xpath("//p/text()").get() == "7", "// begins at the top of the page"
    assert len(page().xpath("//td").xpath("..")) == 1
    assert page().xpath("//td").xpath("string()").getall() == ["1", "2"]


def test_the_tree_is_made_once() -> None:
    response = page()
    assert response.xpath("//a")[0].root is response.xpath("//a")[0].root


def test_encoding_is_ours() -> None:
    body = "<meta charset=utf-8><p>é€</p>".encode("windows-1252")
    assert page(body, "text/html; charset=windows-1252").xpath("//p/text()").get() == "é€"
    assert page(b"<p>a\xff\x00b</p>").xpath("//p/text()").get() == "a\N{REPLACEMENT CHARACTER}b"
    assert page("").xpath("//p").getall() == []
    assert page("<!-- x -->").xpath("//p").getall() == []


# with CSS


def test_css_of_an_xpath_match() -> None:
    response = page()
    assert response.xpath("//div").css("a::attr(href)").getall() == ["/x", "y"]
    assert response.xpath("//td").css("td::text").getall() == ["1", "2"]
    assert response.xpath("//tr")[0].css("td").getall() == ["<td>1</td>", "<td>2</td>"]
    for tag in ("html", "body", "table", "tr", "p", "h2", "b"):
        assert len(response.xpath(f"//{tag}").css(tag)) == 1, tag


def test_xpath_of_a_css_match() -> None:
    response = page()
    assert response.css("div").xpath("./a/@href").getall() == ["/x", "y"]
    assert response.css("td").xpath("string(.)").getall() == ["1", "2"]
    assert (
        response.css("div")[0]
        .xpath("a[text()='k' or .='(//x']|a[1]/following-sibling::a/@href")
        .getall()[0]
        .startswith("<a")
    )
    assert response.css("tr").xpath("td[last()]/text()").get() == "2"
    assert response.css("html").xpath("body/p/text()").get() == "7"
    for out in (
        "//a",
        "..",
        "ancestor::div",
        "./a | //b",
        "count(//a)",
        "./a[/b]",
        "following-sibling::a",
        "a/ancestor::b",
    ):
        with pytest.raises(ParseError, match=r"leads out of a match of css\(\)"):
            response.css("div").xpath(out)


def test_what_the_parser_of_css_must_not_see_is_refused_between_them_as_well() -> None:
    drawing = parse(b'<svg><option selected="1"/></svg>', "http://e.org/", xml=True)
    with pytest.raises(NestingError, match=r"css\(\) of this <svg> would"):
        Element(drawing, True).reread()


def test_text_cannot_be_searched() -> None:
    for text in (page().xpath("//a/@href"), page().css("a::attr(href)")):
        with pytest.raises(ParseError, match="on text: select nodes first"):
            text.xpath(".//a")
        with pytest.raises(ParseError, match="on text: select nodes first"):
            text[0].css("a")


def test_matches_can_be_followed() -> None:
    response = page()
    assert [each.url for each in response.follow_all(response.xpath("//a"))] == ["http://e.org/x", "http://e.org/p/y"]
    assert [each.url for each in response.follow_all(response.xpath("//a/@href"))] == [
        "http://e.org/x",
        "http://e.org/p/y",
    ]
    assert response.follow(response.xpath("//a")[1], "read").url == "http://e.org/p/y"
    response.obeys_nofollow = True
    assert [each.options for each in response.follow_all(response.xpath("//a"))] == [{"nofollow": True}, None]


# XML


def test_namespaces() -> None:
    body = (
        f'<?xml version="1.0" encoding="iso-8859-1"?><feed xmlns="{ATOM}" xmlns:m="urn:m"><e><t>é</t><m:x/></e></feed>'
    )
    response = page(body.encode("iso-8859-1"), "application/xml")
    assert response.xpath("//a:t/text()", namespaces={"a": ATOM}).get() == "é"
    assert response.xpath("//a:e", {"a": ATOM}).xpath("m:x", {"m": "urn:m"})[0].get().startswith("<m:x ")
    assert response.xpath("//t").getall() == []
    with pytest.raises(ParseError, match=r"Undefined namespace prefix; pass namespaces=\{'m': 'urn:m'\}"):
        response.xpath("//m:x")


def test_xml_is_read_as_far_as_it_goes() -> None:
    assert page("<a><b>1</b>&nbsp;<b>2</b", "text/xml").xpath("//b/text()").getall() == ["1", "2"]
    with pytest.raises(ParseError, match=r"http://e\.org/p/q holds no XML element"):
        page("", "text/xml").xpath("//b")


def test_entities_are_not_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    dtd = tmp_path / "x.dtd"
    dtd.write_text("<!ENTITY f 'FROM DTD'>")
    entity = f'<!ENTITY e SYSTEM "{secret.as_uri()}">'
    body = f'<!DOCTYPE a SYSTEM "{dtd.as_uri()}" [{entity}]><a>1&e;&f;</a>'
    response = page(body, "text/xml")
    assert response.xpath("string(/a)").get() == "1"
    assert "SECRET" not in str(response.xpath("/a").get())
    assert "FROM" not in str(response.xpath("/a").get())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (
            '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
            + "".join(
                f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
            )
            + ']><l x="&l;">&l;</l>',
            "text/xml",
        ),
        ("<a>" * 100_000, "text/xml"),
        ("<a>" * 1_000, "text/xml"),
        ("<div>" * 100_000, "text/html"),
        ("<div>" * 400, "text/html"),
    ],
    ids=["entities", "deep xml", "less deep xml", "deep html", "less deep html"],
)
def test_a_bomb_is_an_error(body: str, kind: str) -> None:
    with pytest.raises(NestingError, match=r"http://e\.org/p/q"):
        page(body, kind).xpath("//a")


def test_what_is_no_markup_cannot_be_searched() -> None:
    with pytest.raises(ContentError, match=r"is JSON .*read \.json\(\) instead"):
        page("{}", "application/json").xpath("//a")


# mistakes


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("//a[", r"not an XPath: '//a\['"),
        ("", "not an XPath: ''"),
        ("//a[$x]", r"XPath '//a\[\$x\]' cannot be answered: Undefined variable; pass the value of \$name as name="),
        ("foo(1)", r"XPath 'foo\(1\)' cannot be answered: Unregistered function"),
        ("//x:a", "pass namespaces="),
        ("//a[has-class()]", r"has-class\(\) takes one or more class names"),
        ("//a[@href=]", r"not an XPath: '//a\[@href=\]'"),
        ("//a\0", "not an XPath: .*NULL"),
        ("//a[.='\ud800']", "not an XPath: .*surrogates"),
        ("//a[re:test(@href, '(')]", "cannot be answered: missing "),
    ],
)
def test_a_bad_expression_is_told(query: str, says: str) -> None:
    with pytest.raises(ParseError, match=says):
        page().xpath(query)
    with pytest.raises(ParseError, match="an XPath is text: 3"):
        page().xpath(3)  # type: ignore[arg-type]
    with pytest.raises(ParseError, match="cannot be answered"):
        page().xpath("//a", namespaces=[1])  # type: ignore[arg-type]


# forms


def test_a_form_by_its_xpath() -> None:
    forms = "<form action=/a><input name=x></form><form action=/b><p id=i><input name=y value=1></form>"
    for query in ("//form[2]", "//p", "//input[@name='y']"):
        assert FormRequest.from_response(page(forms), formxpath=query).url == "http://e.org/b?y=1"
    with pytest.raises(ParseError, match="there is no form at '//i'"):
        FormRequest.from_response(page(forms), formxpath="//i")
    with pytest.raises(ParseError, match="cannot tell them apart; use formcss"):
        FormRequest.from_response(page("<form><form action=/x></form></form>"), formxpath="//form[2]")


# without lxml


def test_without_lxml_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    xpath._lxml.cache_clear()
    xpath._compiled.cache_clear()
    for name in ("lxml", "lxml.etree", "lxml.html"):
        monkeypatch.setitem(sys.modules, name, None)
    response = page()
    assert response.css("h2::text").get() == "T & é"
    assert len(LinkExtractor(restrict_css="a").extract_links(response)) == 2
    says = re.escape("XPath needs lxml; install it with: pip install 'scraper[xpath]'")
    with pytest.raises(MissingExtra, match=says):
        response.xpath("//a")
    with pytest.raises(MissingExtra, match=says):
        response.css("a").xpath(".")
    with pytest.raises(MissingExtra, match=says):
        LinkExtractor(restrict_xpaths="//a")
    with pytest.raises(MissingExtra, match=says):
        FormRequest.from_response(page("<form></form>"), formxpath="//form")
