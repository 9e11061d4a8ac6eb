"""Crawl spiders of pages that are made up: what a test of rules needs."""

import json
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

from scraper import Crawl, CrawlSpider, Request, Response, Spider
from scraper.testing import FakeFetcher

SITE = "http://h.test"


def page(*links: str) -> str:
    return "<h1>page</h1>" + "".join(f'<a href="{link}">to {link}</a>' for link in links)


class Base(CrawlSpider):
    start_urls = (f"{SITE}/",)
    settings: ClassVar[dict[str, Any]] = {"obey_robots": False}

    def parse_item(self, response: Response, **more: Any) -> Any:
        yield {"url": response.url.removeprefix(SITE), **more}

    def failed(self, request: Request, error: Exception) -> Any:
        yield {"url": request.url.removeprefix(SITE), "failed": str(error)}


async def items(spider: type[Spider], pages: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """What the spider gives of these pages, by URL; robots.txt and others answer 404."""
    fetcher = FakeFetcher({SITE + path: answer for path, answer in pages.items()})
    report = await Crawl(spider, fetcher=fetcher, **options).run()
    assert report.finished, report
    return [json.loads(text) for (text,) in read(options["db"], "select data from items order by data")]


def read(db: Path, question: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(db)
    rows = connection.execute(question).fetchall()
    connection.close()
    return rows
