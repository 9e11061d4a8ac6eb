"""``scraper startproject``: a folder in which everything has its place."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from scraper.cli.genspider import checked, made, write
from scraper.drafts.project import IGNORED, SETTINGS, SPIDER, TESTS, readme
from scraper.drafts.written import Draft
from scraper.errors import OutputError, UsageError
from scraper.request import Request
from scraper.response import Response


def startproject(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the project is called.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where it goes.  [default: ./NAME]", show_default=False)
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Write the first spider for this page, not for the demo site."),
    ] = None,
) -> None:
    """Make a folder for spiders: settings, a spider that runs, a place for tests.

    The first spider crawls the bundled bookshop or, with --url, a page of yours: the draft that genspider writes.
    A file that is there is never overwritten.

    \b
    Examples:
      scraper startproject shopwatch
      scraper startproject shopwatch . --url http://127.0.0.1:8000/
    """
    if not re.fullmatch(r"[A-Za-z][\w.-]*", name, re.ASCII):
        raise UsageError(f"{name!r} is no name for a project: begin with a letter, go on with letters, digits, - and _")
    where = folder or Path(name)
    spider = re.sub(r"\W", "_", name).lower() if url is not None else "books"
    texts = {
        "scraper.toml": SETTINGS,
        "tests/conftest.py": TESTS,
        ".gitignore": IGNORED,
        "README.md": readme(name, spider, shlex.quote(Request(url).url) if url is not None else ""),
    }
    file = where / "spiders" / f"{spider}.py"
    there = [each for each in (*(where / each for each in texts), file) if os.path.lexists(each)]
    if there:
        raise UsageError(
            f"there is {', '.join(map(str, there))} already, and nothing is overwritten; name another folder"
        )
    draft: tuple[Draft, list[Response]] | None = None
    if url is not None:  # before anything is written: a page that cannot be had leaves no half project
        checked(spider, where / "spiders", False)
        draft = made(url, None, True, None, False)
    try:
        for path, text in texts.items():
            (where / path).parent.mkdir(parents=True, exist_ok=True)
            (where / path).write_text(text, encoding="utf-8")
        if draft is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(SPIDER, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {where}: {error.strerror}") from error
    for path in texts:
        print(where / path)
    if draft is None:
        print(file)
    else:
        write(spider, *draft, file)
    _print_next(where, spider, url)


def _print_next(where: Path, spider: str, url: str | None) -> None:
    lines = [f"  cd {shlex.quote(str(where))}"] if where.resolve() != Path.cwd() else []
    if url is None:
        lines += ["  scraper demo-site     (in another terminal)", f"  scraper crawl {spider}"]
    else:
        lines += [f"  scraper crawl {spider} --limit-pages 20", f"  scraper items {spider}"]
    if len(lines) < 3:
        lines.append(f"  scraper items {spider}" if url is None else "  scraper list")
    print("\nnext:", *lines, sep="\n", file=sys.stderr)
