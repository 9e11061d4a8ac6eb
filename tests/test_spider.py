"""Spider and Scope: names, seeds, callbacks by name, and which links are followed under which name."""

import asyncio
import json
import re
from functools import partial

import pytest

from scraper.collect import collect
from scraper.errors import RequestError, SpiderError
from scraper.request import Request, to_json
from scraper.response import Response
from scraper.scope import Scope
from scraper.settings import NAMES
from scraper.spider import Spider, callback_name

URL = "http://example.org/"
PARENT = Request("http://example.org/parent")


class Books(Spider):
    def parse(self, response):
        yield {"a": 1}

    def parse_book(self, response):
        pass

    @staticmethod
    def parse_static(response):
        pass

    def failed(self, request, error):
        pass


class Other(Spider):
    def parse_book(self, response):
        pass


def outside(response):
    pass


def gather(result, spider=None, parent=PARENT, **scope):
    return asyncio.run(collect(Scope(spider or Books(), **scope), result, parent))


def urls(found):
    return [request.url for request in found.links]


# -- the class


def test_a_spider_is_named_after_its_class_unless_it_has_a_name():
    class BookReviews(Spider):
        pass

    class Named(Spider):
        name = "shop"

    class Child(Named):
        pass

    assert (BookReviews.name, Named.name, Child.name) == ("book_reviews", "shop", "child")


@pytest.mark.parametrize(("theirs", "ours"), [("custom_settings", "settings"), ("start_requests", "start")])
def test_scrapys_names_that_would_not_be_read_say_ours(theirs, ours):
    with pytest.raises(SpiderError, match=f"Shop.{theirs} would not be read; here it is called '{ours}'"):
        type("Shop", (Spider,), {theirs: {}})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *((name, 1, f"put it into settings = {{'{name}': …}}") for name in NAMES),
        ("download_delay", 2, "put it into settings = {'delay': …}"),
        ("robotstxt_obey", True, "put it into settings = {'obey_robots': …}"),
        ("http_user", "ann", "write settings = {'auth': 'user:password'}"),
        ("handle_httpstatus_list", [404], "write settings = {'handle_statuses': […]}"),
        ("rules", (), "derive the spider from CrawlSpider"),
    ],
)
def test_an_attribute_that_would_be_taken_for_a_setting_is_refused(name, value, says):
    with pytest.raises(SpiderError, match=re.escape(f"At.{name} would not be read; ") + ".*" + re.escape(says)):
        type("At", (Spider,), {name: value})


def test_methods_and_properties_may_be_called_as_they_like():
    class At(Spider):
        start_urls = (URL,)

        def headers(self):
            return {}

        @property
        def delay(self):
            return 5

        @staticmethod
        def proxy():
            pass

    assert (At().delay, At().headers()) == (5, {})


async def test_start_gives_the_start_urls():
    class Shop(Spider):
        start_urls = (URL + "a", URL + "b")

    assert [request.url async for request in Shop().start()] == [URL + "a", URL + "b"]


async def test_one_string_as_start_urls_is_a_clear_error():
    class Shop(Spider):
        start_urls = URL

    with pytest.raises(SpiderError, match="make it a list"):
        [request async for request in Shop().start()]


def test_a_spider_without_parse_says_so():
    with pytest.raises(SpiderError, match=r"'other' has no parse\(\) method for http://example.org/"):
        Other().parse(Response(URL))


# -- callbacks are names


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        (None, None),
        ("parse", None),
        ("parse_book", "parse_book"),
        (Books.parse_book, "parse_book"),
        (Books.parse_static, "parse_static"),
    ],
)
def test_callbacks_become_method_names(callback, name):
    assert callback_name(Books(), callback) == name


def test_bound_methods_become_names_and_an_errback_may_be_parse():
    spider = Books()
    assert callback_name(spider, spider.parse_book) == "parse_book"
    assert callback_name(spider, spider.parse) is None
    assert callback_name(spider, spider.parse, "errback") == "parse"


@pytest.mark.parametrize(
    "callback",
    [
        lambda response: None,
        outside,
        partial(outside),
        Other().parse_book,
        Books().parse_book,  # of another instance
        print,
        "parse_bok",
        "name",
        "start_urls",
        5,
    ],
    ids=lambda callback: re.sub(r" at 0x\w+", "", str(callback)),
)
@pytest.mark.parametrize("what", ["callback", "errback"])
def test_what_is_no_method_of_the_spider_is_refused(callback, what):
    with pytest.raises(RequestError, match=f"{what} .* is not a method of spider 'books'"):
        callback_name(Books(), callback, what)


# -- links


def test_links_are_one_deeper_and_their_callbacks_are_names():
    parent = Request(URL)
    parent.depth = 3
    spider = Books()
    found = gather([Request(URL, spider.parse_book, errback=spider.failed), Request(URL)], spider, parent)
    assert [(link.depth, link.callback, link.errback) for link in found.links] == [
        (4, "parse_book", "failed"),
        (4, None, None),
    ]


def test_links_deeper_than_max_depth_are_dropped_and_counted():
    class Shop(Spider):
        allowed_domains = ("example.org",)

    parent = Request(URL)
    parent.depth = 2
    assert gather([Request(URL), {"a": 1}], parent=parent, max_depth=2).drops == {"depth": 1}
    parent.depth = 1
    assert urls(gather([Request(URL)], parent=parent, max_depth=2)) == [URL]
    near_and_far = [URL, "http://www.example.org/"]
    assert urls(gather([Request(url) for url in near_and_far], Shop(), parent, max_depth=2)) == near_and_far
    parent.depth = 2
    assert gather([Request(url) for url in near_and_far], Shop(), parent, max_depth=2).drops == {"depth": 2}
    parent.depth = 1000
    assert urls(gather([Request(URL)], parent=parent, max_depth=0)) == [URL]


def test_links_to_other_domains_are_dropped_and_counted():
    class Shop(Spider):
        allowed_domains = ("Example.org", ".bücher.example.", "127.0.0.1", "[::1]")

    inside = [
        "http://example.org/",
        "https://www.example.org:8443/a",
        "http://xn--bcher-kva.example/",
        "http://a.bücher.example/",
        "http://127.0.0.1:8000/",
        "http://[::1]:80/",
    ]
    outside = [
        "http://example.com/",
        "http://notexample.org/",
        "http://example.org.evil.com/",
        "http://10.127.0.0/",
        "http://org/",
    ]
    found = gather([Request(url) for url in inside + outside], Shop())
    assert len(found.links) == len(inside)
    assert found.drops == {"offsite": len(outside)}


@pytest.mark.parametrize(
    "domain", ["http://example.org", "example.org/shop", "example.org:8000", "", "*.example.org", "a b", None, 5]
)
def test_a_domain_that_would_match_nothing_is_refused(domain):
    class Shop(Spider):
        allowed_domains = (domain,)

    with pytest.raises(SpiderError, match=r"shop.allowed_domains has .*; give host names"):
        Scope(Shop())


def test_one_string_as_allowed_domains_is_refused_and_none_allows_all():
    class Shop(Spider):
        allowed_domains = "example.org"

    with pytest.raises(SpiderError, match=r"make it a list: \['example.org'\]"):
        Scope(Shop())
    Shop.allowed_domains = None
    assert urls(gather([Request("http://other.org/")], Shop())) == ["http://other.org/"]


def test_dont_filter_names_a_link_by_its_place_so_that_a_second_visit_names_it_the_same():
    def twice():
        return [Request(URL, dont_filter=True), Request(URL, dont_filter=True), Request(URL)]

    first, again = gather(twice()), gather(twice())
    prints = [link.fingerprint for link in first.links]
    assert len(set(prints)) == 3
    assert prints == [link.fingerprint for link in again.links]
    assert prints[2] == Request(URL).fingerprint
    elsewhere = gather(twice(), parent=Request("http://example.org/other"))
    assert not {link.fingerprint for link in elsewhere.links[:2]} & set(prints)


def test_a_request_given_twice_does_not_change_the_one_that_waits_to_be_stored():
    login = Request(URL, dont_filter=True)
    first = gather([login, login])
    prints = [link.fingerprint for link in first.links]
    assert len(set(prints)) == 2
    gather([login], parent=Request("http://example.org/other"))
    assert [link.fingerprint for link in first.links] == prints


def test_what_is_done_to_a_request_after_its_yield_cannot_spoil_the_commit():
    def parse():
        seen = []
        request = Request(URL, meta={"seen": seen}, dont_filter=True)
        yield request
        seen.append(object())
        request.meta["more"] = {1}

    (link,) = gather(parse()).links
    assert json.loads(to_json(link)) == {"meta": {"seen": []}, "dont_filter": True, "salt": link.salt}
    assert to_json(gather([Request(URL)]).links[0]) is None


def test_a_page_may_yield_its_own_request_again():
    parent = Request(URL, dont_filter=True)
    found = gather([parent], parent=parent)
    assert (parent.depth, parent.salt, found.links[0].depth) == (0, "", 1)
    assert found.links[0].fingerprint != parent.fingerprint


@pytest.mark.parametrize("priority", ["1", 1.5, 2**62])
def test_a_priority_is_a_whole_number(priority):
    with pytest.raises(RequestError, match="is not a whole number"):
        gather([Request(URL, priority=priority)])
