"""``scraper crawl`` and ``scraper list``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from scraper.cli.exits import Exit
from scraper.crawl import Crawl, CrawlReport, run_crawl
from scraper.discover import classes, find
from scraper.discover import load as load_spiders
from scraper.errors import SpiderError
from scraper.log import Logger, configure
from scraper.settings import load

log = Logger("scraper.cli")

RESUMES = "Nothing is lost: the same command goes on where this one stopped."


def crawl(
    spider: Annotated[str, typer.Argument(metavar="SPIDER", help="A spider's name, a file, or file.py:ClassName.")],
    argument: Annotated[
        list[str] | None,
        typer.Option("-a", "--argument", metavar="NAME=VALUE", help="An argument of the spider. Repeatable."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--setting", metavar="NAME=VALUE", help="A setting. Repeatable."),
    ] = None,
    db: Annotated[
        Path | None, typer.Option("--db", metavar="PATH", help="The database.  [default: data/SPIDER.db]")
    ] = None,
    limit_pages: Annotated[
        int | None, typer.Option("--limit-pages", metavar="N", min=1, help="End the run after N pages.")
    ] = None,
    limit_items: Annotated[
        int | None, typer.Option("--limit-items", metavar="N", min=1, help="End the run after N items.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the run's items to FILE at the end: .jsonl, .csv or .json; - is stdout (jsonl).",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log every page.")] = False,
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format",
            metavar="console|json|auto",
            help="How to log, on stderr; auto is console on a terminal, JSON lines elsewhere.",
        ),
    ] = None,
    summary: Annotated[
        bool | None,
        typer.Option(
            "--summary/--no-summary",
            help="Tables at the end, on stderr.  [default: on a terminal; elsewhere one log line]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a spider until nothing is left to fetch.

    Pages, items and the connection ledger go to one SQLite file. A crawl that was stopped or killed is
    resumed by the same command. Ctrl-C once finishes the pages that have begun, twice stops at once.

    \b
    Examples:
      scraper crawl books                               a spider in ./spiders, by its name
      scraper crawl books -a start=http://127.0.0.1:8000/ --limit-pages 50
      scraper crawl shop.py -s concurrency_per_host=2 -s delay=1
      scraper crawl shop.py:Books --db shop.db -o books.csv
      scraper crawl books -q -o - | head                only items on stdout

    \b
    Exit codes:
      0   finished, or a limit was met        2   a mistake in the command, a setting or the spider
      1   an unexpected failure               4   stopped with work left; the same command resumes
      3   finished, but no page was had       75  another run has the database
    """
    given: dict[str, Any] = _pairs(setting, "-s")
    given |= {
        name: value
        for name, value in (
            ("limit_pages", limit_pages),
            ("limit_items", limit_items),
            ("log_format", log_format),
            ("log_level", "error" if quiet else "debug" if verbose else None),
        )
        if value is not None
    }
    settings = load(given)
    configure(settings.log_level, settings.log_format)
    chosen = find(spider, Path(settings.spiders))
    one = Crawl(chosen, arguments=_pairs(argument, "-a"), db=db, output=output, settings=given)
    human = sys.stderr.isatty() and one.settings.log_format != "json" and not quiet
    try:
        report = _run(one, live=human and not (output == "-" and sys.stdout.isatty()))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print(f"Stopped at once. {RESUMES}", file=sys.stderr)
        raise typer.Exit(Exit.LEFT) from None
    _tell(report, tables=human if summary is None else summary)
    if not report.finished:
        if not quiet:
            print(f"Stopped ({report.reason}) with work left. {RESUMES}", file=sys.stderr)
        raise typer.Exit(Exit.LEFT)
    if report.totals.dead and not report.totals.pages:
        reasons = ", ".join(f"{reason} ({number})" for reason, number in report.counts.reasons.items())
        print(f"Error: not one page could be had: {reasons or report.totals.dead}", file=sys.stderr)
        raise typer.Exit(Exit.EMPTY)


def _run(one: Crawl, live: bool) -> CrawlReport:
    settings = one.settings
    if not live:
        configure(settings.log_level, settings.log_format)
        return run_crawl(one)
    from scraper.cli.progress import Progress

    with Progress(one) as progress:
        configure(settings.log_level, settings.log_format)  # once more: log lines go above the display
        return run_crawl(one, lambda _: progress.follow())


def _tell(report: CrawlReport, tables: bool) -> None:
    if tables:
        from scraper.cli.tables import print_report

        print_report(report)
        return
    counts = report.counts
    log.info(
        "crawl_finished" if report.finished else "crawl_stopped",
        spider=report.spider,
        run=report.run,
        resumed=report.resumed,
        reason=report.reason,
        pages=counts.pages,
        items=counts.items,
        rejects=counts.rejects,
        retries=counts.retries,
        failures=counts.dead,
        failed_by=counts.reasons,
        redirects=counts.redirects,
        drops=counts.drops,
        bytes=counts.bytes,
        seconds=round(counts.seconds, 3),
        pages_per_second=round(counts.pages_per_second, 1),
        hosts=len(report.hosts),
        requests=sum(host.requests for host in report.hosts),
        connections=sum(host.opened for host in report.hosts),
        exported=report.exported,
        database=str(report.database),
    )


def _pairs(values: list[str] | None, option: str) -> dict[str, Any]:
    """``["a=1"]`` -> ``{"a": "1"}``; the last of a name wins."""
    found: dict[str, Any] = {}
    for each in values or ():
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{option} {each}: write it as {option} NAME=VALUE")
        found[name.strip()] = value
    return found


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
