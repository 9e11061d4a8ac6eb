"""The command line: one file per family of commands, put together here.

A one-page crawl should spend its time on the page, so what only some commands need (rich, the demo site,
the tables) is imported inside them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer

from scraper.cli.exits import complain
from scraper.settings import VERSION

COMMANDS = {
    "crawl": "crawl",
    "retry": "crawl",
    "list": "listing",
    "items": "look",
    "pool": "look",
    "runs": "runs",
    "failed": "runs",
    "why": "why",
    "status": "status",
    "keepalive": "keepalive",
    "schedule": "schedule",
    "demo-site": "site",
    "version": "",
}
"""The file of each command beside this one. One that is not asked for is not imported: typer reads the annotations of
every command that it knows, which was a tenth of the start-up time of a short crawl."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"scraper {VERSION}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Web scraping on pooled keep-alive sessions, exactly-once to the row.

    \b
    A first look, without the web:
      scraper demo-site                                        a bookshop on this machine
      scraper crawl books -a start=http://127.0.0.1:8000/      crawl it (in another terminal)
      scraper status books                                     how it goes
      scraper items books                                      what was found
      scraper pool books                                       what its connections did

    Every command explains itself: scraper COMMAND --help
    """


def version() -> None:
    """Print the version."""
    _print_version(True)


def app(*names: str) -> typer.Typer:
    """The command line with these commands; with none, the whole."""
    made = typer.Typer(
        name="scraper",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_root)
    for name in names or COMMANDS:
        module = import_module(f"scraper.cli.{COMMANDS[name]}") if COMMANDS[name] else sys.modules[__name__]
        function = {"list": "list_spiders", "demo-site": "demo_site"}.get(name, name)
        made.command(name)(getattr(module, function))
    return made


def main() -> None:
    """The console script: runs a command and ends the process with its exit code (``exits.Exit``)."""
    chosen = next((each for each in sys.argv[1:] if not each.startswith("-")), "")
    try:
        app(*[chosen] if chosen in COMMANDS else ())(prog_name="scraper")
    except Exception as error:
        sys.exit(complain(error))
