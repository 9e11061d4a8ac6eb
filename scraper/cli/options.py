"""The options that several commands share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def spiders_here(incomplete: str) -> list[tuple[str, str]]:
    """For the shell's completion."""
    from scraper.cli.completing import spiders

    return spiders(incomplete)


def databases_here(incomplete: str) -> list[tuple[str, str]]:
    """For the shell's completion."""
    from scraper.cli.completing import databases

    return databases(incomplete)


def settings_here(incomplete: str) -> list[str]:
    """For the shell's completion."""
    from scraper.cli.completing import settings

    return settings(incomplete)


SpiderName = Annotated[
    str,
    typer.Argument(
        metavar="SPIDER", help="A spider's name, a file, or file.py:ClassName.", autocompletion=spiders_here
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option("-a", "--argument", metavar="NAME=VALUE", help="An argument of the spider. Repeatable."),
]
Given = Annotated[
    list[str] | None,
    typer.Option("-s", "--setting", metavar="NAME=VALUE", help="A setting. Repeatable.", autocompletion=settings_here),
]
Db = Annotated[Path | None, typer.Option("--db", metavar="PATH", help="The database.  [default: data/SPIDER.db]")]
LimitPages = Annotated[int | None, typer.Option("--limit-pages", metavar="N", min=1, help="End the run after N pages.")]
LimitItems = Annotated[int | None, typer.Option("--limit-items", metavar="N", min=1, help="End the run after N items.")]
IfRunning = Annotated[
    Literal["exit", "wait", "replace"] | None,
    typer.Option(
        "--if-running",
        help="When another run has the database: exit with code 75, wait for its end, or stop it and go on.  "
        "[default: exit]",
        show_default=False,
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option("--deadline", metavar="TIME", help="Stop after TIME (90s, 50m, 1h30m); the next crawl goes on."),
]
Expect = Annotated[
    list[str] | None,
    typer.Option(
        "--expect",
        metavar="RULE",
        help="Exit with 3 unless it is met: 'items >= 900', 'book.price >= 95%'. Repeatable.",
    ),
]
Output = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the run's items to FILE at the end, in the format of its suffix: .jsonl, .json, .csv, .xml, "
        ".parquet, .sqlite, also with .gz or .zst; - is stdout (jsonl). Repeatable.",
    ),
]
Callback = Annotated[
    str | None,
    typer.Option("-c", "--callback", metavar="NAME", help="The method that gets the page.  [default: as in the crawl]"),
]
CbKwargs = Annotated[str | None, typer.Option("--cb-kwargs", metavar="JSON", help="Keyword arguments of the callback.")]
Meta = Annotated[str | None, typer.Option("--meta", metavar="JSON", help="The request's meta.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing unless something went wrong.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Log every page.")]
LogFormat = Annotated[
    str | None,
    typer.Option(
        "--log-format",
        metavar="console|json|auto",
        help="How to log, on stderr; auto is console on a terminal, JSON lines elsewhere.",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option("--log-file", metavar="FILE", help="Log to FILE instead of stderr, as JSON lines; it is rotated."),
]
Summary = Annotated[
    bool | None,
    typer.Option(
        "--summary/--no-summary",
        help="Tables at the end, on stderr.  [default: on a terminal; elsewhere one log line]",
        show_default=False,
    ),
]


def pairs(values: list[str] | None, option: str) -> dict[str, Any]:
    """``["a=1"]`` -> ``{"a": "1"}``; the last of a name wins."""
    found: dict[str, Any] = {}
    for each in values or ():
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{option} {each}: write it as {option} NAME=VALUE")
        found[name.strip()] = value
    return found
