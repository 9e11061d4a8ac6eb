"""``scraper fetch``: one page, and all that passed over the wire for it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scraper.cli import options
from scraper.cli.exits import Exit
from scraper.cli.opened import piped
from scraper.cli.single import Headers, IgnoreRobots, OfSpider, asker, request_of, waits
from scraper.errors import FetchError, OutputError, UsageError
from scraper.oneoff import Exchange, OneOff
from scraper.request import Request
from scraper.response import Response
from scraper.robots_text import our_token
from scraper.settings import Settings
from scraper.url import origin_of, shown

if TYPE_CHECKING:
    from rich.console import Console


@piped
def fetch(
    url: Annotated[str, typer.Argument(metavar="URL", help="A page.")],
    method: Annotated[
        str | None, typer.Option("-X", "--method", metavar="METHOD", help="GET, or POST when there is data.")
    ] = None,
    header: Headers = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", metavar="TEXT", help="The body; @FILE reads a file, @- stdin.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Follow redirects, hop by hop.")] = True,
    repeat: Annotated[
        int, typer.Option("-n", "--repeat", metavar="N", min=1, help="So many times, in one session.")
    ] = 1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the body there.  [default: stdout]")
    ] = None,
    only_headers: Annotated[bool, typer.Option("--headers", help="Leave the body out.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the body.")] = False,
    ignore_robots: IgnoreRobots = False,
    spider: OfSpider = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object of all that happened in place of the body.")
    ] = False,
) -> None:
    """Fetch a page as a crawl would, and show what passed over the wire.

    The session, cookies, credentials, guard and robots.txt are those of a crawl. What is sent is marked >, what
    comes <, and what there is to say of it *, on stderr; the body goes to stdout. Nothing is stored.

    \b
    Examples:
      scraper fetch http://127.0.0.1:8000/ > page.html
      scraper fetch http://127.0.0.1:8000/ -n 2 --headers          the second one on the same connection
      scraper fetch http://127.0.0.1:8000/private/ --headers       which line of robots.txt forbids it
      scraper fetch http://127.0.0.1:8000/ -H "Accept-Language: de" -s user_agent=shop-watch/1.0
      scraper fetch http://127.0.0.1:8000/ --spider books --json | jq .exchanges[-1].first_byte

    \b
    Exit codes:
      0   an answer below 400                 2   a mistake in the command
      1   an error status, or no answer
    """
    if only_headers and output is not None:
        raise UsageError("--headers leaves the body out, and -o writes it; give one of them")
    asking, settings = asker(spider, argument, setting, url, ignore_robots)
    request = request_of(url, method, header, _data(data))
    show = _Shown(settings, quiet or as_json)
    answers = asyncio.run(_fetch(OneOff(asking, settings, waits), request, follow, repeat, show))
    answer = answers[-1] if answers else None
    if answer is not None and output is not None:
        _write(output, answer.body)
    if as_json:
        print(show.as_json(request, answer))
    elif answer is not None and output is None and not only_headers:
        _print_body(answer)
    if show.error is not None:
        raise show.error
    if answer is None or answer.status >= 400:
        raise typer.Exit(Exit.FAILED)


def _data(text: str | None) -> bytes | None:
    if text is None or not text.startswith("@"):
        return text.encode() if text is not None else None
    if text == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise UsageError(f"-d {text}: cannot read {text[1:]}: {error.strerror}") from error


async def _fetch(oneoff: OneOff, request: Request, follow: bool, repeat: int, show: _Shown) -> list[Response]:
    answers: list[Response] = []
    async with oneoff:
        for _ in range(repeat):
            try:
                answers = await oneoff.get(request, follow)
            except FetchError as error:
                show.error = error
            await show.new(oneoff, request, answers)
            if show.error is not None:
                break
    return answers


class _Shown:
    """What was said so far of what happened. ``silent``: keep it for the end."""

    def __init__(self, settings: Settings, silent: bool) -> None:
        self._settings = settings
        self._silent = silent
        self._exchanges: list[Exchange] = []
        self.robots: dict[str, str] = {}
        self.error: FetchError | None = None

    async def new(self, oneoff: OneOff, request: Request, answers: list[Response]) -> None:
        """Show the exchanges since the last call."""
        fresh = [each for each in oneoff.exchanges if not any(each is known for known in self._exchanges)]
        for url in (each.url for each in (*(each.request for each in answers), request)):
            if origin_of(url) not in self.robots:
                self.robots[origin_of(url)] = await self._verdict(oneoff, url)
        self._exchanges += fresh
        if self._silent:
            return
        from scraper.cli.tables import console

        out = console(stderr=True)
        told: set[str] = set()
        for each in fresh:
            origin = origin_of(each.url)
            if each.url == f"{origin}/robots.txt" and each.url != shown(request.url):
                _line(out, "*", f"robots.txt: {self.robots.get(origin, '')}; asked {_connection(each)}", "cyan")
                told.add(origin)
                continue
            if len(self._exchanges) == len(fresh) and origin not in told:
                _line(out, "*", f"robots.txt: {self.robots.get(origin, '')}", "cyan")
                told.add(origin)
            _print_exchange(out, each)

    async def _verdict(self, oneoff: OneOff, url: str) -> str:
        """What robots.txt says of a URL, and which line of it."""
        if not self._settings.obey_robots:
            return "not asked"
        origin, us = origin_of(url), our_token(self._settings)
        asked = next((each for each in reversed(oneoff.exchanges) if each.url == f"{origin}/robots.txt"), None)
        if self.error is not None:
            if asked is None:
                return "could not be had"
            return f"{asked.status}, forbids it" if self.error.reason == "robots" else f"{asked.status}"
        if asked is None:
            return "not asked"
        if not 200 <= asked.status < 300:
            return f"{asked.status}, so everything is allowed"
        line = await oneoff.overruled(url)
        words = f"{asked.status}, allows it to {us!r}"
        words += f' (line {line.number}, "{line.text}", is overruled by a longer Allow)' if line is not None else ""
        gap = oneoff.gap(origin.partition("://")[2])
        return f"{words}; {gap:g} s between requests" if gap > self._settings.delay else words

    def as_json(self, request: Request, answer: Response | None) -> str:
        import msgspec

        found = {
            "url": shown(answer.url if answer is not None else request.url),
            "status": answer.status if answer is not None else None,
            "error": str(self.error) if self.error is not None else None,
            "reason": self.error.reason if self.error is not None else None,
            "robots": self.robots,
            "exchanges": self._exchanges,
        }
        return msgspec.json.encode(found).decode()


def _print_exchange(out: Console, each: Exchange) -> None:
    from scraper.cli.tables import duration, size

    _line(out, "*", _connection(each), "cyan")
    path = each.url.partition("://")[2].partition("/")[2]
    _line(out, ">", f"{each.method} /{path} HTTP/{each.version}", "bold")
    for name, value in each.sent:
        _line(out, ">", f"{name}: {value}")
    _line(
        out, "<", f"HTTP/{each.version} {each.status} {each.words}", "bold green" if each.status < 400 else "bold red"
    )
    for name, value in each.headers:
        _line(out, "<", f"{name}: {value}")
    took = f"first byte after {duration(each.first_byte)}"
    if each.total is not None and each.size is not None:
        took += f", all {size(each.size)} of the body after {duration(each.total)}"
    _line(out, "*", took, "cyan")


def _connection(each: Exchange) -> str:
    from scraper.cli.tables import duration

    if each.reused:
        return "on a kept connection: DNS, connect and TLS cost nothing"
    paid = [("DNS", each.dns), ("connect", each.connect), ("TLS", each.tls)]
    where = f" to {each.address}" if each.address is not None else ""
    secure = f" ({each.tls_version})" if each.tls_version is not None else ""
    return f"on a new connection{where}{secure}: " + ", ".join(
        f"{name} {duration(seconds)}" for name, seconds in paid if seconds
    )


def _line(out: Console, mark: str, text: str, style: str = "") -> None:
    from rich.text import Text

    plain = "".join(char if char.isprintable() else "\ufffd" for char in text)  # a server must not write on a terminal
    marks = {">": "blue", "<": "green", "*": "cyan"}
    out.print(Text.assemble((mark, marks[mark]), " ", (plain, style)), soft_wrap=True)


def _print_body(answer: Response) -> None:
    if sys.stdout.isatty() and answer.kind == "binary":
        print(f"{len(answer.body):,} bytes of {answer.content_type or 'binary data'}: give -o FILE", file=sys.stderr)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
