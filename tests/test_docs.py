"""Every block of code in the documentation does what it says: files are crawled, scripts and commands run, in order."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, environment
from prefork import Forks

from scraper.settings import load

PAGES = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if "```" in path.read_text("utf-8")]
SHOPS = ("https://books.toscrape.com/", "http://127.0.0.1:8000/")
"""Where the pages say that the shop is; each is put in the place of the other, and of a free port."""

NOT_RUN = {
    r"^scraper demo-site": "serves until Ctrl-C",
    r"^scraper schedule .*--(install|remove)": "changes the crontab; test_cli_schedule has one of its own",
    r"^scraper view": "opens a browser",
    r"^scraper bench": "takes its time; test_cli_about has one of its own",
    r"^scraper shell(?!.* -c )": "waits for what is typed",
    r"--resume": "there is nothing to resume",
    r"(s3|gs|https?)://(?!127\.0\.0\.1)": "is elsewhere",
    r"^(pip|python|python3|source|git|docker|open)\b": "sets a machine up",
    r"^(sqlite3|duckdb|datasette|tail|ls|cat|kill)\b": "may not be there",
    r"^(\(?cd /|crontab|mkdir|systemctl|loginctl|journalctl)\b": "changes the machine",
    r"^timeout\b": "kills it, as test_crash does all the time",
    r"^\.venv/bin/|^scripts/": "of a checkout, and has tests of its own",
}


def blocks(page: Path) -> Iterator[tuple[str, str, int]]:
    """Language, text and line of each block."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield match[1], match[2], text[: match.start()].count("\n") + 2


def test_blocks_are_of_kinds_that_are_run() -> None:
    kinds = {kind for page in PAGES for kind, _, _ in blocks(page)}
    assert kinds <= {"python", "console", "toml", "sql", "text"}


@pytest.fixture(scope="session")
def crawled(tmp_path_factory: pytest.TempPathFactory, forks: Forks, bookshop_url: str) -> Path:
    """A folder in which spiders/books.py has crawled a little: what pages take for granted."""
    folder = tmp_path_factory.mktemp("crawled")
    shutil.copytree(ROOT / "spiders", folder / "spiders", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (folder / "spiders").glob("*.py"):
        file.write_text(local(file.read_text("utf-8"), bookshop_url))
    done = forks.run(["crawl", "books", "--limit-pages", "60", "--quiet"], folder, environment())
    assert done.returncode == 0, done.stderr
    return folder


def local(text: str, url: str) -> str:
    for shop in SHOPS:
        text = text.replace(shop, url).replace(shop.rstrip("/"), url.rstrip("/"))
    return text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks(page: Path, tmp_path: Path, crawled: Path, forks: Forks, bookshop_url: str) -> None:
    walk = Walk(tmp_path / "here", forks, bookshop_url)
    shutil.copytree(crawled, walk.folder)
    for kind, text, line in blocks(page):
        walk.where = f"{page.relative_to(ROOT)}:{line}"
        run = getattr(walk, kind, None)
        if run is not None:
            run(local(text, bookshop_url))


class Walk:
    """The blocks of one page, run one after the other in one folder."""

    def __init__(self, folder: Path, forks: Forks, url: str) -> None:
        self.folder = folder
        self.at = folder
        self.forks = forks
        self.url = url
        self.where = ""
        self.number = 0
        # A page may crawl the whole shop many times; that it can is tested elsewhere.
        self.environment = environment(SCRAPER_LIMIT_PAGES="40")

    def python(self, text: str) -> None:
        self.number += 1
        named = re.match(r"# ([\w/-]+\.py)\n", text)
        file = self.at / (named[1] if named else f"example_{self.number}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if re.search(r"^(async )?def test_", text, re.MULTILINE):
            self.process([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)])
        elif "Spider):" in text and "scraper.run(" not in text and "asyncio.run(" not in text:
            done = self.forks.run(["crawl", str(file), "--limit-pages", "30", "-o", "-"], self.at, environment())
            assert done.returncode == 0, f"{self.where}: {done.stderr}"
            assert done.stdout, f"{self.where}: no items; {done.stderr}"
            event = json.loads(done.stderr.splitlines()[-1])
            assert (event["failures"], event["rejects"]) == (0, 0), f"{self.where}: {done.stderr}"
        else:
            self.process([sys.executable, str(file)])

    def process(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.at, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{self.where}: {done.stderr or done.stdout}"

    def console(self, text: str) -> None:
        for line in re.findall(r"^\$ (.*)$", text.replace("\\\n", " "), re.MULTILINE):
            if any(re.search(pattern, line) for pattern in NOT_RUN):
                continue
            words = shlex.split(line, comments=True)
            variables = {}
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            if "|" in words:
                words = words[: words.index("|")]
            if ">" in words:
                words = words[: words.index(">")]
            program, *rest = words
            if program == "cd":
                self.at = (self.at / rest[0]).resolve()
                assert self.at.is_relative_to(self.folder.resolve()), self.where
            elif program == "pytest":
                self.process([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *rest])
            else:
                assert program == "scraper", f"{self.where}: {line}: neither run nor left out"
                done = self.forks.run(rest, self.at, self.environment | variables)
                told = re.search(r"# exit code (\d+)$", line)
                assert done.returncode == int(told[1] if told else 0), (
                    f"{self.where}: {line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
                )

    def toml(self, text: str) -> None:
        folder = self.folder.parent / f"settings-{self.where.rpartition(':')[2]}"
        folder.mkdir()
        (folder / "scraper.toml").write_text(text)
        load(environment={}, folder=folder)

    def sql(self, text: str) -> None:
        db = sqlite3.connect(self.folder / "data" / "books.db")
        try:
            for statement in filter(str.strip, text.split(";")):
                db.execute(statement).fetchall()
        finally:
            db.close()


def test_questions_have_answers(crawled: Path) -> None:
    """Of docs/database.md: but for one about a URL of another site, one about files, and two about what went wrong."""
    [text] = [text for kind, text, _ in blocks(ROOT / "docs" / "database.md") if kind == "sql"]
    db = sqlite3.connect(crawled / "data" / "books.db")
    answers = [db.execute(each).fetchall() for each in text.split(";") if each.strip()]
    db.close()
    assert len(answers) >= 9
    assert sum(map(bool, answers)) >= len(answers) - 4


def test_the_pages_can_be_built(tmp_path: Path) -> None:
    """As by scripts/docs, but for their looks: a dead link and a docstring that cannot be read are errors."""
    command = [sys.executable, "-m", "sphinx", "-b", "dummy", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "pages")], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_in_the_reference() -> None:
    import scraper

    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:class|function|exception):: scraper\.(\w+)$", text, re.MULTILINE)
    assert sorted({*named, "__version__"}) == sorted([*scraper.__all__])


def test_the_reference_has_a_name_once() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto\w+:: ([\w.]+)$", text, re.MULTILINE)
    assert len(named) == len(set(named))


def test_every_feature_is_shown_by_a_test() -> None:
    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "Scrapy"]
    assert len(rows) > 60
    for scrapy, ours, *shown in rows:
        if not shown:
            assert ours.startswith("no"), scrapy
            continue
        file, _, name = shown[0].strip("`").partition("::")
        assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text("utf-8"), re.MULTILINE), shown
