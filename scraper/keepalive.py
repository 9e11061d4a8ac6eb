"""Does keep-alive work with this server, and what is it worth? Asked with requests, not with a packet sniffer."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scraper.errors import UsageError
from scraper.fetchers.http import HttpFetcher
from scraper.request import Request
from scraper.session import Answer, SessionPool
from scraper.settings import Settings


@dataclass(slots=True, frozen=True)
class Series:
    """Some requests, one after the other.

    ``reused``: answered on a connection that had answered before. ``first`` and ``later`` (the median of all
    others) are seconds.
    """

    connections: int
    reused: int
    closed_by_peer: int
    first: float
    later: float


@dataclass(slots=True, frozen=True)
class KeepaliveReport:
    """``requests`` were sent with keep-alive (``pooled``) and as many with ``Connection: close`` (``single``).

    ``version``, ``connection`` and ``keep_alive`` are what the server said to the first pooled request: HTTP
    version and the two headers of these names (None: not sent).
    """

    url: str
    requests: int
    status: int
    version: str
    connection: str | None
    keep_alive: str | None
    pooled: Series
    single: Series

    @property
    def works(self) -> bool:
        """Whether any connection carried a second request."""
        return self.pooled.reused > 0

    @property
    def offered(self) -> bool:
        """Whether the server says that it keeps connections (RFC 9112 section 9.3)."""
        said = (self.connection or "").lower()
        return "close" not in said and (self.version != "1.0" or "keep-alive" in said)

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.works and self.pooled.connections == 1:
            return f"Keep-alive works: one connection for all {self.requests} requests{self._gain()}."
        if self.works:
            return (
                f"Keep-alive works in part: {self.requests} requests needed {self.pooled.connections} connections"
                f", so the server ends each after some requests{self._gain()}."
            )
        if not self.offered:
            return "No keep-alive: the server ends the connection after each answer, and says so."
        return "No keep-alive: the server offers it, but ends the connection after each answer."

    def _gain(self) -> str:
        pooled, single = self.pooled.later, self.single.later
        return f"; a request takes {pooled * 1e3:.1f} ms instead of {single * 1e3:.1f}"


class _Listening(SessionPool):
    """A pool that keeps the HTTP version of the last answer."""

    version = ""

    async def send(self, request: Request) -> Answer:
        answer = await super().send(request)
        if answer.version is not None:
            self.version = f"{answer.version.major}.{answer.version.minor}"
        return answer


async def measure(url: str, requests: int = 5, settings: Settings | None = None) -> KeepaliveReport:
    """Send ``requests`` GETs with keep-alive and as many without, one after the other; follows no redirect.

    Raises:
        UsageError: not an http(s) URL, or fewer than two requests.
        FetchError: the server cannot be asked.
    """
    if requests < 2:
        raise UsageError(f"{requests} request cannot show whether a connection is used again; send 2 or more")
    settings = settings or Settings()
    if settings.keepalive_timeout <= 0:
        raise UsageError("keepalive_timeout is 0, so no connection is kept; set it above 0 to measure")
    request = Request(url)
    async with _Listening(settings) as pool:
        fetcher = HttpFetcher(pool, settings)
        answers = [await fetcher.fetch(request) for _ in range(requests)]
        pooled = _series(pool, [each.seen.elapsed for each in answers])
        version = pool.version
    async with SessionPool(msgspec.structs.replace(settings, keepalive_timeout=0.0)) as pool:
        fetcher = HttpFetcher(pool, settings)
        single = _series(pool, [(await fetcher.fetch(request)).seen.elapsed for _ in range(requests)])
    first = answers[0]
    return KeepaliveReport(
        url=request.url,
        requests=requests,
        status=first.status,
        version=version,
        connection=first.headers.get("Connection"),
        keep_alive=first.headers.get("Keep-Alive"),
        pooled=pooled,
        single=single,
    )


def _series(pool: SessionPool, elapsed: list[float]) -> Series:
    (host,) = pool.ledger()
    # A request that a connection dropped was not served by it.
    return Series(host.opened, host.reused - host.dropped, host.closed_by_peer, elapsed[0], median(elapsed[1:]))


def render(report: KeepaliveReport) -> RenderableType:
    """The report for people."""
    table = Table(title=Text(report.url), title_justify="left")
    table.add_column(f"{report.requests} requests")
    for name in ("connections", "reused", "closed by server", "first ms", "later ms (median)"):
        table.add_column(name, justify="right")
    for name, series in (("with keep-alive", report.pooled), ("without", report.single)):
        table.add_row(
            name,
            str(series.connections),
            str(series.reused),
            str(series.closed_by_peer),
            f"{series.first * 1e3:.1f}",
            f"{series.later * 1e3:.1f}",
        )
    said = f"HTTP/{report.version}, status {report.status}"
    said += f", Connection: {report.connection or '(not sent)'}, Keep-Alive: {report.keep_alive or '(not sent)'}"
    style = "bold green" if report.works else "bold yellow"
    return Group(table, Text(f"The server says: {said}"), Text(report.verdict, style=style))
