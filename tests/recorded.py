"""A site, its spider and the commands that record it: what tests of ``scraper record`` and ``scraper check`` share."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scraper import log
from scraper.cli import app
from scraper.cli.exits import code_of
from scraper.errors import ScraperError
from scraper.testing import LocalSite

Shop = Callable[..., Path]

SHOP = """
import time
from dataclasses import dataclass
from scraper import FormRequest, Spider

@dataclass
class Book:
    key = "id"
    id: str
    title: str
    price: str | None

class Shop(Spider):
    allowed_domains = ["127.0.0.1"]

    def __init__(self, password: str = "none") -> None:
        self.password = password

    def parse(self, response):
        yield from response.follow_all("a.book", self.parse_book, cb_kwargs={"shelf": "new"}, meta={"from": "list"})
        yield from response.follow_all("a.next")

    def parse_book(self, response, shelf="none"):
        page = response.css("div.main")
        price = page.css("p.price::text")
        yield Book(
            id=response.url.rpartition("/")[2],
            title=page.css("h1::text").get(),
            price=price.get(),
        )
        yield {"shelf": shelf, "from": response.meta.get("from"), "at": time.time()}

    def parse_form(self, response):
        yield {"said": response.text, "password": self.password}
        yield FormRequest(response.url, formdata={"again": self.password})

    def parse_json(self, response):
        yield from response.json()["items"]
"""
BOOK = '<div class="main"><h1>Emma</h1><p class="price">4.20</p></div>'
LIST = '<a class="book" href="/book/1">1</a><a class="book" href="/book/2">2</a><a class="next" href="/2">next</a>'


def forget(spider: str) -> None:
    """The file of a spider has been changed, so it has to be loaded again."""
    for name in [each for each in sys.modules if each.startswith(f"scraper_spiders_{spider}")]:
        del sys.modules[name]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """``shop(("p.price", "p.prize"))``: the spider, with these texts in place of those."""

    def write(*changes: tuple[str, str]) -> Path:
        text = SHOP
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "spiders" / "shop.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        forget("shop")
        return file

    write()
    return write


@pytest.fixture
async def site() -> Any:
    async with LocalSite({"/": LIST, "/2": "<p>no books", "/book/1": BOOK, "/book/2": BOOK}) as site:
        yield site


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in this process, in a scratch folder; what they choose for the log is put back."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("SCRAPER_")]:
        monkeypatch.delenv(name)
    yield
    log.configure()
    monkeypatch.setattr(log, "_chosen", None)


async def run(*arguments: object) -> tuple[int, str]:
    """Exit code and all that was said; the site of the test has our loop meanwhile."""
    words = [*map(str, arguments)]
    done = await asyncio.to_thread(CliRunner().invoke, app(words[0], "check"), words)
    if isinstance(done.exception, ScraperError):
        return int(code_of(done.exception)), f"{done.output}Error: {done.exception}\n"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def read(path: Path) -> Any:
    return json.loads(path.read_text())
