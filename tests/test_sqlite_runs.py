"""What a SqliteStore keeps of its runs: upgrades, owners, history, pages that kill."""

import asyncio
import json
import os
import platform
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from conftest import environment
from sqlite_rows import LATER, NOW, lease_one, links, named, rows

from scraper.errors import StoreLocked, UsageError
from scraper.page import Dead, Done, Found, Retry, Seen, Verdict
from scraper.stores import history, ownership, runs, schema
from scraper.stores.sqlite import SqliteStore

Opened = Callable[[Path], Awaitable[SqliteStore]]
SCHEMA_1 = Path(__file__).with_name("schema_1.sql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spider.db"


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """``await opened(path)``: a store of that file; closed at the end, for its thread would outlive a failed test."""
    stores: list[SqliteStore] = []

    async def one(path: Path) -> SqliteStore:
        store = SqliteStore(path)
        stores.append(store)
        await store.open()
        return store

    yield one
    for store in stores:
        await store.close()


# Upgrades


def old(path: Path) -> None:
    """A database as version 1 left it, half-way through a run, with a kind that is called like a table of ours."""
    db = sqlite3.connect(path)
    db.executescript(SCHEMA_1.read_text(encoding="utf-8"))
    db.executescript(
        """
        insert into runs (id, spider, started) values (1, 'test', 1.0);
        insert into pages (fp, url, host, state, run, found_at)
        values (x'01', 'http://h.test/a', 'h.test', 'due', 1, 1.0);
        insert into items (kind, key, data, page, first_run, last_run, stored_at)
        values ('owner', '9.0', '{"name":"x"}', 1, 1, 1, 1.0), ('book', '1.1', '{"title":"y"}', 1, 1, 1, 1.0);
        insert into fields (kind, name, ordinal) values ('owner', 'name', 0), ('book', 'title', 0);
        create view owner as select json_extract(data, '$.name') as name from items where kind = 'owner';
        create view book as select json_extract(data, '$.title') as title from items where kind = 'book';
        pragma user_version = 1;
        """
    )
    db.close()


def shape(path: Path) -> dict[str, object]:
    db = sqlite3.connect(path)
    tables = [name for (name,) in db.execute("select name from sqlite_schema where type in ('table', 'index')")]
    found: dict[str, object] = {name: db.execute(f"pragma table_xinfo('{name}')").fetchall() for name in tables}
    found["version"] = db.execute("pragma user_version").fetchone()
    db.close()
    return found


def without_order(found: dict[str, object]) -> dict[str, object]:
    """Columns that were added stand at the end; which place they have is nobody's business."""
    return {
        name: sorted(map(repr, (row[1:] for row in each))) for name, each in found.items() if isinstance(each, list)
    }


async def test_a_database_of_the_version_before_is_upgraded_and_loses_nothing(
    path: Path, tmp_path: Path, opened: Opened
) -> None:
    old(path)
    store = await opened(path)
    assert (await store.begin("test", NOW)).resumed
    (lease,) = await store.lease(9, 9, NOW, LATER)
    found = Found(items=[named("owner", {"name": "z"})])
    assert (await store.commit([Done(lease, Seen(200), found)], NOW))[0].applied
    await store.close()
    assert rows(path, "select name from item_owner order by name") == [{"name": "x"}, {"name": "z"}]
    assert rows(path, "select title from book") == [{"title": "y"}]
    assert rows(path, "select run, kind, items from kinds order by kind") == [
        {"run": 1, "kind": "book", "items": 1},
        {"run": 1, "kind": "owner", "items": 2},
    ]
    assert rows(path, "select count(*) as n from owner") == [{"n": 0}]
    assert rows(path, "select count(*) as n from files_of_items") == [{"n": 0}]
    new = tmp_path / "new.db"
    await (await opened(new)).close()
    assert without_order(shape(path)) == without_order(shape(new))
    assert shape(path)["version"] == (schema.VERSION,)


async def test_an_upgrade_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    old(path)
    before = shape(path)

    def broken(db: sqlite3.Connection) -> None:
        upgrade(db)
        raise sqlite3.OperationalError("the power went")

    upgrade = schema._UPGRADES[2]
    monkeypatch.setitem(schema._UPGRADES, 2, broken)
    with pytest.raises(Exception, match="the power went"):
        await opened(path)
    assert shape(path) == before
    assert rows(path, "select name from owner") == [{"name": "x"}]
    monkeypatch.undo()
    await (await opened(path)).close()


async def test_a_newer_database_is_refused_and_stays_as_it_is(path: Path, opened: Opened) -> None:
    await (await opened(path)).close()
    db = sqlite3.connect(path)
    db.execute(f"pragma user_version = {schema.VERSION + 1}")
    db.close()
    before = content(path)
    with pytest.raises(
        UsageError, match=r"spider\.db: it was written by a newer scraper \(schema 5, here 4\); upgrade"
    ):
        await opened(path)
    assert content(path) == before


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_kind_that_was_called_like_a_table_before_stays_where_it_is(path: Path, opened: Opened) -> None:
    old(path)
    db = sqlite3.connect(path)
    db.execute('update items set kind = \'pages\', data = \'{"name":"x","more":""}\' where kind = \'owner\'')
    db.execute("update fields set kind = 'pages' where kind = 'owner'")
    db.execute("drop view owner")
    db.execute("create view item_pages as select 1")
    db.commit()
    db.close()
    await opened(path)
    assert rows(path, "select count(*) as n from pages") == [{"n": 1}]
    filled = [tuple(row.values()) for row in rows(path, "select kind, field, filled from fills order by kind")]
    assert filled == [("book", "title", 1), ("pages", "name", 1)], "of the run that goes on"


# Owners


async def test_a_lock_that_was_given_back_names_nobody(path: Path, opened: Opened) -> None:
    store = await opened(path)
    lock = path.with_name("spider.db.lock")
    assert ownership.holds(os.getpid(), str(lock))
    await store.close()
    assert content(lock) == b""
    assert ownership.holds(os.getpid(), str(lock)) is False
    assert ownership.holds(2**22 + 1, str(lock)) is False


@pytest.mark.parametrize("stale", [False, True])
async def test_only_the_one_who_holds_the_lock_is_asked_to_end(
    path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    monkeypatch.setattr(ownership, "MOMENT", 0.01)
    store = await opened(path)
    text = path.with_name("spider.db.lock").read_text()
    if stale:  # a process that is there, and has nothing to do with it: its number may have been given anew
        text = text.replace(f'"pid":{os.getpid()}', f'"pid":{os.getppid()}')
        path.with_name("spider.db.lock").write_text(text)
    monkeypatch.setattr(ownership.os, "kill", lambda *_: pytest.fail("somebody was killed"))
    with pytest.raises(StoreLocked, match="cannot be ended" if stale else "this very process works on"):
        await SqliteStore(path, if_running="replace").open()
    await store.close()


async def test_the_owner_is_there_while_it_lives(path: Path, opened: Opened) -> None:
    store = await opened(path)
    await store.begin("test", NOW)
    await store.beat('{"pages": 1}', NOW)
    await store.beat('{"pages": 2}', NOW + 2)
    (owner,) = rows(path, "select * from owner")
    assert (owner["pid"], owner["host"], owner["started"], owner["beat"]) == (
        os.getpid(),
        platform.node(),
        NOW,
        NOW + 2,
    )
    assert json.loads(owner["status"]) == {"pages": 2}
    assert json.loads(path.with_name("spider.db.lock").read_text())["pid"] == os.getpid()
    await store.close()
    assert rows(path, "select * from owner") == []


# History


async def test_attempts_that_did_not_end_well_are_kept_in_order(path: Path, opened: Opened) -> None:
    store = await opened(path)
    await store.begin("test", NOW)
    lease = await lease_one(store, "a")
    await store.commit([Retry(lease, Seen(503, 0.25, reused=False), 1.0, "status 503", "answered 503")], NOW)
    (lease,) = await store.lease(9, 9, NOW + 1, LATER)
    await store.commit([Retry(lease, Seen(), 1.0, "connect", "refused")], NOW + 2)
    (lease,) = await store.lease(9, 9, NOW + 3, LATER)
    await store.commit([Dead(lease, Seen(500, 0.5, reused=True), "status 500", "answered\ud800 500")], NOW + 4)
    await store.close()
    found = rows(path, "select attempt, at - 1.7e9 as at, state, status, reason, error, elapsed, reused from attempts")
    assert [tuple(row.values()) for row in found] == [
        (1, 0.0, "retry", 503, "status 503", "answered 503", 0.25, 0),
        (2, 2.0, "retry", None, "connect", "refused", 0.0, None),
        (3, 4.0, "dead", 500, "status 500", "answered\\ud800 500", 0.5, 1),
    ]


async def test_drops_are_counted_and_the_first_of_each_reason_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    monkeypatch.setattr(history, "MOST_EXAMPLES", 3)
    for start in (1, 2):  # a resumed run keeps no more
        store = await opened(path)
        await store.begin("test", NOW)
        for number in range(4):
            found = Found(drops={"offsite": 2, "depth": 1})
            found.dropped = [("offsite", "http://o.test/same"), ("offsite", f"http://o.test/{start}{number}")]
            found.dropped.append(("depth", "http://h.test/deep"))
            lease = await lease_one(store, f"{start}.{number}")
            await store.commit([Done(lease, Seen(200), found)], NOW)
        await store.close()
    assert rows(path, "select reason, count from drops order by reason") == [
        {"reason": "depth", "count": 8},
        {"reason": "offsite", "count": 16},
    ]
    kept = rows(path, "select reason, count(*) as n, min(page) as page from dropped group by 1 order by 1")
    assert [tuple(row.values()) for row in kept] == [("depth", 1, 1), ("offsite", 3, 1)]


async def test_history_of_long_ago_is_forgotten(path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    monkeypatch.setattr(runs, "KEPT_RUNS", 2)
    store = await opened(path)
    for number in range(1, 5):
        await store.begin("test", NOW)
        found = Found(drops={"offsite": 1}, dropped=[("offsite", "http://o.test/")])
        dead = Dead(await lease_one(store, "a"), Seen(500), "status 500", "answered 500", found=found)
        await store.commit([dead], NOW)
        await store.finish("finished", NOW, True, [Verdict("pages >= 1", "0 (all 1 failed)", False)])
        for table in ("attempts", "drops", "dropped"):
            kept = [row["run"] for row in rows(path, f"select run from {table} order by run")]
            assert kept == list(range(max(1, number - 1), number + 1)), table
    await store.close()
    verdicts = [json.loads(row["verdicts"]) for row in rows(path, "select verdicts from runs")]
    assert verdicts == [[{"rule": "pages >= 1", "figure": "0 (all 1 failed)", "met": False}]] * 4


async def test_fill_rates_are_counted_for_fields_that_have_a_column(path: Path, opened: Opened) -> None:
    store = await opened(path)
    await store.begin("test", NOW)
    for title in ("x", ""):
        item = named("book", {"title": title, "n" * 200: 1})
        item.empty = () if title else ("title",)
        await store.commit([Done(await lease_one(store, f"p{title}"), Seen(200), Found(items=[item]))], NOW)
    await store.close()
    assert rows(path, "select kind, items from kinds") == [{"kind": "book", "items": 2}]
    assert rows(path, "select field, filled from fills") == [{"field": "title", "filled": 1}]


# Pages that kill

POISON = """
import os, sys
import scraper
from scraper.testing import FakeFetcher

class Poison(scraper.Spider):
    start_urls = ["http://a.test/good", "http://a.test/poison", "http://a.test/better"]

    def parse(self, response):
        if response.url.endswith("poison"):
            os.kill(os.getpid(), int(sys.argv[2]))
        return {"url": response.url}

site = FakeFetcher({f"http://a.test/{name}": "" for name in ("good", "poison", "better")})
scraper.run(Poison, db=sys.argv[1], fetcher=site, concurrency_per_host=1, log_level="error")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_page_that_kills_its_reader_again_and_again_is_given_up(path: Path, number: signal.Signals) -> None:
    async def crawl() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", POISON, path, str(int(number)), env=environment(), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode is not None
        if number == signal.SIGSEGV and process.returncode:
            assert b"Segmentation fault" in errors, "a traceback is left for the one who looks for it"
        return process.returncode

    for _ in range(runs.MOST_CRASHES):
        assert await crawl() == -number
    assert await crawl() == 0
    assert rows(path, "select state, reason from pages order by id") == [
        {"state": "done", "reason": None},
        {"state": "dead", "reason": "crash"},
        {"state": "done", "reason": None},
    ]
    assert rows(path, "select pages, items, dead, finished, starts from runs") == [
        {"pages": 2, "items": 2, "dead": 1, "finished": 1, "starts": runs.MOST_CRASHES + 1}
    ]
    states = [row["state"] for row in rows(path, "select state from attempts where reason = 'crash' order by id")]
    assert states == ["retry"] * (runs.MOST_CRASHES - 1) + ["dead"]
    assert not path.with_name("spider.db.reading").exists()


async def test_only_deaths_in_a_row_count_and_only_while_it_was_read(path: Path, opened: Opened) -> None:
    def crash(store: SqliteStore, page: int) -> None:
        """The process is gone: nothing is closed, and what is marked stays."""
        if page:
            store.reading(3, page)
        assert store._db._lock is not None
        store._db._lock.close()

    store = await opened(path)
    await store.begin("test", NOW)
    await store.add(links("a", "b"), NOW)
    few = runs.MOST_CRASHES - 1
    for page in [1] * few + [2] + [1] * few + [0] * 2:  # 0: it was between two pages
        crash(store, page)
        next_one = await opened(path)
        await next_one.begin("test", NOW)
        await store._db._connection.close()  # type: ignore[union-attr]
        store = next_one
        assert len(await store.lease(9, 9, NOW, LATER)) == 2, "neither was there often enough"
    await store.close()
    store = await opened(path)
    await store.begin("test", NOW)
    leases = await store.lease(9, 9, NOW, LATER)
    assert len(leases) == 2, "an end in good order counts for nothing"
    assert rows(path, "select crashes from pages order by id") == [{"crashes": few}, {"crashes": 0}]
    await store.commit([Done(leases[0], Seen(200), Found())], NOW)
    assert rows(path, "select max(crashes) as most from pages") == [{"most": 0}], "it was read without harm"


async def test_a_new_run_has_patience_anew(path: Path, opened: Opened) -> None:
    store = await opened(path)
    await store.begin("test", NOW)
    await store.add(links("a"), NOW)
    await store.finish("finished", NOW, True)
    db = sqlite3.connect(path)
    db.execute("update pages set crashes = 5, state = 'dead'")
    db.commit()
    db.close()
    await store.begin("test", NOW)
    await store.add(links("a"), NOW)
    assert rows(path, "select crashes, state from pages") == [{"crashes": 0, "state": "due"}]
