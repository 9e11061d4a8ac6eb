"""Rules that make no sense: what is wrong is said before anything is fetched, or of the page where it shows."""

from pathlib import Path
from typing import Any

import pytest
from ruled import SITE, Base, items, page

from scraper import Crawl, CrawlSpider, Link, LinkExtractor, Response, Rule, Spider
from scraper.errors import RequestError, SpiderError
from scraper.testing import FakeFetcher


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def test_parse_must_not_be_overridden() -> None:
    with pytest.raises(SpiderError, match=r"Wrong\.parse would switch the rules off: .* parse_start_url"):

        class Wrong(CrawlSpider):
            def parse(self, response: Response) -> Any:
                pass

    with pytest.raises(SpiderError, match=r"callback of Wrong2\.rules\[0\] is parse\(\), which applies the rules"):

        class Wrong2(Base):
            rules = (Rule(LinkExtractor(), "parse"),)


def test_rules_of_a_plain_spider_name_the_crawl_spider() -> None:
    with pytest.raises(SpiderError, match=r"Plain\.rules would not be read; derive the spider from CrawlSpider"):

        class Plain(Spider):
            rules = (Rule(),)


def foreign(response: Response) -> None:
    """A function of no spider."""


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (
            [Rule(LinkExtractor(), "parse_itm")],
            r"callback of T\.rules\[0\] is 'parse_itm', .* did you mean 'parse_item'",
        ),
        ([Rule(), Rule(errback="nope")], r"errback of T\.rules\[1\] is 'nope', which is no method of T"),
        ([Rule(process_links="nope")], "process_links of"),
        ([Rule(process_request="nope")], "process_request of"),
        (
            [Rule(callback=foreign)],
            r"callback of T\.rules\[0\] is 'foreign', .*requests survive restarts by method name",
        ),
        ([Rule(callback=lambda response: None)], "'<lambda>'|requests survive"),
        ([Rule(cb_kwargs={"a": 1})], "are for a callback, and it has none"),
        (Rule(), r"T\.rules is a Rule; make it a list"),
        ([LinkExtractor()], r"T\.rules\[0\] is no Rule: LinkExtractor\(\)"),
    ],
)
def test_a_wrong_rule_is_an_error_when_the_class_is_made(rules: Any, says: str) -> None:
    with pytest.raises(SpiderError, match=says):
        type("T", (Base,), {"rules": rules})
    made = type("_T", (Base,), {"rules": rules})  # a base, whose subclasses may have the methods
    if "cb_kwargs" not in says:
        with pytest.raises(SpiderError):
            type("T", (made,), {})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"calback": "x"}, "Rule takes no 'calback'; did you mean 'callback'"),
        ({"link_extractor": "/item"}, r"Rule wants a LinkExtractor first, such as LinkExtractor\(allow=…\): '/item'"),
        ({"cb_kwargs": {"a": object()}}, "cb_kwargs of a Rule must be a dict of JSON values"),
        ({"cb_kwargs": 3}, "cb_kwargs of a Rule must be a dict"),
    ],
)
def test_a_wrong_argument_of_a_rule(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(SpiderError, match=says):
        Rule(**arguments)


async def test_rules_of_an_instance_are_checked_before_anything_is_fetched(db: Path) -> None:
    class Own(Base):
        def __init__(self, part: str = "/a") -> None:
            self.rules = (Rule(LinkExtractor(allow=part), "parse_item" if part == "/a" else "nope"),)  # type: ignore[misc]

    assert await items(Own, {"/": page("/a", "/b"), "/a": ""}, db=db) == [{"url": "/a"}]
    fetcher = FakeFetcher({})
    with pytest.raises(SpiderError, match=r"callback of Own\.rules\[0\] is 'nope'"):
        await Crawl(Own, arguments={"part": "/b"}, fetcher=fetcher, db=db.with_name("y.db")).run()
    assert fetcher.log == []


def test_rules_that_are_given_later_count() -> None:
    class Late(Base):
        rules = (Rule(LinkExtractor(allow="/a")),)

    spider = Late()
    response = Response(f"{SITE}/", headers={"Content-Type": "text/html"}, body=page("/a", "/b").encode())
    assert [each.url for each in spider.follow_rules(response)] == [f"{SITE}/a"]
    spider.rules = (Rule(LinkExtractor(allow="/b")),)  # type: ignore[misc]
    assert [each.url for each in spider.follow_rules(response)] == [f"{SITE}/b"]


async def test_a_crawl_spider_without_rules_is_told(db: Path) -> None:
    with pytest.raises(SpiderError, match="base has no rules; write rules = "):
        await Crawl(Base, fetcher=FakeFetcher({}), db=db).run()


async def test_what_the_functions_of_a_rule_give_is_checked(db: Path) -> None:
    class Wrong(Base):
        rules = (
            Rule(LinkExtractor(allow="/a"), process_links=lambda links: [1]),
            Rule(process_request=lambda a, b: "x"),
        )

    spider = Wrong()
    for body, says in ((page("/a"), r"process_links of Rule\(.*gave \[1\] on http"), (page("/b"), "gave")):
        with pytest.raises(Exception, match=says):
            list(spider.follow_rules(Response(f"{SITE}/", headers={"Content-Type": "text/html"}, body=body.encode())))
    with pytest.raises(RequestError, match="is not an http"):
        list(
            Mailing().follow_rules(Response(f"{SITE}/", headers={"Content-Type": "text/html"}, body=page("/").encode()))
        )


class Mailing(Base):
    """Whose process_links makes of each link one that cannot be followed."""

    rules = (Rule(process_links=lambda links: [Link("mailto:a@b")]),)


def test_a_subclass_may_override_a_callback_of_a_rule() -> None:
    class Above(Base):
        rules = (Rule(LinkExtractor(), Base.parse_item),)

    class Below(Above):
        def parse_item(self, response: Response, **more: Any) -> Any:
            """Another one."""

    request = next(
        Below().follow_rules(Response(f"{SITE}/", headers={"Content-Type": "text/html"}, body=b"<a href=/x>"))
    )
    assert request.callback == "parse_item"
