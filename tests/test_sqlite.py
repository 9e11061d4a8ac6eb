"""SqliteStore beyond the contract: transactions that fail, other programs, owners that die."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_rows import LATER, NOW, items, lease_one, links, named, rows, visit

import scraper.stores.database
import scraper.stores.links
from scraper.errors import StoreBusy, StoreError, StoreLocked, UsageError
from scraper.page import Done, Found, Reject, Seen
from scraper.stores.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spider.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    await store.begin("test", NOW)
    yield store
    await store.close()


# Transactions that fail


@pytest.mark.parametrize(
    "trigger",
    [
        "before insert on pages when new.url like '%/third'",
        "before update on pages",
        "before insert on items when new.kind = 'second'",
        "before insert on rejects",
        "before insert on fields when new.name = 'b'",
        "before update on runs",
    ],
)
async def test_failed_commit_leaves_no_trace_and_can_be_repeated(store: SqliteStore, path: Path, trigger: str) -> None:
    a, b = await lease_one(store, "a"), await lease_one(store, "b")
    group = [
        Done(a, Seen(200), Found(links("first"), [named("first", {"a": 1})])),
        Done(b, Seen(200), Found(links("second", "third"), [named("second", {"b": 2})], [Reject("x", "y", "z")])),
    ]
    before = {table: rows(path, f"select * from {table}") for table in ("pages", "items", "rejects", "fields", "runs")}
    await other(path, f"create trigger boom {trigger} begin select raise(abort, 'boom'); end")
    with pytest.raises(StoreError, match="boom"):
        await store.commit(group, NOW)
    assert before == {table: rows(path, f"select * from {table}") for table in before}
    assert not rows(path, "select * from sqlite_schema where type = 'view' and name <> 'files_of_items'")

    await other(path, "drop trigger boom")
    receipts = await store.commit(group, NOW)
    assert [(receipt.applied, receipt.new_links) for receipt in receipts] == [(True, 1), (True, 2)]
    assert rows(path, "select a from first") == [{"a": 1}]
    assert rows(path, "select b from second") == [{"b": 2}]
    assert len(await store.lease(9, 9, NOW, LATER)) == 3


@pytest.mark.parametrize("trigger", ["before insert on pages when new.url like '%/b'", "before update on runs"])
async def test_failed_add_is_not_remembered(store: SqliteStore, path: Path, trigger: str) -> None:
    await other(path, f"create trigger boom {trigger} begin select raise(abort, 'boom'); end")
    with pytest.raises(StoreError, match="boom"):
        await store.add(links("a", "b"), NOW)
    await other(path, "drop trigger boom")
    assert await store.add(links("a", "b"), NOW) == 2


async def test_full_disk_is_a_clear_error_and_loses_nothing(store: SqliteStore, path: Path) -> None:
    await visit(store, "a", items({"n": 1}))
    a = await lease_one(store, "b")
    await store._db.run(lambda db: db.execute("pragma max_page_count = 1").fetchone())
    big = items(*({"text": "x" * 10_000, "n": n} for n in range(500)))
    with pytest.raises(StoreError, match=r"spider\.db.*full"):
        await store.commit([Done(a, Seen(200), big)], NOW)
    assert rows(path, "select count(*) as n from items") == [{"n": 1}]
    assert rows(path, "select state from pages") == [{"state": "done"}, {"state": "due"}]
    assert rows(path, "pragma integrity_check") == [{"integrity_check": "ok"}]


async def test_cancelled_commit_is_whole(store: SqliteStore, path: Path) -> None:
    lease = await lease_one(store, "a")
    commit = asyncio.ensure_future(store.commit([Done(lease, Seen(200), items({"n": 1}))], NOW))
    await asyncio.sleep(0)
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    assert await store.add(links("b"), NOW) == 1, "no transaction is left open"
    assert rows(path, "select state, n from pages join item on _page = id") == [{"state": "done", "n": 1}]


async def test_what_is_remembered_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.stores.links, "KNOWN", 100)
    for start in range(0, 5000, 50):
        assert await store.add(links(*map(str, range(start, start + 50))), NOW) == 50
        assert len(store._links._known) + len(store._links._known_before) <= 300
    assert await store.add(links(*map(str, range(5000))), NOW) == 0, "the file remembers the rest"
    for _ in range(50):
        leases = await store.lease(100, 100, NOW, LATER)
        assert len(leases) == 100
        await store.commit([Done(lease, Seen(200), Found()) for lease in leases], NOW)
    assert not store._leases._held
    assert not await store.lease(100, 100, NOW, LATER)


# Other programs and other owners


async def other(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute(statement)
    finally:
        db.close()


HOLD_WRITE_LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("begin immediate")
print("held", flush=True)
sys.stdin.readline()
db.execute("commit")
"""
OWN_STORE = """
import asyncio, sys
from scraper.stores.sqlite import SqliteStore
from scraper.request import Request
async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.begin("test", 1.0)
    await store.add([Request("http://h.test/a")], 1.0)
    await store.lease(9, 9, 1.0, 1e12)
    print("held", flush=True)
    sys.stdin.readline()
asyncio.run(main())
"""


async def child(program: str, path: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def test_lock_of_another_program_is_waited_for(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await lease_one(store, "a")
    await store._db.run(lambda db: db.execute("pragma busy_timeout = 0").fetchone())
    holder = await child(HOLD_WRITE_LOCK, path)
    tries = 0
    tried = scraper.stores.database._Connection.run

    async def counted(*arguments: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 4:  # it was refused three times: let it in
            await holder.communicate(b"\n")
        return await tried(*arguments)

    monkeypatch.setattr(scraper.stores.database._Connection, "run", counted)
    (receipt,) = await store.commit([Done(lease, Seen(200), items({"n": 1}))], NOW)
    assert receipt.applied
    assert tries == 4
    assert rows(path, "select n from item") == [{"n": 1}]


async def test_lock_that_is_never_freed_is_a_clear_error(path: Path) -> None:
    store = SqliteStore(path, busy=0.2)
    await store.open()
    await store.begin("test", NOW)
    lease = await lease_one(store, "a")
    holder = await child(HOLD_WRITE_LOCK, path)
    with pytest.raises(StoreBusy, match=r"spider\.db locked for 0\.2 s"):
        await store.commit([Done(lease, Seen(200), items({"n": 1}))], NOW)
    await store.close()
    await holder.communicate(b"\n")
    assert rows(path, "select state from pages") == [{"state": "due"}]


async def test_another_run_is_refused_until_it_is_killed(path: Path, tmp_path: Path) -> None:
    owner = await child(OWN_STORE, path)
    alias = tmp_path / "alias.db"
    alias.symlink_to(path)
    for name in (path, alias):
        with pytest.raises(StoreLocked, match=f"process {owner.pid}") as refused:
            await SqliteStore(name).open()
        assert str(path) in str(refused.value)
    owner.send_signal(signal.SIGKILL)
    await owner.communicate()
    store = SqliteStore(path)
    await store.open()
    run = await store.begin("test", NOW)
    assert run.resumed
    assert len(await store.lease(9, 9, NOW, LATER)) == 1, "its lease died with it"
    await store.close()


def content(path: Path) -> bytes:
    return path.read_bytes()


def text(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")


def stranger(path: Path, version: int) -> None:
    db = sqlite3.connect(path)
    db.execute("create table theirs (x)")
    db.execute(f"pragma user_version = {version}")
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("version", "message"),
    [(0, "not a database of scraper"), (1, "not a database of"), (99, "newer scraper.*99.*upgrade")],
)
async def test_file_of_another_program_is_refused_and_not_touched(path: Path, version: int, message: str) -> None:
    stranger(path, version)
    before = content(path)
    with pytest.raises(UsageError, match=rf"spider\.db.*{message}"):
        await SqliteStore(path).open()
    assert content(path) == before
    with pytest.raises(UsageError, match=message):  # and not because it is still locked
        await SqliteStore(path).open()


async def test_what_is_not_a_database_is_refused(path: Path, tmp_path: Path) -> None:
    text(path, "title,price\n" * 1000)
    with pytest.raises(StoreError, match=r"spider\.db is damaged, or no SQLite file at all \(file is not"):
        await SqliteStore(path).open()
    assert content(path) == b"title,price\n" * 1000
    folder = tmp_path / "folder.db"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"folder\.db is a folder; name a file"):
        await SqliteStore(folder).open()
    with pytest.raises(StoreError, match=r"cannot open .*inside\.db"):
        await SqliteStore(path / "inside.db").open()


async def test_folders_are_made(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new" / "deep" / "spider.db")
    await store.open()
    await store.close()
    await store.close()
    assert (tmp_path / "new" / "deep" / "spider.db").is_file()


async def test_store_that_is_not_open_says_so(path: Path) -> None:
    with pytest.raises(StoreError, match=r"spider\.db is not open"):
        await SqliteStore(path).begin("test", NOW)
    store = SqliteStore(path)
    await store.open()
    with pytest.raises(StoreError, match="begin"):
        await store.add(links("a"), NOW)
    await store.close()


async def test_cancelled_open_leaves_nothing_behind(path: Path) -> None:
    """A thread of aiosqlite that is left behind would keep the process from ending."""
    for rounds in range(12):
        store = SqliteStore(path)
        opening = asyncio.ensure_future(store.open())
        for _ in range(rounds):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        await store.close()
    store = SqliteStore(path)
    await store.open()
    await store.close()
