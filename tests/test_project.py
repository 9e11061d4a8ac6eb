"""scraper startproject: a folder in which everything has its place, and commands that run in it."""

import shlex
from pathlib import Path

import pytest
from conftest import Cli, environment, last_event
from prefork import Forks

from scraper.cli.site import crawling


def test_a_project_runs_as_its_commands_are_printed(
    forks: Forks, here: Cli, tmp_path: Path, bookshop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = here("startproject", "watch", "shop watch")
    assert done.returncode == 0, done.stderr
    assert [line.strip() for line in done.stderr.splitlines()[2:]] == [
        "cd 'shop watch'",
        "scraper demo-site     (in another terminal)",
        "scraper crawl books",
    ]
    folder = tmp_path / "shop watch"
    assert crawling("http://x/").startswith("scraper startproject shop && cd shop && scraper crawl books -a start=")
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()) == [
        ".gitignore",
        "README.md",
        "scraper.toml",
        "spiders/books.py",
        "tests/conftest.py",
    ]
    monkeypatch.chdir(folder)
    command = shlex.split(crawling(bookshop_url))[1:]
    assert command == ["crawl", "books", "-a", f"start={bookshop_url}"], "there is a spider now"
    monkeypatch.chdir(tmp_path)
    crawled = forks.run([*command, "--limit-pages", "10"], folder, environment())
    assert crawled.returncode == 0, crawled.stderr
    assert last_event(crawled.stderr)["items"] > 5
    again = here("startproject", "watch", "shop watch")
    assert (again.returncode, "nothing is overwritten" in again.stderr) == (2, True)
    (folder / "scraper.toml").unlink()
    assert here("startproject", "watch", "shop watch").returncode == 2
    assert not (folder / "scraper.toml").exists()


def test_a_project_for_a_page_of_ones_own(cli: Cli, here: Cli, tmp_path: Path, bookshop_url: str) -> None:
    assert here("startproject", "my-shop", ".", "--url", f"{bookshop_url}nothing-here").returncode == 2
    assert list(tmp_path.iterdir()) == []
    done = here("startproject", "my-shop", ".", "--url", bookshop_url)
    assert done.returncode == 0, done.stderr
    assert "cd" not in done.stderr.split("next:")[1]
    crawled = cli("crawl", "my_shop", "--limit-pages", 3)
    assert last_event(crawled.stderr)["items"] == 60
