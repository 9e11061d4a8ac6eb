"""One cookie: RFC 6265 and 6265bis, rule by rule; the cases are of our own making."""

from calendar import timegm

import pytest

from scraper.cookies import LONGEST_LIFE, Cookie, date, default_path, pairs, path_matches, place_of, read

NOW = 1_700_000_000.0
URL = "https://www.example.org/a/b?c=/d/e"


def cookie(line: str, url: str = URL) -> Cookie | None:
    return read(line, place_of(url), NOW)


def goes(found: Cookie | None, url: str) -> bool:
    assert found is not None
    return found.goes_to(place_of(url))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://h.test/", ("h.test", "/", False)),
        ("https://h.test:8443/a/b?c/d", ("h.test", "/a/b", True)),
        ("http://user:p%40ss@h.test:80/x", ("h.test", "/x", False)),
        ("http://[::1]:8080/x", ("[::1]", "/x", False)),
        ("http://127.0.0.1/?a", ("127.0.0.1", "/", False)),
        ("http://h.test/a@b:c/d", ("h.test", "/a@b:c/d", False)),
    ],
)
def test_what_of_a_url_decides(url: str, place: tuple[str, str, bool]) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("a=b", "a=b"),
        ("  a \t=  b  ", "a=b"),
        ("a=b=c; Path=/", "a=b=c"),
        ("a=", "a="),
        ('a="b c"', 'a="b c"'),
        ("=b", "b"),
        ("b", "b"),
        ("a=b\tc", "a=b\tc"),
        ("a=ü", "a=ü"),
        ("a=b;;; ;Secure", "a=b"),
    ],
)
def test_a_name_and_a_value_are_read(line: str, pair: str) -> None:
    found = cookie(line)
    assert found is not None and found.pair == pair


@pytest.mark.parametrize(
    "line", ["", "=", " ; Path=/", "a=b\x01", "a\x7f=b", "a=b; Path=/\x00", "a=\udcff", "a=b\nc=d"]
)
def test_a_line_that_is_none_is_ignored(line: str) -> None:
    assert cookie(line) is None


def test_a_cookie_of_4096_bytes_is_the_largest() -> None:
    assert cookie("n=" + "v" * 4095) is not None
    assert cookie("n=" + "v" * 4096) is None
    assert cookie("n=" + "ü" * 2047) is not None
    assert cookie("n=" + "ü" * 2048) is None
    assert cookie("n=v; Path=/" + "x" * 1024) == cookie("n=v")  # so long an attribute does not count


def test_without_a_domain_it_is_for_its_host_only() -> None:
    found = cookie("a=b; Path=/")
    assert goes(found, "https://www.example.org/")
    assert goes(found, "http://www.example.org:8080/")  # cookies do not know ports
    assert not goes(found, "https://example.org/")
    assert not goes(found, "https://x.www.example.org/")


@pytest.mark.parametrize(
    "domain", ["example.org", ".example.org", "EXAMPLE.org", "www.example.org; Domain=example.org"]
)
def test_with_a_domain_it_is_for_all_below(domain: str) -> None:
    found = cookie(f"a=b; Path=/; Domain={domain}")
    assert goes(found, "https://example.org/") and goes(found, "https://x.y.example.org/")
    assert not goes(found, "https://badexample.org/") and not goes(found, "https://example.org.evil.test/")


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.example.org/", "other.org"),
        ("https://www.example.org/", "x.www.example.org"),
        ("https://www.example.org/", "ple.org"),
        ("https://www.example.org/", "..example.org"),
        ("https://www.example.org/", "example.org:443"),
        ("https://www.example.org/", "exämple.org"),
        ("https://www.example.org/", "org"),
        ("https://shop.co.uk/", "co.uk"),
        ("https://me.github.io/", "github.io"),
        ("https://me.github.io/", ".github.io"),
        ("http://127.0.0.1/", "0.0.1"),
        ("http://127.0.0.1/", "1"),
        ("http://a.localhost/", "localhost"),
    ],
)
def test_a_domain_that_is_not_its_own_makes_it_nothing(url: str, domain: str) -> None:
    assert cookie(f"a=b; Domain={domain}", url) is None


@pytest.mark.parametrize("host", ["github.io", "localhost"])
def test_a_public_suffix_may_set_cookies_for_itself_alone(host: str) -> None:
    found = cookie(f"a=b; Domain={host}", f"http://{host}/")
    assert found is not None and found.exact
    assert not goes(found, f"http://x.{host}/")


def test_an_address_is_nothing_but_itself() -> None:
    for host in ("127.0.0.1", "[::1]"):
        found = cookie(f"a=b; Domain={host}", f"http://{host}:81/")
        assert goes(found, f"http://{host}/")
        assert not goes(found, "http://127.0.0.2/") and not goes(found, "http://localhost/")


@pytest.mark.parametrize(
    ("path", "default"),
    [("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("/a/b/c.html", "/a/b"), ("", "/"), ("//x", "/")],
)
def test_the_default_path_is_the_folder(path: str, default: str) -> None:
    assert default_path(path) == default


@pytest.mark.parametrize(
    ("path", "of_cookie", "fits"),
    [
        ("/", "/", True),
        ("/a", "/", True),
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/a/b", "/a/", True),
        ("/ab", "/a", False),
        ("/", "/a", False),
        ("/a", "/a/", False),
        ("/A", "/a", False),
    ],
)
def test_a_path_matches_at_its_slashes(path: str, of_cookie: str, fits: bool) -> None:
    assert path_matches(path, of_cookie) is fits


def test_a_path_is_absolute_or_the_default() -> None:
    paths = {"": "/a", "x": "/a", "/x": "/x", "/x; Path=/y": "/y", "/x; Path=": "/a"}
    for given, path in paths.items():
        found = cookie(f"a=b; Path={given}")
        assert found is not None and found.path == path, given


def test_secure_is_for_https() -> None:
    found = cookie("a=b; secure=whatever; Path=/")
    assert goes(found, URL) and not goes(found, "http://www.example.org/")
    assert cookie("a=b; Secure", "http://www.example.org/") is None


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("__Secure-a=b; Secure", True),
        ("__Secure-a=b", False),
        ("__secure-a=b", False),
        ("__Host-a=b; Secure; Path=/", True),
        ("__Host-a=b; Secure; Path=/; Domain=", True),
        ("__Host-a=b; Secure", False),
        ("__Host-a=b; Secure; Path=/a", False),
        ("__Host-a=b; Path=/", False),
        ("__Host-a=b; Secure; Path=/; Domain=www.example.org", False),
        ("__HOST-a=b", False),
        ("=__Host-a=b; Secure; Path=/", False),
        ("__Host-a; Secure; Path=/", False),
    ],
)
def test_a_prefix_keeps_its_promise(line: str, kept: bool) -> None:
    assert (cookie(line) is not None) is kept


@pytest.mark.parametrize(
    ("attributes", "expires"),
    [
        ("", None),
        ("Max-Age=60", NOW + 60),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", NOW + 60),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; max-age=60", NOW + 60),
        ("Max-Age=60; Max-Age=x", NOW + 60),
        ("Max-Age=1.5", None),
        ("Max-Age=+60", None),
        ("Max-Age=", None),
        ("Max-Age=0", 0.0),
        ("Max-Age=-1", 0.0),
        ("Max-Age=99999999999999999999", NOW + LONGEST_LIFE),
        ("Expires=Fri, 31 Dec 9999 23:59:59 GMT", NOW + LONGEST_LIFE),
        ("Expires=Tue, 14 Nov 2023 22:14:20 GMT", NOW + 60),
        ("Expires=tomorrow", None),
        ("Expires=Tue, 14 Nov 2023 22:14:20 GMT; Expires=never", NOW + 60),
    ],
)
def test_its_time(attributes: str, expires: float | None) -> None:
    found = cookie(f"a=b; {attributes}")
    assert found is not None and found.expires == expires


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", (1994, 11, 6, 8, 49, 37)),
        ("6 november 1994 8:9:7", (1994, 11, 6, 8, 9, 7)),
        ("1994 Nov 06 08:49:37", (1994, 11, 6, 8, 49, 37)),  # four digits cannot be a day
        ("06 Nov 19945 08:49:37", None),
        ("Nov 06 94 08:49:37x PST", (1994, 11, 6, 8, 49, 37)),
        ("01-Jan-69 00:00:00", (2069, 1, 1, 0, 0, 0)),
        ("01-Jan-70 00:00:00", (1970, 1, 1, 0, 0, 0)),
        ("29 Feb 2024 00:00:00", (2024, 2, 29, 0, 0, 0)),
        ("29 Feb 2023 00:00:00", None),
        ("29 Feb 2100 00:00:00", None),
        ("31 Apr 2024 00:00:00", None),
        ("00 Jan 2024 00:00:00", None),
        ("01 Jan 1600 00:00:00", None),
        ("01 Jan 2024 24:00:00", None),
        ("01 Jan 2024 00:60:00", None),
        ("01 Jan 2024", None),
        ("01 Xyz 2024 00:00:00", None),
        ("", None),
    ],
)
def test_a_date_is_read_from_its_parts(text: str, moment: tuple[int, ...] | None) -> None:
    assert date(text) == (None if moment is None else timegm(moment))


def test_names_and_values_of_several_lines() -> None:
    lines = ["a=1; Path=/x", "b=x=y", "a=2", "=", "c"]
    assert pairs(lines) == {"a": "2", "b": "x=y", "": "c"}
