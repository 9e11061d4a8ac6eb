"""URLs by the WHATWG standard: what is crawled, under which canonical name, in which slot."""

import random

import pytest

from scraper.url import Resolver, canonical, fingerprint, host_of, in_domains, origin_of, resolve

BASE = "http://example.org/a/b/c?q=1#f"


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("", "http://example.org/a/b/c?q=1"),
        ("#top", "http://example.org/a/b/c?q=1"),
        ("?", "http://example.org/a/b/c?"),
        ("d", "http://example.org/a/b/d"),
        ("../d", "http://example.org/a/d"),
        ("../../../../d", "http://example.org/d"),
        ("./%2e%2E/d", "http://example.org/a/d"),
        ("/d/./e/../f", "http://example.org/d/f"),
        ("//Other.Example", "http://other.example/"),
        ("\\\\other.example\\x", "http://other.example/x"),
        ("  /a\tb\n ", "http://example.org/ab"),
        ("HTTPS://EXAMPLE.org:443/Path/%7e?B=2&a=1&B=1", "https://example.org/Path/%7e?B=2&a=1&B=1"),
        ("http://example.org:80", "http://example.org/"),
        ("http://example.org:8080", "http://example.org:8080/"),
        ("https://example.org:80/", "https://example.org:80/"),
        ("http:d", "http://example.org/a/b/d"),
        ("http://user:p%40ss@example.org/", "http://user:p%40ss@example.org/"),
        ("http://bücher.example/ü?ü", "http://xn--bcher-kva.example/%C3%BC?%C3%BC"),
        ("http://faß.example/", "http://xn--fa-hia.example/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[0:0::1]:80/", "http://[::1]/"),
        ("a b\0c", "http://example.org/a/b/a%20b%00c"),
        # Lone surrogates become U+FFFD, pairs are characters.
        ("\ud800", "http://example.org/a/b/%EF%BF%BD"),
        ("\ud83d\ude00", "http://example.org/a/b/%F0%9F%98%80"),
        # The standard keeps ASCII hosts that are not valid IDNA.
        ("http://xn--/", "http://xn--/"),
        ("http://a.XN--pokxncvks:81/XN--a?XN--", "http://a.xn--pokxncvks:81/XN--a?XN--"),
        ("http://10.0.0.xn--pokxncvks", "http://10.0.0.xn--pokxncvks/"),
    ],
)
def test_an_href_means_what_a_browser_takes_it_for(href: str, url: str) -> None:
    assert resolve(BASE, href) == url
    assert Resolver(BASE)(href) == url
    assert canonical(url) == url, "a canonical URL is its own canonical form"


@pytest.mark.parametrize(
    "href",
    [
        "mailto:a@example.org",
        "javascript:void(0)",
        "data:text/html,x",
        "ftp://example.org/",
        "file:///etc/passwd",
        "tel:1",
        "httpx://example.org/",
        "http-s://example.org/",
        "http://",
        "https:///",
        "http://[",
        "http://[::1",
        "http://a b/",
        "http://a<b/",
        "http://example.org:99999/",
        "http://example.org:a/",
        "http://1.2.3.4.5/",
        "http://256.256.256.256/",
        "http://%00/",
        "http://xn--é.example/",
        "http://xn--a.ß/",
        "//",
    ],
)
def test_what_cannot_be_crawled_is_none(href: str) -> None:
    assert resolve(BASE, href) is None
    assert Resolver(BASE)(href) is None


@pytest.mark.parametrize("url", ["", "#a", "a", "/a", "//example.org", "?", "\0", "http:", "mailto:x", "\ud800"])
def test_a_canonical_url_needs_to_be_absolute(url: str) -> None:
    assert canonical(url) is None


@pytest.mark.parametrize("base", ["", "nonsense", "mailto:x@example.org", "http://[", "\udfff"])
def test_a_page_without_a_usable_base_has_no_relative_links(base: str) -> None:
    assert resolve(base, "d") is None
    assert Resolver(base)("d") is None


def test_a_base_that_only_the_second_look_can_read() -> None:
    assert Resolver("http://xn--pokxncvks/a/b")("../c") == "http://xn--pokxncvks/c"
    assert Resolver("http://example.org/\ud800/")("c") == "http://example.org/%EF%BF%BD/c"


def test_no_text_raises() -> None:
    dice = random.Random(1)
    pieces = ["http:", "https:", "//", "/", "\\", "?", "#", "@", ":", "[", "]", "..", "%", "%2e", "xn--", "XN--é", "\0"]
    pieces += [
        "a",
        "é",
        "\ud800",
        "\udfff",
        "😀",
        "\n",
        " ",
        "80",
        "0x",
        "data:",
        "\u202e",
        "．",
        "xn0in0place0of0punycode0",
    ]
    for _ in range(20_000):
        base, href = ("".join(dice.choices(pieces, k=dice.randrange(8))) for _ in range(2))
        url = resolve(base, href)
        assert url == Resolver(base)(href)
        if url is not None:
            assert url.startswith(("http://", "https://"))
            assert "#" not in url
            assert url.isascii()
            assert canonical(url) == url
            assert origin_of(url).endswith("//" + host_of(url))


@pytest.mark.parametrize("unit", ["a", "../", "%zz", "é", "@", "a@", "xn--", "xn--pokxncvks.", "[", "?", "\ud800"])
@pytest.mark.parametrize("start", ["", "//", "http://"])
def test_hrefs_of_a_megabyte(start: str, unit: str) -> None:
    url = resolve(BASE, start + unit * (1_000_000 // len(unit)))
    assert url is None or url.startswith("http://")


def test_a_resolver_remembers() -> None:
    links = Resolver(BASE)
    assert links("d") == links["d"] == "http://example.org/a/b/d"
    assert links("mailto:x") is None
    assert {"d", "mailto:x"} <= links.keys()
    links["d"] = "http://example.org/remembered"
    assert links("d") == "http://example.org/remembered"


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("http://example.org/", "example.org", "http://example.org"),
        ("https://example.org/a/b?c=//d@e", "example.org", "https://example.org"),
        ("http://example.org:8080/@x", "example.org:8080", "http://example.org:8080"),
        ("http://user:p%40ss@example.org:81/", "example.org:81", "http://example.org:81"),
        ("http://[::1]/", "[::1]", "http://[::1]"),
        ("https://u@[::1]:8443/", "[::1]:8443", "https://[::1]:8443"),
        ("http://x/", "x", "http://x"),
    ],
)
def test_host_and_origin(url: str, host: str, origin: str) -> None:
    assert canonical(url) == url
    assert host_of(url) == host
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("host", "domains", "within"),
    [
        ("example.org", ("example.org",), True),
        ("www.example.org:8080", ("example.org",), True),
        ("a.b.example.org", ("other.example", "example.org"), True),
        ("example.org", ("www.example.org",), False),
        ("badexample.org", ("example.org",), False),
        ("example.org.evil.example", ("example.org",), False),
        ("example.org", (), False),
        ("[::1]:80", ("[::1]",), True),
        ("[::1]", ("[::1]",), True),
        ("127.0.0.1:8000", ("127.0.0.1",), True),
    ],
)
def test_in_domains(host: str, domains: tuple[str, ...], within: bool) -> None:
    assert in_domains(host, domains) is within


def test_a_fingerprint_is_stable_and_16_bytes() -> None:
    """Stored in databases: a changed value makes every page of a resumed crawl look new."""
    assert fingerprint("GET", "http://example.org/").hex() == "13dab8d42ad2218070c0198247c2304a"
    assert fingerprint("POST", "http://example.org/", b"a=1", "s").hex() == "8a93d86afb46e4cc611cbafd9bc8d4c0"


def test_the_same_request_has_one_fingerprint() -> None:
    url = "http://example.org/"
    assert fingerprint("get", url) == fingerprint("GET", url, b"") == fingerprint("GET", url, None, "")
    assert fingerprint("post", url) == fingerprint("POST", url, b"")


def test_requests_that_differ_have_fingerprints_that_differ() -> None:
    urls = ["http://a/", "http://a/b", "http://a/B", "http://a/?x=1&y=2", "http://a/?y=2&x=1", "https://a/"]
    parts = [
        (m, u, b, s)
        for m in ("GET", "POST", "PUT")
        for u in urls
        for b in (None, b"b", b"b\0")
        for s in ("", "b", "\ud800")
    ]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


def test_no_part_of_a_fingerprint_passes_for_another() -> None:
    assert fingerprint("POST", "http://a/", b"x", "y") != fingerprint("POST", "http://a/", b"yx", "")
    assert fingerprint("POST", "http://a/y", b"x", "") != fingerprint("POST", "http://a/", b"x", "y")
    assert fingerprint("POSTH", "ttp://a/") != fingerprint("POST", "http://a/")
