"""Spider, Scope and collect: what callbacks may give, and that their mistakes show at their own line."""

import asyncio
import traceback
from dataclasses import dataclass
from functools import partial

import pytest

from scraper.errors import CallbackError, RequestError, SpiderError
from scraper.request import Request
from scraper.response import Response
from scraper.spider import Scope, Spider, callback_name, collect

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
    ids=str,
)
@pytest.mark.parametrize("what", ["callback", "errback"])
def test_what_is_no_method_of_the_spider_is_refused(callback, what):
    with pytest.raises(RequestError, match=f"{what} .* is not a method of spider 'books'"):
        callback_name(Books(), callback, what)


# -- every form of callback


async def coroutine_of_list():
    return [Request(URL), {"a": 1}, None]


async def coroutine_of_generator():
    return generator()


async def coroutine_of_nothing():
    pass


def generator():
    yield Request(URL)
    yield None
    yield {"a": 1}


async def async_generator():
    yield Request(URL)
    await asyncio.sleep(0)
    yield {"a": 1}


class Stream:
    """An async iterator that is no generator."""

    def __init__(self):
        self.values = [Request(URL), {"a": 1}]

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.values:
            raise StopAsyncIteration
        return self.values.pop(0)


@pytest.mark.parametrize(
    "make",
    [
        generator,
        async_generator,
        coroutine_of_list,
        coroutine_of_generator,
        Stream,
        lambda: [Request(URL), {"a": 1}],
        lambda: (Request(URL), {"a": 1}),
        lambda: iter([Request(URL), {"a": 1}]),
        lambda: map(lambda each: each, [Request(URL), {"a": 1}]),
    ],
)
def test_every_form_of_callback_gives_its_links_and_items(make):
    found = gather(make())
    assert urls(found) == [URL]
    assert [item.data for item in found.items] == ['{"a":1}']


@dataclass
class Book:
    title: str


@pytest.mark.parametrize("one", [{"a": 1}, Book("x")])
def test_a_single_item_may_be_returned(one):
    assert [item.value for item in gather(one).items] == [one]


def test_a_single_request_or_nothing_may_be_returned():
    assert urls(gather(Request(URL))) == [URL]
    for nothing in (None, [], coroutine_of_nothing()):
        found = gather(nothing)
        assert (found.links, found.items, found.rejects, found.drops) == ([], [], [], {})


@pytest.mark.parametrize("value", ["text", b"bytes", 5, object, [Request(URL)], Book])
def test_what_is_neither_item_nor_request_is_refused(value):
    with pytest.raises(CallbackError, match=f"the callback for {PARENT.url} gave a "):
        gather(iter([value]))
    if not isinstance(value, list):
        with pytest.raises(CallbackError, match="yield Requests and items"):
            gather(value)


def test_an_item_that_cannot_be_stored_leaves_the_others():
    found = gather([{"a": object()}, {"a": 1}])
    assert (len(found.items), len(found.rejects)) == (1, 1)


# -- mistakes show at the yield


class Mistakes(Spider):
    def lambda_(self):
        yield {"a": 1}
        yield Request(URL, callback=lambda response: None)  # here

    def meta(self):
        yield Request(URL, meta={"a": object()})  # here

    def neither(self):
        yield "text"  # here

    def delegated(self):
        page = Response(URL, body=b"<a href=/1>1</a>")
        yield from page.follow_all("a", lambda response: None)  # here

    def key(self):
        item = type("Typo", (Book,), {"key": "nope"})("x")
        yield item  # here

    def errback(self):
        yield Request(URL, errback=outside)  # here

    def priority(self):
        yield Request(URL, priority="1")  # here

    async def asynchronous(self):
        yield Request(URL, callback=outside)  # here


@pytest.mark.parametrize("name", [name for name in vars(Mistakes) if callable(vars(Mistakes)[name])])
def test_a_mistake_raises_at_the_line_that_yielded_it(name):
    with pytest.raises((RequestError, CallbackError)) as caught:
        gather(getattr(Mistakes(), name)(), Mistakes())
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == __file__]
    assert lines[-1].endswith("# here")


def catches_and_goes_on():
    try:
        yield Request(URL, callback=outside)
    except RequestError as error:
        yield {"caught": str(error)[:8]}
    yield {"after": 1}


def catches_and_returns():
    yield {"before": 1}
    try:
        yield "text"
    except CallbackError:
        return


def catches_twice():
    for _ in range(2):
        try:
            yield Request(URL, callback=outside)
        except RequestError:
            yield {"caught": 1}


async def async_catches_and_goes_on():
    try:
        yield Request(URL, callback=outside)
    except RequestError:
        yield {"caught": 1}
    yield {"after": 1}


async def async_catches_and_returns():
    yield {"before": 1}
    try:
        yield "text"
    except CallbackError:
        return


@pytest.mark.parametrize(
    ("make", "items"),
    [
        (catches_and_goes_on, ['{"caught":"callback"}', '{"after":1}']),
        (catches_and_returns, ['{"before":1}']),
        (catches_twice, ['{"caught":1}', '{"caught":1}']),
        (async_catches_and_goes_on, ['{"caught":1}', '{"after":1}']),
        (async_catches_and_returns, ['{"before":1}']),
    ],
)
def test_a_callback_may_catch_the_error_of_its_yield(make, items):
    assert [item.data for item in gather(make()).items] == items


def test_what_a_callback_raises_comes_out():
    def broken():
        yield {"a": 1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gather(broken())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_callback_is_closed_when_what_it_gave_cannot_be_taken(asynchronous, monkeypatch):
    closed = []

    def plain():
        try:
            yield {"a": 1}
        finally:
            closed.append("plain")

    async def later():
        try:
            yield {"a": 1}
        finally:
            await asyncio.sleep(0)
            closed.append("later")

    async def main():
        result = later() if asynchronous else plain()  # kept, so that nothing else closes it
        monkeypatch.setattr("scraper.spider.to_item", lambda value: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await collect(Scope(Books()), result, PARENT)
        assert closed == ["later" if asynchronous else "plain"]

    asyncio.run(main())


# -- links


def test_links_are_one_deeper_and_their_callbacks_are_names():
    parent = Request(URL)
    parent.depth = 3
    spider = Books()
    found = gather([Request(URL, spider.parse_book, errback=spider.failed), Request(URL)], spider, parent)
    assert [(link.depth, link.callback, link.errback) for link in found.links] == [(4, "parse_book", "failed"), (4, None, None)]


def test_links_deeper_than_max_depth_are_dropped_and_counted():
    parent = Request(URL)
    parent.depth = 2
    assert gather([Request(URL), {"a": 1}], parent=parent, max_depth=2).drops == {"depth": 1}
    parent.depth = 1
    assert urls(gather([Request(URL)], parent=parent, max_depth=2)) == [URL]
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
    outside = ["http://example.com/", "http://notexample.org/", "http://example.org.evil.com/", "http://10.127.0.0/", "http://org/"]
    found = gather([Request(url) for url in inside + outside], Shop())
    assert len(found.links) == len(inside)
    assert found.drops == {"offsite": len(outside)}


@pytest.mark.parametrize("domain", ["http://example.org", "example.org/shop", "example.org:8000", "", "*.example.org", "a b", None, 5])
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


def test_a_page_may_yield_its_own_request_again():
    parent = Request(URL, dont_filter=True)
    found = gather([parent], parent=parent)
    assert (parent.depth, parent.salt, found.links[0].depth) == (0, "", 1)
    assert found.links[0].fingerprint != parent.fingerprint


@pytest.mark.parametrize("priority", ["1", 1.5, 2**62])
def test_a_priority_is_a_whole_number(priority):
    with pytest.raises(RequestError, match="is not a whole number"):
        gather([Request(URL, priority=priority)])
