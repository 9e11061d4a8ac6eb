"""The command line: one file per family of commands, put together here.

A one-page crawl should spend its time on the page, so what only some commands need (rich, the demo site,
the tables) is imported inside them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from scraper.cli.exits import complain
from scraper.settings import VERSION

COMPLETION = "_SCRAPER_COMPLETE"
"""The variable by which a shell asks what may follow. Only then, and for those who install it, is typer's completion
there: it would be a part of the start of every crawl."""

GROUPS = {
    "Begin": {"startproject": "startproject", "genspider": "genspider", "list": "listing"},
    "Crawl": {"crawl": "crawl", "retry": "crawl", "schedule": "schedule"},
    "What was found": {"items": "look", "export": "export", "files": "files"},
    "How it went": {"status": "status", "runs": "runs", "failed": "runs", "why": "why", "pool": "look"},
    "One page": {"fetch": "fetch", "view": "view", "shell": "shell", "parse": "parse"},
    "Offline tests": {"record": "record", "check": "check"},
    "Surroundings": {
        "settings": "settings",
        "keepalive": "keepalive",
        "demo-site": "site",
        "bench": "bench",
        "version": "version",
    },
}
COMMANDS = {name: file for group in GROUPS.values() for name, file in group.items()}
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
      scraper demo-site                          a bookshop on this machine
      scraper startproject shop && cd shop       in another terminal: a folder with a first spider
      scraper crawl books                        crawl it
      scraper status books                       how it goes
      scraper items books                        what was found
      scraper pool books                         what its connections did

    Every command explains itself: scraper COMMAND --help
    """


class _Grouped(TyperGroup):
    """Lists the commands by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, group in GROUPS.items():
            room = formatter.width - 4 - max(map(len, COMMANDS))
            there = [(name, self.commands[name]) for name in group if name in self.commands]
            if there:
                with formatter.section(title):
                    formatter.write_dl(
                        [(f"{name:{max(map(len, COMMANDS))}}", _brief(each, room)) for name, each in there]
                    )


def _brief(command: Any, room: int) -> str:
    """The first sentence of its help, without the details behind it where they do not fit."""
    text = command.get_short_help_str(1_000).removesuffix(".")
    for mark in (": ", "; ", ", "):
        text = text if len(text) < room else text.partition(mark)[0]
    return f"{text}."


def app(*names: str, completion: bool = False) -> typer.Typer:
    """The command line with these commands; with none, the whole, and with what installs the shell's ``completion``."""
    made = typer.Typer(
        name="scraper",
        cls=_Grouped,
        no_args_is_help=True,
        add_completion=completion or not names,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_root)
    for name in names or COMMANDS:
        module = import_module(f"scraper.cli.{COMMANDS[name]}")
        function = {"list": "list_spiders", "demo-site": "demo_site"}.get(name, name)
        made.command(name)(getattr(module, function))
    return made


def _typed() -> list[str]:
    """The finished words of the line that the shell wants to be completed: all but the one at the cursor."""
    if "COMP_CWORD" in os.environ:  # bash
        return os.environ.get("COMP_WORDS", "").split()[1 : int(os.environ["COMP_CWORD"])]
    line = os.environ.get("_TYPER_COMPLETE_ARGS", "")
    words = line.split()[1:]
    return words if line[-1:].isspace() else words[:-1]


def main() -> None:
    """The console script: runs a command and ends the process with its exit code (``exits.Exit``)."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no € is no reason to end
    completes = COMPLETION in os.environ
    words = _typed() if completes else sys.argv[1:]
    chosen = "version" if "--version" in words[:1] else next((each for each in words if not each.startswith("-")), "")
    try:
        app(*[chosen] if chosen in COMMANDS else (), completion=completes)(prog_name="scraper")
    except KeyboardInterrupt:  # while a command was imported; typer has those of later
        sys.exit(130)
    except Exception as error:
        sys.exit(complain(error))
