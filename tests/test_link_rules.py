"""CrawlSpider: which rule a link goes by, what of it travels, and what is wrong before anything is fetched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ruled import SITE, Base, items, page, read
from trees import Gate

from scraper import Link, LinkExtractor, Request, Response, Rule, crawl
from scraper.testing import LocalSite


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


# what is followed


async def test_each_link_goes_by_the_first_rule_that_takes_it(db: Path) -> None:
    class Shop(Base):
        rules = (
            Rule(LinkExtractor(allow="/item"), callback="parse_item", cb_kwargs={"by": 1}),
            Rule(LinkExtractor(allow="/both"), callback=Base.parse_item, follow=True),
            Rule(LinkExtractor(allow="/i|/list", deny="/never")),
        )

        def parse_start_url(self, response: Response) -> Any:
            return {"url": "start"}

    pages = {
        "/": page("/item/1", "/both", "/list", "/never", "mailto:a@b"),
        "/list": page("/item/2", "/i", "/pic.jpg"),
        "/both": page("/item/3"),
        "/item/1": page("/item/4"),  # a callback, so what it leads to is not followed
        "/item/2": page(),
        "/item/3": page(),
        "/i": page(),
    }
    assert await items(Shop, pages, db=db) == [
        {"url": "/both"},
        {"url": "/item/1", "by": 1},
        {"url": "/item/2", "by": 1},
        {"url": "/item/3", "by": 1},
        {"url": "start"},
    ]
    asked = {url.removeprefix(SITE) for (url,) in read(db, "select url from pages where state = 'done'")}
    assert asked == {"/", "/list", "/both", "/item/1", "/item/2", "/item/3", "/i"}


async def test_a_rule_may_lead_to_pages_that_lead_nowhere(db: Path) -> None:
    class Ends(Base):
        rules = (Rule(LinkExtractor(allow="/end"), follow=False), Rule(LinkExtractor(deny="/z"), follow=True))

    pages = {"/": page("/end", "/on", "/z"), "/end": page("/never"), "/on": page("/last"), "/last": page()}
    await items(Ends, pages, db=db)
    assert [url.removeprefix(SITE) for (url,) in read(db, "select url from pages")] == ["/", "/end", "/on", "/last"]


async def test_all_kinds_of_callbacks(db: Path) -> None:
    class Kinds(Base):
        def returns(self, response: Response) -> Any:
            return [{"url": "list"}]

        async def awaited(self, response: Response) -> Any:
            return {"url": "coroutine"}

        async def later(self, response: Response) -> AsyncIterator[Any]:
            yield {"url": "async generator"}
            try:
                yield {"bad"}
            except Exception as error:
                yield {"url": f"told: {type(error).__name__}"}

        def now(self, response: Response) -> Any:
            try:
                yield {"bad"}
            except Exception as error:
                yield {"url": f"told as well: {type(error).__name__}"}
            yield from response.follow_all("a.x", self.parse_item)

        rules = tuple(
            Rule(LinkExtractor(allow=f"/{each.__name__}$"), each, follow=True)
            for each in (returns, awaited, later, now)
        )

    pages: dict[str, Any] = {f"/{name}": page() for name in ("returns", "awaited", "later")}
    pages |= {"/": page("/returns", "/awaited", "/later", "/now"), "/now": "<a class=x href=/end>x</a>", "/end": page()}
    assert [item["url"] for item in await items(Kinds, pages, db=db)] == [
        "/end",
        "async generator",
        "coroutine",
        "list",
        "told as well: CallbackError",
        "told: CallbackError",
    ]


async def test_links_and_requests_can_be_changed_on_the_way(db: Path) -> None:
    class Changed(Base):
        def better(self, links: list[Link]) -> list[Link]:
            for each in links:
                each.url += "?full"
            return [each for each in links if "drop" not in each.url]

        def tell(self, request: Request, response: Response) -> Request | None:
            if "none" in request.url:
                return None
            request.meta["from"] = response.url
            return request.replace(
                priority=3, cb_kwargs={**(request.cb_kwargs or {}), "more": request.meta["link_text"]}
            )

        def parse_item(self, response: Response, **more: Any) -> Any:
            yield {"url": response.url.removeprefix(SITE), **more, "from": response.meta["from"]}

        rules = (Rule(LinkExtractor(), parse_item, {"by": "rule"}, True, process_links=better, process_request="tell"),)

    pages = {"/": page("/a", "/drop", "/none"), "/a?full": page("/b"), "/b?full": page()}
    assert await items(Changed, pages, db=db) == [
        {"url": "/a?full", "by": "rule", "more": "to /a", "from": f"{SITE}/"},
        {"url": "/b?full", "by": "rule", "more": "to /b", "from": f"{SITE}/a?full"},
    ]


async def test_process_results_sees_what_callbacks_give(db: Path) -> None:
    class Results(Base):
        rules = (Rule(LinkExtractor(), "parse_item"),)

        def process_results(self, response: Response, results: Any) -> Any:
            return [{**each, "seen": True} for each in results or ()]

    assert await items(Results, {"/": page("/a"), "/a": page("/b")}, db=db) == [{"url": "/a", "seen": True}]
    assert len(read(db, "select url from pages")) == 2, "the rule does not follow"

    class Later(Results):
        async def process_results(self, response: Response, results: Any) -> Any:
            return Results.process_results(self, response, results)

    class Stream(Results):
        async def process_results(self, response: Response, results: Any) -> Any:
            for each in Results.process_results(self, response, results):
                yield each

    for spider in (Later, Stream):
        found = await items(spider, {"/": page("/a"), "/a": page("/b")}, db=db.with_name(spider.__name__))
        assert found == [{"url": "/a", "seen": True}]


async def test_the_errback_of_a_rule(db: Path) -> None:
    class Fails(Base):
        rules = (Rule(LinkExtractor(), errback="failed"),)

    assert await items(Fails, {"/": page("/gone")}, db=db) == [{"url": "/gone", "failed": f"{SITE}/gone answered 404"}]


async def test_scope_redirects_and_other_kinds_of_pages(db: Path) -> None:
    class Around(Base):
        allowed_domains = ("127.0.0.1",)
        rules = (Rule(LinkExtractor(allow="/item"), "parse_item", {"n": 1}, follow=True), Rule())

    async with LocalSite(
        {
            "/": page("http://elsewhere.test/item", "/item/old", "/data", "/pic"),
            "/item/old": (302, "", {"Location": "/new"}),
            "/new": page("/item/2"),
            "/item/2": page("/item/3"),
            "/data": (200, '{"a": "<a href=/item/9>x</a>"}', {"Content-Type": "application/json"}),
            "/pic": (200, b"\x89PNG\r\n\x1a\n<a href=/item/9>", {"Content-Type": "image/png"}),
        }
    ) as site:
        Around.start_urls = (site.url("/"),)
        report = await crawl(Around, db=db, max_depth=2)
        assert (report.reason, report.counts.dead) == ("finished", 0)
        assert report.counts.drops == {"offsite": 1, "depth": 1}
        assert sorted(site.requests) == ["/", "/data", "/item/2", "/item/old", "/new", "/pic"]
    found = [text.rpartition("/")[2] for (text,) in read(db, "select data from items order by data")]
    assert found == ['2","n":1}', 'new","n":1}']


async def test_nofollow_counts_when_it_is_obeyed(db: Path) -> None:
    class Obeys(Base):
        rules = (Rule(LinkExtractor(allow="/a"), "parse_item"), Rule())

    pages = {
        "/": "<a href=/a rel=nofollow>x</a><a href=/b rel=nofollow>x</a><a href=/a2>y</a>",
        "/a": "",
        "/a2": "",
        "/b": "",
    }
    assert len(await items(Obeys, pages, db=db, settings={"obey_nofollow": True})) == 1
    assert read(db, "select url from pages order by url") == [(f"{SITE}/",), (f"{SITE}/a2",)]


async def test_plain_links_store_nothing_but_a_url(db: Path) -> None:
    class Plain(Base):
        rules = (Rule(LinkExtractor(allow="/a")), Rule(LinkExtractor(), "parse_item"))

    await items(Plain, {"/": page("/a", "/b"), "/a": "", "/b": ""}, db=db)
    rows = read(db, "select callback, request from pages order by url")
    assert rows == [(None, None), ("parse_with_rules", None), ("parse_item", '{"meta":{"link_text":"to /b"}}')]


# kill and resume


async def test_rules_may_be_edited_between_a_stop_and_the_resumption(db: Path) -> None:
    class Shop(Base):
        name = "shop"
        rules = (
            Rule(LinkExtractor(allow="/gone"), "parse_gone", follow=True),
            Rule(LinkExtractor(allow="/item"), "parse_item", {"by": "old"}, follow=True),
        )

        def parse_gone(self, response: Response) -> Any:
            """Not there any more when its page comes."""

    async with LocalSite({"/": page("/item/1", "/gone")}) as site:
        gate = site.pages["/item/1"] = site.pages["/gone"] = Gate()
        Shop.start_urls = (site.url("/"),)
        task = asyncio.ensure_future(crawl(Shop, db=db))
        await gate.asked.wait()
        task.cancel()  # what has begun is lost, as by a kill
        await asyncio.wait([task])
        gate.open.set()

        class Edited(Base):
            name = "shop"
            start_urls = Shop.start_urls
            rules = (Rule(LinkExtractor(allow="/item"), "parse_item", {"by": "new"}),)

        site.pages |= {"/item/1": page("/item/2"), "/item/2": page("/item/3"), "/gone": page()}
        report = await crawl(Edited, db=db)
    assert (report.resumed, report.finished) == (True, True)
    found = [text.partition("/item")[2] for (text,) in read(db, "select data from items order by data")]
    assert found == ['/1","by":"old"}', '/2","by":"new"}']
    [(reason, error)] = read(db, "select reason, error from pages where state = 'dead'")
    assert reason == "callback"
    assert error.strip().endswith("CallbackError: spider 'shop' has no method 'parse_gone' any more")
