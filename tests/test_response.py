"""Response: encoding, JSON, links and Retry-After, of the bytes that servers really send."""

import re

import pytest

from scraper.errors import NestingError, ParseError, RequestError
from scraper.request import Request
from scraper.response import Response

URL = "http://example.org/shop/list.html"
RETRY = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


def page(body, content_type="text/html", **more):
    body = body if isinstance(body, bytes) else body.encode()
    return Response(URL, headers={"Content-Type": content_type}, body=body, **more)


# -- text


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        (b"\xef\xbb\xbf<p>\xc3\xa9</p>", "text/html; charset=windows-1252", "utf-8"),
        ("\ufeff<p>é</p>".encode("utf-16-le"), "text/html", "utf-16le"),
        (b"<p>\xe9</p>", "text/html; charset=ISO-8859-1", "windows-1252"),
        ("<p>é</p>".encode(), "text/html; charset=utf8", "utf-8"),
        (b'<meta charset="iso-8859-2"><p>\xe9</p>', "text/html", "iso-8859-2"),
        (b'<meta http-equiv=content-type content="text/html; charset=latin1"><p>\xe9</p>', "text/html", "windows-1252"),
        ("<p>é</p>".encode(), "text/html", "utf-8"),
        (b"<p>\xe9</p>", "text/html", "windows-1252"),
        (b"<p>\xe9</p>", "text/html; charset=no-such-thing", "windows-1252"),
        ("<p>é</p>".encode("shift_jis", "xmlcharrefreplace"), "text/html; charset=x-sjis", "shift_jis"),
    ],
)
def test_the_encoding_is_the_one_a_browser_would_choose(body, content_type, encoding):
    response = page(body, content_type)
    assert response.encoding == encoding
    assert response.css("::text").getall() == ["é"]


def test_a_declared_utf8_that_is_none_loses_only_the_bad_bytes():
    response = page(b"<p title='\xc3 \xff'>a\xed\xa0\x80b</p><x\xff>\xf0\x9f", "text/html; charset=utf-8")
    assert response.text == "<p title='\ufffd \ufffd'>a\ufffd\ufffd\ufffdb</p><x\ufffd>\ufffd"
    assert response.css("p::attr(title)").get() == "\ufffd \ufffd"
    assert response.css("::text").getall() == ["a\ufffd\ufffd\ufffdb", "\ufffd"]


def test_a_meta_that_lies_beside_a_header_changes_nothing():
    body = '<meta charset="windows-1251"><p>é</p>'.encode()
    assert page(body, "text/html; charset=utf-8").css("p::text").get() == "é"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_page_too_deep_to_parse_says_so_and_keeps_its_text(encoding):
    response = page(("<div>" * 100_000).encode(encoding), f"text/html; charset={encoding}")
    with pytest.raises(NestingError, match=re.escape(URL)) as caught:
        response.css("div")
    assert caught.value.request is response.request
    assert response.text.startswith("<div><div>")


def test_a_page_is_parsed_once():
    response = page("<p>a</p>")
    assert response.tree is response.tree
    assert response.text is response.text


# -- headers, meta


def test_headers_do_not_mind_case():
    assert Response(URL, headers={"content-type": "text/html"}).headers["Content-Type"] == "text/html"
    assert Response(URL).headers.get("X") is None


def test_meta_and_cb_kwargs_are_those_of_the_request():
    request = Request(URL, meta={"a": 1}, cb_kwargs={"b": 2})
    assert (page("", request=request).meta, page("", request=request).cb_kwargs) == ({"a": 1}, {"b": 2})
    assert (page("").meta, page("").cb_kwargs) == ({}, {})


def test_ok_is_below_400():
    assert [Response(URL, status).ok for status in (200, 304, 399, 400, 503)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("9" * 30, 999_999_999.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 100.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 100.0),
        ("Wed Oct 21 07:28:00 2015", 100.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 100.0),
        ("Wed, 21 Oct 2015 09:28:00 +0200", 100.0),
        ("Wed, 21 Oct 2009 07:28:00 GMT", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0663", None),
        ("Fri, 99 Oct 99999 07:28:00 GMT", None),
        ("2015-10-21T07:28:00Z", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")  # a date without a zone is GMT all the same
    import time

    time.tzset()
    try:
        assert Response(URL, 429, {"retry-after": value}).retry_after(RETRY - 100) == seconds
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_retry_after_is_none():
    assert Response(URL, 429).retry_after(RETRY) is None


# -- JSON


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b' {"a": [1, null]} ', "application/json", {"a": [1, None]}),
        ('\ufeff{"a": "é"}'.encode(), "application/json", {"a": "é"}),
        ('\ufeff{"a": "é"}'.encode("utf-16-be"), "application/json", {"a": "é"}),
        ('{"a": "é"}'.encode("latin-1"), "application/json; charset=latin-1", {"a": "é"}),
        ('{"a": "é"}'.encode("latin-1"), "application/json", {"a": "é"}),
        (b"123456789012345678901234567890", "application/json", 123456789012345678901234567890),
        (b'"\\ud83d cut"', "application/json", "\ud83d cut"),
        (b"[1e400, -Infinity]", "application/json", [float("inf"), float("-inf")]),
    ],
)
def test_json_is_read_as_servers_send_it(body, content_type, value):
    assert page(body, content_type).json() == value


def test_json_is_converted_to_a_type():
    assert page(b'{"a": 1}').json(dict[str, float]) == {"a": 1.0}
    assert page('{"a": 1}'.encode("utf-16")).json(dict[str, float]) == {"a": 1.0}


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b"callback({})", b"{'a': 1}", b'{"a": 1} tail', b"[" * 100_000]
)
def test_what_is_no_json_says_where_it_came_from_and_how_it_starts(body):
    with pytest.raises(ParseError) as caught:
        page(body).json()
    assert f"{URL} is not the JSON asked for" in str(caught.value)
    assert repr(body.decode()[:60]) in str(caught.value)


def test_json_of_another_shape_says_what_was_expected():
    with pytest.raises(ParseError, match="Expected `int`, got `str`"):
        page(b'{"a": "x"}').json(dict[str, int])


# -- links


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("a", "http://example.org/shop/a"),
        ("/a?b=1&B=2#c", "http://example.org/a?b=1&B=2"),
        ("../../a/./b", "http://example.org/a/b"),
        ("//Other.org", "http://other.org/"),
        (" b \n", "http://example.org/shop/b"),
        ("", URL),
        ("#top", URL),
        ("?x=1", URL + "?x=1"),
    ],
)
def test_urljoin_resolves_as_a_browser_does(href, url):
    assert page("").urljoin(href) == url


@pytest.mark.parametrize(
    "href", ["mailto:a@example.org", "javascript:void(0)", "tel:1", "data:,x", "ftp://x/", "http://[::1"]
)
def test_urljoin_refuses_what_cannot_be_crawled(href):
    with pytest.raises(RequestError, match=re.escape(f"{href!r} on {URL}")):
        page("").urljoin(href)


LINKS = """<a href=one>1</a> <a href="mailto:a@example.org">2</a> <a href="javascript:x()">3</a> <a>4</a> <a href="http://[">5</a>
<area href=/area> <a href="one#again">6</a> <img src=i.png> <a href=" two ">7</a> <link href=style.css> <a href>8</a>"""


def test_links_are_the_pages_own_each_once():
    assert page(LINKS).links() == [
        "http://example.org/shop/one",
        "http://example.org/shop/two",
        URL,
        "http://example.org/area",
    ]


@pytest.mark.parametrize(
    "targets",
    ["a, img", "a::attr(href), img::attr(src)", ["one", "mailto:x@example.org", "i.png", "one#x", " two ", ""]],
)
def test_follow_all_takes_css_attributes_or_urls_and_each_url_once(targets):
    requests = list(page(LINKS).follow_all(targets, "parse_book"))
    assert {request.url for request in requests} == {
        "http://example.org/shop/one",
        "http://example.org/shop/i.png",
        "http://example.org/shop/two",
        URL,
    }
    assert len(requests) == 4
    assert {request.callback for request in requests} == {"parse_book"}


def test_follow_all_takes_matches_nodes_and_strings_alike():
    response = page(LINKS)
    expected = [request.url for request in response.follow_all("a")]
    assert len(expected) == 3
    for urls in (
        response.css("a"),
        list(response.css("a")),
        response.css("a::attr(href)"),
        list(response.css("a::attr(href)")),
        response.css("a::attr(href)").getall(),
        response.tree.css("a"),
        (selector for selector in response.css("a")),
    ):
        assert [request.url for request in response.follow_all(urls=urls)] == expected


def test_follow_all_gives_every_request_its_arguments():
    requests = list(page(LINKS).follow_all("a", priority=2, meta={"a": 1}, dont_filter=True))
    assert [(request.priority, request.meta, request.dont_filter) for request in requests] == [(2, {"a": 1}, True)] * 3
    requests[0].meta["a"] = 2
    assert requests[1].meta == {"a": 1}


@pytest.mark.parametrize(("arguments"), [{}, {"css": "a", "urls": ["b"]}, {"urls": "one"}])
def test_follow_all_wants_one_of_css_and_urls(arguments):
    with pytest.raises(RequestError, match="css=… or urls="):
        page(LINKS).follow_all(**arguments)


def test_follow_takes_a_url_a_match_a_node_or_an_attribute():
    response = page(LINKS)
    url = "http://example.org/shop/one"
    for target in ("one", response.css("a")[0], response.css("a::attr(href)")[0], response.tree.css_first("a")):
        request = response.follow(target, "parse_book")
        assert (request.url, request.callback) == (url, "parse_book")
    assert response.follow(response.css("img")[0]).url == "http://example.org/shop/i.png"
    assert response.follow("one", method="POST", meta={"a": 1}).meta == {"a": 1}


def test_follow_refuses_what_holds_no_link():
    response = page(LINKS)
    for target in (response.css("a")[3], None, response.css("a"), 5):
        with pytest.raises(RequestError, match=f"no href or src in .* on {re.escape(URL)}"):
            response.follow(target)


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ('<base href="/other/"><a href=x>', "http://example.org/other/x"),
        ('<BaSe target=_top><bAsE HREF=" http://Cdn.example.org/d/e "><a href=x>', "http://cdn.example.org/d/x"),
        ('<base href="/first/"><base href="/second/"><a href=x>', "http://example.org/first/x"),
        ('<base href=""><a href=x>', "http://example.org/shop/x"),
        ('<base href="javascript:1"><a href=x>', "http://example.org/shop/x"),
        ('<base href="http://["><a href=x>', "http://example.org/shop/x"),
        ('<p>&lt;base href="/no/"&gt;</p><a href=x>', "http://example.org/shop/x"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_base_href_is_honoured_before_and_after_parsing(html, url, encoding):
    body = html.encode(encoding)
    assert page(body).urljoin("x") == url  # nothing is parsed yet
    assert page(body).links() == [url]
    assert [request.url for request in page(body).follow_all("a")] == [url]


def test_joining_urls_on_json_parses_no_page():
    response = page('{"next": "/page/2"}' + "<div>" * 100_000, "application/json")  # would not parse
    assert response.follow("/page/2").url == "http://example.org/page/2"


@pytest.mark.parametrize("base", ['href="/x/"', "target=_top HREF='/x/'", "href=/x/"])
def test_links_given_as_text_are_followed_on_a_page_that_is_not_parsed(base: str) -> None:
    body = f"<base {base}><svg><select><option selected>o</select></svg>"
    response = Response("http://h.test/p", 200, {"Content-Type": "text/html"}, body.encode())
    with pytest.raises(NestingError):
        response.css("a")
    assert response.follow("y").url == "http://h.test/x/y"
