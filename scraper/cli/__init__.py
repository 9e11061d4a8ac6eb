"""The command line: one file per family of commands, put together here.

A one-page crawl should spend its time on the page, so what only some commands need (rich, the demo site,
the tables) is imported inside them.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from scraper.cli import crawl, keepalive, listing, look, runs, schedule, site, status, why
from scraper.cli.exits import complain
from scraper.settings import VERSION

app = typer.Typer(
    name="scraper",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"scraper {VERSION}")
        raise typer.Exit


@app.callback()
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


app.command("crawl")(crawl.crawl)
app.command("retry")(crawl.retry)
app.command("list")(listing.list_spiders)
app.command("items")(look.items)
app.command("pool")(look.pool)
app.command("runs")(runs.runs)
app.command("failed")(runs.failed)
app.command("why")(why.why)
app.command("status")(status.status)
app.command("keepalive")(keepalive.keepalive)
app.command("schedule")(schedule.schedule)
app.command("demo-site")(site.demo_site)
app.command("version")(version)


def main() -> None:
    """The console script: runs a command and ends the process with its exit code (``exits.Exit``)."""
    try:
        app(prog_name="scraper")
    except Exception as error:
        sys.exit(complain(error))
