"""robots.txt as text: who we are to it, what its bytes say, its site maps, and groups as RFC 9309 has them."""

import pytest
from asking import NO, Robots

from scraper import Response, SettingsError
from scraper.robots_rules import Rules
from scraper.robots_text import MOST_BYTES, our_token, product_token, robots_text
from scraper.settings import Settings, load
from scraper.testing import FakeFetcher, LocalSite


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("FooBot/1.2", "FooBot"),
        ("FooBot", "FooBot"),
        ("FooBot (+https://foo.example/bot)/2", "FooBot (+https:"),
        ("Mozilla/5.0 (compatible; FooBot/1.2; +http://foo.example/bot)", "FooBot"),
        ("Mozilla/5.0 (compatible; foo_bot; +http://foo.example/bot)", "foo_bot"),
        ("Mozilla/5.0 (compatible; 2bot)", "2bot"),
        ("Mozilla/5.0 (compatible; Львів-bot/1.1)", "Львів-bot"),
        ("Mozilla/5.0 (compatible) FooBot/1.2", "FooBot"),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; FooBot/2.0; +http://x.example) Chrome/99.0",
            "FooBot",
        ),
        ("Mozilla/5.0 (Linux) Chrome/99.0 Mobile Safari/537.36 (compatible; FooBot/2.1; +http://x.example)", "FooBot"),
        ("Mozilla/5.0 (compatible; +http://x.example)", "Mozilla"),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0", "Mozilla"),
        ("", ""),
    ],
)
def test_the_token_of_a_user_agent(agent: str, token: str) -> None:
    assert product_token(agent) == token


def test_our_own_token() -> None:
    assert our_token(Settings()) == "scraper"
    assert our_token(Settings(user_agent="Foo/1", robots_agent="Bar")) == "Bar"
    assert our_token(Settings(user_agent="Foo/1", robots_agent="Bar/2 (x)")) == "Bar"
    assert our_token(Settings(user_agent="Foo/1", headers={"user-AGENT": "Baz/3"})) == "Baz", "as it is sent"
    assert our_token(Settings(headers={"User-Agent": "Baz/3"}, robots_agent="Bar")) == "Bar"
    assert our_token(load({"robots_agent": "Bar"})) == "Bar"
    with pytest.raises(SettingsError):
        load({"robots_agents": "Bar"})


async def test_the_setting_counts_and_the_user_agent_is_still_sent() -> None:
    async with Robots(b"User-agent: bar\nDisallow: /no\n", robots_agent="Bar") as ours:
        assert not await ours.allows("/no")
        assert await ours.allows("/yes")
        assert {each.headers["user-agent"] for each in ours.server.asked} == {"Shopper/1.2 (+https://shopper.example)"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbfDisallow: /caf\xc3\xa9", "Disallow: /café"),
        ("\ufeffDisallow: /café".encode("utf-16-le"), "Disallow: /café"),
        ("\ufeffDisallow: /café".encode("utf-16-be"), "Disallow: /café"),
        (b"Disallow: /caf\xe9\r\nDisallow: /caf\xc3\xa9\n", "Disallow: /café\r\nDisallow: /café\n"),
        (b"\xef\xbb\xbfa\xff\nb", "aÿ\nb"),
        (b"\x00\x01", "\x00\x01"),
        (b"\xff\xfe\x00", "\ufffd"),
    ],
)
def test_bytes_become_text(body: bytes, text: str) -> None:
    assert robots_text(body) == text


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_the_last_whole_line_within_500_kib_is_the_last(end: bytes) -> None:
    line = b"Disallow: /0123456789" + end
    text = robots_text(line * (MOST_BYTES // len(line) + 100))
    assert MOST_BYTES - 2 * len(line) < len(text) <= MOST_BYTES
    assert text.endswith((line[:-1] + end[-1:]).decode())
    assert robots_text(b"x" * (MOST_BYTES + 1)) == ""
    assert len(robots_text(b"x" * MOST_BYTES)) == MOST_BYTES


def allows(text: str, token: str = "Shopper", path: str = "/x") -> bool:
    return Rules(text, token).allows(f"http://h.test{path}")


@pytest.mark.parametrize(
    "line",
    [
        "User-agent: Shopper",
        "user-agent:SHOPPER",
        "USER AGENT : shopper  # us",
        "Useragent shopper",
        "User-agent: Shopper/1.2",
        "User-agent: Shopper*",
        "User-agent: Shopper the Bot",
    ],
)
def test_lines_that_name_us(line: str) -> None:
    assert not allows(f"User-agent: *\nDisallow:\n\n{line}\nDisallow: /\n")
    assert allows(f"User-agent: *\nDisallow: /\n\n{line}\nDisallow: /y\n"), "the rules for all are not for us then"


@pytest.mark.parametrize(
    "name", ["Shop", "s", "Shopper2", "my-shopper", "Shopper-News", "Shoppers", "Other Shopper", "us", "other", "**"]
)
def test_lines_that_name_somebody_else(name: str) -> None:
    assert allows(f"User-agent: {name}\nDisallow: /\n\nUser-agent: *\nDisallow: /y\n")
    assert not allows(f"User-agent: {name}\nAllow: /\n\nUser-agent: *\nDisallow: /\n")


def test_without_a_name_the_rules_for_all_count() -> None:
    assert not allows("User-agent: *\nDisallow: /\n", "")
    assert allows("User-agent:\nDisallow: /\n\nUser-agent: x\nDisallow: /\n", "")


@pytest.mark.parametrize(
    "between", ["Noindex: /a", "Sitemap: http://h.test/s.xml", "Host: h.test", "# x", "", "junk", "a: b"]
)
def test_a_line_that_is_no_rule_ends_no_group(between: str) -> None:
    text = f"User-agent: Shopper\n{between}\nUser-agent: Other\n{between}\nDisallow: /x\n{between}\nDisallow: /y\n"
    for token in ("Shopper", "Other"):
        assert not allows(text, token)
        assert not allows(text, token, "/y")
    assert allows(text, "Third")


async def test_the_line_of_a_denial_is_that_of_the_file() -> None:
    text = b"# x\x0b\nNoindex: /a\n\nUser-agent: Shopper/1\nVisit-time: 1-2\n\n  Disallow: /no # hers\n"
    async with Robots(text) as ours:
        with pytest.raises(Exception, match=r'/robots.txt line 7, "Disallow: /no", forbids .*/no to \'Shopper\';'):
            await ours.get("/no")


def test_site_maps() -> None:
    text = (
        b"\xef\xbb\xbfSitemap: https://a.example/1.xml\nuser-agent: *\n sitemap : /2.xml # relative\n"
        b"Site-map: https://A.example:443/1.xml#x\nSitemaps https://a.example/caf\xc3\xa9.xml\n"
        b"# Sitemap: https://a.example/no.xml\nSitemap:\nSitemap: mailto:x@a.example\nDisallow: /Sitemap: x\n"
    )
    found = Response("https://a.example/robots.txt", 200, {"Content-Type": "text/plain"}, text).sitemaps()
    assert found == ["https://a.example/1.xml", "https://a.example/2.xml", "https://a.example/caf%C3%A9.xml"]
    assert Response("https://a.example/robots.txt", 200, {}, b"\xff\xd8\x00binary").sitemaps() == []


# the setting, and the option of a request


async def test_a_request_need_not_ask() -> None:
    async with Robots(NO) as ours:
        assert await ours.allows("/no", obey_robots=False)
        assert ours.asked == ["/no"]
        assert not await ours.allows("/no")
        assert await ours.allows("/no", obey_robots=False)


async def test_a_request_may_ask_where_the_others_do_not() -> None:
    async with Robots(NO, obey_robots=False) as ours:
        assert await ours.allows("/no")
        assert ours.asked == ["/no"]
        assert not await ours.allows("/no", obey_robots=True)
        assert await ours.allows("/no", cookies=False), "another option says nothing of it"
        assert ours.robots_asked == 1


async def test_robots_txt_is_asked_by_the_proxy_of_its_page() -> None:
    async with LocalSite({}) as at:
        given: list[object] = []
        inner = FakeFetcher({at.url("/"): ""})
        inner.answers[at.url("/robots.txt")] = lambda request: given.append(request.options) or 404
        async with Robots(NO) as ours:
            ours.http = inner  # type: ignore[assignment]
            ours.restart()
            from scraper import Request

            await ours.fetcher.fetch(Request(at.url("/"), proxy="http://p.example:3128"))
            assert [options["proxy"] for options in given] == ["http://p.example:3128"]  # type: ignore[index]
