"""``scraper list``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from scraper.cli.exits import Exit
from scraper.discover import classes
from scraper.discover import load as load_spiders
from scraper.errors import SpiderError
from scraper.settings import load


def list_spiders(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the spiders in ./spiders.

    The setting `spiders` (in scraper.toml, or SCRAPER_SPIDERS) names another folder.

    \b
    Examples:
      scraper list
      SCRAPER_SPIDERS=crawlers scraper list
    """
    folder = Path(load().spiders)
    if not folder.is_dir():
        raise SpiderError(
            f"there is no folder {folder} here; make it, or name another by 'spiders = \"…\"' in scraper.toml"
        )
    rows: list[tuple[str, str, str]] = []
    broken: list[SpiderError] = []
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            module = load_spiders(path)
        except SpiderError as error:
            broken.append(error)
            continue
        for spider in classes(module):
            rows.append((spider.name, str(path), _first_line(spider.__doc__ or module.__doc__)))
    if as_json:
        for name, file, about in rows:
            print(json.dumps({"name": name, "file": file, "about": about}, ensure_ascii=False))
    elif rows:
        from scraper.cli.tables import print_rows

        print_rows(("spider", "file", "about"), rows)
    else:
        print(f"no spiders in {folder}", file=sys.stderr)
    for each in broken:
        print(f"Error: {each}", file=sys.stderr)
    if broken:
        raise typer.Exit(Exit.USAGE)


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]
