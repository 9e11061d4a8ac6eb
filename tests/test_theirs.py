"""What people bring from Scrapy, or mean in good faith, and nothing here reads: an error that says what to write."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli

import scraper
from scraper import Response, Spider
from scraper.errors import SpiderError
from scraper.item import to_item
from scraper.page import Item, Reject
from scraper.testing import FakeFetcher
from scraper.theirs import PUBLIC

SITE = "http://a.test/"


class Shop(Spider):
    start_urls = [SITE]  # noqa: RUF012

    def parse(self, response: Any) -> Any:
        yield {"title": "a"}


# keys


def test_a_key_on_the_spider_is_an_error() -> None:
    with pytest.raises(SpiderError, match=r"Keyed\.key would not be read; a key is of the items: .*class Row\(dict\)"):
        type("Keyed", (Shop,), {"key": "upc"})
    assert type("Keyed", (Shop,), {"key": lambda self: "a method of its own"})


class Row(dict[str, Any]):
    key = "upc"


class Two(dict[str, Any]):
    key = ("shop", "upc")


class NoKey(dict[str, Any]):
    def key(self) -> str:
        return "a method of its own"


def test_a_dict_of_a_class_with_a_key_has_that_key() -> None:
    found = to_item(Row(upc="u1", title="a"))
    assert isinstance(found, Item)
    assert (found.kind, found.key, found.data) == ("row", "u1", '{"upc":"u1","title":"a"}')
    assert to_item(Two(shop="s", upc=7)).key == '["s",7]'  # type: ignore[union-attr]
    assert to_item(NoKey(upc="u1")).key is None  # type: ignore[union-attr]
    assert to_item({"key": "upc", "upc": "u1"}).key is None  # type: ignore[union-attr]


@pytest.mark.parametrize("row", [Row(title="a"), Row(upc=""), Row(upc=None)], ids=["missing", "empty", "none"])
def test_a_dict_without_its_key_is_rejected(row: Row) -> None:
    found = to_item(row)
    assert isinstance(found, Reject)
    assert "the key field 'upc' is empty" in found.reason


# steps


class Pipe:
    def process_item(self, item: Any, spider: Any) -> Any:
        return item


class Needy:
    def __init__(self, where: str) -> None:
        self.where = where

    def __call__(self, item: Any) -> Any:
        return item


class Made:
    count = 0

    def __init__(self) -> None:
        Made.count += 1

    def __call__(self, item: Any) -> Any:
        return item


RENAME = re.escape("; rename its process_item(self, item, spider) to __call__(self, item)")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([Pipe], "has the class Pipe, whose objects cannot be called" + RENAME),
        ([Pipe()], "which cannot be called with an item" + RENAME),
        ([5], "has 5, which cannot be called with an item$"),
        ([Needy], "has the class Needy; give an object: missing a required argument: 'where'"),
        (Made(), "make it a list of steps"),
    ],
    ids=["class", "object", "number", "needy", "no list"],
)
async def test_wrong_steps_are_told_before_there_is_a_database(tmp_path: Path, steps: Any, words: str) -> None:
    db = tmp_path / "shop.db"
    with pytest.raises(SpiderError, match=words):
        await scraper.crawl(type("Wrong", (Shop,), {"steps": steps}), db=db, fetcher=FakeFetcher({SITE: ""}))
    assert not db.exists()


async def test_right_steps_are_made_once_for_a_crawl(tmp_path: Path) -> None:
    Made.count = 0
    for steps in ([Made], iter([Made])):
        await scraper.crawl(
            type("Right", (Shop,), {"steps": steps}), db=tmp_path / "r.db", fetcher=FakeFetcher({SITE: ""})
        )
    assert Made.count == 2


# names


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_to_import_says_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = re.escape(f"module 'scraper' has no attribute {name!r}; {PUBLIC[name]}")
    with pytest.raises(ImportError, match=words):
        exec(f"from scraper import {name}")
    with pytest.raises(AttributeError, match=words):
        getattr(scraper, name)
    assert not hasattr(scraper, name)


def test_any_other_name_is_missing_as_everywhere() -> None:
    with pytest.raises(AttributeError, match=r"^module 'scraper' has no attribute 'nope'$"):
        getattr(importlib.import_module("scraper"), "nope")  # noqa: B009
    with pytest.raises(ImportError, match="cannot import name 'nope'"):
        exec("from scraper import nope")


@pytest.mark.parametrize("method", ["extract", "extract_first"])
def test_selectors_name_their_get(method: str) -> None:
    found = Response(SITE, body=b"<p>a</p>").css("p")
    for one, kind in ((found, "SelectorList"), (found[0], "Selector")):
        with pytest.raises(AttributeError, match=rf"^{kind} has no '{method}'; write \.get\(\)"):
            getattr(one, method)
        assert not hasattr(one, method)
        with pytest.raises(AttributeError, match="'nope'"):
            getattr(one, "nope")  # noqa: B009


def test_spiders_name_their_logger_and_may_have_a_log_of_their_own() -> None:
    with pytest.raises(AttributeError, match=r"^Shop has no 'log'; write self\.logger\.info\("):
        Shop().log("hello")  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^Shop has no 'crawler'; what a spider needs is given to it"):
        Shop().crawler  # type: ignore[attr-defined] # noqa: B018
    own = Shop()
    own.crawler = 5  # type: ignore[attr-defined]
    assert own.crawler == 5  # type: ignore[attr-defined]
    assert type("Own", (Shop,), {"log": lambda self: 7})().log() == 7


def test_settings_without_a_counterpart_are_told_by_the_command(here: Cli) -> None:
    for name, words in (
        ("ITEM_PIPELINES", "write steps = ["),
        ("log_formatter", "write log_format"),
        ("FEEDS", "exports"),
    ):
        done = here("settings", name)
        assert done.returncode == 2
        assert f"unknown setting {name!r} in scraper settings; " in done.stderr
        assert words in done.stderr
