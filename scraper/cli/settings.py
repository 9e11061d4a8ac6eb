"""``scraper settings``: what applies, and where it comes from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from scraper.cli import options
from scraper.cli.opened import AsJson, piped
from scraper.curl import SECRET as SECRET_HEADER
from scraper.discover import find
from scraper.errors import SpiderError, UsageError
from scraper.setting_words import described
from scraper.settings import NAMES, SCRAPY_NAMES, SECRET, Settings, elsewhere, load, sourced, unknown

DEFAULT = "default"
HIDDEN = "***"


class Row(msgspec.Struct):
    """A setting as it applies: ``source`` says where the value comes from, ``secret`` whether it is hidden."""

    name: str
    value: Any
    source: str
    default: Any
    secret: bool = False


def _known(incomplete: str) -> list[Any]:
    """For the shell's completion."""
    return [*options.spiders_here(incomplete), *(name for name in NAMES if name.startswith(incomplete))]


@piped
def settings(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="SPIDER|SETTING",
            help="As they are for this spider; or all about one setting.",
            autocompletion=_known,
        ),
    ] = None,
    setting: options.Given = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that differ from their default.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each setting, and where its value comes from.

    Arguments win over the environment, that over the spider, the spider over scraper.toml. With the name of a
    setting (ours, or Scrapy's): its value, type, default and meaning. Credentials are hidden.

    \b
    Examples:
      scraper settings --changed                 what scraper.toml and the environment set
      scraper settings books -s delay=1          as scraper crawl books -s delay=1 would have them
      scraper settings delay
      scraper settings DOWNLOAD_DELAY            what it is called here
    """
    given = options.pairs(setting, "-s")
    named = None if what is None else what if what in NAMES else SCRAPY_NAMES.get(what.upper())
    of_spider = _of_spider(what, given) if what is not None and named is None else {}
    rows = list(_rows(given, of_spider))
    if named is not None:
        (row,) = [each for each in rows if each.name == named]
        _explain(row, as_json)
        return
    rows = [row for row in rows if not changed or row.source != DEFAULT]
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
    elif not rows:
        print("every setting has its default")
    else:
        from scraper.cli.tables import print_rows

        print_rows(("setting", "value", "from"), [(row.name, _text(row), row.source) for row in rows])


def _of_spider(target: str, given: dict[str, Any]) -> Mapping[str, Any]:
    """A spider's settings. Raises SpiderError, which also names a setting that is nearly called so."""
    try:
        return find(target, Path(load(given).spiders)).settings
    except SpiderError as error:
        if elsewhere(target) is not None:
            raise UsageError(unknown(target, "scraper settings")) from error
        near = difflib.get_close_matches(target.lower(), NAMES, n=1)
        if ".py" in target or not near:
            raise
        words = unknown(target, "scraper settings")
        raise UsageError(f"{words}; and {error}") from error


def _rows(given: dict[str, Any], of_spider: Mapping[str, Any]) -> Iterator[Row]:
    found = sourced(given, spider=of_spider)
    default = Settings()
    for name in NAMES:
        value, source = found.get(name, (getattr(default, name), DEFAULT))
        source = {"the arguments": "-s", "the spider's settings": "the spider"}.get(source, source)
        secret = name in SECRET and value != getattr(default, name)
        yield Row(name, _hide(name, value) if secret else value, source, getattr(default, name), secret)


def _hide(name: str, value: Any) -> Any:
    """The value without what may be a password; what it is for still shows."""
    if name == "proxy":
        return _without_password(value)
    if name == "proxies":
        return [_without_password(each) for each in value]
    if name == "hosts":
        rules = {pattern: msgspec.to_builtins(rule) for pattern, rule in value.items()}
        for rule in rules.values():
            if rule.get("auth") is not None:
                rule["auth"] = HIDDEN
        return {
            pattern: {field: each for field, each in rule.items() if each is not None}
            for pattern, rule in rules.items()
        }
    if name == "headers":
        return {each: HIDDEN if SECRET_HEADER.search(each) else text for each, text in value.items()}
    return HIDDEN


def _without_password(url: str) -> str:
    """The URL of a proxy, its user and password hidden."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    return url.replace(f"{user}@", f"{HIDDEN}@", 1) if at else url


def _text(row: Row) -> str:
    """A value as scraper.toml or -s would have it."""
    value = msgspec.to_builtins(row.value)
    return "none" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _explain(row: Row, as_json: bool) -> None:
    kind = described({field.name: field.type for field in msgspec.structs.fields(Settings)}[row.name])
    theirs = sorted(name for name, ours in SCRAPY_NAMES.items() if ours == row.name)
    meaning = _meanings().get(row.name, "")
    if as_json:
        more = {"type": kind, "scrapy": theirs, "meaning": meaning}
        print(msgspec.json.encode({**msgspec.to_builtins(row), **more}).decode())
        return
    default = _text(Row(row.name, row.default, "", None))
    lines = [
        ("value", f"{_text(row)}   (from {row.source})" if row.source != DEFAULT else f"{_text(row)}   (the default)"),
        ("default", default),
        ("type", kind),
        ("Scrapy", ", ".join(theirs)),
        ("write", f"-s {row.name}=…   SCRAPER_{row.name.upper()}=…   {row.name} = … in scraper.toml"),
    ]
    print(row.name)
    print(f"  {meaning}" if meaning else "", end="\n" if meaning else "")
    for name, text in lines:
        if text:
            print(f"  {name + ':':9}{text}")


def _meanings() -> dict[str, str]:
    """What each setting means, as the table in docs/settings.md has it, without its links."""
    # An installed wheel carries the page beside the package, a checkout in docs.
    here = Path(str(files("scraper")))
    for page in (here / "settings.md", here.parent / "docs" / "settings.md"):
        if page.is_file():
            rows = re.findall(r"^\| `(\w+)` \| (?:.+?) \| (?:.+?) \| (.+) \|$", page.read_text(encoding="utf-8"), re.M)
            return {name: re.sub(r"\[([^\]]+)\]\([^)]+\)", r"docs/\1", text).replace("`", "") for name, text in rows}
    return {}
