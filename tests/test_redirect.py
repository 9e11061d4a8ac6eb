"""Redirects: methods, credentials, names and ends of the chain. RFC 9110, 15.4."""

import pytest
from multidict import CIMultiDict

from scraper.errors import RedirectError
from scraper.redirect import redirected
from scraper.request import Request, from_json, to_json
from scraper.response import Response

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


@pytest.mark.parametrize(("status", "location"), [(200, "/b"), (304, "/b"), (300, "/b"), (404, "/b"), (302, None)])
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
    ],
)
def test_the_target_is_resolved_against_the_page(location, url):
    assert follow(Request(URL), location=location).url == url


@pytest.mark.parametrize("location", ["mailto:a@example.org", "http://[", "javascript:1", "ftp://example.org/"])
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


SECRET = {"Authorization": "x", "COOKIE": "y", "Accept": "z"}


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


def test_a_cookie_wall_gets_its_cookie_back_on_its_own_origin_only() -> None:
    def answer(location: str) -> Response:
        headers = CIMultiDict([("Location", location), ("Set-Cookie", "seen=1; Path=/"), ("Set-Cookie", "b=x=y")])
        return Response("http://a.test/wall", 302, headers, request=Request("http://a.test/wall", cookies={"own": "o"}))

    inside, outside = redirected(answer("/wall"), 20), redirected(answer("http://b.test/wall"), 20)
    assert inside is not None and inside.cookies == {"own": "o", "seen": "1", "b": "x=y"}
    assert outside is not None and outside.cookies is None
