"""Why a URL was fetched or was not, read from databases made by hand."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from made import NOW, SITE, Made

from scraper.request import Request
from scraper.stores.reading import Bounds
from scraper.stores.why import MOST, Why, why

TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in parse\nValueError: no price\n'


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path / "x.db")
    yield made
    made.close()


def ask(made: Made, url: str) -> Why:
    db = sqlite3.connect(f"{made.path.as_uri()}?mode=ro", uri=True)
    try:
        return why(db, url if "://" in url or ":" in url else SITE + url, NOW)
    finally:
        db.close()


def test_a_page_that_was_fetched(made: Made) -> None:
    made.run()
    parent = made.page("")
    made.page("a", found_on=parent, depth=1, attempts=3, reused=0)
    (page,) = (found := ask(made, "a")).pages
    assert (found.answer, found.url, found.fingerprint) == (
        "fetched",
        f"{SITE}a",
        Request(f"{SITE}a").fingerprint.hex(),
    )
    assert (page.found_on, page.found_at, page.depth, page.state, page.run) == (SITE, NOW, 1, "done", 1)
    (last,) = page.attempts
    assert (last.run, last.attempt, last.at, last.state) == (1, 3, NOW + 1, "done")
    assert (last.status, last.elapsed, last.reused) == (200, 0.25, False)
    assert ask(made, "").pages[0].found_on is None


def test_attempts_come_before_the_one_that_ended_well(made: Made) -> None:
    made.run()
    page = made.page("a", attempts=3)
    made.attempt(page, 1, status=503, reason="status 503", elapsed=0.5)
    made.attempt(page, 2, status=None, reason="disconnected", reused=None, error=TRACE)
    attempts = ask(made, "a").pages[0].attempts
    assert [(each.attempt, each.state, each.status, each.reason, each.reused) for each in attempts] == [
        (1, "retry", 503, "status 503", False),
        (2, "retry", None, "disconnected", None),
        (3, "done", 200, None, True),
    ]
    assert attempts[1].error == "ValueError: no price"


def test_the_last_attempt_of_a_dead_page_is_told_once(made: Made) -> None:
    made.run()
    page = made.page("a", "dead", attempts=2, status=404, reason="status 404", finished_at=NOW)
    made.attempt(page, 1)
    made.attempt(page, 2, "dead", status=404)
    found = ask(made, "a")
    assert found.answer == "dead"
    assert [each.attempt for each in found.pages[0].attempts] == [1, 2]
    # of a run whose attempts are kept no more, or of an older scraper, the page's own row is all there is
    made.page("old", "dead", attempts=4, status=410, reason="status 410", finished_at=NOW, error=TRACE)
    (only,) = ask(made, "old").pages[0].attempts
    assert (only.attempt, only.state, only.status, only.error) == (4, "dead", 410, "ValueError: no price")


def test_a_page_that_died_in_two_runs(made: Made) -> None:
    made.run()
    made.run()
    page = made.page("a", "dead", run=2, attempts=1, status=404, reason="status 404", finished_at=NOW)
    made.attempt(page, 1, "dead", run=1)
    assert [(each.run, each.status) for each in ask(made, "a").pages[0].attempts] == [(1, 500), (2, 404)]


def test_a_redirect_leads_somewhere(made: Made) -> None:
    made.run()
    here = made.page("here", status=301, reason="redirect")
    made.page("there", found_on=here)
    made.page("known", status=301, reason="redirect")
    off = made.page("off", status=301, reason="redirect offsite")
    made.drop("offsite", "http://x.test/", page=off)
    assert (ask(made, "here").answer, ask(made, "here").pages[0].redirect) == ("redirect", f"{SITE}there")
    assert (ask(made, "known").answer, ask(made, "known").pages[0].redirect) == ("redirect", None)
    assert (ask(made, "off").answer, ask(made, "off").pages[0].redirect) == ("redirect", "http://x.test/")
    assert ask(made, "there").pages[0].found_on == f"{SITE}here"
    assert ask(made, "http://x.test/").drops[0].found_on == f"{SITE}off"


@pytest.mark.parametrize("state", ["due", "left"])
@pytest.mark.parametrize(
    ("reason", "answer"),
    [("limit_pages", "page limit"), ("limit_items", "item limit"), ("abandoned", "abandoned")],
)
def test_a_page_that_a_limit_left(made: Made, state: str, reason: str, answer: str) -> None:
    """It becomes ``left`` only when the next run begins."""
    made.run(reason)
    made.page("a", state)
    assert ask(made, "a").answer == answer
    made.run(None)
    assert ask(made, "a").answer == answer


@pytest.mark.parametrize("reason", [None, "SIGTERM"])
def test_a_page_that_waits(made: Made, reason: str | None) -> None:
    made.run(reason)
    made.page("a", "due")
    made.page("b", "retry", due=NOW + 9, attempts=1, reason="dns", finished_at=NOW)
    assert (ask(made, "a").answer, ask(made, "a").pages[0].attempts) == ("due", [])
    assert (ask(made, "b").answer, ask(made, "b").pages[0].due) == ("retry", NOW + 9)


def test_other_ways_to_write_a_url(made: Made) -> None:
    made.run()
    made.page("a/b")
    for given in ("HTTP://H.test:80/a/./x/../b#top", "  http://h.test/a/b\n"):
        found = ask(made, given)
        assert (found.given, found.url, found.answer) == (given, f"{SITE}a/b", "fetched")


def test_every_page_of_a_url(made: Made) -> None:
    made.run()
    posted = Request(f"{SITE}a", method="POST", body="q=1")
    made.page("a", "dead", fp=posted.fingerprint, request='{"method": "POST", "body": "cT0x"}', reason="status 500")
    found = ask(made, "a")
    assert (found.answer, [page.method for page in found.pages]) == ("dead", ["POST"])
    made.page("a")
    found = ask(made, "a")
    assert (found.answer, [page.method for page in found.pages]) == ("fetched", ["POST", "GET"])
    for n in range(MOST):
        made.page("a", fp=bytes([n]), request='{"dont_filter": true}')
    assert len(ask(made, "a").pages) == MOST


def test_crashes_and_rejects_are_told(made: Made) -> None:
    made.run()
    page = made.page("a", "due", crashes=2)
    for ordinal in range(3):
        made.put("rejects", kind="k", reason="r", data="d", page=page, ordinal=ordinal, run=1)
    assert (ask(made, "a").pages[0].crashes, ask(made, "a").pages[0].rejects) == (2, 3)


# never fetched


@pytest.mark.parametrize(
    ("reason", "url"),
    [
        ("offsite", "http://x.test/"),
        ("depth", f"{SITE}deep"),
        ("length", SITE + 5000 * "x"),
        ("scheme", "mailto:x@h.test"),
        ("nofollow", f"{SITE}no"),
        ("path", f"{SITE}{'a/' * 11}"),
        ("host budget", f"{SITE}more"),
    ],
)
def test_a_link_that_was_dropped(made: Made, reason: str, url: str) -> None:
    made.run()
    page = made.page("page")
    made.drop(reason, url[:2000], page=page)
    found = ask(made, url)
    assert (found.answer, found.pages) == (reason, [])
    assert [(drop.run, drop.reason, drop.found_on) for drop in found.drops] == [(1, reason, f"{SITE}page")]


def test_a_page_stands_against_a_drop(made: Made) -> None:
    """Too deep from one page, and near enough from another."""
    made.run()
    made.page("a")
    made.drop("depth", f"{SITE}a")
    found = ask(made, "a")
    assert (found.answer, [drop.found_on for drop in found.drops]) == ("fetched", [None])


SCOPE = {"allowed_domains": ["h.test"], "max_url_length": 100, "max_path_repeats": 3}


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("http://x.test/", "would be offsite"),
        ("http://sub.h.test:81/", "unknown"),
        (SITE + 100 * "x", "would be length"),
        (f"{SITE}a/b/a/b/a/b/a/b", "would be path"),
        (f"{SITE}a/b/a/b/a/b?/a/b/a/b", "unknown"),
        ("mailto:x@h.test", "would be scheme"),
        ("javascript:void(0)", "would be scheme"),
        ("http://", "malformed"),
        ("/relative:1", "malformed"),
        ("h.test/a", "malformed"),
        (f"{SITE}nowhere", "unknown"),
    ],
)
def test_a_url_in_no_table(made: Made, url: str, answer: str) -> None:
    made.run(scope=SCOPE)
    db = sqlite3.connect(made.path)
    found = why(db, url, NOW)
    db.close()
    assert (found.answer, found.pages, found.drops) == (answer, [], [])
    assert found.bounds == Bounds(allowed_domains=("h.test",), max_url_length=100, max_path_repeats=3)
    assert (found.url is None) == (answer in ("malformed", "would be scheme"))


def test_without_a_scope_nothing_is_judged(made: Made) -> None:
    made.run()
    assert (ask(made, "http://x.test/").answer, ask(made, "http://x.test/").bounds) == ("unknown", None)


def test_drops_of_which_only_the_first_are_kept(made: Made) -> None:
    made.run()
    made.drop("depth", f"{SITE}1", count=500)
    made.drop("offsite", "http://x.test/", count=1)
    assert ask(made, "nowhere").untold == {"depth": 499}


def test_a_url_that_was_nearly_right(made: Made) -> None:
    made.run()
    made.page("a/")
    made.page("https://www.s.test/b")
    assert ask(made, "a").near == [f"{SITE}a/"]
    assert ask(made, "https://h.test/a/").near == [f"{SITE}a/"]
    assert ask(made, "http://s.test/b").near == ["https://www.s.test/b"]
    assert ask(made, "c").near == []


def test_a_database_without_a_run(made: Made) -> None:
    found = ask(made, "a")
    assert (found.run, found.answer) == (None, "unknown")
