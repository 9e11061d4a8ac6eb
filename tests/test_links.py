"""Which links of a page a LinkExtractor takes, as what, and in which order."""

import re
from typing import Any

import pytest

from scraper import Link, LinkExtractor, Response
from scraper.errors import NestingError, ParseError, RequestError, SpiderError
from scraper.link_words import NOT_PAGES, candidates

HERE = "http://e.org/p/q"


def page(body: str, kind: str = "text/html; charset=utf-8") -> Response:
    return Response(HERE, headers={"Content-Type": kind}, body=body.encode())


def found(body: str, **arguments: Any) -> list[Link]:
    return LinkExtractor(**arguments).extract_links(page(body))


def urls(body: str, **arguments: Any) -> list[str]:
    """Without ``http://e.org``."""
    return [link.url.removeprefix("http://e.org") for link in found(body, **arguments)]


# what a Link is


def test_a_link_is_a_value() -> None:
    link = Link("http://e.org/", "Home", "top", True)
    assert link == Link("http://e.org/", "Home", "top", nofollow=True)
    assert len({link, Link("http://e.org/", "Home", "top", True)}) == 1
    for other in (Link("http://e.org/x", "Home", "top", True), Link("http://e.org/", "Home", "top")):
        assert link != other
        assert hash(link) != hash(other)
    assert repr(Link("http://e.org/", "Home")) == "Link(url='http://e.org/', text='Home')"


# what is found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<a href=/1>1</a><area href=/2><a href=/3>3</a>", ["/1", "/2", "/3"]),
        ("<a href=x>1</a><a href=../y>2</a><a href=?z>3</a><a href=//e.org/w>4</a>", ["/p/x", "/y", "/p/q?z", "/w"]),
        ("<base href=http://b.org/d/><a href=1>x</a>", ["http://b.org/d/1"]),
        ('<a href=" /a\n\tb ">x</a>', ["/ab"]),
        ("<a href=''>x</a>", ["/p/q"]),
        ("<a href>x</a>", ["/p/q"]),
        ("<a name=x>x</a>", []),
        ("<a href=mailto:a@b>x</a><a href='javascript:x()'>x</a><a href=ftp://h/>x</a><a href=tel:1>x</a>", []),
        ("<a href='http://bücher.example/ü?ä'>x</a>", ["http://xn--bcher-kva.example/%C3%BC?%C3%A4"]),
        ("<a href='http://[::1/x'>x</a><a href='http://a b/'>y</a><a href=/ok>k</a>", ["/ok"]),
        ("<a href=/é>1</a><a href=/%C3%A9>2</a><a href='/a b'>3</a><a href=/a%20b>4</a>", ["/%C3%A9", "/a%20b"]),
        ("<A HREF=/1>x</A>", ["/1"]),
        ("", []),
    ],
)
def test_links_are_canonical_and_in_the_order_of_the_page(body: str, expected: list[str]) -> None:
    assert urls(body) == expected


def test_several_links_to_one_url_are_one() -> None:
    body = (
        "<a href=/1#f rel=nofollow><img></a><a href=/1> A\n <b>B</b></a><a href=/1>C</a><a href=/2 rel=nofollow>D</a>"
    )
    assert found(body) == [Link("http://e.org/1", "A B", "f"), Link("http://e.org/2", "D", nofollow=True)]
    assert found(body, unique=False) == [
        Link("http://e.org/1", "", "f", True),
        Link("http://e.org/1", "A B"),
        Link("http://e.org/1", "C"),
        Link("http://e.org/2", "D", nofollow=True),
    ]


def test_nofollow_counts_when_every_link_says_it() -> None:
    body = "<a href=/1 rel='x NoFollow'>a</a><a href=/1 rel=nofollow>b</a><a href=/2 rel=nofollowed>c</a>"
    assert [link.nofollow for link in found(body)] == [True, False]


# what is allowed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"allow": "/b"}, ["/b1", "/b2"]),
        ({"allow": ["/a", re.compile("/B2", re.IGNORECASE)]}, ["/a1", "/b2"]),
        ({"deny": "1$"}, ["/b2", "http://o.org/c3"]),
        ({"allow": ("/a", "/b"), "deny": "/b1"}, ["/a1", "/b2"]),
        ({"allow": r"^http://e\.org/a1$"}, ["/a1"]),
        ({"allow_domains": "E.org."}, ["/a1", "/b1", "/b2"]),
        ({"deny_domains": ["e.org"]}, ["http://o.org/c3"]),
        ({"restrict_text": "^Two words$"}, ["/b1"]),
        ({"restrict_text": ["one", "three"]}, ["/a1", "/b2"]),
        ({"restrict_text": None, "allow": ()}, ["/a1", "/b1", "/b2", "http://o.org/c3"]),
        ({"restrict_css": "nav"}, ["/b1", "/b2"]),
        ({"restrict_css": ["a.x", "nav p"]}, ["/b2", "http://o.org/c3"]),
        ({"allow": "#"}, []),
    ],
)
def test_links_are_taken_as_they_are_allowed(arguments: dict[str, Any], expected: list[str]) -> None:
    body = (
        "<a href=/a1>one</a><nav><a href=/b1> Two\n words </a><p><a href=/b2#f>three</a></p></nav>"
        "<a class=x href=http://o.org/c3>four</a>"
    )
    assert urls(body, **arguments) == expected


def test_domains_have_those_below_them_and_any_port() -> None:
    body = "<a href=http://e.org:81/>1</a><a href=http://x.e.org/>2</a><a href=http://note.org/>3</a>"
    assert [link.text for link in found(body, allow_domains="e.org")] == ["1", "2"]
    assert urls("<a href=http://bücher.example/>1</a>", allow_domains="BÜCHER.example") != []


def test_overlapping_areas_give_each_link_once_in_the_order_of_the_page() -> None:
    body = "<div class=a><a href=/1>1</a><div class=b><a href=/2>2</a></div></div><div class=b><a href=/3>3</a></div>"
    assert urls(body, restrict_css=(".b", ".a"), unique=False) == ["/1", "/2", "/3"]


def test_what_is_no_page_is_left_out() -> None:
    body = "".join(
        f"<a href={path}>x</a>"
        for path in (
            "/a.pdf",
            "/b.JPG?x=1",
            "/c.html",
            "/d.ai",
            "/e.json",
            "/f.zip/",
            "/g?x.pdf",
            "/h.tar.gz",
            "/i.x.y",
        )
    )
    assert urls(body) == ["/c.html", "/d.ai", "/e.json", "/f.zip/", "/g?x.pdf", "/i.x.y"]
    assert urls(body, deny_extensions=()) == [
        *("/a.pdf", "/b.JPG?x=1", "/c.html", "/d.ai", "/e.json", "/f.zip/", "/g?x.pdf", "/h.tar.gz", "/i.x.y")
    ]
    left = ["/a.pdf", "/b.JPG?x=1", "/d.ai", "/e.json", "/f.zip/", "/g?x.pdf", "/h.tar.gz"]
    assert urls(body, deny_extensions=[".HTML", "x.y"]) == left
    assert urls("<a href=http://scale.ai>x</a><a href=http://my.zip>y</a>") == ["http://scale.ai/", "http://my.zip/"]
    assert not NOT_PAGES & {"html", "htm", "php", "json", "xml", "csv", "txt", "ai", "ps", "py", "rs", "sh"}


# where links are looked for


def test_tags_and_attributes_are_the_callers() -> None:
    body = "<img src=/a.jpg data-src=/b.jpg><link href=/c.css><a href=/d data-src=/e>x</a><b data-src=/f></b>"
    assert urls(body, tags="IMG", attrs="SRC") == ["/a.jpg"]
    assert urls(body, tags=["img"], attrs=("data-src", "src")) == ["/a.jpg", "/b.jpg"]
    assert urls(body, tags=("img", "link", "a"), attrs=("src", "href")) == ["/a.jpg", "/c.css", "/d"]
    assert urls(body, tags="*", attrs="data-src") == ["/b.jpg", "/e", "/f"]
    assert urls(body, tags="*", attrs="data-src", deny_tags=["b", "img"]) == ["/e"]
    assert urls(body, tags="img", attrs="*", deny_attrs="src") == ["/b.jpg"]
    assert urls(body, tags="img", attrs="src", deny_extensions="jpg") == []
    assert urls("<img src=/x.jpg><a href=/x.jpg>x</a>", tags=("img", "a"), attrs=("src", "href")) == ["/x.jpg"]


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        ("a.jpg, b.jpg 2x", ["a.jpg", "b.jpg"]),
        ("a.jpg 100w,b.jpg 2x", ["a.jpg", "b.jpg"]),
        ("a.jpg,b.jpg 2x", ["a.jpg,b.jpg"]),  # no white space, no end: so has the standard
        (" , a.jpg 1x ,", ["a.jpg"]),
        ("data:image/png;base64,xx 1x, b.jpg", ["data:image/png;base64,xx", "b.jpg"]),
        ("a.jpg 1x (x,y), b", ["a.jpg", "b"]),
        ("a.jpg (x, b", ["a.jpg"]),
        ("a,,", ["a"]),
        ("", []),
        (",", []),
    ],
)
def test_srcset_is_read_as_the_standard_has_it(srcset: str, expected: list[str]) -> None:
    assert list(candidates(srcset)) == expected
    if srcset == "a.jpg, b.jpg 2x":
        body = f"<img src=/x.jpg srcset='{srcset}'>"
        assert urls(body, tags="img", attrs="srcset") == ["/p/a.jpg", "/p/b.jpg"]
        assert urls(body, tags="img", attrs=["src", "srcset"]) == ["/x.jpg", "/p/a.jpg", "/p/b.jpg"]


def test_process_value_may_change_and_refuse() -> None:
    seen = []

    def value(url: str) -> str | None:
        seen.append(url)
        return url.split("'")[1] if "'" in url else url if "#" in url else None

    body = """<a href="javascript:go('x/1')">1</a><a href=" /2#x ">2</a><a href=3>3</a>"""
    assert found(body, process_value=value) == [Link("http://e.org/p/x/1", "1"), Link("http://e.org/2", "2", "x")]
    assert seen == ["javascript:go('x/1')", "http://e.org/2#x", "http://e.org/p/3"]
    with pytest.raises(RequestError, match=r"process_value of LinkExtractor gave a int for '/1' on http://e\.org/p/q"):
        found("<a href=/1>1</a>", process_value=lambda url: 1)


def test_canonicalize_sorts_the_query() -> None:
    body = "<a href='/x?b=2&a=1'>1</a><a href='/x?a=1&&b=2'>2</a><a href='/y?'>3</a>"
    assert urls(body) == ["/x?b=2&a=1", "/x?a=1&&b=2", "/y?"]
    assert urls(body, canonicalize=True) == ["/x?a=1&b=2", "/y"]


# XPath


def test_restrict_xpaths() -> None:
    body = "<a href=/1>1</a><nav id=n><a href=/2 rel=nofollow>2 <b>x</b></a><p><a href=/3.pdf>3</a></p></nav>"
    assert found(body, restrict_xpaths="//nav") == [Link("http://e.org/2", "2 x", nofollow=True)]
    assert urls(body, restrict_xpaths=["//nav", "id('n')/a"], deny_extensions=(), unique=False) == ["/2", "/3.pdf"]
    assert urls(body, restrict_xpaths="//a[.='1']", restrict_css="nav") == ["/2", "/1"]
    everywhere = {"restrict_xpaths": "//nav", "tags": "*", "attrs": ("id", "href"), "deny_tags": "p", "unique": False}
    assert urls(body, **everywhere, deny_extensions=()) == ["/p/n", "/2", "/3.pdf"]
    everywhere["deny_tags"] = "a"
    assert urls(body, **everywhere) == ["/p/n"]
    with pytest.raises(ParseError, match="restrict_xpaths '//a/@href' gives text"):
        found(body, restrict_xpaths="//a/@href")


# other pages


@pytest.mark.parametrize("kind", ["application/json", "image/png", "application/octet-stream", "text/plain"])
def test_what_is_no_markup_has_no_links(kind: str) -> None:
    assert LinkExtractor().extract_links(page("{}", kind)) == []
    assert LinkExtractor(restrict_css="a").extract_links(page("\x89PNG", kind)) == []


def test_what_must_not_be_parsed_is_an_error() -> None:
    with pytest.raises(NestingError):
        found("<div>" * 100_000)


def test_matches_asks_of_a_url_alone() -> None:
    links = LinkExtractor(allow="/p/", deny="/p/9", allow_domains="e.org", restrict_text="x")
    assert links.matches("http://e.org/p/1")
    assert links.matches("HTTP://E.ORG/x/../p/1#x")
    assert not links.matches("http://e.org/p/8/../9")
    for url in ("http://e.org/", "http://e.org/p/9", "http://o.org/p/1", "http://e.org/p/1.pdf", "mailto:p/1", "/p/1"):
        assert not links.matches(url), url


# following


def test_links_can_be_followed() -> None:
    response = page("<a href=/1>1</a><a href=/2 rel=nofollow>2</a>")
    links = LinkExtractor().extract_links(response)
    assert response.follow(links[0], "read").url == "http://e.org/1"
    assert [each.url for each in response.follow_all(links)] == ["http://e.org/1", "http://e.org/2"]
    assert response.follow(Link("x")).url == "http://e.org/p/x"
    assert response.follow(links[1]).options is None
    response.obeys_nofollow = True
    assert response.follow(links[1]).options == {"nofollow": True}
    assert [each.options for each in response.follow_all(urls=links)] == [None, {"nofollow": True}]
    with pytest.raises(RequestError, match="no href or src in"):
        response.follow(object())  # type: ignore[arg-type]


# mistakes


def test_a_name_with_a_colon_is_a_name() -> None:
    body = b"<p><svg:a href=x>1</svg:a><a href=y>2</a></p>"
    response = Response("http://h.test/", headers={"Content-Type": "text/html"}, body=body)
    for arguments, urls in (
        ({"tags": "svg:a"}, "x"),
        ({"tags": ("svg:a", "a")}, "xy"),
        ({"tags": "*", "deny_tags": "svg:a"}, "y"),
        ({"tags": "svg:a", "restrict_css": "p"}, "x"),
    ):
        found = LinkExtractor(**arguments).extract_links(response)
        assert [link.url for link in found] == [f"http://h.test/{url}" for url in urls], arguments


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"restrict_cs": "a"}, "LinkExtractor takes no 'restrict_cs'; did you mean 'restrict_css'?"),
        ({"restrict_xpath": "a"}, "did you mean 'restrict_xpaths'"),
        ({"zzz": "a"}, "LinkExtractor takes no 'zzz'; it takes allow, deny"),
        ({"strip": True}, "takes no 'strip': URLs are read without the white space"),
        ({"allow": "("}, r"allow of LinkExtractor is no regular expression: '\('"),
        ({"deny": ["a", 1]}, "deny of LinkExtractor is text, or several of them: 1"),
        ({"allow": re.compile(b"x")}, "allow of LinkExtractor must match text, not bytes"),
        ({"restrict_css": "a["}, r"restrict_css of LinkExtractor: not a CSS selector: 'a\['"),
        ({"restrict_css": "a::attr(href)"}, "restrict_css of LinkExtractor must select elements"),
        ({"restrict_xpaths": "//a["}, r"restrict_xpaths of LinkExtractor: not an XPath: '//a\['"),
        ({"allow_domains": "http://e.org/"}, "allow_domains of LinkExtractor has 'http://e.org/'; give host names"),
        ({"deny_domains": ["*.e.org"]}, "deny_domains of LinkExtractor has"),
        ({"tags": ()}, "no tags or no attrs"),
        ({"tags": "a area"}, "tags of LinkExtractor has 'a area'; give names"),
        ({"deny_attrs": ["a["]}, r"deny_attrs of LinkExtractor has 'a\['; give names"),
        ({"process_value": "x"}, "process_value of LinkExtractor is a function"),
    ],
)
def test_a_mistake_is_an_error_at_once(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(SpiderError, match=says):
        LinkExtractor(**arguments)
