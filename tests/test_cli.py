"""The commands around a crawl, and how all of them explain mistakes."""

import json
import re
import socket
import sqlite3
import urllib.request
from pathlib import Path

import pytest
from conftest import Cli, StartCli, front

pytestmark = pytest.mark.usefixtures("spiders")


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
        (["crawl", "books", "-o", "books.xls"], ["books.xls", ".jsonl", ".xml"]),
        (["crawl", "books", "-o", "nowhere/books.csv"], ["there is no folder"]),
        (["crawl", "books", "--log-format", "xml"], ["log_format"]),
        (["crawl", "books", "--limit-pages", "0"], ["--limit-pages"]),
        (["crawl", "books", "--nonsense"], ["--nonsense"]),
        (["crawl"], ["SPIDER"]),
        (["crawl", "spiders/broken.py"], ["broken.py", "ZeroDivisionError", "line 1"]),
        (["items", "nothing"], ["data/nothing.db", "scraper crawl nothing"]),
        (["items", "nothing.db"], ["there is no file nothing.db"]),
        (["items", "spiders/front.py"], ["no database", "front.db"]),
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


# scraper list


def test_list_names_a_broken_file_and_hides_no_other(cli: Cli, spiders: Path) -> None:
    (spiders / "broken.py").write_text("import nowhere_to_be_found\n")
    done = cli("list")
    assert done.returncode == 2
    assert re.search(r"books +- +spiders/books.py +A bookshop", done.stdout)
    assert re.search(r"front +- +spiders/front.py +The first titles of the shop", done.stdout)
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
            assert printed == {name: value for name, value in dict(row).items() if name != "run"}
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
    assert f": scraper crawl books -a start={url}\n" in process.communicate()[1]
    assert process.returncode == 0


def test_demo_site_says_that_a_port_is_taken(cli: Cli, silent: socket.socket) -> None:
    done = cli("demo-site", "--port", silent.getsockname()[1])
    assert done.returncode == 2
    assert "another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_keepalive_tells_what_the_server_does(cli: Cli, bookshop_url: str) -> None:
    done = cli("keepalive", bookshop_url, "-n", 5, "--json")
    report = json.loads(done.stdout)
    assert (report["requests"], report["pooled"]["connections"], report["single"]["connections"]) == (5, 1, 5)
    done = cli("keepalive", bookshop_url, "-n", 2)
    assert "Keep-Alive: timeout=75" in done.stdout
    assert "Keep-alive works" in done.stdout


def test_keepalive_of_nobody(cli: Cli) -> None:
    done = cli("keepalive", "http://127.0.0.1:1/")
    assert (done.returncode, done.stdout) == (1, "")
    assert "http://127.0.0.1:1/" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").stdout == cli("version").stdout
    assert re.fullmatch(r"scraper \d+\.\d+\.\d+\n", cli("version").stdout)
    done = cli()
    assert "crawl" in done.stdout + done.stderr
