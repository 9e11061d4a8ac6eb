"""``scraper crawl`` as its users meet it: processes, exit codes, signals, what goes to stdout and what to stderr."""

import csv
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, StartCli, environment, events, front, last_event

pytestmark = pytest.mark.usefixtures("spiders")


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


@pytest.mark.parametrize(("option", "reason"), [("--limit-pages=3", "limit_pages"), ("--limit-items=3", "limit_items")])
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


@pytest.mark.parametrize("method", ["start", "closed"])
def test_a_bug_in_the_spider_shows_its_line(cli: Cli, spiders: Path, bookshop_url: str, method: str) -> None:
    bodies = {"start": "async def start(self):\n        yield 1 / 0", "closed": "def closed(self, report): 1 / 0"}
    (spiders / "buggy.py").write_text(f"from front import Front\n\nclass Buggy(Front):\n    {bodies[method]}\n")
    done = cli("crawl", "buggy", "-a", f"start={bookshop_url}")
    assert done.returncode == 1
    assert "buggy.py" in done.stderr
    assert "1 / 0" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "typer" not in done.stderr


def test_a_crawl_that_had_no_page_says_so(cli: Cli, bookshop_url: str) -> None:
    done = cli(*front(f"{bookshop_url}nowhere"))
    assert done.returncode == 3
    assert "Rule not met: pages >= 1; found 0 (all 1 failed)\nPages failed by: status 404 (1)" in done.stderr
    assert last_event(done.stderr)["failures"] == 1


def test_every_page_is_logged_when_asked(cli: Cli, bookshop_url: str) -> None:
    done = cli(*front(bookshop_url, "-v"))
    pages = [event for event in events(done.stderr) if event["event"] == "page"]
    assert len(pages) == last_event(done.stderr)["pages"]
    assert {event["status"] for event in pages} == {200}


def test_failures_are_counted_by_reason(cli: Cli, bookshop_url: str) -> None:
    done = cli(*front(f"{bookshop_url}nowhere.html", "--summary"))
    assert done.returncode == 3
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
