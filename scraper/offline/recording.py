"""Recording: a page fetched as a crawl would fetch it, what the spider gives of it, and both as a fixture."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from scraper.discover import build, find
from scraper.errors import FetchError, StatusError, UsageError
from scraper.offline import secrets
from scraper.offline.checking import replay_of
from scraper.offline.differences import differences
from scraper.offline.fixture import SUFFIXES, Fixture, FixtureError, Head, every, name_for, read
from scraper.offline.given import Given
from scraper.oneoff import OneOff
from scraper.request import Request, is_download
from scraper.response import Response
from scraper.settings import Settings, load
from scraper.spider import Spider

LARGE = 1024 * 1024
"""Bytes of a page from which a fixture is a burden for a repository: said, and done."""
TOO_LARGE = 10 * 1024 * 1024
"""Bytes from which it is refused, as a body of more than ``max_body_size``."""


class Asked(Struct):
    """Whose pages are recorded, and how. ``target`` is the spider as it was named."""

    target: str
    arguments: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    ignore: list[str] = []
    keep_headers: list[str] = []

    def spider(self) -> tuple[Spider, Settings]:
        """The spider that fetches, with all that it was given."""
        kind = find(self.target, Path(load(self.settings).spiders))
        return build(kind, self.arguments), load(self.settings, spider=kind.settings)

    @property
    def stored_target(self) -> str:
        """The name of a spider of the folder of spiders; else its file as seen from here."""
        file, separator, chosen = self.target.partition(".py")
        if not separator:
            return self.target
        folder = Path(load(self.settings).spiders)
        kind = find(self.target, folder)
        path = Path(f"{file}.py")
        if path.resolve().parent == folder.resolve() and not path.stem.startswith("_"):
            return kind.name
        return f"{Path(os.path.relpath(path)).as_posix()}{chosen}"


async def fetched(asker: OneOff, request: Request, settings: Settings) -> Response:
    """The page at the end of all redirects, in memory. Raises FetchError, and FixtureError for a download."""
    if is_download(request) or (request.options or {}).get("stream_to"):
        raise FixtureError(f"{request.url} goes to a file, which no fixture holds; record the page that asks for it")
    own = {name: value for name, value in (request.options or {}).items() if name != "part"}  # a feed, as a page
    request.options = own or None
    asked = copy.copy(request)
    most = own.get("max_body_size", settings.max_body_size)
    asked.options = {**own, "max_body_size": min(most, TOO_LARGE)}
    answers = await asker.get(asked)
    response = answers[-1]
    if len(answers) == 1:
        response.request = request  # without what the session and we have put into it
    else:
        response.request.options = request.options
    handled = settings.handle_statuses
    if response.status >= 400 and handled != "all" and response.status not in handled:
        raise StatusError(response.status, response.url, request=request)
    return response


def explained(error: FetchError) -> str:
    """Why a page cannot be recorded, and what would change that."""
    if error.reason == "robots":
        return f"{error}; -s obey_robots=false asks all the same, if the site is yours"
    if error.status is not None:
        return f"{error}: no callback sees that unless handle_statuses names it (-s handle_statuses={error.status})"
    return str(error)


def made(asked: Asked, response: Response, folder: Path, name: str) -> Fixture:
    """The fixture of an answer; nothing is written. What is secret is left out before the spider sees the page.

    The page is replayed twice: fields that differ are of the moment (a date, a random number) and are ignored from
    then on. Raises UsageError for a callback that is not there.
    """
    request = response.request
    arguments = secrets.kept_arguments(asked.arguments)
    head = Head(
        url=secrets.kept_url(response.url),
        spider=asked.stored_target,
        callback=str(request.callback or "parse"),
        arguments=arguments,
        settings=secrets.kept_settings(asked.settings),
        status=response.status,
        headers=secrets.kept_answer_headers(response.headers, asked.keep_headers),
        encoding=response.encoding if response.kind != "binary" else "",
        page=f"page{SUFFIXES[response.kind]}",
        recorded=datetime.now(UTC).date().isoformat(),
        method=request.method,
        request_headers=secrets.kept_headers(request.headers or {}),
        body=secrets.kept_body(request.body)[0],
        meta=secrets.kept_carried(request.meta),
        cb_kwargs=secrets.kept_carried(request.cb_kwargs or {}),
        errback=str(request.errback) if request.errback else None,
        priority=request.priority,
        depth=request.depth,
        trail=[secrets.kept_url(url) for url in request.trail],
        options=secrets.kept_options(request.options or {}),
        left_out=left_out(request, asked.arguments),
        keep_headers=sorted(asked.keep_headers),
        ignore=sorted(asked.ignore),
    )
    return recomputed(Fixture(folder, name, head, response.body, Given(), []))


def left_out(request: Request, arguments: Mapping[str, Any]) -> list[str]:
    """What a fixture of this request does not hold, so that the page may not be had again without it."""
    found = [f"header {name}" for name in sorted(request.headers or {}) if secrets.is_secret(name)]
    found += ["cookies"] if request.cookies else []
    found += [f"parameter {name} of the URL" for name in secrets.hidden_in(request.url)]
    found += [f"{name} of meta" for name in secrets.hidden_of(request.meta)]
    found += [f"{name} of cb_kwargs" for name in secrets.hidden_of(request.cb_kwargs or {})]
    found += [f"field {name} of the body" for name in secrets.kept_body(request.body)[1]]
    found += [name for name in sorted(request.options or {}) if name in secrets.OF_OWNER]
    return found + [f"argument {name}" for name in sorted(arguments) if secrets.is_secret(name)]


def recomputed(fixture: Fixture) -> Fixture:
    """The same page with what the spider gives of it now, and with the fields that are of the moment ignored."""
    now, again = replay_of(fixture), replay_of(fixture)
    head = fixture.head
    changing = {
        each.field.partition(".")[0].partition("[")[0]
        for each in differences(now.given, again.given, head.ignore)
        if each.field is not None and not each.what.startswith("request ")
    }
    fields = {name for item in now.given.items for name in item.data}
    head.ignore = sorted({*head.ignore, *(changing & fields)})
    if now.tries:
        raise FixtureError(
            f"{fixture.name}: its callback asks the network for {', '.join(now.tries)}, so it cannot be replayed; "
            "yield a Request instead"
        )
    return Fixture(fixture.folder, fixture.name, head, fixture.body, now.given, now.queries)


def place_for(root: Path, spider: str, request: Request, name: str | None, taken: Collection[str] = ()) -> Path:
    """The folder for a page: ``name``, or one made of its URL. Raises UsageError when the page is recorded already."""
    if name is not None:
        if not name or Path(name).name != name or name.startswith("."):
            raise UsageError(f"--name {name!r} is no name of a folder; use letters, digits and -")
        folder = root / spider / name
        if folder.exists():
            raise UsageError(f"{folder} is there already; record --update {spider}/{name} fetches it again")
        return folder
    for folder in every(root / spider) if (root / spider).is_dir() else ():
        known = read(folder, root)
        if known.request.fingerprint == request.fingerprint and known.head.callback == (request.callback or "parse"):
            raise UsageError(
                f"{request.url} is recorded already, as {known.name}; scraper record --update {known.name} fetches it "
                "again, and --name gives a second fixture its name"
            )
    first = base = name_for(secrets.kept_url(request.url))
    number = 1
    while (root / spider / base).exists() or base in taken:
        number += 1
        base = f"{first}-{number}"
    return root / spider / base


def purpose(request: Request) -> str:
    """What a page is for: its callback, or that of the rule by which it is read."""
    named = (request.cb_kwargs or {}).get("callback") if request.callback == "parse_with_rules" else None
    return str(named or request.callback or "parse")


def firsts(links: Sequence[Request]) -> Iterator[Request]:
    """The first request for each purpose; downloads have none."""
    met: set[str] = set()
    for each in links:
        if not is_download(each) and (name := purpose(each)) not in met:
            met.add(name)
            yield each
