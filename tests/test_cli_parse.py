"""scraper parse: which callback a page is for, and what is shown of the requests it gives."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli

import scraper
from scraper.discover import find
from scraper.testing import LocalSite

SPIDERS = """
from scraper import CrawlSpider, FormRequest, LinkExtractor, Request, Rule, SitemapSpider, Spider

class Ruled(CrawlSpider):
    start_urls = ["http://127.0.0.1/"]
    rules = [Rule(LinkExtractor(allow="/book/"), callback="parse_book", cb_kwargs={"shelf": "new"})]

    def parse_book(self, response, shelf):
        yield {"title": response.css("h1::text").get(), "shelf": shelf}

class Mapped(SitemapSpider):
    sitemap_urls = ["http://127.0.0.1/sitemap.xml"]
    sitemap_rules = [("/book/old", None), ("/book/", "parse_book")]

    def parse_book(self, response):
        yield {"title": response.css("h1::text").get()}

class Plain(Spider):
    settings = {"obey_robots": False}

    def __init__(self, start):
        self.start_urls = [start]

    def parse(self, response):
        yield response.follow("/book/1", self.parse_book, cb_kwargs={"shelf": "crawled"}, headers={"X-One": "1"})

    def parse_book(self, response, shelf):
        yield {"shelf": shelf, "sent": [*response.request.headers.values()]}

    def form(self, response):
        fields = {"q": "Grün & Söhne", "password": "hush"}
        yield FormRequest("http://127.0.0.1/search", formdata=fields, callback="form")
        yield Request("http://127.0.0.1/up", method="PUT", body=bytes([255, 0]), callback="form")
"""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[LocalSite]:
    (tmp_path / "many.py").write_text(SPIDERS)
    async with LocalSite({"/": "<p>", "/book/1": "<h1>Emma", "/book/old": "<h1>Old"}) as site:
        yield site


async def parsed(here: Cli, name: str, url: str, *more: str) -> tuple[dict[str, Any], str]:
    """The page, and what was said beside it."""
    done = await asyncio.to_thread(here, "parse", url, "--spider", f"many.py:{name}", "--json", *more)
    assert done.returncode == 0, done.stderr
    page: dict[str, Any] = json.loads(done.stdout)
    return page, done.stderr


@pytest.mark.parametrize(
    ("name", "item"), [("Ruled", {"title": "Emma", "shelf": "new"}), ("Mapped", {"title": "Emma"})]
)
async def test_the_rules_of_the_spider_say_who_reads_a_page(
    here: Cli, site: LocalSite, name: str, item: dict[str, str]
) -> None:
    page, said = await parsed(here, name, site.url("/book/1"))
    assert (page["callback"], page["items"]) == ("parse_book", {"item": [item]})
    assert said == "read by parse_book(), by its rules; -c names another\n"


async def test_a_start_page_and_what_no_rule_takes_have_the_rules_applied(here: Cli, site: LocalSite) -> None:
    site.pages["/"] = '<a href="/book/1">one</a>'
    page, said = await parsed(here, "Ruled", site.url("/"))
    assert ([each["callback"] for each in page["requests"]], said) == (["parse_book"], "")


async def test_what_a_crawl_has_asked_for_is_asked_for_again(here: Cli, site: LocalSite) -> None:
    start = site.url("/")
    await scraper.crawl(find("many.py:Plain", Path())(start), db="data/plain.db")  # type: ignore[call-arg]
    page, said = await parsed(here, "Plain", site.url("/book/1"), "-a", f"start={start}")
    assert page["items"] == {"item": [{"shelf": "crawled", "sent": ["1"]}]}
    assert said.startswith("read by parse_book(), data/plain.db has it;")
    page, said = await parsed(
        here, "Plain", site.url("/book/1"), "-a", f"start={start}", "--cb-kwargs", '{"shelf": "mine"}', "-H", "x-one: 2"
    )
    assert page["items"] == {"item": [{"shelf": "mine", "sent": ["2"]}]}, "what is given wins"
    with sqlite3.connect("data/plain.db") as db:
        db.execute("update pages set callback = 'renamed' where callback = 'parse_book'")
    db.close()
    page, _ = await parsed(here, "Plain", site.url("/book/1"), "-a", f"start={start}")
    assert page["callback"] == "parse", "a method that is gone reads nothing"


async def test_a_body_is_shown_as_text_and_without_what_is_secret(here: Cli, site: LocalSite) -> None:
    page, _ = await parsed(here, "Plain", site.url("/"), "-c", "form", "-a", f"start={site.url('/')}")
    form, binary = page["requests"]
    assert form["more"]["body"] == "q=Gr%C3%BCn+%26+S%C3%B6hne&password=***"
    assert binary["more"]["body"] == "base64:/wA="
