"""Tests of spiders by hand (``scraper.testing.replay``), and by pytest (``pytest --spiders``)."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, environment

from scraper import CallbackError, ScraperError, Spider, SpiderError, UsageError
from scraper.errors import ConnectTimeout
from scraper.response import Response
from scraper.testing import replay

PAGE = b'<h1>Emma</h1><a href="/2">next</a><a href="http://other.test/">other</a>'


SEEN: list[str] = []


@dataclass
class Book:
    key = "title"

    title: str | None
    shelf: str = ""


class Shop(Spider):
    allowed_domains = ("shop.test",)

    def __init__(self, shelf: str = "none") -> None:
        self.shelf = shelf

    def parse(self, response: Response) -> Any:
        yield Book(response.css("h1::text").get(), self.shelf)
        yield {"status": response.status, "page": response.meta.get("page"), "type": response.content_type}
        yield from response.follow_all("a")

    async def parse_async(self, response: Response, number: int) -> Any:
        await asyncio.sleep(0)
        return {"number": number}

    def parse_badly(self, response: Response) -> Any:
        yield Book("kept by nobody")
        raise ValueError("no price")

    def parse_cut(self, response: Response) -> Any:
        raise ConnectTimeout("no answer from elsewhere")

    def parse_reject(self, response: Response) -> Any:
        yield Book("")

    def parse_network(self, response: Response) -> Any:
        with suppress(ScraperError):
            socket.getaddrinfo("shop.test", 80)

    def parse_counted(self, response: Response) -> Any:
        SEEN.append(response.url)
        yield from response.follow_all("a", self.parse_counted)


def test_a_page_of_bytes() -> None:
    gave = replay(Shop, PAGE, url="http://shop.test/", arguments={"shelf": "new"}, meta={"page": 1}, status=201)
    assert gave.items[0] == Book("Emma", "new")
    assert gave.rows == [
        {"kind": "book", "title": "Emma", "shelf": "new"},
        {"kind": "item", "status": 201, "page": 1, "type": ""},
    ]
    assert [request.url for request in gave.requests] == ["http://shop.test/2"]
    assert gave.dropped == {"offsite": 1}


def test_a_page_in_a_file_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b'<link rel="canonical" href="http://shop.test/a/">' + PAGE)
    gave = replay(Shop, tmp_path / "page.html", headers={"X-Total": "1"})
    assert [request.url for request in gave.requests] == ["http://shop.test/2"]
    assert gave.rows[1]["type"] == "text/html"


def test_a_callback_of_any_kind_with_arguments() -> None:
    assert replay(Shop, PAGE, callback="parse_async", cb_kwargs={"number": 7}).rows == [{"kind": "item", "number": 7}]


async def test_inside_a_running_loop() -> None:
    assert replay(Shop, PAGE, callback="parse_async", cb_kwargs={"number": 7}).rows == [{"kind": "item", "number": 7}]


def test_rejects_are_told() -> None:
    [(kind, reason)] = replay(Shop, PAGE, callback="parse_reject").rejects
    assert (kind, "title" in reason) == ("book", True)


def test_a_callback_that_raises_raises_with_its_traceback() -> None:
    with pytest.raises(CallbackError, match=r"(?s)ValueError: no price.*parse_badly"):
        replay(Shop, PAGE, callback="parse_badly")


def test_what_a_crawl_tries_again_is_not_tried_again() -> None:
    with pytest.raises(CallbackError, match="no answer from elsewhere"):
        replay(Shop, PAGE, callback="parse_cut")


def test_the_network_is_forbidden() -> None:
    with pytest.raises(CallbackError, match=r"shop\.test"):
        replay(Shop, PAGE, callback="parse_network")


def test_one_page_is_read_and_no_other() -> None:
    SEEN.clear()
    assert len(replay(Shop, PAGE, url="http://shop.test/", callback="parse_counted").requests) == 1
    assert SEEN == ["http://shop.test/"]


class Loud(Spider):
    exports = ("rows.jsonl",)
    expect = ("items >= 100",)

    def start(self) -> Any:
        raise AssertionError("nothing but the page is asked for")

    def parse(self, response: Response) -> Any:
        yield {"title": response.css("h1::text").get()}

    def closed(self, report: Any) -> None:
        raise AssertionError("the crawl is not the spider's")


def test_nothing_but_the_callback_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert replay(Loud, PAGE).rows == [{"kind": "item", "title": "Emma"}]
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="parse_gone"):
        replay(Shop, PAGE, callback="parse_gone")
    with pytest.raises(SpiderError, match="no argument 'shelves'"):
        replay(Shop, PAGE, arguments={"shelves": "new"})
    with pytest.raises(UsageError, match=r"none\.html"):
        replay(Shop, "none.html")


# pytest --spiders


def run_pytest(folder: Path, *arguments: str) -> str:
    """What pytest says in a folder with our plugin and no other."""
    command = [sys.executable, "-m", "pytest", "-p", "pytest_scraper", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Our books with their fixtures, and a test of somebody's own."""
    for name in ("spiders", "fixtures"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_own.py").write_text(
        "import sys\ndef test_own(): assert 'pytest_scraper' in sys.modules and 'scraper' not in sys.modules\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    return tmp_path


def test_the_plugin_imports_nothing_until_it_is_asked(project: Path) -> None:
    said = run_pytest(project, "-v")
    assert "test_own PASSED" in said, said
    assert "fixture.json" not in said


def test_each_recorded_page_is_a_test_that_fails_with_the_report(project: Path) -> None:
    (project / "tests" / "test_own.py").unlink()
    (project / "tests" / "fixture.json").write_text("of something else")
    page = project / "fixtures" / "books" / "book" / "page.html"
    page.write_text(page.read_text(encoding="utf-8").replace("breadcrumb", "crumbs"), encoding="utf-8")
    said = run_pytest(project, "--spiders", "-v")
    assert "fixtures/books/listing/fixture.json::parse PASSED" in said, said
    assert "fixtures/books/book/fixture.json::parse_book FAILED" in said
    assert "css('ul.breadcrumb li:nth-child(3) a::text') at books.py:" in said
    assert "1 failed, 1 passed" in said
    assert "Traceback" not in said
    update = run_pytest(project / "tests", "--spiders-update", "../fixtures/books/book", "-v")
    assert "1 passed in" in update, update
    expected = json.loads((project / "fixtures/books/book/expected.json").read_text(encoding="utf-8"))
    assert expected["rejects"][0]["kind"] == "book"


def test_the_ini_file_may_ask_for_recorded_pages(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\ntestpaths = tests\nspiders = true\n")
    assert "fixtures/books/listing/fixture.json::parse" in run_pytest(project, "--collect-only", "-q")


def test_the_plugin_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert declared["project"]["entry-points"]["pytest11"] == {"scraper": "pytest_scraper"}
    assert (ROOT / "pytest_scraper.py").is_file()
    assert "pytest_scraper.py" in declared["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
