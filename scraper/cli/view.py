"""``scraper view``: a page in the browser, as the crawler saw it."""

from __future__ import annotations

import asyncio
import mimetypes
import re
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Annotated

import typer

from scraper.cli import options
from scraper.cli.single import BaseUrl, Headers, IgnoreRobots, OfSpider, Page, asker, from_file, request_of, waits
from scraper.oneoff import OneOff
from scraper.request import Request
from scraper.response import Response
from scraper.settings import Settings
from scraper.spider import Spider

_PLACES = [
    re.compile(each, re.IGNORECASE) for each in (rb"<head(?:\s[^>]*)?>", rb"<html(?:\s[^>]*)?>", rb"<!doctype[^>]*>")
]
"""After the first of these that a page has, more can stand in its head."""
_NO_SCRIPTS = b"""<meta http-equiv="Content-Security-Policy" content="script-src 'none'">"""


def view(
    url: Page,
    scripts: Annotated[
        bool, typer.Option("--scripts", help="Let its scripts run; what they make of it no crawler sees.")
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it, or only print the path of the file.")
    ] = True,
    base: BaseUrl = None,
    header: Headers = None,
    ignore_robots: IgnoreRobots = False,
    spider: OfSpider = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
) -> None:
    """Open a page in the browser as the crawler saw it.

    What a crawl would get is written to a temporary file, whose path goes to stdout. Links and images work as on
    the site; scripts do not run, for they would show what no callback gets.

    \b
    Examples:
      scraper view http://127.0.0.1:8000/
      scraper view http://127.0.0.1:8000/ --spider books --no-browser
      scraper view page.html --url https://books.toscrape.com/
    """
    response = from_file(url, base)
    if response is None:
        asking, settings = asker(spider, argument, setting, url, ignore_robots)
        response = asyncio.run(_get(asking, settings, request_of(url, None, header, None)))
    path = kept(response, scripts)
    print(path, flush=True)
    if not response.ok:
        print(f"{response.url} answered {response.status}; that page is shown", file=sys.stderr)
    if browser and not opened_in_browser(path):
        print("there is no browser to open it with", file=sys.stderr)


async def _get(spider: Spider, settings: Settings, request: Request) -> Response:
    async with OneOff(spider, settings, waits) as oneoff:
        return (await oneoff.get(request))[-1]


def kept(response: Response, scripts: bool = False) -> Path:
    """The page in a temporary file, its links leading to where they led on the site."""
    suffix = ".html" if response.kind == "html" else mimetypes.guess_extension(response.content_type) or ".txt"
    body = prepared(response, scripts) if response.kind == "html" else response.body
    with tempfile.NamedTemporaryFile(prefix="scraper-", suffix=suffix, delete=False) as file:
        file.write(body)
    return Path(file.name)


def prepared(response: Response, scripts: bool = False) -> bytes:
    """The HTML with a ``<base href>``, with its encoding said, and with a policy that lets no script run."""
    more = f'<meta charset="{response.encoding}">'.encode()  # the header that said so is not in the file
    if b"<base" not in response.body.lower():
        more += f'<base href="{escape(response.url)}">'.encode()
    if not scripts:
        more += _NO_SCRIPTS
    at = next((found.end() for each in _PLACES if (found := each.search(response.body)) is not None), 0)
    return response.body[:at] + more + response.body[at:]


def opened_in_browser(path: Path) -> bool:
    """Whether a browser could be started."""
    import webbrowser

    try:
        return webbrowser.open(path.as_uri())
    except webbrowser.Error:
        return False
