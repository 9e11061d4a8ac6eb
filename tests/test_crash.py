"""Real processes, real HTTP, real ``kill -9``: what is resumed ends as if nobody had killed it.

Each fault is tried once here, with a seed of its own; ``scripts/crash`` tries more often and measures.
"""

import sqlite3
import zlib
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from crash_bench import BOUND, CONCURRENCY, Broken, Trial, Unable, golden_run
from crash_faults import FAULTS, Fault, attempt
from crash_site import CrashSite, expected

SIZE = 60


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[Trial]:
    async with CrashSite(SIZE) as site, Trial(site, tmp_path) as trial:
        yield trial


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
async def test_as_if_nobody_had_killed_it(fault: Fault, tmp_path: Path) -> None:
    try:
        verdict = await attempt(fault, tmp_path, zlib.crc32(fault.name.encode()))
    except Unable as reason:
        pytest.skip(str(reason))
    assert verdict.problems == []
    assert (verdict.items_lost, verdict.items_twice, verdict.pages_lost, verdict.pages_again) == (0, 0, 0, 0)
    assert verdict.kills > 0 or "kill" not in fault.name


def test_the_bound_is_the_writers() -> None:
    assert BOUND <= CONCURRENCY + 200


async def test_the_golden_run_is_what_the_site_has(trial: Trial) -> None:
    """The others are held to an unkilled crawl; that one is held to the site."""
    await trial.finish()
    assert (await trial.judge()).problems == []
    truth, due = trial.truth(), expected(SIZE)
    names = ("pages", "items", "rejects", "retries", "dead", "redirects")
    assert trial.read(f"select {', '.join(names)} from runs") == [tuple(due[name] for name in names)]
    assert sorted(truth["row"].elements()) == due["row"]
    assert sorted(truth["shelf"].elements()) == due["shelf"]
    state = dict(truth["notes"])
    assert state == {("$.begun", SIZE // 2): 1} | {(f"$.shelves.s{shelf}", SIZE // 10): 1 for shelf in range(10)}
    asked = trial.site.asked[1]
    assert len(asked) == due["pages"] + due["dead"]
    assert asked.total() == len(asked) + due["retries"], "each once, and the busy ones once more"


SPOILT = {
    "an item is lost": "delete from items where id = 7",
    "an item is there twice": "insert into items (kind, key, data, page, first_run, last_run, stored_at) "
    "select kind, key || '0', data, page, first_run, last_run, stored_at from items where kind = 'item' limit 1",
    "an item has changed": "update items set data = '{}' where id = 7",
    "an upsert became two": "update items set key = key || '!' where kind = 'shelf'",
    "a reject is lost": "delete from rejects where id = 1",
    "a page is not done": "update pages set state = 'due' where id = 9",
    "a page was left out": "delete from pages where id = (select max(id) from pages)",
    "a page is dead": "update pages set state = 'dead' where id = 9",
    "an attempt was counted twice": "update pages set attempts = attempts + 1 where id = 9",
    "an item was counted twice": "update runs set items = items + 1",
    "a second run began": "insert into runs (spider, started) values ('crash', 0)",
    "the run is not finished": "update runs set finished = 0",
    "a view is stale": "drop view item; create view item as select 1 as page, 1 as part from items limit 1",
    "the state lags behind": "update notes set value = json_set(value, '$.begun', 1) where kind = 'state'",
    "the ledger counts too much": "update hosts set requests = requests + 1000",
}


async def test_the_judge_sees_what_is_wrong(trial: Trial) -> None:
    """Each of these, done to the file behind the crawl's back, must not pass."""
    await trial.finish()
    whole = trial.database.read_bytes()
    for name, script in SPOILT.items():
        trial.database.write_bytes(whole)
        with closing(sqlite3.connect(trial.database)) as db:
            db.executescript(script)
        assert (await trial.judge()).problems, name


async def test_the_judge_sees_too_many_requests(trial: Trial) -> None:
    await trial.finish()
    url = trial.site.url(3)
    trial.site.asked[1][url] += 1
    assert "lost 1 visits" in (await trial.judge()).problems[0]
    trial.site.asked[1][url] -= 1
    trial.lives[0].done = {url}
    assert "pages that were done" in (await trial.judge()).problems[0]


async def test_a_half_written_page_is_seen_at_once(trial: Trial) -> None:
    await trial.finish()
    with closing(sqlite3.connect(trial.database)) as db:
        db.executescript(
            "delete from items where kind = 'item' and id = (select max(id) from items where kind = 'item')"
        )
    with pytest.raises(Broken, match="parts"):
        trial.look()
    assert (await golden_run(SIZE))["row"].total() == SIZE
