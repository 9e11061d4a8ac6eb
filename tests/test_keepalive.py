"""``scraper keepalive``: what it measures and what it concludes."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from sockets import Asked, Reply, Server, always, page

from scraper.errors import ConnectError, RequestError, UsageError
from scraper.keepalive import KeepaliveReport, measure, render
from scraper.settings import Settings


def text_of(report: KeepaliveReport) -> str:
    out = StringIO()
    Console(file=out, width=160).print(render(report))
    return out.getvalue()


def obedient(asked: Asked) -> Reply:
    return page(close=True) if asked.headers.get("connection") == "close" else page(Keep_Alive="timeout=5, max=99")


async def test_a_server_that_keeps() -> None:
    async with Server(obedient) as server:
        report = await measure(server.url("/x"), 4)
        assert server.sockets == [4, 1, 1, 1, 1]
    assert report.works and report.offered
    assert (report.requests, report.status, report.version) == (4, 200, "1.1")
    assert (report.connection, report.keep_alive) == (None, "timeout=5, max=99")
    assert (report.pooled.connections, report.pooled.reused, report.pooled.closed_by_peer) == (1, 3, 0)
    assert (report.single.connections, report.single.reused) == (4, 0)
    assert report.pooled.first > 0 and report.single.later > 0
    assert "one connection for all 4 requests" in report.verdict
    said = text_of(report)
    assert report.url in said
    assert "Keep-Alive: timeout=5, max=99" in said
    assert "Keep-alive works" in said


@pytest.mark.parametrize(
    ("behave", "offered", "says"),
    [
        (always(page(close=True)), False, "and says so"),
        (always(Reply(b"HTTP/1.0 200 OK\r\n\r\nold", close=True)), False, "and says so"),
        (always(replace(page(Connection="keep-alive"), close=True)), True, "the server offers it"),
    ],
    ids=["close", "HTTP/1.0", "liar"],
)
async def test_a_server_that_does_not(behave: Callable[[Asked], Reply], offered: bool, says: str) -> None:
    async with Server(behave) as server:
        report = await measure(server.url(), 3)
        assert report.pooled.connections == 3
    assert report.offered is offered
    assert not report.works
    assert says in report.verdict
    assert report.verdict in text_of(report)


async def test_a_server_that_ends_each_connection_after_two_requests() -> None:
    async with Server(lambda asked: page(close=asked.nth == 2)) as server:
        report = await measure(server.url(), 6)
    assert report.works
    assert report.pooled.connections == 3
    assert "in part" in report.verdict


async def test_what_cannot_be_measured() -> None:
    async with Server() as server:
        with pytest.raises(UsageError, match="2 or more"):
            await measure(server.url(), 1)
        with pytest.raises(UsageError, match="keepalive_timeout"):
            await measure(server.url(), 2, Settings(keepalive_timeout=0))
        assert server.requests == 0
        gone = server.url()
    with pytest.raises(RequestError):
        await measure("ftp://a.example/")
    with pytest.raises(ConnectError, match=gone):
        await measure(gone)
