"""collect: what callbacks may give in which form, and that their mistakes show at their own line."""

import asyncio
import traceback
from dataclasses import dataclass

import pytest

from scraper.collect import collect
from scraper.errors import CallbackError, RequestError
from scraper.request import Request
from scraper.response import Response
from scraper.scope import Scope
from scraper.spider import Spider

URL = "http://example.org/"
PARENT = Request("http://example.org/parent")


class Books(Spider):
    pass


def outside(response):
    pass


def gather(result, spider=None):
    return asyncio.run(collect(Scope(spider or Books()), result, PARENT))


def urls(found):
    return [request.url for request in found.links]


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
        monkeypatch.setattr("scraper.collect.to_item", lambda value, most, page: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await collect(Scope(Books()), result, PARENT)
        assert closed == ["later" if asynchronous else "plain"]

    asyncio.run(main())
