"""scraper check and scraper record --update: fixtures tell what has changed, and where."""

import asyncio
import json
import re
from pathlib import Path
from unittest.mock import ANY

import pytest
from conftest import ROOT
from recorded import BOOK, Shop, here, read, run, shop, site
from typer.testing import CliRunner

from scraper.cli import app
from scraper.offline.checking import check_folder
from scraper.testing import LocalSite

__all__ = ["here", "shop", "site"]


async def test_a_recorded_page_is_checked_without_the_site(shop: Shop, site: LocalSite) -> None:
    await run("record", "shop", site.url("/"), "--depth", 1)
    site.log.clear()
    assert await run("check") == (0, "ok     shop/book-1\nok     shop/index\n2 fixtures, all as recorded\n")
    assert await run("check", "shop", "index") == (0, "ok     shop/index\n1 fixture, all as recorded\n")
    assert (await run("check", "shop/indx"))[0] == 2
    code, said = await run("check", "shop/index", "-s", "max_url_length=5")
    assert (code, "length: expected no such field, got 3" in said) == (3, True)
    assert site.log == []


async def test_a_selector_that_moved_in_the_spider_is_named(shop: Shop, site: LocalSite) -> None:
    await run("record", "shop", site.url("/"), "--depth", 1)
    file = shop(("p.price::text", "p.prize::text"))
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "p.prize" in text)
    code, said = await run("check", "shop/book-1")
    assert code == 3
    assert said.splitlines()[:4] == [
        "FAILED shop/book-1",
        "       book 1",
        '         price: expected "4.20", got None',
        f"           css('div.main').css('p.prize::text') at shop.py:{line} is new, and matches nothing",
    ]
    assert "css('div.main').css('p.price::text') in Shop.parse_book matched 1 when recorded, is not asked now" in said
    assert said.splitlines()[-1] == "1 fixture: 0 as recorded, 1 not"


async def test_a_selector_that_moved_in_the_page_is_named_before_anything_is_replaced(
    shop: Shop, site: LocalSite, tmp_path: Path
) -> None:
    await run("record", "shop", site.url("/"), "--depth", 1)
    site.pages["/book/1"] = BOOK.replace("price", "cost")
    before = (tmp_path / "fixtures/shop/book-1/page.html").read_text()
    code, said = await run("record", "--update")
    assert code == 3
    assert re.search(
        r'price: expected "4\.20", got None\n *'
        r"css\('div\.main'\)\.css\('p\.price::text'\) at shop\.py:\d+ matched 1 when recorded, none now",
        said,
    )
    assert "same   shop/index" in said
    assert (tmp_path / "fixtures/shop/book-1/page.html").read_text() == before
    assert (await run("record", "--update", "--yes"))[0] == 0
    assert "cost" in (tmp_path / "fixtures/shop/book-1/page.html").read_text()
    assert (await run("check"))[0] == 0


async def test_many_that_are_gone_do_not_hide_the_query(shop: Shop, site: LocalSite) -> None:
    site.pages["/"] = "".join(f"<a class=book href=/book/{number}>" for number in range(9))
    await run("record", "shop", site.url("/"))
    shop(("a.book", "a.buch"))
    code, said = await run("check")
    assert (code, said.count("/book/")) == (3, 5)
    assert re.search(r"and 4 more of these \(request: not any more\)\n.*\n *css\('a.buch'\) at shop\.py", said)


async def test_a_change_that_is_meant_is_taken_over_without_the_site(
    shop: Shop, site: LocalSite, tmp_path: Path
) -> None:
    await run("record", "shop", site.url("/book/1"), "-c", "parse_book")
    shop(("title=page", "title='The ' + page"))
    site.log.clear()
    code, said = await run("record", "--update", "--offline", "shop/book-1")
    assert (code, 'title: expected "Emma", got "The Emma"' in said) == (3, True)
    assert (await run("record", "--update", "--offline", "--yes"))[0] == 0
    assert read(tmp_path / "fixtures/shop/book-1/expected.json")["items"][0]["data"]["title"] == "The Emma"
    assert (await run("check"))[0] == 0
    assert site.log == []


async def test_a_callback_that_asks_the_network_fails_even_if_it_catches_the_error(shop: Shop, site: LocalSite) -> None:
    await run("record", "shop", site.url("/book/1"), "-c", "parse_book")
    catching = (
        f"try:\n            __import__('urllib.request').request.urlopen({site.url('/2')!r})\n        except Exception:"
    )
    shop(('page = response.css("div.main")', f'page = response.css("div.main")\n        {catching}\n            pass'))
    site.log.clear()
    code, said = await run("check")
    assert code == 3
    assert re.search(r"the network was asked for 127\.0\.0\.1 at shop\.py:\d+: forbidden", said), said
    code, said = await run("record", "shop", site.url("/book/2"), "-c", "parse_book")
    assert (code, "so it cannot be replayed" in said) == (2, True)
    assert "GET /2" not in site.log


async def test_steps_and_rejects_are_part_of_what_is_expected(shop: Shop, site: LocalSite, tmp_path: Path) -> None:
    steps = """
from scraper import DropItem

class Once:
    def __init__(self):
        self.seen = set()
    def __call__(self, item):
        name = getattr(item, "id", "row")
        if name in self.seen:
            raise DropItem("seen")
        self.seen.add(name)
        return item
"""
    shop(
        ("class Shop(Spider):", f"{steps}\nclass Shop(Spider):\n    steps = [Once()]"),
        (
            'yield {"shelf"',
            'yield Book(id="", title="x", price=None)\n        yield Book(id="1", title="y", price="1")\n'
            '        yield {"shelf"',
        ),
    )
    assert (await run("record", "shop", site.url("/book/1"), "-c", "parse_book"))[0] == 0
    expected = read(tmp_path / "fixtures/shop/book-1/expected.json")
    assert [each["kind"] for each in expected["items"]] == ["book", "item"]
    assert [(each["kind"], "empty" in each["reason"]) for each in expected["rejects"]] == [("book", True)]
    [(reason, number)] = expected["dropped"].items()
    assert (reason.endswith("seen"), number) == (True, 1)
    # Each replay has steps of its own, so the second page is no repetition of the first.
    assert (await run("record", "shop", site.url("/book/1"), "-c", "parse_book", "--name", "b"))[0] == 0
    assert read(tmp_path / "fixtures/shop/b/expected.json") == expected | {"items": [expected["items"][0], ANY]}
    assert (await run("check"))[0] == 0
    shop()
    code, said = await run("check", "shop/b")
    assert (code, "book rejected: not any more" in said) == (3, True)
    assert re.search(r"expected 1, got no such field", said)


async def test_what_is_wrong_with_a_fixture_is_said(
    shop: Shop, site: LocalSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (await run("check"))[0] == 2  # there is none
    await run("record", "shop", site.url("/"), "--depth", 1)
    index = tmp_path / "fixtures/shop/index"
    good = (index / "fixture.json").read_text()
    for change, words in (
        ('"url": 1, ', "fixture.json is damaged: Expected `str`"),
        ('"ignores": [], ', "unknown field `ignores`"),
        ('"callback": "parse_gone", ', "has no method 'parse_gone' any more"),
        ('"spider": "gone", ', "no spider 'gone'"),
        ('"page": "../page.html", ', "must be the name of a file beside it"),
    ):
        name = change.split('"')[1]
        text = re.sub(rf'\n  "{name}": [^\n]*', "", good)
        (index / "fixture.json").write_text(text.replace("{", "{" + change, 1))
        checked = check_folder(index, tmp_path / "fixtures")
        assert words in str(checked.flaw), checked
    (index / "fixture.json").write_text(good)
    shop(("self.password = password", "self.password = 1 / 0"))
    flaw = check_folder(index, tmp_path / "fixtures").flaw
    assert flaw is not None and re.search(r"cannot be made: ZeroDiv.*\n  at shop\.py:\d+ in __init__: .* = 1 / 0", flaw)
    opening = "class Wrong:\n    __call__ = print\n    def open(self, run):\n        raise OSError('shut')\n\n"
    shop(("class Shop(Spider):", f"{opening}class Shop(Spider):\n    steps = [Wrong]"))
    code, said = await run("check")
    assert (code, said.count("open() of step Wrong raised OSError: shut")) == (3, 2)
    shop()
    (index / "page.html").unlink()
    code, said = await run("check")
    assert (code, "page.html cannot be read" in said, "ok     shop/book-1" in said) == (3, True, True)
    assert "Traceback" not in said


async def test_check_is_for_programs_too(shop: Shop, site: LocalSite) -> None:
    await run("record", "shop", site.url("/book/1"), "-c", "parse_book")
    shop(("p.price::text", "p.prize::text"), ("page = response", "print('loud')\n        page = response"))
    done = await asyncio.to_thread(CliRunner().invoke, app("check", "check"), ["check", "--json"])
    code, found = done.exit_code, json.loads(done.stdout)
    assert (code, found["fixture"], found["ok"]) == (3, "shop/book-1", False)
    [difference] = found["differences"]
    assert difference == {"what": "book 1", "field": "price", "expected": '"4.20"', "got": "None"}
    assert found["suspects"][0]["fields"] == ["price"]
    assert (await run("check", "--ignore", "book.price"))[0] == 0


async def test_the_fixtures_of_this_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert await run("check") == (0, "ok     books/book\nok     books/listing\n2 fixtures, all as recorded\n")
