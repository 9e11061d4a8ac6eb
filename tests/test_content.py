"""What a body is: by its label, and by its first bytes where the label says nothing of use or is plainly wrong."""

import gzip
import io
import re
import zipfile

import pytest

from scraper import content
from scraper.content import essence, kind_of
from scraper.errors import ContentError, ParseError
from scraper.response import Response

URL = "http://example.org/x"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


HTML = b"<!doctype html><title>t</title><p>x</p>"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
RSS = b'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title></channel></rss>'
XHTML = b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x" "y"><html xmlns="http://www.w3.org/1999/xhtml"><p>x</p></html>'


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("text/html; charset=utf-8", "text/html"),
        ("  TEXT/HTML ;x", "text/html"),
        ("application/vnd.api+json", "application/vnd.api+json"),
        ("text", ""),
        ("text/html, text/plain", ""),
        ("/", ""),
        ("", ""),
        (None, ""),
        ("\u00e9/x", ""),
    ],
)
def test_the_essence_of_a_header(header, found):
    assert essence(header) == found


def test_a_long_header_is_read_and_not_remembered():
    before = content._essence.cache_info().currsize
    assert essence("Text/HTML; x=" + "a" * 60_000) == "text/html"
    assert content._essence.cache_info().currsize == before


@pytest.mark.parametrize(
    ("header", "body", "kind"),
    [
        # what the header says
        ("text/html", HTML, "html"),
        ("text/html", b"plain words", "html"),
        ("text/html; charset=x", b'{"a": 1}', "html"),
        ("application/xhtml+xml", XHTML, "html"),
        ("text/xml", b"<a/>", "xml"),
        ("application/xml", RSS, "xml"),
        ("application/xml", b"<?xml version='1.0'?><rss><![CDATA[<html><p>]]></rss>", "xml"),
        ("application/atom+xml", b"<feed/>", "xml"),
        ("image/svg+xml", b"<svg/>", "xml"),
        ("image/svg+xml", b"<!-- x --><svg/>", "xml"),
        ("application/json", b'{"a": 1}', "json"),
        ("text/json", b"[]", "json"),
        ("application/ld+json; charset=utf-8", b"{}", "json"),
        ("application/problem+json", b"", "json"),
        ("text/plain", b"User-agent: *", "text"),
        ("text/css", b"p > a { }", "text"),
        ("text/csv", b"a,b\n1,2", "text"),
        ("application/javascript", b"x = '<p>'", "text"),
        ("application/x-ndjson", b"{}\n{}", "text"),
        ("image/png", PNG, "binary"),
        ("image/jpeg", b"no magic here", "binary"),
        ("application/pdf", b"x", "binary"),
        ("application/vnd.ms-excel", b"x", "binary"),
        ("application/epub+zip", b"x", "binary"),
        # a label that is plainly wrong
        ("text/html", PNG, "binary"),
        ("text/html", PDF, "binary"),
        ("text/html", zipped(), "binary"),
        ("text/html; charset=utf-8", gzip.compress(HTML, mtime=0), "binary"),
        ("application/json", PNG, "binary"),
        ("text/xml", PDF, "binary"),
        ("text/html", RSS, "xml"),
        ("text/html", XHTML, "html"),
        ("application/xml", XHTML, "html"),
        ("application/json", HTML, "html"),
        ("image/png", HTML, "html"),
        ("application/pdf", b"\n  <html><p>gone</p>", "html"),
        ("text/plain", HTML, "html"),
        ("text/plain", RSS, "xml"),
        # no label, or one that says nothing
        (None, b"", "text"),
        (None, HTML, "html"),
        (None, b"\xef\xbb\xbf \n<HTML><p>x", "html"),
        (None, RSS, "xml"),
        (None, b"<urlset><url/></urlset>", "xml"),
        (None, b"words", "text"),
        (None, b"\x00\x01\x02", "binary"),
        (None, PNG, "binary"),
        ("text", HTML, "html"),
        ("*/*", PDF, "binary"),
        ("unknown/unknown", b"words", "text"),
        ("application/octet-stream", HTML, "html"),
        ("application/octet-stream", b"\x01\x02", "binary"),
        ("application/octet-stream", b"a,b\r\n\tc\x1b[0m", "text"),
        ("text/plain", b"a\0b", "binary"),
        ("application/x-never-heard-of", b"words", "text"),
        ("application/x-never-heard-of", b"\x01\x02", "binary"),
        # what looks like one thing and is another
        ("text/html", b"<p>a\0b\x01</p>", "html"),
        ("text/plain; charset=utf-16", "words".encode("utf-16-le"), "text"),
        (None, "words".encode("utf-16"), "text"),
        ("text/plain", b"<blink>", "text"),
        ("text/plain", b"<address>x", "text"),
        ("text/html", b"BMW and PKZIP, GIFs", "html"),
        ("text/html", b"RIFF raff and more of it", "html"),
    ],
)
def test_kinds(header, body, kind):
    assert kind_of(header, body) == kind


@pytest.mark.parametrize("size", range(40))
def test_any_beginning_of_anything_has_a_kind(size):
    for body in (HTML, PNG, PDF, RSS, XHTML, zipped(), b"RIFF\0\0\0\0WEBPVP8 ", bytes(range(256))):
        for header in (None, "text/html", "application/json", "image/png", "text/plain; charset=utf-16"):
            assert kind_of(header, body[:size]) in ("html", "xml", "json", "text", "binary")


def page(body, content_type=None):
    headers = {} if content_type is None else {"Content-Type": content_type}
    return Response(URL, headers=headers, body=body)


@pytest.mark.parametrize(
    ("body", "header", "what", "use"),
    [
        (b'{"html": "<p>x</p>"}', "application/json", "JSON (application/json)", ".json()"),
        (PNG, "image/png", "binary data (image/png)", ".body"),
        (PDF, "text/html", "binary data (text/html)", ".body"),
        (b"if (a <b) document.write('<p>')", "text/javascript", "text (text/javascript)", ".text"),
        (b"Disallow: /", "text/plain", "text (text/plain)", ".text"),
        (b"1 < 2, 3 <4", None, "text (without a Content-Type)", ".text"),
        (b"\x01\x02", None, "binary data (without a Content-Type)", ".body"),
    ],
)
def test_searching_what_is_no_markup_says_what_it_is_and_what_to_use(body, header, what, use):
    response = page(body, header)
    for search in (
        lambda: response.css("p"),
        lambda: response.tree,
        lambda: response.links(),
        lambda: list(response.follow_all("a")),
    ):
        with pytest.raises(ContentError, match=re.escape(URL)) as caught:
            search()
        assert what in str(caught.value) and use in str(caught.value)
        assert caught.value.request is response.request
        assert caught.value.reason == "content type"


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (HTML, None),
        (HTML, "text/plain"),
        (HTML, "application/json"),
        (HTML, "image/png"),
        (HTML, "application/octet-stream"),
        (b"Hello <p>x</p>", "text/plain"),
        (b"Hello <p>x</p>", None),
        (b"<p>x</p>", "text/css"),
        ("<p>x</p>".encode("utf-16"), "text/plain"),
        ("Hello <p>x</p>".encode("utf-16-le"), "text/plain; charset=utf-16"),
        (b"<p>\0x</p>".replace(b"\0", b""), "text/html; charset=no-such"),
        (b"<urlset><p>x</p></urlset>", "application/xml"),
        (XHTML, "application/xhtml+xml"),
    ],
)
def test_what_may_be_markup_is_searched(body, header):
    assert page(body, header).css("p::text").getall() == ["x"]


def test_an_empty_body_is_searched_and_holds_nothing():
    for header in (None, "application/json", "image/png"):
        assert page(b"", header).css("p").getall() == []


def test_a_site_map_and_a_feed_are_searched():
    assert page(b"<urlset><url><loc>http://a/</loc></url></urlset>", "text/xml").css("loc::text").getall() == [
        "http://a/"
    ]
    assert page(RSS, "application/rss+xml").css("channel > title::text").get() == "t"


@pytest.mark.parametrize(
    ("body", "header", "kind"),
    [
        (HTML, "application/json", ContentError),
        (PNG, "application/json", ContentError),
        (RSS, "text/xml", ContentError),
        (b"{'a': 1}", "application/json", ParseError),
        (b"callback({})", "text/plain", ParseError),
    ],
)
def test_json_of_something_else_says_what_it_is(body, header, kind):
    with pytest.raises(ParseError) as caught:
        page(body, header).json()
    assert type(caught.value) is kind
    assert header in str(caught.value)


def test_json_does_not_mind_its_label():
    for header in (None, "text/html", "text/plain", "image/png"):
        assert page(b'{"a": 1}', header).json() == {"a": 1}


def test_text_and_links_of_what_is_no_page():
    response = page(PNG, "image/png")
    assert response.text.startswith("\u2030PNG")
    assert response.urljoin("/y") == "http://example.org/y"
    assert response.content_type == "image/png"
    assert page(b'{"a": "<base href=http://evil.test/>"}', "application/json").urljoin("y") == "http://example.org/y"


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b"<p>a\0b</p>", "text/html"),
        (b"<p>\xff\xfe\xc3</p>", "text/html; charset=utf-8"),
        (b"<p>\x81\x8d</p>", "text/html; charset=shift_jis"),
        (b"<p>x</p>", "text/html; charset=klingon"),
        (b"<p>x</p>", "text/html; charset="),
        (b"<p>x</p>", "text/html; charset=utf-7"),
        (b"<p>x</p>", "text/html; charset=utf-16"),
        (b"<p>x</p>", "utter nonsense"),
        (b"<p>x</p>", None),
        (b"\xef\xbb\xbf", "text/html"),
        (b"\xff\xfe<", "text/html"),
    ],
)
def test_broken_text_ends_well(body, header):
    response = page(body, header)
    assert isinstance(response.text, str)
    response.text.encode()  # no lone surrogates
    assert isinstance(response.css("p::text").getall(), list)
    assert response.links() == []
