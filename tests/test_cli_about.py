"""scraper settings, version, bench, list, and what the shell completes."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
import typer
import typer.main
from conftest import ROOT, Cli, front
from typer.testing import CliRunner

from scraper.cli import COMMANDS, GROUPS, app, bench
from scraper.cli.settings import _meanings
from scraper.log import configure
from scraper.settings import NAMES, load, sourced

# scraper settings


def test_the_source_of_each_value(tmp_path: Path) -> None:
    (tmp_path / "scraper.toml").write_text("delay = 1\njitter = 0.1\ncontact = 'a@b.org'\ndata = 'd'\n")
    given = {"arguments": {"delay": "4s"}, "spider": {"delay": 2, "jitter": 0.2, "contact": "c@d.org"}}
    environment = {"SCRAPER_DELAY": "3", "SCRAPER_JITTER": "0.3", "OTHER": "x"}
    found = sourced(**given, environment=environment, folder=tmp_path)
    assert found == {
        "delay": (4.0, "the arguments"),
        "jitter": (0.3, "SCRAPER_JITTER"),
        "contact": ("c@d.org", "the spider's settings"),
        "data": ("d", str(tmp_path / "scraper.toml")),
    }
    settings = load(**given, environment=environment, folder=tmp_path)
    assert {name: getattr(settings, name) for name in found} == {name: value for name, (value, _) in found.items()}


def test_settings_are_shown_with_their_source(here: Cli, tmp_path: Path, spiders: Path) -> None:
    (spiders / "slow.py").write_text("from scraper import Spider\nclass Slow(Spider):\n    settings = {'jitter': 0}\n")
    (tmp_path / "scraper.toml").write_text("concurrency = 5\n")
    done = here("settings", "slow", "-s", "delay=2", "--json", SCRAPER_GRACE="7")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert tuple(rows) == NAMES
    shown = {name: (row["value"], row["source"]) for name, row in rows.items() if row["source"] != "default"}
    assert shown == {
        "concurrency": (5, str(tmp_path / "scraper.toml")),
        "delay": (2.0, "-s"),
        "jitter": (0.0, "the spider"),
        "grace": (7.0, "SCRAPER_GRACE"),
    }
    done = here("settings", "slow", "--changed")
    assert re.search(r"jitter +0\.0 +the spider", done.stdout)
    assert "grace" not in done.stdout
    (tmp_path / "scraper.toml").unlink()
    assert here("settings", "--changed").stdout == "every setting has its default\n"


def test_secrets_are_hidden(here: Cli) -> None:
    given = [
        "auth=me:hush",
        "proxy=http://me:hush@proxy.example:3128",
        'proxies=["socks5://hush:hush@proxy.example:1"]',
        'headers={"X-Api-Key": "hush", "Accept-Language": "de"}',
        'hosts={"*.example.org": {"auth": "me:hush", "cap": 2}}',
    ]
    options = [word for each in given for word in ("-s", each)]
    for more in ([], ["--json"]):
        done = here("settings", *options, "--changed", *more)
        assert done.returncode == 0, done.stderr
        assert "hush" not in done.stdout
        for words in ("proxy.example:3128", "Accept-Language", "*.example.org"):
            assert words in done.stdout
    assert "hush" not in here("settings", "auth", *options).stdout


def test_one_setting_is_explained(here: Cli) -> None:
    ours, theirs = here("settings", "delay", "-s", "delay=2"), here("settings", "DOWNLOAD_DELAY", "-s", "delay=2")
    assert ours.stdout == theirs.stdout
    for words in ("seconds between the starts", "2.0   (from -s)", "default: 0.0", "DOWNLOAD_DELAY", "SCRAPER_DELAY=…"):
        assert words in ours.stdout, words
    row = json.loads(here("settings", "obey_robots", "--json").stdout)
    assert (row["value"], row["source"], row["scrapy"]) == (True, "default", ["ROBOTSTXT_OBEY"])
    done = here("settings", "dealy")
    assert (done.returncode, "did you mean 'delay'?" in done.stderr) == (2, True)
    assert set(_meanings()) == set(NAMES)
    assert '"docs/settings.md" = "scraper/settings.md"' in (ROOT / "pyproject.toml").read_text()


# scraper, with no command


def test_every_command_is_listed_in_one_group_on_one_line(here: Cli) -> None:
    done = here("--help", COLUMNS="80")
    first = [line.split()[1] for line in done.stdout.partition("first look")[2].splitlines() if "  scraper " in line]
    assert first == ["demo-site", "startproject", "crawl", "status", "items", "pool"], "it works in any folder"
    for title, group in GROUPS.items():
        [block] = [each for each in done.stdout.split("\n\n") if each.startswith(f"{title}:\n")]
        assert [line.split()[0] for line in block.splitlines()[1:]] == [*group]
        assert all(line.endswith(".") and not line.endswith("..") for line in block.splitlines()[1:])
    assert here("--version").stdout == here("version").stdout


def test_a_terminal_without_a_letter_is_no_reason_to_end(here: Cli, spiders: Path) -> None:
    (spiders / "front.py").write_text('"""Caf\u00e9 \u20ac."""\nfrom scraper import Spider\nclass Front(Spider): ...\n')
    done = here("list", PYTHONIOENCODING="ascii")
    assert (done.returncode, "\\xe9 \\u20ac" in done.stdout) == (0, True), done.stderr


# scraper version, scraper bench


def test_version_names_what_a_report_needs(here: Cli) -> None:
    facts = json.loads(here("version", "--json").stdout)
    assert facts["sqlite"] == sqlite3.sqlite_version
    assert {"python", "platform", "loop", "openssl", "processors"} <= facts.keys()
    assert {"aiohttp", "selectolax", "typer", "msgspec"} <= facts["libraries"].keys()
    assert {"xpath", "shell", "parquet"} <= facts["extras"].keys()
    text = here("version", "-v").stdout
    for name in ("aiohttp", "uvloop"):
        assert re.search(rf"^ +{name} +{re.escape(facts['libraries'][name])}$", text, re.M)


def test_bench_measures_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "TURN", 30)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = CliRunner().invoke(app("bench", "version"), ["bench", "--seconds", "0.1", "--json"])
    configure()
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    for side in ("crawl", "bare"):
        turns, rest = divmod(report[side]["pages"], 30)
        assert (turns >= 1, rest) == (True, 0)
        assert 0.7 * report[side]["pages"] < report[side]["items"] < report[side]["pages"]
        assert 0 < report[side]["connections"] <= 8 * turns
        assert report[side]["rate"] > 0
    assert report["crawl"]["pages"] == report["bare"]["pages"]
    assert report["server_cpu"] > 0


# scraper list


def test_list_tells_the_last_run(cli: Cli, here: Cli, spiders: Path, bookshop_url: str) -> None:
    assert cli(*front(bookshop_url, "-q")).returncode == 0
    rows = {row["name"]: row for row in map(json.loads, here("list", "--json").stdout.splitlines())}
    assert (rows["front"]["class"], rows["front"]["file"]) == ("Front", "spiders/front.py")
    assert rows["books"]["last_run"] is None
    last = rows["front"]["last_run"]
    assert (last["state"], last["pages"], last["items"]) == ("finished", 1, 20)
    assert re.search(r"front +\d{4}-\d\d-\d\d \d\d:\d\d finished, 20 items +spiders/front.py", here("list").stdout)


# completion


def completed(here: Cli, line: str) -> list[str]:
    """What bash is told when TAB is pressed at the end of the line."""
    words = line.split(" ")
    given = {"_SCRAPER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = here(**given)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_shell_completes(here: Cli, tmp_path: Path, spiders: Path) -> None:
    (spiders / "loud.py").write_text(
        "from scraper import Spider\nprint('run')\nclass Loud(Spider):\n    name = 'louder'\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "books.db").touch()
    assert set(completed(here, "scraper ")) == set(COMMANDS)
    assert completed(here, "scraper crawl ") == ["books", "front", "louder"]  # and no file was run
    assert completed(here, "scraper crawl books -s obey_") == ["obey_robots=", "obey_nofollow="]
    assert completed(here, "scraper items b") == ["books"]
    assert completed(here, "scraper check lou") == completed(here, "scraper record lou") == ["louder"]
    assert completed(here, "scraper parse http://x/ --spider l") == ["louder"]
    assert "--deadline" in completed(here, "scraper crawl books --d")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_had_for_a_shell(here: Cli, shell: str) -> None:
    # Typer looks which shell it was started by, unless told not to; there may be none here.
    done = here("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0, done.stderr
    assert f"_SCRAPER_COMPLETE=complete_{shell}" in done.stdout


def test_a_crawl_does_not_pay_for_completion() -> None:
    def options(group: typer.Typer) -> set[str]:
        return {str(each.name) for each in typer.main.get_command(group).params}

    assert "install_completion" in options(app()) & options(app("crawl", completion=True))
    assert "install_completion" not in options(app("crawl"))
