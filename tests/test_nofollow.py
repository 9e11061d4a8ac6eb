"""obey_nofollow: links, meta tags and headers that ask not to follow; nothing of it without the setting."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from crawling import SITE, Bench, spider
from multidict import CIMultiDict
from walked import ran, rows

from scraper import Request, Response, Spider
from scraper.nofollow import headers_say, page_says
from scraper.testing import LocalSite

HTML = {"Content-Type": "text/html; charset=utf-8"}
LINKS = (
    '<a href="plain">x</a><a rel="nofollow" href="no">x</a><a rel="NoFollow ugc" href="no2">x</a>'
    '<a rel="ugc sponsored" href="ad">x</a><area rel="nofollow" href="area"><a rel="nofollow" href="twice">x</a>'
    '<a href="twice">x</a><a rel="nofollowed" href="word">x</a><a rel href="empty">x</a><a rel="nofollow">x</a>'
    '<a href="back">x</a><a rel="nofollow" href="back">x</a>'
)
FOLLOWED = {"plain", "ad", "twice", "word", "empty", "back"}
REFUSED = {"no", "no2", "area"}


def page(body: str, **headers: str) -> Response:
    given = CIMultiDict(HTML)
    for name, value in headers.items():
        given[name.replace("_", "-")] = value
    return Response(SITE, 200, given, body.encode())


def follow_all(self: Spider, response: Response) -> Any:
    return response.follow_all("a, area")


def follow_nodes(self: Spider, response: Response) -> Iterator[Request]:
    for node in response.css("a[href], area"):
        yield response.follow(node)


def follow_links(self: Spider, response: Response) -> Iterator[Request]:
    for url in response.links():
        yield response.follow(url)


def follow_arguments(self: Spider, response: Response) -> Iterator[Request]:
    for request in response.follow_all(urls=response.css("a, area"), priority=1):
        yield request.replace(priority=2)


WAYS = [follow_all, follow_nodes, follow_links, follow_arguments]


async def crawled(parse: Callable[..., Any], first: Any, **settings: Any) -> tuple[set[str], dict[str, int]]:
    """The paths that were asked for after the first page, and the counts of drops."""
    answers = {name: "" for name in FOLLOWED | REFUSED | {"moved", "self"}}
    bench = Bench(spider(parse=parse), {"": first, **answers}, **settings)
    assert await bench.run() == "finished"
    return set(bench.asked[1:]), dict(bench.engine.stats.drops)


@pytest.mark.parametrize("parse", WAYS)
async def test_links_that_say_nofollow(parse: Callable[..., Any]) -> None:
    twice = 2 * (parse is follow_nodes)  # of two links to one page, one of them says it
    assert await crawled(parse, LINKS, obey_nofollow=True) == (FOLLOWED, {"nofollow": 3 + twice})


@pytest.mark.parametrize("parse", WAYS)
async def test_without_the_setting_every_link_is_one(parse: Callable[..., Any]) -> None:
    meta = "<meta name=robots content=nofollow>"
    asked = await crawled(parse, meta + LINKS)
    assert asked == (FOLLOWED | REFUSED, {})


@pytest.mark.parametrize("parse", WAYS)
async def test_pages_that_say_nofollow(parse: Callable[..., Any]) -> None:
    asked, drops = await crawled(parse, "<meta name=robots content=nofollow>" + LINKS, obey_nofollow=True)
    assert (asked, drops) == (set(), {"nofollow": 9 + 2 * (parse is follow_nodes)})


def urls(self: Spider, response: Response) -> Iterator[Request]:
    if response.url == SITE and not response.meta:
        yield response.follow("no")
        yield response.follow("no2", nofollow=False)
        yield Request(response.url, dont_filter=True, meta={"again": 1})


async def test_a_url_has_no_rel() -> None:
    assert await crawled(urls, LINKS, obey_nofollow=True) == ({"no", "no2", ""}, {})


async def test_of_a_page_that_says_nofollow_only_itself_and_what_insists_is_asked_for() -> None:
    first = "<meta name=robots content=none>"
    assert await crawled(urls, first, obey_nofollow=True) == ({"no2", ""}, {"nofollow": 1})


async def test_a_request_that_says_so_itself() -> None:
    def parse(self: Spider, response: Response) -> Iterator[Request]:
        yield Request(SITE + "no", nofollow=True)

    assert await crawled(parse, "", obey_nofollow=True) == (set(), {"nofollow": 1})
    assert await crawled(parse, "") == ({"no"}, {})


async def test_a_redirect_is_no_link() -> None:
    def moved(request: Request) -> Response:
        return Response(request.url, 302, {"Location": "/moved", "X-Robots-Tag": "nofollow"}, b"", request)

    assert await crawled(follow_all, moved, obey_nofollow=True) == ({"moved"}, {})


async def test_another_rule_counts_as_well() -> None:
    bench = Bench(spider(parse=follow_all, allowed_domains=["h.test"]), {"": LINKS + '<a href="//x.test/">x</a>'})
    await bench.run()
    assert dict(bench.engine.stats.drops) == {"offsite": 1}
    bench = Bench(
        spider(parse=follow_all, allowed_domains=["h.test"]),
        {"": LINKS + '<a rel=nofollow href="//x.test/">x</a>'},
        obey_nofollow=True,
    )
    await bench.run()
    assert dict(bench.engine.stats.drops) == {"nofollow": 3, "offsite": 1}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('<meta name="robots" content="nofollow">', True),
        ('<META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW">', True),
        ('<meta name="robots" content="noindex,nofollow">', True),
        ('<meta name="robots" content="none">', True),
        ('<meta name="shopper" content="nofollow">', True),
        ('<meta name="robots" content="follow"><meta name="Shopper" content="none">', True),
        ('<meta name="robots" content="noindex">', False),
        ('<meta name="robots" content="nofollowing">', False),
        ('<meta name="googlebot" content="nofollow">', False),
        ('<meta name="robots">', False),
        ('<meta content="nofollow">', False),
        ("<p>nofollow</p>", False),
        ("", False),
    ],
)
def test_meta_tags(body: str, says: bool) -> None:
    assert page_says(page(body), "Shopper") is says


def test_without_a_name_only_all_robots_are_meant() -> None:
    assert not page_says(page('<meta name="" content="nofollow">'), "")
    assert page_says(page('<meta name="robots" content="nofollow">'), "")


def test_what_is_no_page_has_no_meta_tags() -> None:
    response = Response(SITE, 200, {"Content-Type": "application/json"}, b'"<meta name=robots content=nofollow>"')
    assert not page_says(response, "Shopper")
    assert not page_says(page("<div>" * 100_000), "Shopper"), "too deep to be looked into, which its callback may see"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["nofollow"], True),
        (["NoIndex, NoFollow"], True),
        (["none"], True),
        (["noindex", "nofollow"], True),
        (["shopper: nofollow"], True),
        (["Shopper: noindex, nofollow"], True),
        (["*: nofollow"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, nofollow"], True),
        (["max-image-preview: large, nofollow"], True),
        (["googlebot: noindex, shopper: none"], True),
        (["googlebot: nofollow"], False),
        (["googlebot: noindex, nofollow"], False),
        (["shopper: noindex, googlebot: nofollow"], False),
        (["noindex"], False),
        ([""], False),
        ([], False),
    ],
)
def test_headers(lines: list[str], says: bool) -> None:
    assert headers_say(CIMultiDict([("X-Robots-Tag", line) for line in lines]), "shopper") is says


async def test_a_header_counts_in_a_crawl() -> None:
    def first(request: Request) -> Response:
        return Response(request.url, 200, HTML | {"X-Robots-Tag": "shopper: nofollow"}, LINKS.encode(), request)

    asked = await crawled(follow_all, first, obey_nofollow=True, user_agent="Shopper/1.0")
    assert asked == (set(), {"nofollow": 9})
    asked = await crawled(follow_all, first, obey_nofollow=True, user_agent="Other/1.0")
    assert asked == (FOLLOWED, {"nofollow": 3})


SPIDER = """
from scraper import Spider

class Walk(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response):
        yield from response.follow_all("a")
"""


async def test_why_tells_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    (tmp_path / "spiders" / "walk.py").write_text(SPIDER)
    async with LocalSite({"/": LINKS, "/plain": ""}) as at:
        await ran(cli, "crawl", "walk", "-a", f"start={at.url('/')}", "-s", "obey_nofollow=true", "-q")
        assert at.requests["/no"] == 0
        (found,) = await rows(cli, "why", "walk", at.url("/no"))
        assert (found["answer"], found["drops"][0]["found_on"]) == ("nofollow", at.url("/"))
        told = await ran(cli, "why", "walk", at.url("/no"))
        assert "nofollow (its link or its page asks not to be followed, and run 1 had obey_nofollow)" in told.stdout
