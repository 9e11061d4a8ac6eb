"""A spider that follows every link, pages for it, and its database: what the tests of runs crawl."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from aiohttp import web

from scraper import Crawl, Response, Spider
from scraper.testing import LocalSite


class Tree(Spider):
    """Every link of every page, and one item for each."""

    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response: Response) -> Any:
        yield {"url": response.url, "title": response.css("h1::text").get()}
        yield from response.follow_all("a")


class Gate:
    """A page that answers when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, request: web.Request) -> str:
        self.asked.set()
        await self.open.wait()
        return "<h1>at last</h1>"


def page(*links: str) -> str:
    return "<h1>page</h1>" + "".join(f'<a href="{link}">link</a>' for link in links)


def tree(site: LocalSite, db: Path, **options: Any) -> Crawl:
    settings = {"grace": 30, "obey_robots": False, **options.pop("settings", {})}
    return Crawl(Tree, arguments={"start": site.url("/")}, db=db, settings=settings, **options)


def read(db: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
