"""What a pool counted, compared with what the server itself counted."""

import asyncio

from sockets import Server

from scraper.fetchers.http import HttpFetcher
from scraper.page import HostLedger
from scraper.request import Request
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.url import host_of


def one(pool: SessionPool) -> HostLedger:
    (found,) = pool.ledger()
    return found


def agree(pool: SessionPool, server: Server) -> HostLedger:
    """The identity that scraper/ledger.py promises."""
    ours = one(pool)
    assert ours.host == host_of(server.url())
    assert ours.opened == server.accepted
    assert ours.requests - ours.unanswered == server.answered
    assert server.answered <= server.requests <= ours.requests
    assert ours.requests - ours.reused == sum(1 for each in server.sockets if each)
    return ours


async def fetch(pool: SessionPool, server: Server, times: int, at_once: int = 1, **options: object) -> list[bool]:
    """GET so many pages; says of each whether its connection was used before."""
    fetcher = HttpFetcher(pool, Settings(**options))  # type: ignore[arg-type]
    work = iter(range(times))
    reused: list[bool] = []

    async def worker() -> None:
        for number in work:
            response = await fetcher.fetch(Request(server.url(f"/{number}")))
            assert response.body == b"<p>hello</p>"
            reused.append(response.seen.reused)

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return reused
