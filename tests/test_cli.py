"""The command line, as its users meet it: processes, exit codes, what goes to stdout and what to stderr."""

import csv
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Cli, StartCli, environment

TWO_PAGES = """
from scraper import Spider

class Front(Spider):
    "The first titles of the shop."

    def __init__(self, start: str, most: int = 20) -> None:
        self.start_urls = [start]
        self.most = most

    def parse(self, response):
        for link in response.css("article.product_pod h3 a")[: self.most]:
            yield {"title": link.attrib["title"], "tags": ["a", "b"]}
"""


@pytest.fixture(autouse=True)
def spiders(tmp_path: Path) -> Path:
    """``./spiders`` of the scratch folder: the real ``books``, and ``front``, which asks for one page."""
    folder = tmp_path / "spiders"
    folder.mkdir()
    shutil.copy(ROOT / "spiders" / "books.py", folder)
    (folder / "front.py").write_text(TWO_PAGES)
    return folder


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listening socket that never answers by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)  # a crawl that never comes fails the test instead of holding it up
        yield server


def front(url: str, *more: object) -> tuple[object, ...]:
    return ("crawl", "front", "-a", f"start={url}", *more)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def last_event(text: str) -> dict[str, Any]:
    return events(text)[-1]


# scraper crawl


def test_crawl_by_name_into_the_default_database(cli: Cli, tmp_path: Path, bookshop_url: str) -> None:
    done = cli("crawl", "books", "-a", f"start={bookshop_url}", "-s", "max_depth=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    event = last_event(done.stderr)
    assert (event["event"], event["reason"]) == ("crawl_finished", "finished")
    assert (event["pages"], event["items"], event["failures"]) == (22, 20, 0)
    assert event["requests"] >= 22
    assert 1 <= event["connections"] <= 8
    with sqlite3.connect(tmp_path / "data" / "books.db") as db:
        assert db.execute("select count(*), count(distinct title) from book").fetchone() == (20, 20)
    db.close()


@pytest.mark.parametrize("target", ["spiders/front.py", "spiders/front.py:Front"])
def test_crawl_by_file(cli: Cli, tmp_path: Path, bookshop_url: str, target: str) -> None:
    done = cli("crawl", target, "-a", f"start={bookshop_url}", "--db", "here/x.db")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "x.db").is_file()
    assert not (tmp_path / "data").exists()


def test_arguments_are_typed_and_settings_reach_the_crawl(cli: Cli, bookshop_url: str) -> None:
    done = cli(*front(bookshop_url, "-a", "most=3", "-s", "log_level=debug"))
    assert done.returncode == 0, done.stderr
    assert last_event(done.stderr)["items"] == 3
    assert "debug" in {event["level"] for event in events(done.stderr)}


@pytest.mark.parametrize(
    ("option", "reason"), [("--limit-pages=3", "limit_pages"), ("--limit-items=3", "limit_items")]
)
def test_limits_end_a_run(cli: Cli, bookshop_url: str, option: str, reason: str) -> None:
    done = cli("crawl", "books", "-a", f"start={bookshop_url}", option)
    assert done.returncode == 0, done.stderr
    event = last_event(done.stderr)
    assert event["reason"] == reason
    assert event["pages" if reason == "limit_pages" else "items"] >= 3
    assert event["pages"] < 1000


def test_output_to_stdout_is_nothing_but_items(cli: Cli, bookshop_url: str) -> None:
    done = cli(*front(bookshop_url, "-o", "-", "-v"))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 20
    assert all(row.keys() == {"title", "tags"} for row in rows)
    assert last_event(done.stderr)["exported"] == 20


def test_output_by_suffix(cli: Cli, tmp_path: Path, bookshop_url: str) -> None:
    for name in ("x.jsonl", "x.json", "x.csv"):
        done = cli(*front(bookshop_url, "-q", "-o", name))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert len(lines) == 20
    assert json.loads((tmp_path / "x.json").read_text()) == lines
    with (tmp_path / "x.csv").open(newline="") as file:
        assert [row["title"] for row in csv.DictReader(file)] == [line["title"] for line in lines]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crawl", "bocks"], ["bocks", "did you mean 'books'"]),
        (["crawl", "nowhere.py"], ["there is no file nowhere.py"]),
        (["crawl", "spiders/front.py:Back"], ["Front"]),
        (["crawl", "front"], ["start", "-a start="]),
        (["crawl", "front", "-a", "start=http://127.0.0.1:1/", "-a", "most=many"], ["most", "int"]),
        (["crawl", "books", "-a", "stat=x"], ["stat", "it takes start"]),
        (["crawl", "books", "-a", "start"], ["-a NAME=VALUE"]),
        (["crawl", "books", "-s", "=1"], ["-s NAME=VALUE"]),
        (["crawl", "books", "-s", "concurency=1"], ["concurency", "did you mean 'concurrency'"]),
        (["crawl", "books", "-s", "DOWNLOAD_DELAY=1"], ["here it is called 'delay'"]),
        (["crawl", "books", "-s", "concurrency=none"], ["concurrency", "none"]),
        (["crawl", "books", "-o", "books.xml"], [".jsonl, .csv or .json"]),
        (["crawl", "books", "-o", "nowhere/books.csv"], ["there is no folder"]),
        (["crawl", "books", "--log-format", "xml"], ["log_format"]),
        (["crawl", "books", "--limit-pages", "0"], ["--limit-pages"]),
        (["crawl", "books", "--nonsense"], ["--nonsense"]),
        (["crawl"], ["SPIDER"]),
        (["crawl", "spiders/broken.py"], ["broken.py", "ZeroDivisionError", "line 1"]),
        (["items", "nothing"], ["data/nothing.db", "scraper crawl nothing"]),
        (["items", "nothing.db"], ["there is no file nothing.db"]),
        (["items", "spiders/front.py"], ["not an SQLite database"]),
        (["pool", "other.db"], ["not a database of scraper"]),
        (["demo-site", "--host", "192.0.2.1"], ["192.0.2.1", "--port"]),
    ],
    ids=lambda value: " ".join(value) if value[0] in ("crawl", "items", "pool", "demo-site") else "",
)
def test_mistakes_are_explained_in_a_sentence(
    cli: Cli, tmp_path: Path, spiders: Path, arguments: list[str], words: list[str]
) -> None:
    if "spiders/broken.py" in arguments:
        (spiders / "broken.py").write_text("1 / 0\n")
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("create table t (x)")
    db.close()
    done = cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("method", ["start", "closed"])
def test_a_bug_in_the_spider_shows_its_line(
    cli: Cli, spiders: Path, bookshop_url: str, method: str
) -> None:
    bodies = {"start": "async def start(self):\n        yield 1 / 0", "closed": "def closed(self, report): 1 / 0"}
    (spiders / "buggy.py").write_text(f"from front import Front\n\nclass Buggy(Front):\n    {bodies[method]}\n")
    done = cli("crawl", "buggy", "-a", f"start={bookshop_url}")
    assert done.returncode == 1
    assert "buggy.py" in done.stderr
    assert "1 / 0" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "typer" not in done.stderr


def test_failures_are_counted_by_reason(cli: Cli, bookshop_url: str) -> None:
    done = cli(*front(f"{bookshop_url}nowhere.html", "--summary"))
    assert done.returncode == 0
    assert re.search(r"failures +1 *\n +status 404 +1 *\n", done.stderr)


# signals, and two at a time


def until(process: "subprocess.Popen[str]", event: str) -> None:
    """Read the log up to an event; everything before it has happened then."""
    assert process.stderr is not None
    for line in process.stderr:
        if f'"event": "{event}"' in line:
            return
    raise AssertionError(f"{event} was never logged")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_same_command_resumes(
    cli: Cli, start_cli: StartCli, bookshop_url: str, number: signal.Signals
) -> None:
    command = ("crawl", "books", "-a", f"start={bookshop_url}", "-s", "max_depth=1", "-v")
    process = start_cli(*command, "-s", "delay=60")
    until(process, "run")
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 4, err
    stopped = next(each for each in events(err) if each["event"] == "crawl_stopped")
    assert stopped["reason"] == number.name
    assert stopped["pages"] < 22
    assert "the same command goes on" in err
    done = cli(*command)
    assert done.returncode == 0, done.stderr
    event = last_event(done.stderr)
    assert event["resumed"] is True
    assert event["run"] == stopped["run"]
    assert event["pages"] + stopped["pages"] == 22


def test_a_second_signal_stops_at_once(cli: Cli, start_cli: StartCli, silent: socket.socket) -> None:
    command = front(f"http://127.0.0.1:{silent.getsockname()[1]}/", "-s", "obey_robots=false")
    process = start_cli(*command)
    connection, _ = silent.accept()
    process.send_signal(signal.SIGINT)
    until(process, "draining")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    connection.close()
    assert process.returncode == 4, err
    assert "Traceback" not in err
    assert "Stopped at once. Nothing is lost" in err


def test_two_crawls_of_one_database(cli: Cli, start_cli: StartCli, silent: socket.socket) -> None:
    command = front(f"http://127.0.0.1:{silent.getsockname()[1]}/", "-s", "obey_robots=false")
    first = start_cli(*command)
    connection, _ = silent.accept()
    second = cli(*command)
    connection.close()
    assert second.returncode == 75
    assert str(first.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_a_store_that_fails_leaves_work_to_resume(cli: Cli, tmp_path: Path, bookshop_url: str) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    done = cli(*front(bookshop_url))
    assert done.returncode == 4
    assert "--db" in done.stderr
    assert "Traceback" not in done.stderr


# on a terminal


def on_terminal(tmp_path: Path, *arguments: str) -> tuple[str, str, int]:
    """stdout, what the terminal on stderr showed, exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scraper", *arguments],
        cwd=tmp_path,
        env=environment(COLUMNS="100", TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux ends a terminal whose last writer has gone by EIO
        pass
    os.close(ours)
    out, _ = process.communicate()
    return out, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()), process.returncode


def test_a_terminal_sees_progress_summary_and_ledger(tmp_path: Path, bookshop_url: str) -> None:
    arguments = ("crawl", "front", "-a", f"start={bookshop_url}", "-o", "-")
    out, shown, code = on_terminal(tmp_path, *arguments)
    assert code == 0, shown
    assert len(out.splitlines()) == 20
    assert "known pages" in shown
    assert "in flight" in shown
    assert re.search(r"pages +1 *\r\nitems +20 *\r\n", shown)
    assert "connection ledger" in shown
    assert bookshop_url.split("/")[2] in shown
    assert "crawl_finished" not in shown
    out, shown, code = on_terminal(tmp_path, *arguments, "-q")
    assert (len(out.splitlines()), shown, code) == (20, "", 0)


# scraper list


def test_list_names_a_broken_file_and_hides_no_other(cli: Cli, spiders: Path) -> None:
    (spiders / "broken.py").write_text("import nowhere_to_be_found\n")
    done = cli("list")
    assert done.returncode == 2
    assert re.search(r"books +spiders/books.py +A bookshop", done.stdout)
    assert re.search(r"front +spiders/front.py +The first titles of the shop", done.stdout)
    assert "broken.py" in done.stderr
    assert "nowhere_to_be_found" in done.stderr
    (spiders / "broken.py").unlink()
    done = cli("list", "--json")
    assert done.returncode == 0
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["books", "front"]


def test_list_looks_where_the_setting_says(cli: Cli, tmp_path: Path, spiders: Path) -> None:
    spiders.rename(tmp_path / "crawlers")
    assert cli("list").returncode == 2
    (tmp_path / "scraper.toml").write_text('spiders = "crawlers"\n')
    done = cli("list", "--json")
    assert '"crawlers/books.py"' in done.stdout


# scraper items, scraper pool


def test_items_and_pool_of_a_crawl(cli: Cli, tmp_path: Path, bookshop_url: str) -> None:
    for most in (5, 20):
        assert cli(*front(bookshop_url, "-q", "-a", f"most={most}")).returncode == 0
    done = cli("items", "front", "-n", "3")
    assert "item: 3 of 20" in done.stdout
    assert '["a", "b"]' in done.stdout
    for arguments in (("front", "item", "-n", "0", "--json"), ("data/front.db", "-n", "0", "--json")):
        done = cli("items", *arguments)
        assert len({json.loads(line)["title"] for line in done.stdout.splitlines()}) == 20
    done = cli("items", "front", "shoes")
    assert (done.returncode, "there: item" in done.stderr) == (2, True)

    host = bookshop_url.split("/")[2]
    assert host in cli("pool", "front").stdout
    with sqlite3.connect(tmp_path / "data" / "front.db") as db:
        db.row_factory = sqlite3.Row
        for run in (1, 2):
            [row] = db.execute("select * from hosts where run = ?", (run,)).fetchall()
            printed = json.loads(cli("pool", "front", "--run", run, "--json").stdout)
            assert printed == {name: row[name] for name in row.keys() if name != "run"}  # noqa: SIM118
    db.close()
    done = cli("pool", "front", "--run", "3")
    assert (done.returncode, "no run 3" in done.stderr) == (2, True)


# the rest


def test_demo_site_serves_until_it_is_told_to_end(start_cli: StartCli) -> None:
    process = start_cli("demo-site", "--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url) as response:
        assert response.headers["Keep-Alive"] == "timeout=75"
        assert b"article" in response.read()
    process.terminate()
    assert process.wait() == 0


def test_demo_site_says_that_a_port_is_taken(cli: Cli, silent: socket.socket) -> None:
    done = cli("demo-site", "--port", silent.getsockname()[1])
    assert done.returncode == 2
    assert "another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").stdout == cli("version").stdout
    assert re.fullmatch(r"scraper \d+\.\d+\.\d+\n", cli("version").stdout)
    done = cli()
    assert "crawl" in done.stdout + done.stderr
