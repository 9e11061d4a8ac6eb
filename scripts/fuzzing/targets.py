"""What is fuzzed: one function for each reader, with what must hold whatever comes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
import can_ada
from asked import ASKED
from child import Target
from fed import FED
from hypothesis import strategies as st
from multidict import CIMultiDict
from pieces import HEADERS, LINES, MARKS, SELECTORS, TAGS, URLS, a_flood, a_page, made, soup, words
from selectolax.lexbor import LexborHTMLParser

from scraper import content, cookies, encoding, filename, robots_text, url
from scraper.decompress import BodyError, Decompressor, decompress, zstd
from scraper.errors import ParseError, RedirectError, RequestError
from scraper.nesting import too_deep
from scraper.redirect import redirected
from scraper.request import Request
from scraper.response import Response
from scraper.robots_line import DenyingLines
from scraper.robots_rules import Rules

HERE = "http://example.com/a/b?c"
NOW = 1_700_000_000.0
LIMIT = 1_000_000
SPLIT = b"\x1e"


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass" if b"\xed" in data and is_text(data) else "replace")


def is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def halves(data: bytes) -> tuple[bytes, bytes]:
    head, _, rest = data.partition(SPLIT)
    return head, rest


def two(first: st.SearchStrategy[bytes], second: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(first, second).map(SPLIT.join)


def is_canonical(each: str) -> None:
    assert url.canonical(each) == each, each
    parsed = can_ada.parse(each) if "xn--" not in each else None
    if parsed is not None:
        assert str(parsed) == each, each
        assert url.host_of(each) == parsed.host, each
        assert url.origin_of(each) == parsed.origin, each
    assert url.origin_of(each).partition("//")[2] == url.host_of(each)


def page(data: bytes) -> None:
    """Everything a callback reads of a page."""
    head, body = halves(data)
    response = Response(HERE, headers={"Content-Type": head.decode("latin-1")}, body=body)
    assert isinstance(response.text, str) and isinstance(response.text[:50].encode("utf-8"), bytes)
    for read in (
        lambda: [is_canonical(each) for each in response.links()],
        lambda: [is_canonical(each.url) for each in response.follow_all("a, area, link, img, form, *")],
        lambda: [each.get() for each in response.css("*")],
        lambda: (response.css("*::text").getall(), response.css("body ::text").get(), response.css("*").text),
        lambda: [each.attrib for each in response.css("a[href], input")],
        lambda: response.json(),
        lambda: response.json(dict[str, int]),
        lambda: (response.tree.html, response.tree.text(), response.tree.head, response.tree.body),
    ):
        try:
            read()
        except ParseError as error:
            assert str(error)
    for href in (text_of(body[:80]), "", "#", "//"):
        with suppress(RequestError):
            is_canonical(response.urljoin(href))


def select(data: bytes) -> None:
    query, body = halves(data)
    try:
        response = Response(HERE, headers={"Content-Type": "text/html; charset=utf-8"}, body=body)
        first = response.css(text_of(query)).get()
        found = response.css(text_of(query))
        everything = found.getall()
        assert len(everything) == len(found) == len(list(found))
        assert first == (everything[0] if everything else None)
        assert found[:2].getall() == everything[:2]
        for each in list(found)[:20]:
            assert each.getall() == [each.get()]
            _ = each.attrib, each.text, each.re(r"\w+"), repr(each)
            if each.node is not None:
                each.css(text_of(query)).getall()
        _ = found.text, found.attrib, found.re_first("(a)(b)?")
    except ParseError as error:
        assert str(error)


def charset(data: bytes) -> None:
    head, body = halves(data)
    header = head.decode("latin-1")
    name = encoding.sniff(body, header or None)
    assert encoding.label_to_codec(name) == name, name
    for each in (name, header):
        encoding.decode(body, each).encode("utf-8")
    assert encoding.is_utf8(body) == (body.decode("utf-8", "ignore").encode() == body)
    kind = content.kind_of(header, body)
    assert kind in ("html", "xml", "json", "text", "binary"), kind


def urls(data: bytes) -> None:
    base, href = map(text_of, halves(data))
    for each in (url.canonical(base), url.canonical(href)):
        if each is not None:
            is_canonical(each)
            assert url.in_domains(url.host_of(each), ("example.com",)) in (True, False)
            assert len(url.fingerprint("GET", each)) == 16
    found = url.resolve(base, href)
    resolver = url.Resolver(base)
    assert resolver[href] == found == url.Resolver(base)(href)
    assert url.Resolver(base).urls([href, href]) == ([found] if found else [])
    if found is not None:
        is_canonical(found)
        assert url.resolve(HERE, found) == found


def nesting(data: bytes) -> None:
    """What the guard lets through is parsed in time: the limit for one input says so."""
    if not too_deep(data):
        LexborHTMLParser(data)


CODINGS = ("gzip", "deflate", "br", "zstd", "gzip, br", "identity", "x-gzip", "deflate, gzip, zstd", "bogus", "")


def body(data: bytes) -> None:
    name = CODINGS[data[0] % len(CODINGS)] if data else ""
    step = data[1] + 1 if len(data) > 1 else 1
    whole = result(lambda: decompress(data[2:], name, LIMIT))
    chunked = result(lambda: in_chunks(data[2:], name, step))
    assert isinstance(whole, type) or len(whole) <= LIMIT
    if isinstance(whole, type) or isinstance(chunked, type):  # one error may be met before another
        assert isinstance(whole, type) and isinstance(chunked, type), (whole, chunked)
    else:
        assert whole == chunked


def in_chunks(data: bytes, name: str, step: int) -> bytes:
    decoder = Decompressor(name, LIMIT)
    found = b"".join(b"".join(decoder.feed(data[at : at + step])) for at in range(0, len(data), step))
    decoder.finish()
    return found


def result(make: Callable[[], bytes]) -> bytes | type:
    try:
        return make()
    except BodyError as error:
        assert str(error)
        return type(error)


def robots(data: bytes) -> None:
    path, file = halves(data)
    target = url.resolve("http://example.com/", text_of(path)) or "http://example.com/"
    text = robots_text.robots_text(file)
    for each in robots_text.sitemaps(text, "http://example.com/robots.txt"):
        is_canonical(each)
    rules = Rules(text, "scraper")
    assert 0 <= rules.gap < float("inf")
    if not rules.allows(target):
        plain = robots_text.plain(text, "scraper")
        line = DenyingLines(plain, robots_text.US).find(target)
        assert line is None or (line.number > 0 and line.text.isprintable())
    robots_text.product_token(text_of(path))


def headers(data: bytes) -> None:
    """Retry-After, Location, Set-Cookie, Content-Type, file names: any text in each, as aiohttp reads it."""
    text = data.decode("utf-8", "surrogateescape")
    fields = CIMultiDict([("Retry-After", text), ("Location", text), ("Set-Cookie", text), ("Content-Type", text)])
    response = Response(HERE, 302, fields, b"<p>", Request(HERE))
    wait = response.retry_after(NOW)
    assert wait is None or 0 <= wait < 1e12
    for status in (301, 303, 308):
        response.status = status
        try:
            target = redirected(response, 20)
        except RedirectError as error:
            assert str(error)
        else:
            if target is not None:  # an empty Location is none
                is_canonical(target.url)
    cookie = cookies.read(text, cookies.place_of("https://www.example.com/a/b"), NOW)
    if cookie is not None:
        assert "\n" not in cookie.pair and cookie.size > 0
        cookie.goes_to(cookies.place_of("https://example.com/"))
    cookies.pairs([text])
    cookies.date(text)
    content.kind_of(text, data)
    filename.flaw_of(text)
    assert response.encoding


CONTENT = b"<p>a page of its own kind</p>" * 40
BODIES = (
    *(
        bytes([number, step]) + packed
        for number, packed in enumerate(
            (gzip.compress(CONTENT), zlib.compress(CONTENT), brotli.compress(CONTENT), zstd.compress(CONTENT))
        )
        for step in (0, 6, 255)
    ),
    b"\x00\xff" + gzip.compress(bytes(5_000_000)),
    b"\x00\x20" + gzip.compress(b"a") * 300,
    b"\x02\xff" + brotli.compress(bytes(5_000_000)),
    b"\x03\xff" + zstd.compress(bytes(5_000_000)),
    b"\x03\xff" + zstd.compress(CONTENT) + b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstd.compress(CONTENT),
    b"\x04\xff" + brotli.compress(gzip.compress(CONTENT)),
)
PAGE = (
    b"text/html\x1e<!doctype html><meta charset=shift_jis><base href=/x/><title>t</title><h1 class=c>h</h1>"
    b"<table><tr><td>1<td><a href='../y?q=1#f'>\x83\x65</a></table><form action=/go><input name=a><select name=s>"
    b"<option selected>o</select><textarea>\n&lt;</textarea></form><svg><path d=''/></svg><script>if(a<b)</script>"
)
JSON = b'application/json\x1e{"a": [1, 2.5e300, "\\ud800", null, NaN], "b": {"c": -0}}'
MARKUP = [*MARKS, *(f"<{tag}>".encode() for tag in TAGS), *(f"</{tag}>".encode() for tag in TAGS)]
TYPES = words(HEADERS, most=5)

TARGETS = [
    Target("page", two(TYPES, soup(MARKUP) | made(a_page)), page, (PAGE, JSON)),
    Target(
        "selector", two(words(SELECTORS, most=8), soup(MARKUP, 20) | made(a_page)), select, (b"td a::text" + PAGE[9:],)
    ),
    Target("charset", two(TYPES, soup(MARKS) | st.binary(max_size=300)), charset, (PAGE, b"\x1e\xff\xfea\0")),
    Target(
        "url", two(words(URLS), words(URLS)), urls, (b"http://u:p@example.com:81/a?b\x1e../c;d#e", b"\x1ehttp://xn--a/")
    ),
    Target("nesting", made(a_flood) | made(a_page), nesting, (b"<div><b>" * 500, b"<select><option>" * 300)),
    Target("body", soup(list(BODIES[:12]), 3) | st.binary(max_size=200), body, BODIES),
    Target(
        "robots",
        two(words(URLS, most=4), words(LINES, "\n", 30)),
        robots,
        (b"/a\x1e" + "\n".join(LINES).encode(),),
    ),
    Target(
        "headers", words(HEADERS, " ") | words(URLS) | st.binary(max_size=60), headers, (b"sid=1; Path=/; Max-Age=5",)
    ),
    *ASKED,
    *FED,
]
