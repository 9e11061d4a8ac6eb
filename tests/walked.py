"""A site on which much goes wrong, the spider that walks it, and a crawl of it by the real command line."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from conftest import Cli

from scraper.testing import LocalSite

WALK = """
from scraper import Spider

class Walk(Spider):
    allowed_domains = ["127.0.0.1"]
    settings = {"retry_attempts": 2, "retry_max_wait": 0, "max_depth": 1, "max_url_length": 60}

    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response):
        if response.url.endswith("broken"):
            raise ValueError("no price")
        yield {"url": response.url, "price": response.css("b::text").get()}
        yield from response.follow_all("a")
"""
LONG = "/long" + "x" * 60
LINKS = ("a", "a#top", "gone", "broken", "moved", "away", "secret", "flaky", LONG, "http://x.test/b", "mailto:x@x.test")


def page(*links: str, text: str = "") -> str:
    return f"<h1>page</h1>{text}" + "".join(f'<a href="{link}">link</a>' for link in links)


def site(**more: Any) -> LocalSite:
    """More pages, or others, by their path without the slash."""
    first = iter([503])
    pages: Mapping[str, Any] = {
        "/": page(*LINKS),
        "/a": page("deep", "gone", text="<b>9</b>"),
        "/broken": page(),
        "/there": page(),
        "/moved": (301, "", {"Location": "/there"}),
        "/away": (302, "", {"Location": "http://x.test/away"}),
        "/flaky": lambda _: next(first, 200),
        "/robots.txt": "User-agent: *\nDisallow: /secret\n",
    }
    return LocalSite({**pages, **{f"/{name}": answer for name, answer in more.items()}})


def spider(folder: Path) -> None:
    (folder / "spiders").mkdir(exist_ok=True)
    (folder / "spiders" / "walk.py").write_text(WALK)


def command(at: LocalSite, *more: object) -> tuple[object, ...]:
    return ("crawl", "walk", "-a", f"start={at.url('/')}", "-q", "--log-format", "json", *more)


async def ran(cli: Cli, *arguments: object) -> CompletedProcess[str]:
    """A command to its end, while the site goes on answering."""
    return await asyncio.to_thread(cli, *arguments)


async def rows(cli: Cli, *arguments: object) -> list[dict[str, Any]]:
    """What a command prints as JSON."""
    done = await ran(cli, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
