"""Item steps: in their order, sync and async; what they drop, reject or turn into something else; open and close."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crawling import SITE, Bench

import scraper
from scraper import Download, DropItem, Field, Spider, fields
from scraper.belonging import settle
from scraper.collect import FEW, collect
from scraper.errors import CallbackError, MissingExtra, SpiderError
from scraper.page import Run
from scraper.request import Request
from scraper.scope import Scope
from scraper.testing import FakeFetcher

PARENT = Request("http://h.test/page")


@dataclass
class Book:
    title: str
    price: Decimal = Field(clean=fields.price, default=Decimal(0))


class Shop(Spider):
    start_urls = [SITE + "1"]  # noqa: RUF012


def gather(steps: Any, *items: Any, spider: Any = None) -> Any:
    if spider is None:
        spider = type("Stepped", (Shop,), {"steps": steps})()
    return asyncio.run(collect(Scope(spider), iter(items), PARENT))


def stored(found: Any) -> list[str]:
    return [item.data for item in found.items]


def upper(book: Book) -> Book:
    return replace(book, title=book.title.upper())


async def later(book: Book) -> Book:
    await asyncio.sleep(0)
    return replace(book, title=book.title + "!")


@dataclass
class Unique:
    """Keeps what it has seen, and when it was opened and closed."""

    seen: set[str] = field(default_factory=set)
    log: list[Any] = field(default_factory=list)

    def __call__(self, book: Book) -> Book | None:
        if book.title in self.seen:
            return None
        self.seen.add(book.title)
        return book

    def open(self, run: Run) -> None:
        self.log.append(("open", run.id))

    async def close(self, run: Run) -> None:
        self.log.append(("close", run.id))


def test_steps_run_in_their_order_on_clean_items() -> None:
    found = gather([upper, later], Book("a", "£1,234.50"), Book("b"))  # type: ignore[arg-type]
    assert stored(found) == ['{"title":"A!","price":1234.50}', '{"title":"B!","price":0}']
    assert [item.value.title for item in found.items] == ["A!", "B!"]
    assert [item.given.title for item in found.items] == ["a", "b"]


def test_none_drops_an_item_under_the_name_of_its_step() -> None:
    def pricey(book: Book) -> Book | None:
        return book if book.price else None

    found = gather([Unique(), pricey], Book("a", Decimal(1)), Book("a", Decimal(2)), Book("b"), Book("c", Decimal(3)))
    assert len(found.items) == 2
    assert found.rejects == []
    assert found.drops == {"item Unique": 1, "item pricey": 1}


def test_a_drop_keeps_its_words_while_they_are_few() -> None:
    def drops(book: Book) -> Book:
        raise DropItem(f"no price\nof {book.title}")

    found = gather([drops], Book("a"), Book("a"), *(Book(f"n{number}") for number in range(300)))
    assert found.drops["item drops: no price of a"] == 2
    assert len(found.drops) == 101
    assert found.drops["item drops"] == 302 - 2 - 99


def test_a_cleaner_may_drop_an_item() -> None:
    def wanted(value: str) -> str:
        raise DropItem(f"not {value}")

    @dataclass
    class Choosy:
        title: str = Field(clean=wanted)

    for steps in ([], [upper]):
        found = gather(steps, Choosy("a"))
        assert (found.items, found.rejects, found.drops) == ([], [], {"item clean: not a": 1})


async def test_many_items_of_a_page_do_not_hold_the_loop() -> None:
    turns = [0]
    seen = set()

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    def step(item: Any) -> Any:
        seen.add(turns[0])
        return item

    turning = asyncio.ensure_future(turn())
    spider = type("Stepped", (Shop,), {"steps": [step]})()
    await collect(Scope(spider), iter([{}] * (2 * FEW + 1)), PARENT)
    turning.cancel()
    assert len(seen) == 3


def test_a_step_that_raises_costs_the_item_alone() -> None:
    def odd(book: Book) -> Book:
        if book.title == "b":
            raise KeyError("odd")
        return book

    found = gather([odd], Book("a"), Book("b"), Book("c"), Request(SITE))
    assert [item.value.title for item in found.items] == ["a", "c"]
    assert [(each.kind, each.reason) for each in found.rejects] == [("book", "step odd raised KeyError: 'odd'")]
    assert found.rejects[0].data.startswith("Book(title='b'")
    assert len(found.links) == 1


@pytest.mark.parametrize("error", [CallbackError, MissingExtra])
def test_what_is_wrong_with_the_spider_itself_costs_the_page(error: type[Exception]) -> None:
    def lacks(book: Book) -> Book:
        raise error("pip install it")

    with pytest.raises(error, match="pip install it"):
        gather([lacks], Book("a"))


def test_the_file_of_an_item_that_a_step_rejects_is_left_out() -> None:
    def odd(book: Book) -> Book:
        raise KeyError("odd")

    book = Book("a")
    spider = type("Stepped", (Shop,), {"steps": [odd]})()
    found = gather(None, book, Download(SITE + "a.png", into="covers", item=book), spider=spider)
    settle(Scope(spider), found, PARENT)
    assert (found.links, found.files, len(found.rejects)) == ([], None, 1)


@dataclass
class Offer:
    key = "title"
    title: str
    price: Decimal = Field(clean=fields.price)


def test_a_step_may_make_another_kind_which_is_cleaned_and_checked_like_a_new_one() -> None:
    found = gather([lambda item: Offer(**item), upper], {"title": "a", "price": "5 €"}, {"title": "b", "price": "free"})
    assert [(item.kind, item.key, item.data) for item in found.items] == [("offer", "A", '{"title":"A","price":5}')]
    reasons = [(each.kind, each.reason) for each in found.rejects]
    assert reasons == [("offer", "after step step 1: price: price cannot clean 'free': no number in it")]


def test_a_step_may_spoil_an_item_and_is_found_out() -> None:
    def spoil(book: Book) -> Any:
        if book.title == "a":
            return "text"
        book.title = None  # type: ignore[assignment]
        return book

    found = gather([spoil], Book("a"), Book("b"))
    assert found.items == []
    assert "step spoil gave a str, which is no item: 'text'" in found.rejects[0].reason
    assert found.rejects[1].reason.startswith("title: it is None, not str")


def test_a_step_is_not_asked_for_what_is_rejected_before() -> None:
    asked: list[Any] = []
    found = gather([asked.append], Book("a", "free"), {"a": 1})  # type: ignore[arg-type]
    assert (asked, len(found.rejects), sum(found.drops.values())) == ([{"a": 1}], 1, 1)


def test_methods_partials_and_classes_are_steps() -> None:
    class Mine(Shop):
        def shout(self, book: Book) -> Book:
            return replace(book, title=book.title + self.name)

        def __init__(self) -> None:
            self.steps = [self.shout, partial(self.add, "?"), Unique]

        def add(self, end: str, book: Book) -> Book:
            return replace(book, title=book.title + end)

        def none(self, book: Book, end: str) -> None:
            """Drops all."""

    dropping = type("Dropping", (Mine,), {"__init__": lambda self: None})()
    dropping.steps = [partial(partial(dropping.none), end="?")]
    assert gather(None, Book("a"), spider=dropping).drops == {"item none": 1}
    found = gather(None, Book("a"), Book("a"), spider=Mine())
    assert [item.value.title for item in found.items] == ["amine?"]
    assert found.drops == {"item Unique": 1}

    class InBody(Mine):
        def shout(self, book: Book) -> Book:
            return replace(book, title=self.name)

        steps = [shout]  # noqa: RUF012

        def __init__(self) -> None:
            """The class says which."""

    assert [item.value.title for item in gather(None, Book("a"), spider=InBody()).items] == ["in_body"]
    first, second = gather([Unique], Book("a")), gather([Unique], Book("a"))
    assert len(first.items) == len(second.items) == 1, "each crawl makes its own"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (upper, "make it a list"),
        ("upper", "make it a list"),
        ([5], "cannot be called with an item"),
        ([Book], "has the class Book, whose objects cannot be called"),
    ],
    ids=["function", "text", "number", "class"],
)
def test_what_is_no_step_is_told(steps: Any, words: str) -> None:
    with pytest.raises(SpiderError, match=words):
        gather(staticmethod(steps) if callable(steps) else steps, Book("a"))


# -- in a crawl


class Crawled(Shop):
    start_urls = [SITE + "1", SITE + "2"]  # noqa: RUF012

    def parse(self, response: Any) -> Any:
        if response.url.endswith("2"):
            raise RuntimeError("broken")
        yield Book("a")
        yield Book("a")


FETCHER = {SITE + "1": "", SITE + "2": ""}


async def test_open_and_close_frame_the_crawl_and_what_is_dropped_is_in_the_report(tmp_path: Path) -> None:
    unique = Unique()
    spider = type("Crawled", (Crawled,), {"steps": [unique]})
    db = tmp_path / "c.db"
    report = await scraper.crawl(spider, db=db, fetcher=FakeFetcher(FETCHER))
    assert unique.log == [("open", 1), ("close", 1)]
    assert (report.counts.items, report.counts.drops) == (1, {"item Unique": 1})
    assert list(scraper.items(db, Book)) == [Book("a", Decimal(0))]


async def test_close_is_called_when_the_crawl_fails(tmp_path: Path) -> None:
    unique = Unique()

    async def start(self: Any) -> Any:
        yield Request(SITE + "1")
        raise RuntimeError("no more")

    spider = type("Failing", (Crawled,), {"steps": [unique], "start": start})
    with pytest.raises(RuntimeError, match="no more"):
        await scraper.crawl(spider, db=tmp_path / "f.db", fetcher=FakeFetcher(FETCHER))
    assert unique.log == [("open", 1), ("close", 1)]


async def test_a_step_that_cannot_be_opened_or_closed_ends_the_crawl_and_the_others_are_closed(tmp_path: Path) -> None:
    class Stuck(Unique):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

        def open(self, run: Run) -> None:
            if self.where == "open":
                raise OSError("no file")

        async def close(self, run: Run) -> None:
            raise OSError("no file")

    for where in ("open", "close"):
        unique, stuck = Unique(), Stuck(where)
        spider = type("Crawled", (Crawled,), {"steps": [unique, stuck]})
        with pytest.raises(CallbackError, match=rf"{where}\(\) of step Stuck raised OSError: no file"):
            await scraper.crawl(spider, db=tmp_path / f"{where}.db", fetcher=FakeFetcher(FETCHER))
        assert unique.log == [("open", 1), ("close", 1)]


@pytest.mark.parametrize(("names", "closed"), [("abc", "cba"), ("ab!", "ba")])
async def test_those_that_were_opened_are_closed_the_last_first(names: str, closed: str, tmp_path: Path) -> None:
    found = []

    @dataclass
    class Named:
        name: str

        def __call__(self, item: Any) -> Any:
            return item

        def open(self, run: Run) -> None:
            if self.name == "!":
                raise OSError("no file")

        def close(self, run: Run) -> None:
            found.append(self.name)

    spider = type("Crawled", (Crawled,), {"steps": [Named(name) for name in names]})
    with suppress(CallbackError):
        await scraper.crawl(spider, db=tmp_path / "c.db", fetcher=FakeFetcher(FETCHER))
    assert "".join(found) == closed


async def test_a_slow_step_does_not_hold_up_other_pages() -> None:
    """The step of the first page waits for that of the last: it could not if pages had to queue for it."""
    last = asyncio.Event()

    async def waits(item: dict[str, Any]) -> dict[str, Any]:
        if item["url"].endswith("1"):
            await last.wait()
        elif item["url"].endswith("3"):
            last.set()
        return item

    attributes = {"start_urls": [SITE + n for n in "123"], "steps": [waits]}
    spider = type("Slow", (Spider,), {**attributes, "parse": lambda self, response: {"url": response.url}})()
    bench = Bench(spider, dict.fromkeys("123", ""), concurrency=2, concurrency_per_host=2)
    assert await bench.run() == "finished"
    assert len(await bench.items()) == 3


async def test_a_page_may_not_give_steps_more_than_it_may_give() -> None:
    def endless(self: Any, response: Any) -> Any:
        while True:
            yield Book("a")

    asked: list[Any] = []
    spider = type("Endless", (Spider,), {"start_urls": [SITE + "1"], "steps": [asked.append], "parse": endless})()
    bench = Bench(spider, {"1": ""}, max_results=5)
    await bench.run()
    assert {each.reason for each in (await bench.pages()).values()} == {"too many results"}
    assert asked == []
