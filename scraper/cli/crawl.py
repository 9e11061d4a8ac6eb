"""``scraper crawl`` and ``scraper retry``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from scraper.cli import options
from scraper.cli.exits import Exit
from scraper.crawl import NOTHING, Crawl
from scraper.discover import find
from scraper.errors import UsageError
from scraper.front_door import run_crawl
from scraper.log import Logger, configure
from scraper.process import LAST, end_within
from scraper.report import CrawlReport
from scraper.settings import Settings, load

log = Logger("scraper.cli")

RESUMES = "Nothing is lost: the same command goes on where this one stopped."


def crawl(
    spider: options.SpiderName,
    argument: options.Arguments = None,
    setting: options.Given = None,
    db: options.Db = None,
    limit_pages: options.LimitPages = None,
    limit_items: options.LimitItems = None,
    output: options.Output = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Abandon an unfinished run and begin a new one.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Only resume; exit with 2 if there is none.")] = False,
    if_running: options.IfRunning = None,
    deadline: options.Deadline = None,
    expect: options.Expect = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    log_format: options.LogFormat = None,
    log_file: options.LogFile = None,
    summary: options.Summary = None,
) -> None:
    """Run a spider until nothing is left to fetch.

    Pages, items and the connection ledger go to one SQLite file. A run that was stopped or killed is resumed
    by the same command; when the last one is finished, a new run begins in which every page is due again.
    Ctrl-C once finishes the pages that have begun, twice stops at once.

    \b
    Examples:
      scraper crawl books                               a spider in ./spiders, by its name
      scraper crawl books -a start=http://127.0.0.1:8000/ --limit-pages 50
      scraper crawl shop.py -s concurrency_per_host=2 -s delay=1
      scraper crawl shop.py:Books --db shop.db -o books.csv
      scraper crawl books -o books.csv -o "books-{run}.jsonl.gz"
      scraper crawl books -q -o - | head                only items on stdout
      scraper crawl books --deadline 50m --if-running wait
      scraper crawl books --expect "items >= 900" --expect "book.price >= 95%"

    \b
    Exit codes:
      0   finished, or a limit was met        3   finished, but a rule was not met
      1   an unexpected failure               4   stopped with work left; the same command resumes
      2   a mistake in the command,           75  another run has the database
          a setting or the spider
    """
    if fresh and resume:
        raise UsageError("--fresh begins a new run and --resume goes on with the last one; give one of them")
    given = _settings(setting, limit_pages, limit_items, if_running, deadline, quiet, verbose, log_format, log_file)
    one = Crawl(
        _found(spider, given),
        arguments=options.pairs(argument, "-a"),
        db=db,
        output=output,
        mode="fresh" if fresh else "resume" if resume else "auto",
        expect=expect or (),
        settings=given,
    )
    _crawl(one, quiet, summary)


def retry(
    spider: options.SpiderName,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            "--reason", metavar="REASON", help="Only pages that are dead for it; 'status 5*' fits several. Repeatable."
        ),
    ] = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
    db: options.Db = None,
    output: options.Output = None,
    if_running: options.IfRunning = None,
    deadline: options.Deadline = None,
    expect: options.Expect = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    log_format: options.LogFormat = None,
    log_file: options.LogFile = None,
    summary: options.Summary = None,
) -> None:
    """Try the dead pages of the last run once more.

    They are due again in that very run, and just they are crawled, with the new links that they reveal: the run
    ends as if they had not failed. scraper failed SPIDER lists them. Exit codes are those of scraper crawl; with
    nothing to retry it is 0.

    \b
    Examples:
      scraper retry books
      scraper retry books --reason "status 503" --reason "connect*"
    """
    given = _settings(setting, None, None, if_running, deadline, quiet, verbose, log_format, log_file)
    one = Crawl(
        _found(spider, given),
        arguments=options.pairs(argument, "-a"),
        db=db,
        output=output,
        revive=reason or (),
        expect=expect or (),
        settings=given,
    )
    _crawl(one, quiet, summary)


def _settings(
    setting: list[str] | None,
    limit_pages: int | None,
    limit_items: int | None,
    if_running: str | None,
    deadline: str | None,
    quiet: bool,
    verbose: bool,
    log_format: str | None,
    log_file: Path | None,
) -> dict[str, Any]:
    level = "debug" if verbose else "error" if quiet and log_file is None else None  # a file is never too loud
    named = {
        "limit_pages": limit_pages,
        "limit_items": limit_items,
        "if_running": if_running,
        "deadline": deadline,
        "log_format": log_format,
        "log_level": level,
        "log_file": log_file,
    }
    given: dict[str, Any] = options.pairs(setting, "-s")
    return given | {name: value for name, value in named.items() if value is not None}


def _found(spider: str, given: dict[str, Any]) -> Any:
    """The spider's class; what its file logs as it is loaded goes where all goes."""
    settings = load(given)
    _log(settings)
    return find(spider, Path(settings.spiders))


def _log(settings: Settings) -> None:
    configure(
        settings.log_level,
        settings.log_format,
        file=settings.log_file,
        size=settings.log_file_size,
        count=settings.log_file_count,
    )


def _crawl(one: Crawl, quiet: bool, summary: bool | None) -> None:
    """Run it, say what came of it, and exit with the code that says so."""
    settings = one.settings
    human = sys.stderr.isatty() and settings.log_format != "json" and not quiet
    if settings.log_file is not None:  # one that is killed leaves at least this
        log.info("crawl_started", spider=one.spider.name, database=str(one.database), pid=os.getpid())
    try:
        report = _run(one, live=human and not (one.prints and sys.stdout.isatty()))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print(f"Stopped at once. {RESUMES}", file=sys.stderr)
        end_within(LAST)
        raise typer.Exit(Exit.LEFT) from None
    if report.reason == NOTHING:
        if not quiet:
            kind = f" of that kind; scraper failed {report.spider} lists those it has" if one.revives else ""
            print(f"Nothing to retry: run {report.run} has no dead pages{kind}.", file=sys.stderr)
        return
    tables = human if summary is None else summary
    if tables or (quiet and not report.ok and summary is None):
        from scraper.cli.tables import print_report

        print_report(report)
    if not tables:
        _log_end(report)
    if not report.finished:
        print(f"Stopped ({report.reason}) with work left. {RESUMES}", file=sys.stderr)
        end_within(LAST)  # the interpreter waits for threads, and a callback may have left one behind
        raise typer.Exit(Exit.LEFT)
    if one.rules > len(report.verdicts) and not quiet:
        print("A limit ended the run: rules that are no shares are not judged.", file=sys.stderr)
    for verdict in report.failed_rules:
        print(f"Rule not met: {verdict.rule}; found {verdict.figure}", file=sys.stderr)
    if report.failed_rules:
        if report.counts.reasons:
            reasons = ", ".join(f"{reason} ({number})" for reason, number in report.counts.reasons.items())
            print(f"Pages failed by: {reasons}; scraper failed {report.spider} lists them", file=sys.stderr)
        if report.counts.rejected:
            reasons = "; ".join(f"{reason} ({number:,})" for reason, number in report.counts.rejected.items())
            print(f"Items rejected by: {reasons}. scraper items {report.spider} --rejects lists them", file=sys.stderr)
        raise typer.Exit(Exit.RULES)


def _run(one: Crawl, live: bool) -> CrawlReport:
    _log(one.settings)
    if not live:
        return run_crawl(one)
    from scraper.cli.progress import Progress

    with Progress(one) as progress:
        _log(one.settings)  # once more: log lines go above the display
        return run_crawl(one, lambda _: progress.follow())


def _log_end(report: CrawlReport) -> None:
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
        rejected_by=counts.rejected,
        retries=counts.retries,
        failures=counts.dead,
        failed_by=counts.reasons,
        rules_not_met=[f"{verdict.rule}; found {verdict.figure}" for verdict in report.failed_rules],
        redirects=counts.redirects,
        drops=counts.drops,
        files=counts.files,
        bytes=counts.bytes,
        seconds=round(counts.seconds, 3),
        pages_per_second=round(counts.pages_per_second, 1),
        hosts=len(report.hosts),
        requests=sum(host.requests for host in report.hosts),
        connections=sum(host.opened for host in report.hosts),
        exported=report.exported,
        database=str(report.database),
    )
