"""``scraper record``: pages fetched as a crawl fetches them, and kept as files with what the spider gives of them."""

from __future__ import annotations

import asyncio
import copy
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from scraper.cli import options
from scraper.cli.check import Ignored, show, silently
from scraper.cli.exits import Exit
from scraper.cli.single import IgnoreRobots
from scraper.errors import FetchError, UsageError
from scraper.offline import fixture as files
from scraper.offline import recording
from scraper.offline.checking import Checked, check_folder, compared, replay_of, spider_of
from scraper.offline.fixture import Fixture
from scraper.offline.sources import asked_for, failed, first
from scraper.oneoff import OneOff
from scraper.request import Request
from scraper.settings import Settings, load
from scraper.spider import Spider


def record(
    target: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPIDER [URL]...",
            help="The spider and the pages, by default those it starts with; with --update fixtures, as in check.",
            autocompletion=options.spiders_here,
        ),
    ] = None,
    callback: options.Callback = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
    cb_kwargs: options.CbKwargs = None,
    meta: options.Meta = None,
    curl: Annotated[
        str | None,
        typer.Option("--curl", metavar="COMMAND", help="The request as a curl command, for POST and the like."),
    ] = None,
    dead: Annotated[bool, typer.Option("--failed", help="Dead pages of the spider's last run.")] = False,
    depth: Annotated[
        int,
        typer.Option("--depth", metavar="N", min=0, help="Also what they lead to: the first page of each callback."),
    ] = 0,
    limit: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="At most so many pages.")] = 10,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the fixture.  [default: made of the URL]")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where fixtures are.  [default: fixtures]")
    ] = None,
    db: options.Db = None,
    ignore: Ignored = None,
    keep_header: Annotated[
        list[str] | None,
        typer.Option("--keep-header", metavar="NAME", help="A header of the answer that is left out else. Repeatable."),
    ] = None,
    ignore_robots: IgnoreRobots = False,
    update: Annotated[
        bool, typer.Option("--update", help="Fetch recorded pages again, show what differs, and ask.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --update: keep the page, take over what the spider gives of it now.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --update: do not ask.")] = False,
) -> None:
    """Keep pages as fixtures: the page, how it was asked for, and what the spider gives of it.

    A page is fetched as a crawl fetches it, robots.txt and delays included. Callback, meta and cb_kwargs are those that
    the spider's database has for the URL, if it was ever crawled. Cookies, credentials and the like are left out; look
    through the files before you commit them. scraper check compares.

    \b
    Examples:
      scraper record books -a start=http://127.0.0.1:8000/ --depth 1
      scraper record books http://127.0.0.1:8000/catalogue/page-3.html
      scraper record books http://127.0.0.1:8000/catalogue/page-2.html -c parse --name listing
      scraper record shop.py --curl "curl http://127.0.0.1:8000/api?page=2" -c parse_api
      scraper record books --failed                 pages whose callback failed in the last run
      scraper record --update                       fetch all of them again: what has the site changed?
      scraper record --update --offline books       take over what the changed spider gives

    \b
    Exit codes:
      0   recorded                           2   a mistake in the command
      1   a page could not be had            3   a callback raised or gave something else each time, or
                                               differences were not taken over
    """
    given: dict[str, Any] = options.pairs(setting, "-s")
    if ignore_robots:
        given["obey_robots"] = False
    root = folder or Path(load(given).fixtures)
    silently()
    if update:
        for flag, value in (("--curl", curl), ("--failed", dead), ("--name", name), ("-c", callback)):
            if value:
                raise UsageError(f"--update takes the requests from the fixtures; {flag} is for new ones")
        found = [files.read(each, root) for each in files.chosen(target or [], root)]
        _end(asyncio.run(_updated(found, offline, yes, ignore or [])))
        return
    if offline or yes:
        raise UsageError("--offline and --yes go with --update")
    if not target:
        raise UsageError("name the spider: scraper record SPIDER URL")
    spider_name, *urls = target
    asked = recording.Asked(spider_name, options.pairs(argument, "-a"), given, ignore or [], keep_header or [])
    spider, settings = asked.spider()
    more = _more(callback, meta, cb_kwargs)
    where = db or Path(settings.data) / f"{spider.name}.db"
    requests = [asked_for(spider, url, where, more) for url in urls]
    if curl is not None:
        requests.append(_checked(spider, Request.from_curl(_command(curl)), more))
    if dead:
        requests += failed(where, limit)
    if dead and not requests:
        raise UsageError(f"no page of {where} failed in the last run")
    requests = requests or [_checked(spider, each, more) for each in first(spider, limit)]
    if name is not None and (len(requests) > 1 or depth):
        raise UsageError("--name names one page; record the others by themselves")
    _end(asyncio.run(_recorded(asked, spider, settings, requests, root, name, depth, limit)))


def _more(callback: str | None, meta: str | None, cb_kwargs: str | None) -> dict[str, Any]:
    """What the command says of its requests."""
    found: dict[str, Any] = {} if callback is None else {"callback": callback}
    for name, text in (("meta", meta), ("cb_kwargs", cb_kwargs)):
        if text is not None:
            try:
                found[name] = json.loads(text)
            except ValueError as error:
                raise UsageError(f"--{name.replace('_', '-')} {text}: not JSON ({error})") from None
            if not isinstance(found[name], dict):
                raise UsageError(f'--{name.replace("_", "-")} {text}: give an object, such as {{"page": 2}}')
    return found


def _command(text: str) -> str:
    words = shlex.split(text) if text.count("\n") == 0 else ["curl"]
    return text if words[:1] == ["curl"] else f"curl {text}"


def _checked(spider: Spider, request: Request, more: dict[str, Any]) -> Request:
    for name, value in more.items():
        setattr(request, name, value)
    if not callable(getattr(spider, str(request.callback or "parse"), None)):
        raise UsageError(f"spider {spider.name!r} has no method {request.callback!r}")
    return request


async def _recorded(
    asked: recording.Asked,
    spider: Spider,
    settings: Settings,
    requests: list[Request],
    root: Path,
    name: str | None,
    depth: int,
    limit: int,
) -> Exit:
    """Fetch, replay and write, page after page; those they lead to after them."""
    end = Exit.FINISHED
    purposes = {recording.purpose(each) for each in requests}
    async with OneOff(spider, settings) as asker:
        waiting = [(each, 0) for each in requests]
        number = 0
        while waiting and number < limit:
            request, level = waiting.pop(0)
            number += 1
            try:
                place = recording.place_for(root, spider.name, request, name)
            except UsageError as error:
                if not level:
                    raise
                print(f"passed over: {error}", file=sys.stderr)
                continue
            try:
                response = await recording.fetched(asker, request, settings)
            except FetchError as error:
                print(f"not recorded: {recording.explained(error)}", file=sys.stderr)
                end = Exit.FAILED
                continue
            fixture = recording.made(asked, response, place, files.name_of(place, root))
            files.keep_bytes(root)
            files.write(fixture)
            if not _tell(fixture, root) and end is Exit.FINISHED:
                end = Exit.RULES
            if level < depth:
                links = list(recording.firsts(replay_of(fixture).found.links))
                new = [each for each in links if recording.purpose(each) not in purposes]
                purposes.update(map(recording.purpose, new))
                # What leads only to its own kind (an index of site maps to a site map) is gone through all the same.
                waiting += [(each, level + 1) for each in new or links[:1]]
    return end


def _tell(fixture: Fixture, root: Path) -> bool:
    """What was recorded. False when there is something wrong with it."""
    given = fixture.expected
    kinds = [each.kind for each in given.items]
    what = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    counts = (("request", len(given.requests)), ("reject", len(given.rejects)))
    what += [f"{number} {name}{'s' if number > 1 else ''}" for name, number in counts if number]
    print(f"recorded {root / fixture.name}: {recording.purpose(fixture.request)} gave {', '.join(what) or 'nothing'}")
    for line in _remarks(fixture):
        print(f"  {line}", file=sys.stderr)
    if given.error is not None:
        print(f"  the callback raised {given.error}", file=sys.stderr)
        print("  mend the spider, then: scraper record --update --offline", fixture.name, file=sys.stderr)
        return False
    checked = check_folder(fixture.folder, root)  # what a check will say, of the files as they are
    if not checked.ok:
        print("  gives something else each time, so scraper check fails:", file=sys.stderr)
        for line in checked.lines():
            print(f"    {line}", file=sys.stderr)
    return checked.ok


def _remarks(fixture: Fixture) -> Iterator[str]:
    head, size = fixture.head, len(fixture.body)
    if head.ignore:
        yield f"not compared: {', '.join(head.ignore)}"
    if head.left_out:
        yield f"left out, for they may be secret: {', '.join(head.left_out)}"
    if head.page.endswith(".bin"):
        yield f"{head.page} is binary: nobody can review it"
    if size > recording.LARGE:
        yield f"{head.page} has {size:,} bytes, which every clone of the repository will carry"


async def _updated(found: list[Fixture], offline: bool, yes: bool, ignore: list[str]) -> Exit:
    """Show what differs, and take over what is agreed to."""
    end = Exit.FINISHED
    for fixture in found:
        fixture.head.ignore = sorted({*fixture.head.ignore, *ignore})
        try:
            fresh = recording.recomputed(copy.deepcopy(fixture)) if offline else await _again(fixture)
        except FetchError as error:
            print(f"not updated: {recording.explained(error)}", file=sys.stderr)
            end = Exit.FAILED
            continue
        checked = compared(fixture, replay_of(fresh))
        if fresh.expected == fixture.expected and fresh.body == fixture.body and fresh.queries == fixture.queries:
            print(f"same   {fixture.name}")
            continue
        if not checked.ok:
            show(checked)
        if not yes and not checked.ok and not _agreed(checked):
            print(f"kept   {fixture.name} as it was; --yes takes the new one over", file=sys.stderr)
            end = Exit.RULES if end is Exit.FINISHED else end
            continue
        files.write(fresh)
        print(f"new    {fixture.name}")
        if fresh.expected.error is not None:
            end = Exit.RULES if end is Exit.FINISHED else end
    return end


async def _again(fixture: Fixture) -> Fixture:
    """The fixture of the same page as it is now."""
    spider, settings = spider_of(fixture)
    head = fixture.head
    if head.left_out:
        print(
            f"{fixture.name} is asked for without {', '.join(head.left_out)}, which no fixture keeps", file=sys.stderr
        )
    async with OneOff(spider, settings) as asker:
        response = await recording.fetched(asker, fixture.request, settings)
    asked = recording.Asked(head.spider, head.arguments, head.settings, head.ignore, head.keep_headers)
    fresh = recording.made(asked, response, fixture.folder, fixture.name)
    fresh.head.left_out = head.left_out
    return fresh


def _agreed(checked: Checked) -> bool:
    """What somebody at a terminal answers; False where there is none."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"Take it over as what is expected of {checked.name}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _end(code: Exit) -> None:
    if code is not Exit.FINISHED:
        raise typer.Exit(code)
