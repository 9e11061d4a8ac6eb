"""Credentials in real crawls: to whom they go, to whom never, and where they can be read."""

import sqlite3
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from visited import Visited, crawl, page, spider

from scraper import Request, Spider
from scraper.auth import HostAuth, authorization
from scraper.errors import RequestError, SettingsError
from scraper.settings import Host, load


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


def end(self: Spider, response: Any) -> None:
    """A callback that gives nothing."""


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ("ann:secret", "Basic YW5uOnNlY3JldA=="),
        ("test:123£", "Basic dGVzdDoxMjPCow=="),  # the example of RFC 7617
        ("a:b:c d", basic("a:b:c d")),
        (":", "Basic Og=="),
        ("Bearer mF_9.B5f-4.1JqM", "Bearer mF_9.B5f-4.1JqM"),
        ("bearer  x ", "Bearer x"),
        ("Token abc", "Token abc"),
        ("ApiKey  id:key ", "ApiKey id:key"),
        ("a:b c d:e", basic("a:b c d:e")),
    ],
)
def test_what_is_sent(auth: str, header: str) -> None:
    assert authorization(auth) == header


@pytest.mark.parametrize(
    "auth", ["s3cret", "", "Bearer", "Bearer ", "Bearer s3cret\r\nX: y", "s3cret:\n", "Token s3crét"]
)
def test_what_is_none_is_refused_and_not_shown(auth: str) -> None:
    with pytest.raises(
        RequestError, match=r"auth of http://h\.test/ must be 'user:password', or a scheme"
    ) as by_request:
        Request("http://h.test/", auth=auth)
    with pytest.raises(SettingsError, match="setting auth must be 'user:password'") as by_setting:
        HostAuth(auth, {}, ["http://h.test/"], ())
    with pytest.raises(SettingsError, match=r"auth of hosts\['h.test'\] must be") as by_host:
        HostAuth(None, {"h.test": Host(auth=auth)}, [], ())
    for caught in (by_request, by_setting, by_host):
        assert "s3cr" not in str(caught.value) and caught.value.__suppress_context__


def test_a_value_of_the_wrong_type_is_not_shown() -> None:
    with pytest.raises(RequestError, match=r"auth of http://h\.test/ must be text$"):
        Request("http://h.test/", auth=("ann", "s3cret"))
    with pytest.raises(SettingsError) as caught:
        load({"hosts": {"h.test": {"auth": "ann:s3cret", "cap": "x"}}}, environment={})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://www.example.org/x", basic("a:setting")),
        ("https://www.example.org:8443/x", None),
        ("https://x.www.example.org/", None),
        ("https://example.org/", None),
        ("http://www.example.org/x", None),  # every start URL is https
        ("https://shop.test:81/", basic("a:setting")),
        ("https://x.y.shop.test/", basic("a:setting")),
        ("https://badshop.test/", None),
        ("https://shop.test.evil.test/", None),
        ("https://api.test/", "Bearer t"),
        ("https://v1.api.test/", "Bearer t"),
        ("http://api.test:8080/", "Bearer port"),
        ("https://open.shop.test/", basic("a:setting")),  # its rule says nothing of auth
    ],
)
def test_to_whom_the_settings_go(url: str, header: str | None) -> None:
    hosts = {
        "api.test:8080": Host(auth="Bearer port"),
        "*.api.test": Host(auth="Bearer t"),
        "open.shop.test": Host(cap=1),
        "v1.*": Host(auth="Bearer never"),
    }
    auth = HostAuth("a:setting", hosts, ["https://www.example.org/a"], ("shop.test",))
    assert [auth.header(url), auth.header(url)] == [header, header]


def test_what_is_for_a_host_of_https_does_not_go_over_http() -> None:
    hosts = {"*.shop.test": Host(auth="Bearer s"), "api.test": Host(auth="Bearer a"), "h.test": Host(auth="Bearer h")}
    auth = HostAuth(None, hosts, ["https://www.shop.test/", "http://h.test/", "https://h.test/"], ())
    assert auth.header("https://api.shop.test/") == "Bearer s"
    assert auth.header("http://www.shop.test/") is auth.header("http://www.shop.test:8080/") is None
    assert auth.header("http://h.test:81/") == "Bearer h"
    assert auth.header("http://api.test/") == "Bearer a"  # nothing says that it is one of https


def test_a_start_over_http_allows_http() -> None:
    auth = HostAuth("a:b", {}, ["http://h.test/", "https://h.test/"], ())
    assert auth.header("http://h.test/x") == auth.header("https://h.test/x") == basic("a:b")


def test_auth_that_could_go_nowhere_is_an_error() -> None:
    with pytest.raises(SettingsError, match="the spider has neither") as caught:
        HostAuth("ann:s3cret", {}, (url for url in ["http://h.test/"]), ())
    assert "s3cret" not in str(caught.value)
    assert not HostAuth(None, {"h.test": Host(cap=1)}, [], ())


async def test_the_setting_goes_to_the_hosts_of_the_spider_and_to_no_other(tmp_path: Path) -> None:
    async with Visited({"/": page()}) as other:
        async with Visited({"/": page("/2", other.url()), "/2": page(to=other.url())}) as site:
            report = await crawl(spider(site.url()), tmp_path, auth="ann:s3cret")
        assert site.seen("/", "Authorization") == site.seen("/2", "Authorization") == [basic("ann:s3cret")]
        assert other.seen("/", "Authorization") == [None]
    assert report.counts.dead == 0
    assert b"s3cret" not in (tmp_path / "visit.db").read_bytes()  # settings are not stored


async def test_a_host_has_its_own(tmp_path: Path) -> None:
    async with Visited({"/": page()}) as other, Visited({"/": page(other.url())}) as site:
        host = other.url().split("/")[2]
        await crawl(spider(site.url()), tmp_path, hosts={host: {"auth": "Bearer t0k"}})
        assert (site.seen("/", "Authorization"), other.seen("/", "Authorization")) == ([None], ["Bearer t0k"])


async def test_a_request_has_its_own_which_stays_with_its_origin(tmp_path: Path) -> None:
    def parse(self: Spider, response: Any) -> Any:
        yield response.follow("/next", self.end)

    async with Visited({"/": page()}) as other:
        pages = {"/": page(to="/in"), "/in": page(), "/next": page(), "/out": page(to=other.url())}
        async with Visited(pages) as site:
            starts = [Request(site.url(path), auth="bob:own") for path in ("/", "/out")]
            kind = spider(*starts, parse=parse, end=end, start_urls=[site.url()])
            await crawl(kind, tmp_path, auth="ann:setting")
            assert site.seen("/", "Authorization") == site.seen("/in", "Authorization") == [basic("bob:own")]
            assert site.seen("/next", "Authorization") == [basic("ann:setting")]  # what it links to has none
        assert other.seen("/", "Authorization") == [None]


async def test_what_was_added_is_not_the_request_s(tmp_path: Path) -> None:
    """A callback sees the request that it gave; what it makes of that goes to other hosts without our secrets."""
    headers = []

    def parse(self: Spider, response: Any) -> Any:
        headers.append(response.request.headers)
        yield response.request.replace(url=other.url(), callback="end")

    async with Visited({"/": page()}) as other, Visited({"/": page(to="/2", set_cookie="a=1"), "/2": page()}) as site:
        await crawl(spider(site.url(), parse=parse, end=end), tmp_path, auth="ann:s3cret")
        assert (site.seen("/2"), site.seen("/2", "Authorization")) == (["a=1"], [basic("ann:s3cret")])
        assert (headers, other.seen("/", "Authorization")) == ([None], [None])


async def test_what_a_request_says_itself_goes_first(tmp_path: Path) -> None:
    async with Visited({"/header": page(), "/both": page(), "/url": page()}) as site:
        starts = [
            Request(site.url("/header"), headers={"authorization": "Own x"}, auth="bob:own"),
            Request(site.url("/both"), auth="Bearer own"),
            Request(site.url("/url").replace("//", "//in:url@"), auth="bob:own"),
        ]
        await crawl(spider(*starts, start_urls=[site.url()]), tmp_path, auth="ann:setting")
        assert site.seen("/header", "Authorization") == ["Own x"]
        assert site.seen("/both", "Authorization") == ["Bearer own"]
        assert site.seen("/url", "Authorization") == [basic("in:url")]


async def test_a_dead_page_does_not_tell(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    errors = []

    def failed(self: Spider, request: Request, error: Exception) -> None:
        errors.append((request.headers, repr(request), str(error), getattr(error, "request", None)))

    async with Visited({"/": 403}) as site:
        start = Request(site.url(), auth="bob:0wn", errback="failed")
        report = await crawl(
            spider(start, failed=failed, start_urls=[site.url()]), tmp_path, auth="ann:s3cret", log_level="debug"
        )
        with sqlite3.connect(tmp_path / "visit.db") as db:
            rows = repr(db.execute("select reason, error from pages").fetchall())
        db.close()
    assert report.counts.dead == 1
    told = repr(errors) + rows + "".join(capfd.readouterr())
    assert "status 403" in told
    for secret in ("s3cret", "0wn", basic("ann:s3cret")[6:], basic("bob:0wn")[6:]):
        assert secret not in told
