"""``scraper schedule`` as its users meet it: what it prints, installs, removes and refuses."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from conftest import Cli

pytestmark = pytest.mark.usefixtures("spiders")
HALF_HOURLY = ("--cron", "*/30 * * * *")


def words_of(line: str) -> list[str]:
    return shlex.split(line.replace("\\%", "%"))


def test_it_prints_a_line_with_absolute_paths(cli: Cli, tmp_path: Path) -> None:
    more = ("-a", "start=http://x/?q=100%&r=1", "-s", "delay=1", "--deadline", "25m", "--mailto", "me@example.org")
    done = cli("schedule", "front", *HALF_HOURLY, *more)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1] == 'MAILTO="me@example.org"'
    words = [
        *("*/30", "*", "*", "*", "*", "cd", str(tmp_path), "&&", sys.executable),
        *"-m scraper crawl front".split(),
    ]
    words += [*"--quiet --if-running exit --deadline 25m".split(), "--log-file", str(tmp_path / "data" / "front.log")]
    words += ["--db", str(tmp_path / "data" / "front.db"), "-a", "start=http://x/?q=100%&r=1", "-s", "delay=1"]
    assert words_of(lines[2]) == words
    assert sorted(each.name for each in tmp_path.iterdir()) == ["spiders"], "looking changes nothing"


def test_it_is_what_the_options_and_scraper_toml_say(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "scraper.toml").write_text('data = "there"\nif_running = "wait"\nspiders = "elsewhere"\n')
    target = ("schedule", "spiders/books.py:Books", *HALF_HOURLY)
    line = " ".join(words_of(cli(*target).stdout.splitlines()[1]))
    assert f" crawl {tmp_path}/spiders/books.py:Books --quiet --if-running wait " in line
    assert f"--log-file {tmp_path}/there/books.log --db {tmp_path}/there/books.db" in line
    more = ("--if-running", "replace", "--log-file", "x.log", "--db", "y.db", "--expect", "items>=1")
    line = " ".join(words_of(cli(*target, *more).stdout.splitlines()[1]))
    assert f"--if-running replace --log-file {tmp_path}/x.log --db {tmp_path}/y.db --expect items>=1" in line


def test_it_sees_what_cron_sees(cli: Cli, tmp_path: Path, spiders: Path) -> None:
    spiders.rename(tmp_path / "crawlers")
    done = cli("schedule", "books", *HALF_HOURLY, SCRAPER_SPIDERS="crawlers")
    assert done.returncode == 2
    assert "cron does not see SCRAPER_SPIDERS" in done.stderr
    assert "no spider 'books' in spiders" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("books",), "give --cron"),
        (("bocks", *HALF_HOURLY), "did you mean 'books'"),
        (("books", "--cron", "99 * * * *"), "minute '99'"),
        (("books", *HALF_HOURLY, "--install", "--systemd"), "choose one of"),
        (("books", *HALF_HOURLY, "--systemd", "--mailto", "x"), "OnFailure="),
        (("books", *HALF_HOURLY, "--deadline", "soon"), "setting deadline"),
        (("books", *HALF_HOURLY, "--if-running", "shout"), "'exit', 'wait', 'replace'"),
        (("books", *HALF_HOURLY, "--expect", "errors <= 5"), "failures"),
        (("books", *HALF_HOURLY, "-s", "dely=1"), "did you mean 'delay'"),
        (("books", *HALF_HOURLY, "-a", "stat=x"), "it takes start"),
        (("front", *HALF_HOURLY), "-a start="),
    ],
)
def test_a_mistake_is_told_now_and_not_at_night(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    done = cli("schedule", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_it_prints_units(cli: Cli, tmp_path: Path) -> None:
    done = cli("schedule", "books", *HALF_HOURLY, "--systemd", "-s", "grace=70")
    assert done.returncode == 0
    assert "enable --now scraper-books.timer" in done.stderr
    files = re.split(r"^# (scraper-.*\.(?:service|timer))\n", done.stdout, flags=re.M)[1:]
    assert files[::2] == ["scraper-books.service", "scraper-books.timer"]
    assert f"WorkingDirectory={tmp_path}\nExecStart={sys.executable} -m scraper crawl books --quiet " in files[1]
    assert "SuccessExitStatus=75\n" in files[1]
    assert "TimeoutStopSec=100\n" in files[1]
    assert "OnCalendar=*-*-* *:00,30:00\nPersistent=true\n" in files[3]


CRONTAB = """#!/bin/sh
case $1 in
-l) [ -e "$0.text" ] || { echo "no crontab for me" >&2; exit 1; }; cat "$0.text" ;;
-) cat >"$0.new"; ! grep -q refuse "$0.new" || { echo bad minute >&2; exit 1; }; mv "$0.new" "$0.text" ;;
esac
"""


@pytest.fixture
def crontab(tmp_path: Path) -> Path:
    """A program of that name, to be put on the PATH, and the file in which it keeps its text."""
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(CRONTAB)
    program.chmod(0o755)
    return program.with_name("crontab.text")


def test_it_installs_and_removes(cli: Cli, tmp_path: Path, crontab: Path) -> None:
    path = {"PATH": f"{crontab.parent}:{os.environ['PATH']}"}
    once = cli("schedule", "books", *HALF_HOURLY, "--install", **path)
    assert (once.returncode, once.stdout) == (0, crontab.read_text()), once.stderr
    assert once.stderr.startswith("installed")
    at = crontab.stat().st_mtime_ns
    again = cli("schedule", "books", *HALF_HOURLY, "--install", **path)
    assert again.stdout == once.stdout
    assert again.stderr.startswith("was there already")
    assert crontab.stat().st_mtime_ns == at
    crontab.write_bytes(foreign := b"# \xff\r\n" + crontab.read_bytes() + b"0 3 * * * \xe4\n")
    changed = cli("schedule", "books", "--cron", "@daily", "--install", **path)
    assert changed.stderr.startswith("changed")
    assert crontab.read_bytes() == foreign.replace(b"*/30 * * * *", b"@daily")
    (tmp_path / "spiders" / "books.py").unlink()
    removed = cli("schedule", "books", "--remove", **path)
    assert (removed.returncode, removed.stdout, removed.stderr) == (0, changed.stdout, "removed\n")
    assert crontab.read_bytes() == b"# \xff\r\n0 3 * * * \xe4\n"
    nothing = cli("schedule", "books", "--remove", **path)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing to remove" in nothing.stderr


def test_a_crontab_that_refuses_or_is_not_there_is_told(cli: Cli, crontab: Path) -> None:
    path = {"PATH": f"{crontab.parent}:{os.environ['PATH']}"}
    refused = cli("schedule", "books", *HALF_HOURLY, "--install", "-a", "start=refuse", **path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "crontab refused the new one: bad minute" in refused.stderr
    assert not crontab.exists()
    missing = cli("schedule", "books", *HALF_HOURLY, "--install", PATH="/nowhere")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "there is no program crontab" in missing.stderr
