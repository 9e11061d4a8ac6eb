"""What the tutorial says that one will see, its reader does see. Its blocks are also run by test_docs, cut short."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, environment
from prefork import Forks
from test_docs import blocks, local

from scraper.testing.bookshop import books

PAGE = ROOT / "docs" / "tutorial.md"
TEXT = " ".join(PAGE.read_text("utf-8").split())
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, forks: Forks) -> Run:
    """``run("crawl", "shop.py")``: what a command says, when all is well."""

    def run(*arguments: str) -> str:
        done = forks.run(list(arguments), tmp_path, environment())
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def files(name: str, url: str) -> list[str]:
    """The versions of a file that the tutorial has the reader write, in their order."""
    return [local(text, url) for kind, text, _ in blocks(PAGE) if kind == "python" and text.startswith(f"# {name}\n")]


def ask(db: Path, question: str) -> list[Any]:
    with sqlite3.connect(db) as connection:
        rows = connection.execute(question).fetchall()
    connection.close()
    return rows


def test_first_spider(tmp_path: Path, run: Run, bookshop_url: str) -> None:
    [spider] = files("titles.py", bookshop_url)
    (tmp_path / "titles.py").write_text(spider)
    said = run("crawl", "titles.py")
    assert "50 pages, 1,000 items" in TEXT
    assert '"pages": 50, "items": 1000' in said
    shown = run("items", "titles", "-n", "3")
    for book in books()[:3]:
        assert book.title[:30] in shown and f"£{book.price:.2f}" in shown
        assert re.search(rf"{re.escape(book.title[:30])}.*£{book.price:.2f}", PAGE.read_text("utf-8"))


def test_four_books_fail_and_are_mended(tmp_path: Path, run: Run, bookshop_url: str) -> None:
    before, after = files("shop.py", bookshop_url)
    db = tmp_path / "data" / "shop.db"
    (tmp_path / "shop.py").write_text(before)
    said = run("crawl", "shop.py")
    assert "1,046 pages, 996 books, and 4 failures" in TEXT
    assert '"pages": 1046, "items": 996' in said and '"failures": 4' in said
    assert "1,051 requests went over 8 connections" in TEXT
    [(requests, opened)] = ask(db, "select requests, opened from hosts")
    assert (requests, opened <= 8) == (1051, True)

    told = "AttributeError: 'NoneType' object has no attribute 'strip'"
    assert told in TEXT
    failed = run("failed", "shop")
    undescribed = [book for book in books() if book.description is None]
    assert failed.count(told) == 4 and all(book.path in failed for book in undescribed)

    (tmp_path / "shop.py").write_text(after)
    said = run("retry", "shop.py")
    assert "4 pages, and 1,000 books" in TEXT
    assert '"pages": 4, "items": 4' in said
    assert sorted(ask(db, "select upc, title, price, description from book")) == sorted(
        (book.upc, book.title, book.price, book.description) for book in books()
    )


def test_arguments(tmp_path: Path, run: Run, bookshop_url: str) -> None:
    [spider] = files("cheap.py", bookshop_url)
    (tmp_path / "cheap.py").write_text(spider)
    run("crawl", "cheap.py", "-a", "most=11.5")
    found = ask(tmp_path / "data" / "cheap.db", "select title, price from item")
    assert sorted(found) == sorted((book.title, book.price) for book in books() if book.price <= 11.5)


def test_robots_are_told_apart(run: Run, tmp_path: Path, forks: Forks, bookshop_url: str) -> None:
    done = forks.run(["fetch", f"{bookshop_url}logout"], tmp_path, environment())
    shown = re.search(r"^Error: .* leave it out of the crawl$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert shown is not None
    assert local(shown[0], bookshop_url) in done.stderr
