"""What the repository says of itself is true: exports, documented settings, commands and examples, file sizes."""

import ast
import inspect
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from conftest import ROOT, Cli

import scraper
from scraper.cli import app
from scraper.cli.exits import Exit
from scraper.cli.tables import LEDGER_COLUMNS
from scraper.settings import Settings
from scraper.stores.sqlite import SqliteStore

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = sorted(
    path
    for folder in ("scraper", "spiders", "tests", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in ("", ".py") and path.is_file()
)
EXPORTS = """
BodyError CSVSpider CallbackError ConnectError Crawl CrawlReport CrawlSpider Download DropItem FeedSpider FetchError
Field FormRequest Host JSONSpider JsonRequest Link LinkExtractor MissingExtra ParseError ReadError Request RequestError
Response RetryPolicy RobotsDenied Rule ScraperError Selector SelectorList Settings SettingsError SitemapSpider Spider
SpiderError StatusError StoreError StoreLocked UsageError XMLSpider __version__ crawl items next_page run stream
""".split()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# the package


def test_exports() -> None:
    assert sorted(scraper.__all__) == sorted(EXPORTS)
    for name in EXPORTS:
        assert inspect.getdoc(getattr(scraper, name)), name


def test_no_file_grows_past_400_lines() -> None:
    sizes = {path.relative_to(ROOT): len(read(path).splitlines()) for path in CODE}
    assert len(sizes) > 50
    assert {path: size for path, size in sizes.items() if size > 400} == {}


def test_no_room_is_called_after_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "manager", "handler", "processor", "context", "middleware"}
    for path in CODE:
        assert not empty & set(path.stem.split("_")), path
    for path in sorted((ROOT / "scraper").rglob("*.py")):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.ClassDef):
                assert not empty & set(re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower().split("_")), node.name


def test_modules_say_what_they_are_for() -> None:
    for path in sorted((ROOT / "scraper").rglob("*.py")):
        assert ast.get_docstring(ast.parse(read(path))), path


# settings


def shown(kind: msgspec.inspect.Type) -> str:
    """A type as docs/settings.md writes it."""
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        name = "int" if isinstance(kind, msgspec.inspect.IntType) else "float"
        if kind.gt is not None:
            return f"{name} > {kind.gt}, to {kind.le:.0e}".replace("e+0", "e")
        if kind.le is not None:
            return f"{name} {kind.ge} to {kind.le if kind.le < 1e6 else '1e9'}"
        return f"{name} ≥ {kind.ge}"
    if isinstance(kind, msgspec.inspect.LiteralType):
        values = [f'"{value}"' for value in sorted(kind.values)]
        return " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return f"list of {shown(kind.item_type)}"
    if isinstance(kind, msgspec.inspect.StructType):
        return kind.cls.__name__
    if isinstance(kind, msgspec.inspect.DictType):
        return f"table of {shown(kind.value_type)}"
    if isinstance(kind, msgspec.inspect.UnionType):
        parts = [shown(each) for each in kind.types]
        return (" or " if parts[-1] == "none" else ", or ").join(parts)
    return {"BoolType": "bool", "StrType": "str", "NoneType": "none"}[type(kind).__name__]


def test_settings_table_is_the_code() -> None:
    table = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", read(ROOT / "docs/settings.md"), re.M)
    default = Settings()
    expected = []
    for field in msgspec.inspect.type_info(Settings).fields:  # type: ignore[attr-defined]
        value = getattr(default, field.name)
        text = "none" if value is None else f"`{json.dumps(value)}`"
        expected.append((field.name, shown(field.type), text))
    assert [row[:3] for row in table] == expected


# commands


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    group: Any = typer.main.get_command(app())
    return {
        name: {option for param in command.params for option in param.opts + param.secondary_opts if option[0] == "-"}
        for name, command in group.commands.items()
    }


def test_every_command_and_option_is_documented() -> None:
    sections = re.split(r"^## scraper ", read(ROOT / "docs/commands.md"), flags=re.M)[1:]
    documented = {
        section.split()[0]: {option for row in re.findall(r"^\| (.*?) \| ", section, re.M) for option in options(row)}
        for section in sections
    }
    assert documented == commands()


def options(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])(?:-[A-Z]\b|--?[a-z][\w-]*)", text)


def sources() -> Iterator[tuple[str, str]]:
    """Everything that shows commands to people: pages, help texts, scripts, example spiders."""
    for path in [*PAGES, *CODE]:
        if path.suffix != ".py" or path.parent.name in ("cli", "spiders"):
            yield str(path.relative_to(ROOT)), read(path)


def test_every_command_that_is_shown_exists() -> None:
    known = commands() | {"COMMAND": {"--help"}}
    number = 0
    for where, text in sources():
        # After a prompt, in backquotes or indented in a help text; up to a comment, a pipe or a wide gap.
        for line in re.findall(
            r"(?:^(?:\$| {4,}\$?| *\.venv/bin/)|`) *(?:\.venv/bin/)?scraper (\w[^`\n]*)", text, re.M
        ):
            name, *rest = re.split(r" {2,}| [|#] ", line)[0].split()
            assert name in known, f"{where}: there is no command {name!r}"
            for option in options(re.sub(r"--order \S+", "--order", " ".join(rest))):  # -price is a value of it
                assert option in known[name] | {"--help"}, f"{where}: scraper {name} has no {option}"
            number += 1
    assert number > 40


def test_exit_codes_are_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| ", read(ROOT / "docs/commands.md"), re.M)
    assert [int(row) for row in rows] == [int(code) for code in Exit]


# examples


async def test_tables_are_documented(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    await store.close()
    db = sqlite3.connect(tmp_path / "x.db")
    tables = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
    db.close()
    assert set(re.findall(r"^\| `(\w+)` \| every", read(ROOT / "docs/database.md"), re.M)) == tables


@pytest.mark.parametrize("spider", sorted((ROOT / "spiders").glob("*.py")), ids=lambda path: path.stem)
def test_example_spider_works_on_the_demo_site(spider: Path, cli: Cli, bookshop_url: str) -> None:
    assert len(read(spider).splitlines()) <= 60
    done = cli("crawl", spider, "-a", f"start={bookshop_url}", "--limit-pages", 40)
    assert done.returncode == 0, done.stderr
    event = json.loads(done.stderr.splitlines()[-1])
    assert event["items"] > 0
    assert (event["failures"], event["rejects"]) == (0, 0), done.stderr


# links


def test_links_between_pages_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", read(path)):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_readme_shows_the_ledger_as_it_is_printed() -> None:
    [ledger] = re.findall(r"^```text\n(connection ledger\n.*?)^```", read(ROOT / "README.md"), re.M | re.S)
    heads = ledger.splitlines()[1:3]
    words = [column.replace("\n", " ").split() for column in LEDGER_COLUMNS]
    assert sorted(" ".join(heads).split()) == sorted(["host", *(word for each in words for word in each)])


def test_readme_is_short() -> None:
    assert len(read(ROOT / "README.md").splitlines()) <= 120
