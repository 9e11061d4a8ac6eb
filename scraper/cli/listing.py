"""``scraper list``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scraper.cli.exits import Exit
from scraper.discover import classes
from scraper.discover import load as load_spiders
from scraper.errors import ScraperError, SpiderError
from scraper.settings import load
from scraper.spider import Spider

if TYPE_CHECKING:
    from scraper.stores.reading import RunRow

Row = tuple[type[Spider], str, str, "RunRow | None"]


def list_spiders(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the spiders in ./spiders, and how the last run of each went.

    The setting `spiders` (in scraper.toml, or SCRAPER_SPIDERS) names another folder.

    \b
    Examples:
      scraper list
      scraper list --json | jq -r .name
      SCRAPER_SPIDERS=crawlers scraper list
    """
    settings = load()
    folder = Path(settings.spiders)
    if not folder.is_dir():
        raise SpiderError(
            f"there is no folder {folder} here; make it with scraper startproject, "
            "or name another by 'spiders = \"…\"' in scraper.toml"
        )
    rows: list[Row] = []
    broken: list[SpiderError] = []
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            module = load_spiders(path)
        except SpiderError as error:
            broken.append(error)
            continue
        found = classes(module)
        for spider in found:
            file = f"{path}:{spider.__name__}" if len(found) > 1 else str(path)  # as scraper crawl takes it
            about = _first_line(spider.__dict__.get("__doc__") or module.__doc__)
            rows.append((spider, file, about, _last_run(Path(settings.data) / f"{spider.name}.db")))
    if as_json:
        for row in rows:
            print(json.dumps(_as_json(row), ensure_ascii=False))
    elif rows:
        from scraper.cli.tables import print_rows

        print_rows(
            ("spider", "last run", "file", "about"),
            [(spider.name, _told(run), file, about) for spider, file, about, run in rows],
        )
    else:
        print(f"no spiders in {folder}; write one with: scraper genspider NAME URL", file=sys.stderr)
    for each in broken:
        print(f"Error: {each}", file=sys.stderr)
    if broken:
        raise typer.Exit(Exit.USAGE)


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def _last_run(database: Path) -> RunRow | None:
    """None when it has never run; what is wrong with its database is for the commands that read it."""
    if not database.is_file():
        return None
    from scraper.cli.opened import opened
    from scraper.stores import reading

    try:
        with opened(str(database)) as (_, db), reading.snapshot(db):
            return next(iter(reading.runs(db, time.time(), 1)), None)
    except ScraperError:
        return None


def _told(run: RunRow | None) -> str:
    if run is None:
        return "-"
    from scraper.cli.tables import stamp

    return f"{stamp(run.started)[:16]} {run.state}, {run.items:,} items"


def _as_json(row: Row) -> dict[str, object]:
    spider, file, about, run = row
    last = None
    if run is not None:
        last = {name: getattr(run, name) for name in ("id", "state", "started", "finished", "pages", "items")}
    path = file.partition(".py:")[0].removesuffix(".py") + ".py"
    return {"name": spider.name, "file": path, "class": spider.__name__, "about": about, "last_run": last}
