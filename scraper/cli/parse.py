"""``scraper parse``: what a callback makes of one page."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from scraper.cli import options
from scraper.cli.exits import Exit
from scraper.cli.opened import piped
from scraper.cli.single import BaseUrl, Headers, IgnoreRobots, file_of, page_in, quietly, request_of
from scraper.discover import build, find, in_folder
from scraper.errors import SpiderError, UsageError
from scraper.request import Request, with_headers
from scraper.scope import Scope
from scraper.settings import load
from scraper.spider import Spider, callback_name
from scraper.tryout import Tried, try_out
from scraper.url import canonical, host_of, in_domains


@piped
def parse(
    url: Annotated[str, typer.Argument(metavar="URL|FILE", help="A page, or a file that one was saved to.")],
    callback: options.Callback = None,
    spider: Annotated[
        str | None,
        typer.Option(
            "--spider",
            metavar="SPIDER",
            help="Its spider.  [default: the one whose domains the URL is of]",
            autocompletion=options.spiders_here,
        ),
    ] = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
    cb_kwargs: options.CbKwargs = None,
    meta: options.Meta = None,
    header: Headers = None,
    depth: Annotated[
        int, typer.Option("--depth", metavar="N", min=1, help="Go on with the requests it gives, so many pages deep.")
    ] = 1,
    limit: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=1, help="At most so many pages, and rows of a table.")
    ] = 20,
    base: BaseUrl = None,
    ignore_robots: IgnoreRobots = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a page.")] = False,
) -> None:
    """Run a callback on one page and show what it gives: items, requests, and what was not taken.

    The page is fetched and read as in a crawl, by the same code; nothing is stored. Callback, meta and cb_kwargs are
    those that the spider's database has for the URL, else those of start() or of the spider's rules. Rejected items
    come with their reason, links that would not be followed with the rule, and an error with its line. A page in a
    FILE needs no network.

    \b
    Examples:
      scraper parse http://127.0.0.1:8000/ --spider books
      scraper parse http://127.0.0.1:8000/ --spider books --depth 2 -n 5
      scraper parse page.html --spider spiders/books.py -c parse_book --url https://books.toscrape.com/
      scraper parse http://127.0.0.1:8000/ --spider books --json | jq .requests[].url

    \b
    Exit codes:
      0   the callback has run               2   a mistake in the command
      1   no page could be had, or the callback raised
    """
    given: dict[str, Any] = options.pairs(setting, "-s")
    if ignore_robots:
        given["obey_robots"] = False
    path = file_of(url)
    if path is None and base is not None:
        raise UsageError("--url says where a FILE comes from; this is a URL already")
    page = page_in(path, base) if path is not None else None
    where = page.url if page is not None else Request(url).url
    settings = load(given)
    quietly(settings)
    kind = find(spider, Path(settings.spiders)) if spider is not None else _for_url(where, Path(settings.spiders))
    settings = load(given, spider=kind.settings)
    chosen = build(kind, options.pairs(argument, "-a"))
    request = page.request if page is not None else request_of(where, None, header, None)
    changes = {"cb_kwargs": _table(cb_kwargs, "--cb-kwargs"), "meta": _table(meta, "--meta")}
    request = request.replace(**{name: each for name, each in changes.items() if each is not None})
    if callback is not None:
        request.callback = callback_name(chosen, _callback(chosen, callback))
    elif request.callback is None:
        _as_crawled(chosen, request, Path(settings.data) / f"{chosen.name}.db")
    Scope(chosen).prepare(request)
    pages = asyncio.run(
        try_out(chosen, settings, [request], pages=[page] if page is not None else [], depth=depth, most=limit)
    )
    for each in pages:
        if as_json:
            print(msgspec.json.encode(each).decode())
        else:
            _print(each, limit)
    if any(each.error is not None for each in pages):
        raise typer.Exit(Exit.FAILED)


def _for_url(url: str, folder: Path) -> type[Spider]:
    """The one spider whose ``allowed_domains`` or ``start_urls`` have the host of ``url``."""
    host = host_of(url)
    found = [spider for _, spider in in_folder(folder) if _is_of(spider, host)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpiderError(f"{', '.join(each.name for each in found)} are for {host}; name one with --spider")
    raise SpiderError(f"no spider in {folder} has {host} in its allowed_domains or start_urls; name one with --spider")


def _is_of(spider: type[Spider], host: str) -> bool:
    domains = spider.allowed_domains if isinstance(spider.allowed_domains, list | tuple | set) else ()
    starts = spider.start_urls if isinstance(spider.start_urls, list | tuple | set) else ()
    seeds = [host_of(found) for each in starts if isinstance(each, str) and (found := canonical(each)) is not None]
    named = tuple(each.lower() for each in domains if isinstance(each, str))
    return host in seeds or (bool(named) and in_domains(host, named))


def _as_crawled(spider: Spider, request: Request, db: Path) -> None:
    """Give the request what a crawl would: callback and all that goes with it; what it has already stays."""
    from scraper.offline.sources import led_to, stored

    found, why = stored(db, request.url), f"{db} has it"
    if found is None or not _is_page(spider, request, found):
        found, maker = led_to(spider, Request(request.url))
        why = f"by {maker}"
    name = str(found.callback or "parse")
    request.callback = found.callback
    request.cb_kwargs = request.cb_kwargs or found.cb_kwargs
    request.meta = request.meta or found.meta
    if found.headers:
        request.headers = with_headers(found, request.headers or {}).headers
    request.options = {**(found.options or {}), **(request.options or {})} or None
    if name != "parse":
        print(f"read by {name}(), {why}; -c names another", file=sys.stderr)


def _is_page(spider: Spider, request: Request, found: Request) -> bool:
    """Whether what a crawl has asked for can be asked for here: no form, no file, and for a method that is there."""
    name = str(found.callback or "parse")
    return (
        found.method == request.method
        and "download" not in (found.options or {})
        and callable(getattr(spider, name, None))
    )


def _callback(spider: Spider, name: str) -> str:
    if callable(getattr(spider, name, None)):
        return name
    there = [each for each, value in vars(type(spider)).items() if callable(value) and not each.startswith("_")]
    raise UsageError(f"spider {spider.name!r} has no method {name!r}; there: {', '.join(there) or 'none'}")


def _table(text: str | None, option: str) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise UsageError(f'{option} {text}: give an object, such as {{"page": 2}}')
    return found


def _print(page: Tried, most: int) -> None:
    from rich.text import Text

    from scraper.cli.tables import console, print_rows

    out = console()
    what = f"{page.status or 'no answer'}, {page.callback}"
    out.print(Text.assemble((page.url, "bold"), f"  {what}"), soft_wrap=True)
    if page.error is not None:
        for line in page.error.rstrip().splitlines():
            out.print(Text(f"  {line}", style="red"), soft_wrap=True)
    for kind, rows in page.items.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        title = f"{kind}: {min(most, len(rows)):,} of {len(rows):,}" if len(rows) > most else f"{kind}: {len(rows):,}"
        print_rows(names, [[row.get(name) for name in names] for row in rows[:most]], title, out)
    if page.requests:
        shown = page.requests[:most]
        of = f"{len(shown):,} of " if len(shown) < len(page.requests) else ""
        out.print(Text(f"requests: {of}{len(page.requests):,}", style="bold"))
        width = max(len(each["callback"]) for each in shown)
        for each in shown:  # no table: a URL that is cut cannot be tried
            more = f"  {json.dumps(each['more'], ensure_ascii=False)}" if each["more"] else ""
            out.print(Text(f"{each['callback']:{width}}  {each['method']} {each['url']}{more}"), soft_wrap=True)
    if page.rejects:
        rejects = [(each["kind"], each["reason"], each["data"]) for each in page.rejects]
        print_rows(("kind", "reason", "data"), rejects[:most], f"rejected items: {len(rejects):,}", out)
    if page.drops:
        drops = [
            (reason, f"{number:,}", " ".join(page.dropped.get(reason, [])[:3])) for reason, number in page.drops.items()
        ]
        print_rows(("reason", "number", "such as"), drops, "dropped", out, numbers=("number",))
    if not (page.items or page.requests or page.rejects or page.drops or page.error):
        out.print(Text("  nothing: no item and no request", style="yellow"))
    out.print()
