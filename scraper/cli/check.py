"""``scraper check``: every recorded page replayed without the network, and what its spider gives of it compared."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from scraper.cli import options
from scraper.cli.exits import Exit
from scraper.cli.opened import piped
from scraper.log import configure
from scraper.offline.checking import Checked, check_folder
from scraper.offline.fixture import chosen
from scraper.settings import load

Ignored = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="FIELD", help="Do not compare it; KIND.FIELD of one kind. Repeatable."),
]


@piped
def check(
    target: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPIDER] [FIXTURE]...",
            help="Only of this spider, or these.  [default: all]",
            autocompletion=options.spiders_here,
        ),
    ] = None,
    ignore: Ignored = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where fixtures are.  [default: fixtures]")
    ] = None,
    setting: options.Given = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a fixture.")] = False,
) -> None:
    """Replay recorded pages with the network forbidden, and compare what the spider gives with what it gave.

    Whatever differs is shown field by field, with the queries that match otherwise than when the page was recorded.
    A difference that is meant is taken over with scraper record --update --offline.

    \b
    Examples:
      scraper check                                 every fixture
      scraper check books                           those of one spider
      scraper check books/index books/index-2 --ignore scraped_at
      scraper check --json | jq 'select(.ok | not)'

    \b
    Exit codes:
      0   all are as recorded                2   a mistake in the command, or there is no fixture
      3   something differs, or a fixture cannot be replayed
    """
    settings = load(options.pairs(setting, "-s"))
    root = folder or Path(settings.fixtures)
    silently()
    failed = number = 0
    for place in chosen(target or [], root):
        with redirect_stdout(sys.stderr):  # what a spider prints is no part of the report
            checked = check_folder(place, root, ignore or (), options.pairs(setting, "-s"))
        number += 1
        failed += not checked.ok
        if as_json:
            print(as_line(checked.json()))
        else:
            show(checked)
    if not as_json:
        summary = f"{number} {'fixture' if number == 1 else 'fixtures'}: {number - failed} as recorded, {failed} not"
        print(summary if failed else f"{number} {'fixture' if number == 1 else 'fixtures'}, all as recorded")
    if failed:
        raise typer.Exit(Exit.RULES)


def silently() -> None:
    """What a spider logs while it is replayed is no part of the report, which has its errors."""
    configure("error", file=os.devnull)


def as_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def show(checked: Checked) -> None:
    """The name of a fixture and whether it is as recorded; below it what is not."""
    from rich.text import Text

    from scraper.cli.tables import console

    out = console()
    out.print(Text.assemble(("ok    ", "green") if checked.ok else ("FAILED", "red bold"), f" {checked.name}"))
    for line in checked.lines():
        out.print(Text(f"       {line}"), soft_wrap=True)
