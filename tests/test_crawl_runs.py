"""Runs from the outside: which one a crawl works on, how it is stopped, what it is held against."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from trees import Gate, Tree, page, read, tree

import scraper
from scraper import Crawl, Response, Spider
from scraper.errors import SpiderError, StoreError, StoreLocked, UsageError
from scraper.stores import ownership
from scraper.stores.sqlite import SqliteStore
from scraper.testing import LocalSite


@pytest.fixture
async def site() -> AsyncIterator[LocalSite]:
    async with LocalSite({"/": page("/a", "/b", "/c"), "/a": page(), "/b": page(), "/c": page()}) as site:
        yield site


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


# which run


async def test_a_new_run_after_a_finished_one_and_the_same_one_after_an_unfinished(site: LocalSite, db: Path) -> None:
    gate = site.pages["/b"] = Gate()
    one = tree(site, db)
    task = asyncio.ensure_future(one.run())
    await gate.asked.wait()
    one.stop("SIGTERM")
    gate.open.set()
    report = await task
    assert (report.run, report.finished, report.reason, report.ok) == (1, False, "SIGTERM", False)
    assert read(db, "select finished, reason, starts from runs") == [(0, "SIGTERM", 1)]
    again = await tree(site, db, mode="resume").run()
    assert (again.run, again.resumed, again.finished, again.totals.pages) == (1, True, True, 4)
    assert read(db, "select finished, reason, starts from runs") == [(1, "finished", 2)]
    with pytest.raises(UsageError, match=r"tree\.db has no unfinished run to resume; leave --resume out"):
        await tree(site, db, mode="resume").run()
    new = await tree(site, db).run()
    assert (new.run, new.resumed, new.totals.pages, new.totals.items) == (2, False, 4, 4)
    assert read(db, "select count(*), min(first_run), max(first_run), min(last_run) from items") == [(4, 1, 1, 2)]


async def test_fresh_abandons_what_was_left(site: LocalSite, db: Path) -> None:
    one = tree(site, db)
    one.stop("SIGTERM")
    await one.run()
    report = await tree(site, db, mode="fresh").run()
    assert (report.run, report.resumed, report.totals.pages) == (2, False, 4)
    assert read(db, "select reason, finished from runs") == [("abandoned", 1), ("finished", 1)]


@pytest.mark.parametrize(("limit", "least"), [({"limit_pages": 3}, 3), ({"limit_items": 3}, 3)])
async def test_a_limit_is_of_the_run_over_all_its_processes(
    site: LocalSite, db: Path, limit: dict[str, int], least: int
) -> None:
    gate = site.pages["/"] = Gate()
    one = tree(site, db, settings=limit)
    task = asyncio.ensure_future(one.run())
    await gate.asked.wait()
    one.stop("SIGTERM")
    site.pages["/"] = page("/a", "/b", "/c")
    gate.open.set()
    assert not (await task).finished
    for number in range(20):
        site.pages[f"/{number}"] = page(f"/{number + 1}")
    read_write(db, f"update pages set state = 'due' where url = '{site.url('/')}'")
    site.pages["/"] = page("/0")
    settings = {**limit, "concurrency": 1}
    report = await tree(site, db, settings=settings).run()
    assert report.reason == next(iter(limit))
    assert report.totals.pages == least, "the page of the process before counts"
    ended = await tree(site, db, settings={**settings, next(iter(limit)): 1}, mode="auto").run()
    assert ended.run == 2, "that run was over"


def read_write(db: Path, statement: str) -> None:
    connection = sqlite3.connect(db)
    with connection:
        connection.execute(statement)
    connection.close()


async def test_dead_pages_count_for_a_limit_too(site: LocalSite, db: Path) -> None:
    site.pages |= {"/a": 404, "/c": page("/d"), "/d": page("/e"), "/e": page("/f")}
    gate = site.pages["/b"] = Gate()
    one = tree(site, db, settings={"limit_pages": 5, "concurrency": 1})
    task = asyncio.ensure_future(one.run())
    await gate.asked.wait()
    one.stop("SIGTERM")
    gate.open.set()
    assert (await task).counts.dead == 1
    report = await tree(site, db, settings={"limit_pages": 5}).run()
    assert (report.reason, report.totals.pages + report.totals.dead) == ("limit_pages", 5)


# how it is stopped


async def test_what_does_not_come_back_within_grace_is_given_back(site: LocalSite, db: Path) -> None:
    gate = site.pages["/b"] = Gate()
    one = tree(site, db, settings={"grace": 0.05})
    task = asyncio.ensure_future(one.run())
    await gate.asked.wait()
    one.stop("SIGTERM")
    report = await task
    assert (report.reason, report.finished, report.counts.in_flight) == ("SIGTERM", False, 0)
    assert read(db, f"select state, attempts from pages where url = '{site.url('/b')}'") == [("due", 0)]
    assert sum(host.requests for host in report.hosts) == site.requests.total()
    gate.open.set()
    report = await tree(site, db).run()
    assert report.finished
    assert read(db, "select state, count(*), max(attempts) from pages group by 1") == [("done", 4, 1)]


async def test_a_callback_that_waits_for_ever_is_given_back_too(site: LocalSite, db: Path) -> None:
    reading = asyncio.Event()

    class Waits(Tree):
        name = "tree"

        async def parse(self, response: Response) -> Any:
            if response.url.endswith("/b"):
                reading.set()
                await asyncio.Event().wait()
            for each in super().parse(response):
                yield each

    settings = {"grace": 0.05}
    one = Crawl(Waits, arguments={"start": site.url("/")}, db=db, settings=settings)
    task = asyncio.ensure_future(one.run())
    await reading.wait()
    one.stop("SIGTERM")
    assert not (await task).finished
    assert (await tree(site, db).run()).totals.pages == 4


async def test_the_deadline_drains_and_leaves_a_run_to_be_resumed(site: LocalSite, db: Path) -> None:
    gate = site.pages["/b"] = Gate()
    report = await tree(site, db, settings={"deadline": 0.3, "grace": 0.05}).run()
    assert (report.reason, report.finished) == ("deadline", False)
    assert read(db, "select reason, finished from runs") == [("deadline", 0)]
    gate.open.set()
    assert (await tree(site, db).run()).totals.pages == 4


async def test_a_spider_that_fails_at_its_start_leaves_the_run_to_be_resumed(db: Path) -> None:
    class Broken(Spider):
        async def start(self) -> Any:
            raise ValueError("no list of shops")
            yield

    with pytest.raises(ValueError, match="no list of shops"):
        await Crawl(Broken, db=db).run()
    assert read(db, "select reason, finished, ended is not null from runs") == [("failed", 0, 1)]


# one at a time


async def test_a_second_crawl_waits_for_the_first_when_it_is_to(site: LocalSite, db: Path) -> None:
    gate = site.pages["/b"] = Gate()
    first = asyncio.ensure_future(tree(site, db).run())
    await gate.asked.wait()
    with pytest.raises(StoreLocked, match=r"another run \(process \d+\) works on .*tree\.db.*--if-running wait"):
        await tree(site, db).run()
    second = asyncio.ensure_future(tree(site, db, settings={"if_running": "wait"}).run())
    await asyncio.to_thread(lambda: None)  # a turn of the loop and more: the second is at the lock
    assert not second.done()
    gate.open.set()
    assert ((await first).run, (await second).run) == (1, 2)


@pytest.mark.parametrize("how", ["stop", "deadline", "cancel"])
async def test_a_wait_for_another_run_can_be_ended(site: LocalSite, db: Path, how: str) -> None:
    owner = SqliteStore(db)
    await owner.open()
    settings = {"if_running": "wait"} | ({"deadline": 0.1} if how == "deadline" else {})
    one = tree(site, db, settings=settings)
    task = asyncio.ensure_future(one.run())
    await asyncio.sleep(0)
    if how == "stop":
        one.stop("SIGTERM")
    elif how == "cancel":
        one.abort()
    with pytest.raises(asyncio.CancelledError if how == "cancel" else StoreLocked):
        await task
    await owner.close()
    # The thread that waited is handed the lock now, and drops it: for an instant it may be seen.
    report = await tree(site, db, settings={"if_running": "wait"}).run()
    assert report.run == 1, "who gave up holds no lock"


async def test_only_a_run_of_this_machine_can_be_replaced(
    site: LocalSite, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = SqliteStore(db)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(ownership.platform, "node", lambda: "elsewhere")
        await owner.open()
    with pytest.raises(StoreLocked, match=r"process \d+ on elsewhere works on .*; only a run of this machine"):
        await tree(site, db, settings={"if_running": "replace"}).run()
    await owner.close()


# dead pages


async def test_dead_pages_are_tried_again_within_their_run(site: LocalSite, db: Path) -> None:
    site.pages |= {"/a": 404, "/b": 500}
    settings = {"retry_attempts": 1}
    first = await tree(site, db, settings=settings).run()
    assert (first.totals.pages, first.totals.dead, first.ok) == (2, 2, True)
    asked = site.requests.copy()
    nothing = await tree(site, db, revive=["dns"]).run()
    assert (nothing.reason, nothing.run, nothing.finished, nothing.ok) == ("nothing_to_retry", 1, True, True)
    assert read(db, "select finished, starts, dead from runs") == [(1, 1, 2)]
    site.pages["/b"] = page("/new", "/c")
    site.pages["/new"] = page()
    report = await tree(site, db, revive=["status 5*"]).run()
    assert (report.run, report.counts.pages, report.totals.pages, report.totals.dead) == (1, 2, 4, 1)
    assert (site.requests - asked) == {"/b": 1, "/new": 1}, "just those, and what they revealed"
    site.pages["/a"] = page()
    assert (await tree(site, db, revive=[]).run()).totals.dead == 0
    assert read(db, "select count(*), sum(state = 'done') from pages") == [(5, 5)]


async def test_start_is_not_asked_again_for_dead_pages_of_a_finished_run(site: LocalSite, db: Path) -> None:
    site.pages["/b"] = 404
    await tree(site, db).run()
    site.pages["/b"], site.pages["/tomorrow"] = page(), page()
    one = tree(site, db, revive=[])
    one.spider.start_urls = [site.url("/tomorrow")]
    assert (await one.run()).counts.pages == 1
    assert "/tomorrow" not in site.requests


async def test_a_retry_that_was_stopped_goes_on_as_a_retry(site: LocalSite, db: Path) -> None:
    site.pages |= {"/a": 404, "/b": 404}
    await tree(site, db, settings={"limit_pages": 3}).run()
    assert read(db, "select state, count(*) from pages group by 1") == [("dead", 2), ("done", 1), ("due", 1)]
    gate = site.pages["/a"] = Gate()
    site.pages["/b"] = page("/c")
    one = tree(site, db, revive=[], settings={"grace": 0.05})
    task = asyncio.ensure_future(one.run())
    await gate.asked.wait()
    one.stop("SIGTERM")
    assert not (await task).finished
    site.pages["/a"] = page()
    report = await tree(site, db, revive=[]).run()
    assert (report.finished, report.reason, report.totals.pages, report.totals.dead) == (True, "limit_pages", 3, 0)
    assert "/c" not in site.requests, "the limit had left it, and it stays left"
    assert read(db, "select state, count(*) from pages group by 1") == [("done", 3), ("left", 1)]
    assert read(db, "select reason, reopened, finished from runs") == [("limit_pages", None, 1)]


async def test_a_retry_that_was_killed_at_its_very_end_is_ended_by_the_next(site: LocalSite, db: Path) -> None:
    site.pages["/b"] = 404
    await tree(site, db).run()
    site.pages["/b"] = page()
    await tree(site, db, revive=[]).run()
    read_write(db, "update runs set finished = 0, ended = null, reason = null, reopened = 'finished'")
    report = await tree(site, db, revive=[]).run()
    assert (report.finished, report.reason, report.counts.pages) == (True, "finished", 0)
    assert read(db, "select finished, reason, reopened from runs") == [(1, "finished", None)]


async def test_dead_pages_of_an_unfinished_run_have_to_wait(site: LocalSite, db: Path) -> None:
    one = tree(site, db)
    one.stop("SIGTERM")
    await one.run()
    with pytest.raises(UsageError, match=r"run 1 in .*tree\.db is not finished: scraper crawl tree goes on with it"):
        await tree(site, db, revive=[]).run()


# rules


async def test_rules_of_spider_and_caller_judge_a_finished_run(site: LocalSite, db: Path) -> None:
    class Strict(Tree):
        name = "tree"
        expect = ("items >= 4", "item.title >= 60%")

    site.pages["/c"] = "no title"
    report = await scraper.crawl(Strict, arguments={"start": site.url("/")}, db=db, expect=["item >= 9"])
    assert [(each.rule, each.met) for each in report.verdicts] == [
        ("items >= 4", True),
        ("item.title >= 60%", True),
        ("item >= 9", False),
    ]
    assert (report.finished, report.ok) == (True, False)
    assert [each.rule for each in report.failed_rules] == ["item >= 9"]
    [(stored,)] = read(db, "select verdicts from runs")
    assert [each["met"] for each in json.loads(stored)] == [True, True, False]
    again = await scraper.crawl(Strict, arguments={"start": site.url("/")}, db=db, expect=["items >= 100% of median"])
    assert again.ok
    one = Crawl(Strict, arguments={"start": site.url("/")}, db=db, settings={"limit_pages": 2})
    assert [each.rule for each in (await one.run()).verdicts] == ["item.title >= 60%"], "a sample is not counted"


async def test_rules_are_read_before_the_crawl(site: LocalSite, db: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="items => 4"):
        tree(site, db, expect=["items => 4"])
    with pytest.raises(SpiderError, match=r"expect is one string; make it a list: \['items >= 4'\]"):
        tree(site, db, expect="items >= 4")
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240


# what was not fetched


async def test_links_that_are_not_followed_can_be_explained(site: LocalSite, db: Path) -> None:
    class Near(Tree):
        name = "tree"
        allowed_domains = ("127.0.0.1",)

    site.pages |= {
        "/": page("/a", "/" + "x" * 300, "http://other.test/", "mailto:me@here.test", "javascript:void(0)"),
        "/a": (302, "", {"Location": "http://another.test/"}),
    }
    one = Crawl(Near, arguments={"start": site.url("/")}, db=db, settings={"max_url_length": 200, "max_depth": 5})
    report = await one.run()
    assert report.counts.drops == {"length": 1, "offsite": 2, "scheme": 2}
    assert sorted(read(db, "select reason, count from drops")) == [("length", 1), ("offsite", 2), ("scheme", 2)]
    assert sorted(read(db, "select reason, substr(url, -12), page from dropped")) == [
        ("length", "x" * 12, 1),
        ("offsite", "/other.test/", 1),
        ("offsite", "nother.test/", 2),
        ("scheme", "me@here.test", 1),
        ("scheme", "ript:void(0)", 1),
    ]
    assert read(db, "select state, reason from pages where id = 2") == [("done", "redirect offsite")]
    [(scope,)] = read(db, "select scope from runs")
    assert json.loads(scope) == {
        "allowed_domains": ["127.0.0.1"],
        "max_depth": 5,
        "max_url_length": 200,
        "max_path_repeats": 10,
        "max_pages_per_host": 0,
        "limit_pages": 0,
        "limit_items": 0,
        "obey_robots": True,
    }


async def test_the_owner_says_what_the_crawl_does(site: LocalSite, db: Path) -> None:
    gate = site.pages["/b"] = Gate()
    task = asyncio.ensure_future(tree(site, db).run())
    await gate.asked.wait()
    [(status,)] = read(db, "select status from owner")
    status = json.loads(status)
    assert {"run", "seconds", "pages", "in_flight", "queued", "draining", "slots"} < status.keys()
    gate.open.set()
    await task
    assert read(db, "select count(*) from owner") == [(0,)]


async def test_a_store_that_takes_no_sign_of_life_ends_the_crawl(
    site: LocalSite, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = site.pages["/b"] = Gate()

    async def full(self: SqliteStore, status: str, now: float) -> None:
        await gate.asked.wait()
        gate.open.set()
        raise StoreError("the disk is full")

    monkeypatch.setattr(SqliteStore, "beat", full)
    with pytest.raises(StoreError, match="the disk is full"):
        await tree(site, db).run()
