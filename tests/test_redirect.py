"""Redirects: methods, credentials, names and ends of the chain. RFC 9110, 15.4."""

import asyncio
import json
import sqlite3
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from multidict import CIMultiDict

import scraper
from scraper import Spider
from scraper.errors import RedirectError
from scraper.redirect import redirected
from scraper.request import Request, from_json, to_json
from scraper.response import Response
from scraper.testing import LocalSite

URL = "http://example.org/a"


def follow(request, status=302, location="/b", limit=20):
    return redirected(Response(request.url, status, {"Location": location}, request=request), limit)


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "GET", "GET"),
        (302, "GET", "GET"),
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "GET", "GET"),
        (301, "HEAD", "HEAD"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (308, "GET", "GET"),
    ],
)
def test_the_method_changes_as_the_rfc_says_and_the_body_with_it(status, method, becomes):
    headers = {"Content-Type": "text/plain", "Accept": "text/html"}
    new = follow(Request(URL, method=method, body="x", headers=headers), status)
    kept = becomes == method and (status, method) != (303, "GET")
    assert new.method == becomes
    assert new.body == (b"x" if kept else None)
    assert new.headers == (headers if kept else {"Accept": "text/html"})


@pytest.mark.parametrize(
    ("status", "location"),
    [(200, "/b"), (404, "/b"), (302, None), (302, ""), *((status, "/b") for status in (300, 304, 305, 306))],
)
def test_what_is_no_redirect_gives_none(status, location):
    headers = {} if location is None else {"Location": location}
    assert redirected(Response(URL, status, headers), 20) is None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("b?x#part", "http://example.org/b?x"),
        ("//other.org", "http://other.org/"),
        ("HTTPS://Example.org/c", "https://example.org/c"),
        (" /d ", "http://example.org/d"),
        ("#part", "http://example.org/a"),
        ("http://user:pw@other.org/", "http://user:pw@other.org/"),
        ("/caf\udce9?q=\udce9", "http://example.org/caf%E9?q=%E9"),  # Latin-1, as aiohttp hands it on
        ("/caf\u00e9?q=\u00e9", "http://example.org/caf%C3%A9?q=%C3%A9"),  # UTF-8
        ("//b\u00fccher.example/\U0001f600", "http://xn--bcher-kva.example/%F0%9F%98%80"),
    ],
)
def test_the_target_is_resolved_against_the_page(location, url):
    assert follow(Request(URL), location=location).url == url


@pytest.mark.parametrize(
    "location",
    [
        "mailto:a@example.org",
        "http://[",
        "javascript:1",
        "ftp://example.org/",
        "file:///etc/passwd",
        "data:,x",
        "about:blank",
    ],
)
def test_a_target_that_cannot_be_crawled_is_an_error_that_shows_it(location):
    request = Request(URL)
    with pytest.raises(RedirectError, match="redirects to") as caught:
        follow(request, location=location)
    assert repr(location) in str(caught.value)
    assert caught.value.request is request
    assert caught.value.reason == "redirect"


def test_what_belongs_to_the_request_goes_along():
    old = Request(
        URL,
        "parse_book",
        errback="failed",
        priority=3,
        meta={"a": 1},
        cb_kwargs={"b": 2},
        headers={"A": "b"},
        cookies={"c": "d"},
    )
    old.depth = 4
    new = follow(old)
    for name in ("callback", "errback", "priority", "meta", "cb_kwargs", "depth", "headers", "cookies"):
        assert getattr(new, name) == getattr(old, name), name


OPTIONS = {
    "cookiejar": "a",
    "proxy": "http://p.test:1/",
    "obey_robots": False,
    "stream_to": "a/b",
    "max_body_size": 5,
    "resend": True,
    "cookies": False,
}


@pytest.mark.parametrize("location", ["/b", "http://other.org/"])
def test_options_go_along_to_any_origin(location):
    assert follow(Request(URL, **OPTIONS), location=location).options == OPTIONS


@pytest.mark.parametrize(
    ("location", "kept"), [("/b", True), ("http://other.org/", False), ("https://example.org/a", False)]
)
def test_auth_stays_within_its_origin(location, kept):
    new = follow(Request(URL, auth="ann:secret", cookiejar="a"), location=location)
    assert new.options == ({"auth": "ann:secret", "cookiejar": "a"} if kept else {"cookiejar": "a"})
    assert follow(Request(URL, auth="ann:secret"), location="http://other.org/").options is None
    assert follow(new, location=URL).options == new.options  # what was dropped does not come back


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", "http://ann:secret@example.org/b"),
        ("http://example.org/b?x", "http://ann:secret@example.org/b?x"),
        ("http://bob@example.org/b", "http://bob@example.org/b"),
        ("http://example.org:81/b", "http://example.org:81/b"),
        ("https://example.org/b", "https://example.org/b"),
    ],
)
def test_the_user_of_a_url_stays_within_its_origin(location, url):
    assert follow(Request("http://ann:secret@example.org/a"), location=location).url == url


def many(*locations):
    headers = CIMultiDict([("Location", location) for location in locations])
    return redirected(Response(URL, 302, headers), 20)


def test_a_location_said_twice_is_one_and_two_that_differ_are_none():
    assert many("/b", "/b").url == "http://example.org/b"
    with pytest.raises(RedirectError, match="2 places at once"):
        many("/b", "/c")


SECRET = {
    "Authorization": "x",
    "COOKIE": "y",
    "Proxy-Authorization": "p",
    "Host": "h",
    "Referer": "http://example.org/?token=r",
    "Origin": "http://example.org",
    "Accept": "z",
}


@pytest.mark.parametrize(
    "location", ["http://other.org/", "https://example.org/a", "http://example.org:81/", "http://www.example.org/"]
)
def test_credentials_stay_within_their_origin(location):
    new = follow(Request(URL, headers=SECRET, cookies={"c": "d"}), location=location)
    assert (new.headers, new.cookies) == ({"Accept": "z"}, None)


def test_credentials_stay_with_their_origin():
    new = follow(Request(URL, headers=SECRET, cookies={"c": "d"}), location="http://user@example.org:80/b")
    assert (new.headers, new.cookies) == (SECRET, {"c": "d"})


def test_the_hop_limit_ends_a_chain():
    request = Request(URL)
    for hop in range(3):
        request = follow(request, location=f"/{hop}", limit=3)
    assert request.trail == (URL, "http://example.org/0", "http://example.org/1")
    with pytest.raises(RedirectError, match=f"{URL} redirects more than 3 times"):
        follow(request, location="/3", limit=3)
    with pytest.raises(RedirectError):
        follow(Request(URL), limit=0)


def test_a_url_met_before_in_the_chain_is_asked_for_again_under_another_name():
    """A cookie wall: /a -> /wall -> /a."""
    first = Request(URL)
    wall = follow(first, location="/wall")
    again = follow(wall, location="/a")
    assert wall.fingerprint == Request("http://example.org/wall").fingerprint  # a new URL keeps its own name
    assert again.url == first.url
    assert again.fingerprint != first.fingerprint
    once_more = follow(again, location="/a")
    assert len({first.fingerprint, again.fingerprint, once_more.fingerprint}) == 3


def test_the_names_are_the_same_when_the_page_is_visited_again():
    first = Request(URL)
    assert follow(first, location="/a").fingerprint == follow(first, location="/a").fingerprint


def test_a_request_that_is_not_filtered_leads_to_one_that_is_not():
    old = Request(URL, dont_filter=True)
    old.salt = "seed:0"
    new = follow(old)
    assert new.dont_filter
    assert new.fingerprint != Request("http://example.org/b").fingerprint


def test_the_trail_survives_being_stored():
    new = follow(follow(Request(URL)), location="/a")
    back = from_json(new.url, new.callback, new.priority, new.depth, to_json(new))
    assert (back.trail, back.salt, back.fingerprint) == (new.trail, new.salt, new.fingerprint)


# -- every hop is a page: over real sockets, in a crawl


class Hops(Spider):
    start_urls = ()

    def parse(self, response):
        yield {"key": response.url, "url": response.url, "status": response.status}


async def crawl(start, tmp_path, **options):
    spider = type("Hops", (Hops,), {"start_urls": start, **options.pop("spider", {})})
    report = await scraper.crawl(spider, db=tmp_path / "x.db", **options)
    with sqlite3.connect(tmp_path / "x.db") as db:
        pages = dict(db.execute("select url, state || ' ' || coalesce(reason, '') from pages"))
        items = [json.loads(data)["url"] for (data,) in db.execute("select data from items")]
    return report, pages, items


def to(location, status=302):
    return lambda request: web.Response(status=status, headers={"Location": location})


async def test_robots_are_asked_at_each_hop(tmp_path):
    pages = {
        "/a": to("/b"),
        "/b": to("/denied/c"),
        "/denied/c": "<p>secret",
        "/robots.txt": "User-agent: *\nDisallow: /denied/",
    }
    async with LocalSite(pages) as site:
        _, states, items = await crawl([site.url("/a")], tmp_path)
        assert states[site.url("/b")] == "done redirect"
        assert states[site.url("/denied/c")] == "dead robots"
        assert items == [] and site.requests["/denied/c"] == 0


async def test_a_hop_off_the_site_is_not_followed(tmp_path):
    async with (
        LocalSite({"/": "<p>other"}) as other,
        LocalSite({"/a": to(other.url("/").replace("127.0.0.1", "localhost"))}) as site,
    ):
        _, states, items = await crawl(
            [site.url("/a")], tmp_path, obey_robots=False, spider={"allowed_domains": ["127.0.0.1"]}
        )
        assert states == {site.url("/a"): "done redirect offsite"}
        assert items == [] and not other.requests


async def test_a_hop_waits_in_the_slot_of_its_own_host(tmp_path):
    """Four hosts lead to one, which takes one request at a time."""
    busy = most = 0

    async def slow(request):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        for _ in range(20):
            await asyncio.sleep(0)
        busy -= 1
        return web.Response(text="<p>x")

    async with LocalSite({f"/{n}": slow for n in range(8)}) as target, AsyncExitStack() as stack:
        starts = []
        for number in range(8):
            site = await stack.enter_async_context(LocalSite({"/a": to(target.url(f"/{number}"))}))
            starts.append(site.url("/a"))
        report, _, items = await crawl(starts, tmp_path, obey_robots=False, concurrency_per_host=1)
        assert len(items) == 8 and report.finished
        assert most == 1


async def test_a_hop_to_a_private_address_is_refused(tmp_path):
    """The spider names 127.0.0.1; its server leads to another address of this machine."""
    async with LocalSite({"/": "<p>inside"}) as inside:
        hidden = inside.url("/").replace("127.0.0.1", "127.0.0.2")
        async with LocalSite({"/a": to(hidden)}) as site:
            _, states, items = await crawl([site.url("/a")], tmp_path, obey_robots=False)
            assert states[hidden] == "dead private address"
            assert items == [] and not inside.requests


async def test_twenty_hops_and_no_more(tmp_path):
    async with LocalSite({f"/{number}": to(f"/{number + 1}") for number in range(50)}) as site:
        _, states, _ = await crawl([site.url("/0")], tmp_path, obey_robots=False)
        assert sum(site.requests.values()) == 21
        assert states[site.url("/20")] == "dead redirect"


async def test_secrets_do_not_reach_another_origin_and_the_body_does(tmp_path):
    got = {}

    async def keep(request):
        got.update(request.headers, body=await request.read(), method=request.method)
        return web.Response(text="<p>x")

    async with LocalSite({"/": keep}) as other, LocalSite({"/a": to(other.url("/"), 307)}) as site:

        async def start(self):
            yield Request(
                site.url("/a"), method="POST", body="b=1", auth="ann:secret", cookies={"c": "d"}, headers={"X-Y": "z"}
            )

        report, _, items = await crawl([], tmp_path, obey_robots=False, spider={"start": start}, allow_private="all")
    assert report.finished and items == [other_url := items[0]] and other_url.startswith("http://127.0.0.1")
    assert (got["method"], got["body"], got["X-Y"]) == ("POST", b"b=1", "z")
    assert "Authorization" not in got and "Cookie" not in got
