"""A password in a URL goes to its host, and not to whoever reads errors and logs."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from visited import crawl, page, spider

from scraper import Request
from scraper.errors import FetchError, ScraperError
from scraper.log import configure
from scraper.testing import LocalSite
from scraper.url import shown


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("http://ann:pw@h.test/a@b", "http://h.test/a@b"),
        ("http://ann@h.test/", "http://h.test/"),
        ("'//ann:p'w@h.test/' and https://b:p@[::1]:8/?q", "'//h.test/' and https://[::1]:8/?q"),
        ("http://h.test/?mail=a@b and x@y", "http://h.test/?mail=a@b and x@y"),
        ("http://h.test//a@b", "http://h.test//a@b"),
        ("through http://***@proxy.test:3128", "through http://***@proxy.test:3128"),
        ("http://ann:p@ss@h.test/", "http://h.test/"),
        ("ann@h.test", "ann@h.test"),
        ("no: '//p[@class]' (//a[not(@href)]) '//@href'", "no: '//p[@class]' (//a[not(@href)]) '//@href'"),
        ("http://a[n:p(w@h.test/", "http://h.test/"),
    ],
)
def test_user_and_password_are_left_out(text: str, left: str) -> None:
    assert shown(text) == left
    assert str(ScraperError(text)) == left


def test_nothing_that_is_printed_has_it() -> None:
    request = Request("http://ann:secret@h.test/x")
    assert repr(request) == "<GET http://h.test/x>"
    assert request.url == "http://ann:secret@h.test/x"
    with pytest.raises(ScraperError) as caught:
        Request("http://ann:secret@h.test:99999/")
    assert "secret" not in str(caught.value)


async def test_errors_logs_and_the_database_have_it_in_urls_only(tmp_path: Path) -> None:
    def broken(self: Any, response: Any) -> None:
        raise ValueError(f"no price on {response.url}")

    pages = {
        "/404": 404,
        "/cut": (200, b"x", {"Content-Encoding": "br"}),
        "/round": page(to="/round"),
        "/nowhere": page(to="mailto:x"),
        "/broken": page(),
        "/json": page(),
        "/503": 503,
        "/many": page(),
    }
    errors: list[str] = []

    def failed(self: Any, request: Request, error: FetchError) -> None:
        errors.append(f"{error} {error!r} {request!r}")

    def json(self: Any, response: Any) -> None:
        response.json()

    async with LocalSite(pages) as site:
        at = site.url("").replace("//", "//ann:s3cret@")
        calls = {"/broken": "broken", "/json": "json", "/many": "many"}
        starts = [Request(at + path, callback=calls.get(path), errback="failed") for path in pages]
        starts.append(Request("http://ann:s3cret@127.0.0.1:9/", errback="failed"))
        kind = spider(*starts, failed=failed, broken=broken, json=json, many=lambda self, response: object())
        configure("debug", "json", file=tmp_path / "log")
        try:
            report = await crawl(
                kind, tmp_path, retry_attempts=2, retry_max_wait=0.0, max_redirects=2, obey_robots=True
            )
        finally:
            configure()
    assert report.counts.dead == len(starts)
    assert len(errors) == 6
    assert "s3cret" not in "".join(errors) + (tmp_path / "log").read_text()
    with closing(sqlite3.connect(tmp_path / "visit.db")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        found = {
            column[0]
            for table in tables
            for cursor in [db.execute(f"SELECT * FROM {table}")]
            for row in cursor
            for column, value in zip(cursor.description, row, strict=True)
            if "s3cret" in str(value)
        }
        assert db.execute("SELECT count(*) FROM pages WHERE error != ''").fetchone()[0] > 5
    assert found == {"url", "request"}  # what was asked, as it must be to ask it again
