"""What the commands for one page have in common: their options, and the spider and the settings they ask with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from scraper.cli import options
from scraper.discover import build, find
from scraper.errors import UsageError
from scraper.log import configure
from scraper.request import Request
from scraper.response import Response
from scraper.saved import saved_page
from scraper.settings import Settings, load
from scraper.spider import Spider

Page = Annotated[str, typer.Argument(metavar="URL|FILE", help="A page, or a file that one was saved to.")]
OfSpider = Annotated[
    str | None,
    typer.Option(
        "--spider",
        metavar="SPIDER",
        help="Ask as this spider does: its settings, credentials, hosts.",
        autocompletion=options.spiders_here,
    ),
]
Headers = Annotated[
    list[str] | None, typer.Option("-H", "--header", metavar="NAME:VALUE", help="A header of the request. Repeatable.")
]
IgnoreRobots = Annotated[bool, typer.Option("--ignore-robots", help="Do not ask robots.txt.")]
BaseUrl = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Where a FILE comes from.  [default: as the page says]")
]


RECORDED = "fixture.json"
"""What the folder of a page has that scraper record has kept."""


class Nobody(Spider):
    """Stands in where no spider is named."""

    name = "shell"

    def parse(self, response: Response) -> None:
        """Reads nothing."""


def asker(
    spider: str | None,
    arguments: list[str] | None,
    setting: list[str] | None,
    url: str | None,
    ignore_robots: bool = False,
) -> tuple[Spider, Settings]:
    """The spider to ask with, and its settings; without one, a plain one whose only host is that of ``url``."""
    given: dict[str, Any] = options.pairs(setting, "-s")
    if ignore_robots:
        given["obey_robots"] = False
    if spider is not None:
        found = find(spider, Path(load(given).spiders))
        settings = load(given, spider=found.settings)
        quietly(settings)
        return build(found, options.pairs(arguments, "-a")), settings
    if arguments:
        raise UsageError("-a gives arguments to a spider; name it with --spider")
    settings = load(given)
    quietly(settings)
    nobody = Nobody()
    nobody.start_urls = [url] if url is not None else []
    return nobody, settings


def quietly(settings: Settings) -> None:
    """These commands say by themselves what happens: the log has errors only, unless more is asked for."""
    configure("error" if settings.log_level == "info" else settings.log_level, settings.log_format)


def file_of(target: str) -> Path | None:
    """The file that is meant; None for a URL. Raises UsageError for what is neither."""
    if "://" in target and not target.startswith("file://"):
        return None
    path = Path(target.removeprefix("file://"))
    if not path.is_file() and not (path / RECORDED).is_file():
        raise UsageError(f"{target} is no file here, and no URL; begin a URL with http:// or https://")
    return path


def from_file(target: str, url: str | None) -> Response | None:
    """The page in a file; None when ``target`` is a URL."""
    path = file_of(target)
    if path is None:
        if url is not None:
            raise UsageError("--url says where a FILE comes from; this is a URL already")
        return None
    return page_in(path, url)


def page_in(path: Path, url: str | None) -> Response:
    """The page in a file, or the one that a recorded fixture holds."""
    if not path.is_dir():
        return saved_page(path, url)
    if url is not None:
        raise UsageError(f"{path} is recorded and knows where it comes from; leave --url out")
    from scraper.offline.fixture import read

    return read(path, path.parent.parent).response


def header_pairs(values: list[str] | None) -> dict[str, str]:
    """``["Accept: a/b"]`` -> ``{"Accept": "a/b"}``, as curl and browsers write it."""
    found: dict[str, str] = {}
    for each in values or ():
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"-H {each}: write it as -H NAME:VALUE")
        found[name.strip()] = value.strip()
    return found


def request_of(url: str, method: str | None, headers: list[str] | None, data: bytes | None) -> Request:
    """The request that the options describe; with data and no method it is a POST of a form, as with curl."""
    given = header_pairs(headers)
    if data is not None and not any(name.lower() == "content-type" for name in given):
        given["Content-Type"] = "application/x-www-form-urlencoded"
    return Request(url, method=method or ("GET" if data is None else "POST"), headers=given, body=data)


def waits(host: str, seconds: float) -> None:
    """Say why nothing happens for a while."""
    print(f"waiting {seconds:.0f} s for {host}: its Crawl-delay, or the setting delay", file=sys.stderr)
