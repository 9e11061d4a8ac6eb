"""``scraper runs`` and ``scraper failed`` of real crawls; and how all commands that read a database meet odd files."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
from conftest import Cli, StartCli
from made import Made
from walked import command, page, ran, rows, site, spider

from scraper.stores.schema import VERSION


async def test_runs_and_dead_pages_of_two_crawls(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        done = await ran(cli, *command(at))
        assert done.returncode == 0, done.stderr
        at.pages["/a"] = page("deep")  # the price is gone
        at.pages["/broken"] = 404
        done = await ran(cli, *command(at, "--limit-pages", 8))
        assert done.returncode == 0, done.stderr

        first, second = await rows(cli, "runs", "walk")
        assert (first["id"], first["spider"], first["state"], first["starts"]) == (1, "walk", "finished", 1)
        # /, a, there, moved, away, flaky; gone, broken and secret are dead
        assert (first["pages"], first["items"], first["failures"], first["retries"]) == (6, 4, 3, 1)
        # secret is asked for nowhere; robots.txt and the flaky one once more
        assert first["requests"] == sum(at.requests.values()) - second["requests"]
        assert 0 < first["reused"] / first["requests"] == first["reuse"] < 1
        assert first["started"] < first["ended"] <= second["started"] < second["ended"]
        assert first["drops"] == {"offsite": 2, "depth": 2, "length": 1, "scheme": 1}
        assert (second["state"], second["finished"]) == ("limit_pages", True)
        assert [run["id"] for run in await rows(cli, "runs", "walk", "-n", 1)] == [2]
        table = (await ran(cli, "runs", "data/walk.db")).stdout
        assert re.search(
            rf"\n *1  \d{{4}}-\d\d-\d\d \d\d:\d\d .* finished .* 6 +4 +3 +{100 * first['reuse']:.1f} %", table
        )
        assert table.index("finished") < table.index("limit_pages")
        assert "rules" not in table  # this spider has none

        fields = {(fill["run"], fill["field"]): fill["rate"] for fill in await rows(cli, "runs", "walk", "--fields")}
        assert (fields[1, "url"], fields[1, "price"], fields[2, "price"]) == (1.0, 0.25, 0.0)
        table = (await ran(cli, "runs", "walk", "--fields")).stdout
        assert re.search(r"kind +field +run 2 +run 1", table)
        assert re.search(r"price +0\.0 % +25\.0 %", table)

        dead = {each["url"].rpartition("/")[2]: each for each in await rows(cli, "failed", "walk", "--run", 1)}
        assert set(dead) == {"gone", "broken", "secret"}
        assert (dead["gone"]["reason"], dead["gone"]["status"], dead["gone"]["attempts"]) == ("status 404", 404, 1)
        assert dead["gone"]["found_on"] == at.url("/")
        assert dead["secret"]["reason"] == "robots"
        assert dead["broken"]["error"] == "ValueError: no price"
        assert [each["url"] for each in await rows(cli, "failed", "walk", "--run", 1, "--reason", "status 4*")] == [
            at.url("/gone")
        ]
        assert len(await rows(cli, "failed", "walk", "--run", 1, "-n", 2)) == 2


async def test_dead_pages_as_people_read_them(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        await ran(cli, *command(at))
        short = (await ran(cli, "failed", "walk")).stdout
        assert "walk, run 1: 3 dead: " in short
        assert f"\ncallback  {at.url('/broken')}\n  1 attempt, status 200, " in short
        assert f", found on {at.url('/')}\n  ValueError: no price\n" in short
        assert "Traceback" not in short
        whole = (await ran(cli, "failed", "walk", "-v")).stdout
        assert re.search(r'walk\.py", line \d+, in parse\n.*raise ValueError\("no price"\)\n', whole)
        assert "shown: 1 of 3 (-n 0: all)" in (await ran(cli, "failed", "walk", "-n", 1)).stdout
        done = await ran(cli, "failed", "walk", "--reason", "nonsense")
        assert (done.returncode, done.stdout) == (0, "")
        assert "there: callback (1), robots (1), status 404 (1)" in done.stderr


def test_rules_that_were_not_met(cli: Cli, tmp_path: Path) -> None:
    made = Made(tmp_path / "x.db")
    rules = [{"rule": "items >= 9", "figure": "5", "met": False}, {"rule": "pages >= 1", "figure": "6", "met": True}]
    made.run(verdicts=json.dumps(rules))
    made.run(verdicts=json.dumps(rules[1:]))
    made.run(verdicts="[]")
    made.close()
    out = cli("runs", "x.db").stdout
    assert re.search(r"1 .* finished +1 not met .*\n.*2 .* finished +met .*\n.*3 .* finished +0", out)
    assert out.endswith("\nrun 1 did not meet: items >= 9; found 5\n")


def test_nothing_to_show(cli: Cli, tmp_path: Path) -> None:
    made = Made(tmp_path / "x.db")
    for arguments, words, code in (
        (("runs", "x.db"), "no run in x.db", 0),
        (("failed", "x.db"), "x.db has no run yet", 2),
        (("status", "x.db"), "x.db has no run yet", 2),
        (("why", "x.db", "http://h.test/"), "x.db has no run yet", 2),
    ):
        done = cli(*arguments)
        assert (done.returncode, done.stdout, words in done.stderr) == (code, "", True), arguments
    made.run()
    made.close()
    for arguments, words in (
        (("failed", "x.db"), "no dead page in run 1 of x.db\n"),
        (("runs", "x.db", "--fields"), "no item in these runs of x.db\n"),
    ):
        done = cli(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", words)
    done = cli("failed", "x.db", "--run", 2)
    assert (done.returncode, "no run 2; it has 1 to 1" in done.stderr) == (2, True)


# files of all sorts


READERS = (("items",), ("pool",), ("runs",), ("failed",), ("status",), ("why", "http://h.test/"))
NEW = READERS[2:]


def read(cli: Cli, reader: tuple[str, ...], file: str) -> tuple[int, str, str]:
    name, *rest = reader
    done = cli(name, file, *rest)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_files_that_are_not_ours(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, but a text of some length\n" * 100)
    for name, version in (("other.db", 0), ("numbered.db", VERSION)):
        db = sqlite3.connect(tmp_path / name)
        db.executescript(f"create table pages (x); pragma user_version = {version}")
        db.close()
    newer = Made(tmp_path / "newer.db")
    newer.db.execute(f"pragma user_version = {VERSION + 1}")
    newer.close()
    for file, words in (
        ("missing.db", "there is no file missing.db"),
        ("missing", "there is no database data/missing.db; make it with: scraper crawl missing"),
        ("text.db", "text.db is not an SQLite database"),
        ("other.db", "not a database of scraper"),
        ("numbered.db", "not a database of scraper"),
        ("newer.db", f"written by a newer scraper (schema {VERSION + 1}, here {VERSION})"),
    ):
        for reader in READERS if file == "newer.db" else READERS[:1]:
            code, out, err = read(cli, reader, file)
            assert (code, out) == (2, ""), file
            assert words in err


def test_a_file_of_an_older_scraper(cli: Cli, tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "old.db")
    db.executescript((Path(__file__).parent / "schema_1.sql").read_text())
    db.execute("pragma user_version = 1")
    db.execute("insert into runs (spider, started) values ('old', 1)")
    db.execute("insert into items values (1, 'k', 'k1', '{\"a\": 1}', 1, 1, 1, 1)")
    db.execute("insert into hosts values (1, 'h.test', 5, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1)")
    db.commit()
    db.close()
    for reader in NEW:
        code, out, err = read(cli, reader, "old.db")
        assert (code, out) == (2, "")
        assert "old.db was written by an older scraper (schema 1); the next crawl of it upgrades it" in err
    assert cli("items", "old.db", "--json").stdout == '{"a": 1}\n'
    assert json.loads(cli("pool", "old.db", "--json").stdout)["reused"] == 4


@pytest.mark.parametrize("reader", NEW, ids=lambda reader: reader[0])
def test_a_file_that_is_damaged(cli: Cli, tmp_path: Path, reader: tuple[str, ...]) -> None:
    made = Made(tmp_path / "x.db")
    made.run()
    made.close()
    content = bytearray((tmp_path / "x.db").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)  # all but the schema
    (tmp_path / "x.db").write_bytes(content)
    code, out, err = read(cli, reader, "x.db")
    assert (code, out) == (4, "")
    assert "cannot read x.db: " in err


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader[0])
def test_reading_changes_nothing(cli: Cli, tmp_path: Path, reader: tuple[str, ...]) -> None:
    made = Made(tmp_path / "x.db")
    made.run()
    made.page("")
    made.close()
    before = (tmp_path / "x.db").read_bytes()
    (tmp_path / "x.db").chmod(0o400)
    assert read(cli, reader, "x.db")[0] == 0
    assert (tmp_path / "x.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("items", "x.db", "-n", 0, "--json"),
        ("items", "x.db", "-n", 0),
        ("failed", "x.db", "-n", 0, "--json"),
        ("failed", "x.db", "-n", 0),
        ("runs", "x.db", "-n", 0, "--json"),
        ("runs", "x.db", "-n", 0),
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)
def test_a_reader_that_has_read_enough(start_cli: StartCli, tmp_path: Path, arguments: tuple[object, ...]) -> None:
    made = Made(tmp_path / "x.db")
    made.db.execute("begin")
    for n in range(2000):
        made.run()
        made.page(f"{n}", "dead", run=2000, reason="dns")
        made.put(
            "items",
            kind="k",
            key=str(n),
            data=json.dumps({"x": 50 * "x"}),
            page=1,
            first_run=1,
            last_run=1,
            stored_at=1,
        )
    made.put("fields", kind="k", name="x", ordinal=0)
    made.db.execute("commit")
    made.close()
    process = start_cli(*arguments)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 0


def test_a_reader_that_reads_nothing(start_cli: StartCli, tmp_path: Path) -> None:
    """What is short enough for the buffer is written when all is done; that must not fail either."""
    made = Made(tmp_path / "x.db")
    made.run()
    made.close()
    for arguments in (("runs", "x.db"), ("status", "x.db", "--json"), ("why", "x.db", "http://h.test/")):
        process = start_cli(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == ("", 0), arguments
