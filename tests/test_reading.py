"""What other processes read out of a database: runs, fill rates, dead pages, the state of a run."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from made import NOW, SITE, Made

from scraper.page import HostLedger, Verdict
from scraper.stores import live, reading

NO_PROCESS = 2**22 + 1
"""Past the largest process number that Linux gives."""

TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in parse\nValueError: no price\n'


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path / "x.db")
    yield made
    made.close()


@pytest.fixture
def db(made: Made) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"{made.path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    yield db
    db.close()


def states(db: sqlite3.Connection, now: float = NOW) -> list[str]:
    return [run.state for run in reading.runs(db, now)]


def ledger(made: Made, run: int, host: str, **values: float) -> None:
    made.put("hosts", run=run, **dict.fromkeys(HostLedger.__struct_fields__, 0) | {"host": host} | values)


# runs


def test_runs_newest_last(made: Made, db: sqlite3.Connection) -> None:
    assert reading.runs(db, NOW) == []
    for n in range(5):
        made.run(pages=n, dead=10 * n)
    assert [(run.id, run.pages, run.failures) for run in reading.runs(db, NOW, 2)] == [(4, 3, 30), (5, 4, 40)]
    assert [run.id for run in reading.runs(db, NOW)] == [1, 2, 3, 4, 5]
    assert reading.run(db, 6, NOW) is None


def test_every_count_of_a_run(made: Made, db: sqlite3.Connection) -> None:
    names = ("pages", "items", "rejects", "retries", "dead", "links", "redirects", "bytes", "starts")
    made.run(**{name: number for number, name in enumerate(names, 10)})
    made.drop("offsite", "http://x.test/", count=7)
    ledger(made, 1, "a", requests=10, reused=9)
    ledger(made, 1, "b", requests=10, reused=6)
    ledger(made, 2, "a", requests=99, reused=1)
    (run,) = reading.runs(db, NOW)
    counts = (run.pages, run.items, run.rejects, run.retries, run.failures, run.links, run.redirects, run.bytes)
    assert (*counts, run.starts) == tuple(range(10, 19))
    assert (run.requests, run.reused, run.reuse, run.drops) == (20, 15, 0.75, {"offsite": 7})
    assert (run.started, run.ended, run.seconds, run.finished) == (NOW, NOW + 60, 60, True)
    assert run.verdicts is None
    made.db.execute("delete from hosts")
    assert reading.runs(db, NOW)[0].reuse is None


def test_verdicts(made: Made, db: sqlite3.Connection) -> None:
    made.run(verdicts=json.dumps([{"rule": "items >= 9", "figure": "5", "met": False}]))
    made.run(verdicts="[]")
    assert [run.verdicts for run in reading.runs(db, NOW)] == [[Verdict("items >= 9", "5", False)], []]


def test_a_run_that_ended_has_its_reason(made: Made, db: sqlite3.Connection) -> None:
    made.owner()  # of the process that comes next: it says nothing of these
    for reason in ("finished", "limit_pages", "SIGTERM", "deadline"):
        made.run(reason)
    assert states(db) == ["finished", "limit_pages", "SIGTERM", "deadline"]
    assert [run.finished for run in reading.runs(db, NOW)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("pid", "host", "silence", "state"),
    [
        (None, None, 1, "running"),
        (None, None, 59, "running"),
        (None, None, 61, "silent"),
        (1, None, 1, "running"),  # another user's, most often
        (NO_PROCESS, None, 1, "killed"),
        (2**70, None, 1, "killed"),
        (NO_PROCESS, "elsewhere.test", 59, "running"),
        (None, "elsewhere.test", 61, "killed"),
    ],
)
def test_a_run_without_an_end(
    made: Made, db: sqlite3.Connection, pid: int | None, host: str | None, silence: float, state: str
) -> None:
    made.run(None, seconds=100 - silence)
    if pid == 2**70:  # more than SQLite holds
        pid = 2**62
    made.owner(pid, host, beat=NOW + 100 - silence)
    (run,) = reading.runs(db, NOW + 100)
    assert run.state == state
    assert run.seconds == (100 if state == "running" else 100 - silence)


def test_a_killed_run_of_which_nothing_is_left(made: Made, db: sqlite3.Connection) -> None:
    made.run(None)
    (run,) = reading.runs(db, NOW)
    assert (run.state, run.seconds) == ("killed", 0)


def test_a_process_of_another_user_is_there(
    made: Made, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(pid: int, number: int) -> None:
        assert number == 0
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    made.run(None)
    made.owner(4711)
    assert states(db) == ["running"]
    assert states(db, NOW + 61) == ["silent"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc to see it in")
def test_a_process_that_nobody_buried_is_gone(made: Made, db: sqlite3.Connection) -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays as it is
    made.run(None)
    made.owner(child.pid)
    assert states(db) == ["killed"]
    child.wait()


def test_where_kill_is_no_question_nobody_is_killed(
    made: Made, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("this would end the process on Windows"))
    made.run(None)
    made.owner(4711)
    monkeypatch.setattr(os, "name", "nt")
    assert (states(db), states(db, NOW + 61)) == (["running"], ["killed"])


# fill rates


def test_fill_rates_by_run_kind_and_field(made: Made, db: sqlite3.Connection) -> None:
    for _ in range(3):
        made.run()
    for ordinal, name in enumerate(("title", "price")):
        made.put("fields", kind="book", name=name, ordinal=ordinal)
    for run, price in ((1, 40), (2, 39), (3, 0)):
        made.put("kinds", run=run, kind="book", items=40)
        made.put("fills", run=run, kind="book", field="title", filled=40)
        if price:
            made.put("fills", run=run, kind="book", field="price", filled=price)
    made.put("fills", run=3, kind="book", field="past the last column", filled=2)
    made.put("kinds", run=3, kind="bare", items=5)
    found = [(fill.run, fill.kind, fill.items, fill.field, fill.filled, fill.rate) for fill in reading.fills(db, 2)]
    assert found == [
        (2, "book", 40, "title", 40, 1.0),
        (2, "book", 40, "price", 39, 0.975),
        (3, "bare", 5, "", 0, 0.0),
        (3, "book", 40, "title", 40, 1.0),
        (3, "book", 40, "price", 0, 0.0),
        (3, "book", 40, "past the last column", 2, 0.05),
    ]
    assert len(reading.fills(db)) == 8


# dead pages


def test_dead_pages_with_all_that_is_known(made: Made, db: sqlite3.Connection) -> None:
    made.run()
    parent = made.page("")
    page = made.page(
        "a", "dead", attempts=2, status=200, reason="callback", error=TRACE, found_on=parent, finished_at=NOW, depth=3
    )
    made.attempt(page, 1)
    made.attempt(page, 2, "dead", reason="callback", error="ValueError: no price")
    made.page("old", "dead", attempts=4, status=404, reason="status 404", error="it answered 404")
    made.page("b", "due")
    (first, second), counts = reading.failed(db, 1)
    assert first == reading.Failed(
        1, f"{SITE}a", "callback", 200, 2, "ValueError: no price", SITE, NOW, 3, traceback=TRACE
    )
    assert (second.url, second.error, second.found_on, second.traceback) == (
        f"{SITE}old",
        "it answered 404",
        None,
        None,
    )
    assert counts == {"callback": 1, "status 404": 1}


def test_dead_pages_by_reason(made: Made, db: sqlite3.Connection) -> None:
    made.run()
    for reason in ("status 500", "dns", "status 503", "status 500"):
        made.page(str(made.db.total_changes), "dead", reason=reason)
    found, counts = reading.failed(db, 1, ["status 5*"])
    assert [each.reason for each in found] == ["status 500", "status 503", "status 500"]
    assert counts == {"status 500": 2, "status 503": 1}
    assert reading.failed(db, 1, ["dns", "status 503"])[1] == {"dns": 1, "status 503": 1}
    assert reading.failed(db, 1, ["nonsense"]) == ([], {})
    found, counts = reading.failed(db, 1, most=2)
    assert (len(found), sum(counts.values())) == (2, 4)


def test_dead_pages_of_an_earlier_run(made: Made, db: sqlite3.Connection) -> None:
    """The next run meets most pages again; what became of them before is in their attempts."""
    made.run()
    made.run()
    again = made.page("again", "dead", run=2, reason="dns")
    healed = made.page("healed", run=2)
    gone = made.page("gone", "dead", reason="timeout")
    revived = made.page("revived")
    for page in (again, healed, gone, revived):
        made.attempt(page, 1, "dead", reason="first")
        made.attempt(page, 1, "dead", reason="status 500")  # it was dead, was tried again, and died again
    made.attempt(again, 1, "dead", run=2, reason="dns")
    found, counts = reading.failed(db, 1)
    assert [(each.url, each.reason) for each in found] == [
        (f"{SITE}again", "status 500"),
        (f"{SITE}healed", "status 500"),
        (f"{SITE}gone", "timeout"),
    ]
    assert counts == {"status 500": 2, "timeout": 1}
    assert [each.reason for each in reading.failed(db, 2)[0]] == ["dns"]


def test_a_traceback_in_short() -> None:
    assert reading.short(TRACE) == "ValueError: no price"
    assert reading.short("two\nlines") == "two\nlines"
    assert reading.short(None) == ""


# status


def status(db: sqlite3.Connection, now: float = NOW) -> live.Status:
    run = reading.runs(db, now)[-1]
    return live.status(db, run, now)


def test_status_of_a_live_run(made: Made, db: sqlite3.Connection) -> None:
    made.run(None, pages=500, scope={"limit_pages": 0})
    for n in range(30):
        made.page(f"due{n}", "due")
    for n in range(2):
        made.page(f"retry{n}", "retry", due=NOW + 10 - n)
    slot = {"host": "h.test", "queue": 20, "in_flight": 3, "cap": 8, "open": 2, "wait": 0.5}
    made.owner(seconds=10.0, pages=40, dead=9, in_flight=3, queued=20, draining="SIGTERM", slots=[slot], run=1)
    ledger(made, 1, "a", requests=10, reused=9, opened=1, saved=0.5, peak=3)
    ledger(made, 1, "b", requests=5, reused=1, opened=4, saved=1.5, peak=2)
    found = status(db, NOW + 5)
    assert (found.due, found.retry, found.next_retry) == (30, 2, NOW + 9)
    assert (found.rate, found.eta) == (4.0, 8.0)
    assert (found.live.in_flight, found.live.draining, found.live.slots) == (3, "SIGTERM", [live.SlotRow(**slot)])
    assert found.owner is not None
    assert (found.owner.pid, found.owner.life) == (os.getpid(), "alive")
    assert (found.ledger.requests, found.ledger.reused, found.ledger.opened) == (15, 10, 5)
    assert (found.ledger.saved, found.ledger.peak) == (2.0, 3)


def test_status_ends_where_the_limit_is(made: Made, db: sqlite3.Connection) -> None:
    made.run(None, pages=40, dead=2, scope={"limit_pages": 50})
    for n in range(30):
        made.page(f"due{n}", "due")
    made.owner(seconds=10.0, pages=20, dead=1)  # the run had another process before
    assert status(db).eta == 4.0


@pytest.mark.parametrize("words", ["", "{}", '{"slots": 3}', '{"pages": 0, "seconds": 1}', '{"new": 1}'])
def test_status_of_a_process_that_says_little(made: Made, db: sqlite3.Connection, words: str) -> None:
    made.run(None)
    made.owner()
    made.db.execute("update owner set status = ?", (words,))
    found = status(db)
    assert (found.run.state, found.rate, found.eta, found.live.slots) == ("running", 0.0, None, [])


def test_status_of_a_run_that_ended(made: Made, db: sqlite3.Connection) -> None:
    """What a limit left over is nobody's work; what a stop left over is."""
    made.run("limit_pages", pages=30)
    made.page("a", "due")
    found = status(db)
    assert (found.due, found.rate, found.eta, found.owner) == (0, 0.5, None, None)
    made.run("SIGTERM", pages=30)
    assert (status(db).due, status(db).eta) == (1, None)


def test_status_has_the_last_errors(made: Made, db: sqlite3.Connection) -> None:
    made.run()
    made.run()
    page = made.page("a", "dead", run=2)
    made.attempt(page, 1, run=1)
    for n in range(9):
        made.attempt(page, n, run=2, error=TRACE)
    assert [(error.attempt, error.url, error.error) for error in status(db).errors] == [
        (n, f"{SITE}a", "ValueError: no price") for n in range(4, 9)
    ]


def test_a_snapshot_is_one_moment(made: Made, db: sqlite3.Connection) -> None:
    made.db.execute("pragma journal_mode = wal")
    made.run(pages=1)
    with reading.snapshot(db):
        assert reading.runs(db, NOW)[0].pages == 1
        made.db.execute("update runs set pages = 2")  # the crawl goes on
        assert reading.runs(db, NOW)[0].pages == 1
    assert reading.runs(db, NOW)[0].pages == 2
