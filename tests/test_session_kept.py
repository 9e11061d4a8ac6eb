"""The truth about keep-alive: what is sent again when a kept connection breaks, and for how long one is kept."""

import asyncio
import math

import pytest
from counting import agree, fetch
from fetching import fetching
from sockets import Asked, Reply, Server, always, page

from scraper import errors
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.wire import Wire

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

# -- what was dropped is sent again


def drops_second(asked: Asked) -> Reply:
    return page() if asked.nth == 1 else Reply(close=True)


@pytest.mark.parametrize(
    ("method", "setting", "option", "again"),
    [
        ("GET", False, None, True),
        ("GET", False, False, False),
        ("PUT", False, None, True),
        ("POST", False, None, False),
        ("POST", False, True, True),
        ("POST", True, None, True),
        ("POST", True, False, False),
        ("PATCH", True, None, True),
    ],
)
async def test_what_is_sent_again(method: str, setting: bool, option: bool | None, again: bool) -> None:
    async with Server(drops_second) as server, fetching(resend_unsafe=setting) as ours:
        await ours.get(server.url())
        asking = {"method": method, "body": b"one" if method != "GET" else None, "resend": option}
        if again:
            assert (await ours.get(server.url("/do"), **asking)).status == 200
        else:
            await ours.fails(server.url("/do"), errors.Disconnected, **asking)
        assert [asked.method for asked in server.asked] == ["GET"] + [method] * (1 + again)
        assert {asked.body for asked in server.asked[1:]} == {b"one" if method != "GET" else b""}
        record = agree(ours.pool, server)
        assert (record.dropped, record.resent, record.opened) == (1, int(again), 1 + again)


# -- for how long


@pytest.mark.parametrize(
    ("said", "keeps", "most"),
    [
        ("timeout=60", 54.0, 0),
        ("timeout=5, max=100", 4.0, 100),
        ("max=7,timeout=2", 1.0, 7),
        ("Timeout = 1", 0.5, 0),
        ('timeout="15"; max="3"', 13.5, 3),
        ("max=0", math.inf, 1),
        ("timeout=soon, timeoutmax=4", math.inf, 0),
        ("", math.inf, 0),
    ],
)
async def test_what_a_server_says_is_learnt(said: str, keeps: float, most: int) -> None:
    async with Server(always(page(Keep_Alive=said or "x"))) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 1)
        assert pool._connector is not None
        ((wire, _),) = next(iter(pool._connector._conns.values())) if most != 1 else ((None, 0),)
        if most != 1:
            assert isinstance(wire, Wire)
            assert (wire.keeps, wire._most) == (pytest.approx(keeps), most)


async def idle(pool: SessionPool, seconds: float) -> None:
    """As if the connections had been given back so long ago."""
    assert pool._connector is not None
    for conns in pool._connector._conns.values():
        for each in list(conns):
            conns.remove(each)
            conns.append((each[0], each[1] - seconds))


async def test_a_connection_is_not_used_past_its_servers_time_out() -> None:
    async with Server(always(page(Keep_Alive="timeout=10"))) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 2)
        await idle(pool, 8.5)
        await fetch(pool, server, 1)
        assert server.sockets == [3]
        await idle(pool, 9.5)
        await fetch(pool, server, 1)
        await server.until(lambda: len(server.open) == 1)
        ours = agree(pool, server)
        assert server.sockets == [3, 1]
        assert (ours.dropped, ours.closed_by_peer) == (0, 0)  # we ended it, in time


async def test_our_own_time_out_counts_too_when_it_is_the_shorter_one() -> None:
    settings = Settings(keepalive_timeout=3)
    async with Server(always(page(Keep_Alive="timeout=10"))) as server, SessionPool(settings) as pool:
        await fetch(pool, server, 1)
        await idle(pool, 4)
        await fetch(pool, server, 1)
        assert server.sockets == [1, 1]


async def test_each_connection_has_its_own_time_out() -> None:
    """Of four idle ones, two are stale: the others are used, and only those two are closed."""

    def behave(asked: Asked) -> Reply:
        return page(Keep_Alive=f"timeout={2 if asked.total <= 2 else 100}", held=asked.total <= 4)

    async with Server(behave) as server, SessionPool(Settings()) as pool:
        work = asyncio.ensure_future(fetch(pool, server, 4, at_once=4))
        await server.until(lambda: server.requests == 4)
        server.release()
        await work
        await idle(pool, 5)
        assert await fetch(pool, server, 1) == [True]
        await server.until(lambda: len(server.open) == 2)
        assert sorted(server.sockets) == [1, 1, 1, 2]


@pytest.mark.parametrize("said", ["max=3", "timeout=0"])
async def test_a_connection_carries_no_more_than_its_server_lets_it(said: str) -> None:
    carries = 3 if said == "max=3" else 1
    async with Server(always(page(Keep_Alive=said))) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 7)
        await server.until(lambda: len(server.open) <= 1)
        assert server.sockets == ([3, 3, 1] if carries == 3 else [1] * 7)
        assert agree(pool, server).closed_by_peer == 0


async def test_the_fetcher_tells_that_the_connection_is_gone() -> None:
    async with Server(always(page(Keep_Alive="max=2"))) as server, fetching() as ours:
        assert [(await ours.get(server.url())).seen.keepalive for _ in range(4)] == [True, False, True, False]
