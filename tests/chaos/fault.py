"""Faults as data: what a server does to whom it is asked by, and how every page of it has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from scraper.errors import ScraperError

TRIES = 2
"""Attempts of a page in the crawl of all faults: one that is tried again has so many."""

ANY = -1
"""In the place of a status: whether the head had been read when the body went wrong depends on the segments."""

Listen = Literal["yes", "refuse", "full"]
Tls = Literal["", "good", "expired", "untrusted", "wrong host"]


@dataclass(frozen=True)
class End:
    """What the database has to say of a page, ``title`` what its callback read (None: nothing was given)."""

    state: str
    reason: str | None = None
    status: int | None = None
    attempts: int = 1
    title: str | None = None
    error: str | None = None

    def __str__(self) -> str:
        words = self.state + (f", `{self.reason}`" if self.reason else "")
        return words + (" after retries" if self.attempts > 1 else "")


def done(title: str | None = "whole", status: int = 200, reason: str | None = None) -> End:
    return End("done", reason, status, title=title)


def dead(kind: type[ScraperError], reason: str, status: int | None = None, *, again: bool = False) -> End:
    """``again``: it is tried again before it is given up."""
    return End("dead", reason, status, TRIES if again else 1, error=kind.__name__)


class Peer:
    """The client, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ports: Mapping[str, int]) -> None:
        self.reader = reader
        self.writer = writer
        self.ports = ports
        self.nth = 0
        """Requests read on this connection."""

    async def asked(self) -> str | None:
        """The path of the next request, or None when there is no more."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.nth += 1
        return head.split(b" ", 2)[1].decode("latin-1")

    async def send(self, data: bytes) -> None:
        """Raises ConnectionError once the client is gone."""
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.writer.write(data)
        await self.writer.drain()

    def named(self, answer: bytes) -> bytes:
        """``answer`` with the port of another fault in the place of its name: ``{name}``."""
        for name, port in self.ports.items() if b"{" in answer[:2000] else ():
            answer = answer.replace(b"{%b}" % name.encode(), str(port).encode())
        return answer

    async def gone(self) -> None:
        """Wait until the client hangs up."""
        while await self.reader.read(65536):
            pass


Play = Callable[[Peer, str], Awaitable[object]]
"""Answers one request for a path; the connection stays open after it, unless it returns a true value or raises."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """``ends`` are the ends of its pages, by path (or by URL, with ``{name}`` for the port of a fault)."""

    name: str
    does: str
    play: Play
    ends: Mapping[str, End]
    setting: str = ""
    start: str = "/"
    callback: str = "parse"
    robots: Play | None = None
    """What robots.txt answers; None: it is not asked for at all."""
    listen: Listen = "yes"
    tls: Tls = ""
    host: str = "127.0.0.1"
    scheme: str = ""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Links of its pages that are not followed, at least, by reason."""
    many: bool = False
    """It has more pages than those of ``ends``."""
    before: bool = False
    """It plays as soon as somebody connects, without a request."""

    shows: str = ""
    """How its pages end, where the end of the last one does not say it."""

    @property
    def shown(self) -> str:
        """How it ends, in words."""
        return self.shows or str(list(self.ends.values())[-1])


def fault(name: str, does: str, play: Play, end: End, setting: str = "", **more: object) -> Fault:
    """A fault of one page."""
    return Fault(name=name, does=does, play=play, ends={"/": end}, setting=setting, **more)  # type: ignore[arg-type]


PAGE = b"<!doctype html><title>page</title><h1>whole</h1>"
HTML = "Content-Type: text/html; charset=utf-8"


def page(body: bytes = PAGE, *headers: str, status: str = "200 OK", kind: str = HTML, length: bool = True) -> bytes:
    """A whole answer in proper HTTP, but for the headers that are given."""
    lines = [f"HTTP/1.1 {status}", *([kind] if kind else []), *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The head of an answer alone."""
    return "\r\n".join([f"HTTP/1.1 {status}", HTML, *headers]).encode("latin-1") + b"\r\n\r\n"


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def says(*answers: bytes, close: bool = True) -> Play:
    """Sends these bytes, then hangs up, or leaves the connection open."""

    async def play(peer: Peer, path: str) -> bool:
        for answer in answers:
            await peer.send(peer.named(answer))
        return close

    return play


def paths(answers: Mapping[str, bytes | Play], close: bool = False) -> Play:
    """An answer for each path; all others do not exist."""

    async def play(peer: Peer, path: str) -> object:
        answer = answers.get(path, page(b"no", status="404 Not Found"))
        return await (says(answer, close=close) if isinstance(answer, bytes) else answer)(peer, path)

    return play


def flood(data: bytes, before: bytes = b"", every: float = 0.0) -> Play:
    """The same bytes without end, so many seconds apart; ended by the client's hanging up."""

    async def play(peer: Peer, path: str) -> None:
        if before:
            await peer.send(before)
        while True:
            await peer.send(data)
            await asyncio.sleep(every)

    return play


def links(urls: Iterable[str], title: str = "whole") -> bytes:
    """A page with these links."""
    anchors = "".join(f'<a href="{url}">link</a>\n' for url in urls)
    return f"<!doctype html><h1>{title}</h1>{anchors}".encode()
