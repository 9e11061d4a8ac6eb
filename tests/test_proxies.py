"""Which proxy is taken: its URL read, the list in turn, and what the environment says."""

import pytest

from scraper.errors import RequestError, SettingsError
from scraper.proxies import Environment, Proxies
from scraper.proxy import hidden, parse_proxy
from scraper.request import Request
from scraper.settings import Settings

PAGE = Request("http://shop.example/")


@pytest.mark.parametrize(
    ("text", "scheme", "name"),
    [
        ("http://proxy.example:3128", "http", "proxy.example:3128"),
        ("http://proxy.example/", "http", "proxy.example:80"),
        ("https://proxy.example", "https", "proxy.example:443"),
        ("proxy.example:3128", "http", "proxy.example:3128"),
        ("user:pw@proxy.example:3128", "http", "proxy.example:3128"),
        ("socks5h://user:p%40w@[::1]", "socks5h", "[::1]:1080"),
        (" http://10.0.0.1:8080 ", "http", "10.0.0.1:8080"),
    ],
)
def test_a_proxy_that_can_be(text: str, scheme: str, name: str) -> None:
    proxy = parse_proxy(text)
    assert (proxy.scheme, proxy.name) == (scheme, name)


def test_user_and_password_are_decoded() -> None:
    proxy = parse_proxy("socks5://us%3Aer:p%40w@h.example:1")
    assert (proxy.user, proxy.password, proxy.is_socks, proxy.resolves) == ("us:er", "p@w", True, False)


@pytest.mark.parametrize(
    "text",
    """ftp://u:Secret@h:1 http:// http://u:Secret@ http://u:Secret@h:port http://u:Secret@h:99999 http://u:Secret@h:0
    http://u:Secret@h:1/path http://u:Secret@h:1?q u:Se/cret@h http://u%3A:Secret@h:1 http://u:Secret@[::1 nothing://
    http://u:Secret u:Secret u:Secret@h:1://h http://Secret/x@h:1 http://u:1/Secret@h
    """.split(),
)
def test_a_proxy_that_cannot_be_is_told_without_its_password(text: str) -> None:
    for settings in (Settings(proxy=text), Settings(proxies=("http://a:1", text))):
        with pytest.raises(SettingsError, match="prox") as caught:
            Proxies(settings, {})
        assert "ecret" not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        Proxies(Settings(), {"HTTPS_PROXY": text})
    with pytest.raises(RequestError, match=r"proxy of http://shop\.example/") as refused:
        Request("http://shop.example/", proxy=text)
    assert "ecret" not in str(caught.value) + str(refused.value)


def test_what_is_hidden() -> None:
    assert hidden("http://u:p@h:1") == "http://***@h:1"
    assert hidden("u:p@h:1") == "***@h:1"
    assert hidden("http://u:a://b@h:1") == "http://***@h:1"
    assert hidden("h:1") == "h:1"
    assert hidden("u:p@h:1://x") == "***@h:1://x"
    assert hidden("u:p://x@h:1") == "***@h:1"


def listed(*names: str, rest: float = 60.0) -> Proxies:
    return Proxies(Settings(proxies=tuple(f"http://{name}:1" for name in names), proxy_rest=rest), {})


def taken(proxies: Proxies, times: int, now: float = 0.0) -> str:
    found = [proxies.choose(PAGE, now) for _ in range(times)]
    return "".join(each.host for each in found if each is not None)


def test_in_turn() -> None:
    assert taken(listed("a", "b", "c"), 7) == "abcabca"


def test_one_that_failed_rests_and_comes_back() -> None:
    proxies = listed("a", "b", "c", rest=10)
    assert taken(proxies, 1) == "a"
    proxies.failed(parse_proxy("http://b:1"), 0.0)
    assert taken(proxies, 4, 9.9) == "caca"
    assert taken(proxies, 3, 10.0) == "bca"


def test_when_all_rest_the_one_that_failed_first_is_asked() -> None:
    proxies = listed("a", "b", "c")
    for when, name in enumerate("bca"):
        proxies.failed(parse_proxy(f"http://{name}:1"), float(when))
    assert taken(proxies, 2, 5.0) == "bb"
    proxies.failed(parse_proxy("http://b:1"), 6.0)
    assert taken(proxies, 1, 7.0) == "c"


def test_a_single_proxy_is_always_asked_and_a_foreign_one_is_not_remembered() -> None:
    one = Proxies(Settings(proxy="http://a:1"), {"http_proxy": "http://env:1"})
    one.failed(parse_proxy("http://a:1"), 0.0)
    assert taken(one, 2) == "aa"
    several = listed("a", "b")
    for number in range(50):
        several.failed(parse_proxy(f"http://own{number}:1"), 0.0)
    assert several._failed == {}


def from_environment(url: str, **variables: str) -> str | None:
    proxy = Environment(variables).proxy_for(url)
    return proxy.host if proxy is not None else None


@pytest.mark.parametrize(
    ("variables", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://a:1"}, "a", None),
        ({"HTTPS_PROXY": "http://b:1"}, None, "b"),
        ({"http_proxy": "http://low:1", "HTTP_PROXY": "http://up:1"}, "low", None),
        ({"ALL_PROXY": "socks5h://c:1"}, "c", "c"),
        ({"all_proxy": "c:1", "https_proxy": "b:1"}, "c", "b"),
        ({"HTTP_PROXY": "http://visitor:1", "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": "http://a:1", "REQUEST_METHOD": "GET"}, "a", None),
        ({"http_proxy": "  "}, None, None),
    ],
)
def test_variables(variables: dict[str, str], http: str | None, https: str | None) -> None:
    assert from_environment("http://shop.example/", **variables) == http
    assert from_environment("https://shop.example/", **variables) == https


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1:81", "127.8.9.1", "[::1]:81"])
def test_loopback_has_no_proxy(host: str) -> None:
    assert from_environment(f"http://{host}/", http_proxy="http://a:1") is None


@pytest.mark.parametrize(
    ("rule", "host", "without"),
    [
        ("shop.example", "shop.example", True),
        ("shop.example", "www.shop.example", True),
        ("shop.example", "myshop.example", False),
        (".shop.example", "www.shop.example", True),
        ("*.shop.example", "www.shop.example", True),
        ("SHOP.example", "shop.example:8080", True),
        ("shop.example:8080", "shop.example:8080", True),
        ("shop.example:8080", "shop.example", False),
        ("shop.example:80", "shop.example", True),
        ("other.example, shop.example", "shop.example", True),
        ("other.example shop.example", "shop.example", True),
        ("*", "shop.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "shop.example", False),
        ("fd00::/8", "[fd00::1]:81", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("fd00::1", "[fd00::1]", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("a:b:c, :, /, ., x:y", "shop.example", False),
    ],
)
def test_no_proxy(rule: str, host: str, without: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        found = from_environment(f"http://{host}/", http_proxy="http://a:1", **{name: rule})
        assert (found is None) is without


def test_the_environment_is_for_those_who_set_no_proxy() -> None:
    variables = {"http_proxy": "http://env:1"}
    assert taken(Proxies(Settings(), variables), 1) == "env"
    assert Proxies(Settings(proxy_env=False), variables).choose(PAGE) is None
    assert not Proxies(Settings(), {"no_proxy": "*"}).any
    assert taken(Proxies(Settings(proxy="http://a:1"), variables), 1) == "a"
    assert Proxies(Settings(), variables).choose(Request("http://shop.example/", proxy="")) is None
