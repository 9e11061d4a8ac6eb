"""The pool and its ledger, compared with what the server itself counted."""

import asyncio
import dataclasses
import random
import ssl
from collections.abc import Callable

import msgspec
import pytest
from counting import agree, fetch, one
from sockets import Asked, Reply, Server, always, page

from scraper.errors import Disconnected, ReadError
from scraper.fetchers.http import HttpFetcher
from scraper.page import HostLedger
from scraper.request import Request
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.url import host_of
from scraper.wire import COUNTS

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def test_keep_alive_is_one_connection() -> None:
    async with Server() as server, SessionPool(Settings()) as pool:
        assert await fetch(pool, server, 5) == [False, True, True, True, True]
        ours = agree(pool, server)
    assert msgspec.structs.replace(ours, connect=0.0, saved=0.0) == HostLedger(
        ours.host, requests=5, reused=4, opened=1, peak=1, dns=ours.dns
    )
    assert ours.connect > 0
    assert ours.saved == pytest.approx(4 * (ours.connect + ours.dns))


async def test_connection_close_is_a_connection_each() -> None:
    async with Server(always(page(close=True))) as server, SessionPool(Settings()) as pool:
        assert not any(await fetch(pool, server, 4))
        await server.until(lambda: not server.open)
        ours = agree(pool, server)
        assert (ours.opened, ours.reused, ours.closed_by_peer, ours.dropped) == (4, 0, 4, 0)
        assert ours.closed_by_peer == server.hung_up


async def test_http_1_0_is_a_connection_each() -> None:
    old = Reply(b"HTTP/1.0 200 OK\r\n\r\n<p>hello</p>", close=True)
    async with Server(always(old)) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 3)
        await server.until(lambda: not server.open)
        ours = agree(pool, server)
        assert (ours.opened, ours.closed_by_peer) == (3, server.hung_up)


async def test_server_idle_time_out_shorter_than_ours() -> None:
    async with Server(idle=0.01) as server, SessionPool(Settings(keepalive_timeout=30)) as pool:
        for _ in range(3):
            await fetch(pool, server, 1)
            await server.until(lambda: not server.open)
        ours = agree(pool, server)
        assert (ours.opened, ours.reused, ours.dropped, ours.closed_by_peer) == (3, 0, 0, 3)


async def test_hang_up_between_requests() -> None:
    async with Server() as server, SessionPool(Settings()) as pool:
        for _ in range(3):
            await fetch(pool, server, 4, at_once=4)
            await server.hang_up()
        ours = agree(pool, server)
        assert ours.closed_by_peer == server.hung_up == server.accepted
        assert ours.dropped == 0


@pytest.mark.parametrize("says", [True, False])
async def test_server_that_drops_every_socket_after_three_requests(says: bool) -> None:
    def behave(asked: Asked) -> Reply:
        last = asked.nth == 3
        return page(close=says and last) if says or not last else dataclasses.replace(page(), close=True)

    async with Server(behave) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 10)
        ours = agree(pool, server)
        assert ours.requests - ours.resent == 10
        assert ours.dropped == ours.resent
        if says:
            assert server.sockets == [3, 3, 3, 1]
            assert (ours.opened, ours.reused, ours.dropped) == (4, 6, 0)


async def test_server_that_says_keep_alive_and_closes_anyway() -> None:
    liar = dataclasses.replace(page(Connection="keep-alive", Keep_Alive="timeout=60"), close=True)
    async with Server(always(liar)) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 6)
        await server.until(lambda: not server.open)
        ours = agree(pool, server)
        assert ours.opened == 6
        assert ours.closed_by_peer == server.hung_up == 6
        assert ours.requests - ours.resent == 6


@pytest.mark.parametrize("cap", [1, 4, 16])
async def test_per_host_cap(cap: int) -> None:
    def behave(asked: Asked) -> Reply:
        return page(held=asked.total <= cap)  # so that all connections are needed at once

    settings = Settings(concurrency=64, concurrency_per_host=cap)
    async with Server(behave) as server, SessionPool(settings) as pool:
        work = asyncio.ensure_future(fetch(pool, server, 5 * cap, at_once=cap))
        await server.until(lambda: server.requests == cap)
        server.release()
        await work
        ours = agree(pool, server)
        assert (ours.requests, ours.opened, ours.reused, ours.peak) == (5 * cap, cap, 4 * cap, cap)


async def test_the_connector_is_a_safety_belt() -> None:
    settings = Settings(concurrency=64, concurrency_per_host=3, trace_connections=True)
    async with Server() as server, SessionPool(settings) as pool:
        await fetch(pool, server, 40, at_once=20)
        ours = agree(pool, server)
        assert ours.peak == server.peak == 3
        assert pool.details is not None
        assert pool.details.queued >= 17
        assert pool.details.answers == 40


def swallows_second(how: dict[str, bool]) -> Callable[[Asked], Reply]:
    """Answers the first request of each socket; reads the second, and ends without a word."""
    return lambda asked: page() if asked.nth == 1 else Reply(**how)


@pytest.mark.parametrize("how", [{"close": True}, {"reset": True}], ids=["close", "reset"])
async def test_keep_alive_race_does_not_show_for_get(how: dict[str, bool]) -> None:
    async with Server(swallows_second(how)) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 1)
        assert await fetch(pool, server, 1) == [False]
        assert [asked.path for asked in server.asked] == ["/0", "/0", "/0"]
        ours = agree(pool, server)
        assert (ours.dropped, ours.resent, ours.unanswered, ours.closed_by_peer) == (1, 1, 1, 1)
        assert (ours.requests, ours.opened, ours.reused) == (3, 2, 1)


async def test_a_resent_request_takes_a_fresh_connection_though_others_are_idle() -> None:
    def behave(asked: Asked) -> Reply:
        return page(held=asked.total <= 4) if asked.nth == 1 else Reply(close=True)

    async with Server(behave) as server, SessionPool(Settings()) as pool:
        work = asyncio.ensure_future(fetch(pool, server, 4, at_once=4))
        await server.until(lambda: server.requests == 4)
        server.release()
        await work
        await fetch(pool, server, 1)  # three idle ones are left, all of them traps
        ours = agree(pool, server)
        assert (ours.dropped, ours.resent, ours.opened) == (1, 1, 5)


async def test_post_is_never_sent_twice() -> None:
    async with Server(swallows_second({"close": True})) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 1)
        with pytest.raises(Disconnected) as caught:
            await HttpFetcher(pool, Settings()).fetch(Request(server.url("/buy"), method="POST", body="one"))
        assert caught.value.transient
        assert [asked.method for asked in server.asked] == ["GET", "POST"]
        ours = agree(pool, server)
        assert (ours.dropped, ours.resent) == (1, 0)


async def test_a_new_connection_that_drops_is_a_failed_attempt() -> None:
    async with Server(always(Reply(close=True))) as server, SessionPool(Settings()) as pool:
        with pytest.raises(Disconnected):
            await fetch(pool, server, 1)
        assert server.sockets == [1]
        ours = agree(pool, server)
        assert (ours.dropped, ours.resent, ours.unanswered, ours.closed_by_peer) == (0, 0, 1, 1)


async def test_an_answer_nobody_asked_for_is_not_given_to_the_next() -> None:
    stray = page(b"not for you", "408 Request Timeout")
    double = Reply(page().data + stray.data)

    def behave(asked: Asked) -> Reply:
        return double if asked.total == 1 else page()

    async with Server(behave) as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 2)  # checks the bodies
        assert server.accepted == one(pool).opened == 2
        for each in server.open:
            each.transport.write(stray.data)
        await server.until(lambda: not server.open)
        await fetch(pool, server, 1)
        assert one(pool).opened == 3
        assert one(pool).closed_by_peer == 2


@pytest.mark.parametrize("tls", [False, True])
async def test_a_server_of_many_moods(tls: bool, certificate: ssl.SSLContext) -> None:
    moods = random.Random(7)
    cut = page(b"x" * 100).data[:-50]
    replies = [
        page(close=True),
        dataclasses.replace(page(), close=True),  # without a word
        Reply(close=True),
        Reply(reset=True),
        Reply(cut, close=True),
        Reply(),  # silence
    ]

    def behave(asked: Asked) -> Reply:
        return page() if moods.random() < 0.7 else moods.choice(replies)

    settings = Settings(read_timeout=0.5, concurrency_per_host=6, verify_tls=False)
    async with Server(behave, certificate if tls else None) as server, SessionPool(settings) as pool:
        fetcher = HttpFetcher(pool, settings)
        work = iter(range(300))
        failed = 0

        async def worker() -> None:
            nonlocal failed
            for number in work:
                try:
                    await fetcher.fetch(Request(server.url(f"/{number}")))
                except ReadError:
                    failed += 1

        await asyncio.gather(*(worker() for _ in range(6)))
        ours = agree(pool, server)
        assert ours.requests == 300 + ours.resent
        assert ours.dropped == ours.resent > 0
        assert ours.unanswered <= failed + ours.resent
        assert ours.peak <= 6
        await server.hang_up()
        assert len(pool.take()) == 1
        assert pool.ledger() == []


async def test_no_keep_alive_at_all() -> None:
    async with Server() as server, SessionPool(Settings(keepalive_timeout=0)) as pool:
        await fetch(pool, server, 3)
        await server.until(lambda: not server.open)
        ours = agree(pool, server)
        assert (ours.opened, ours.closed_by_peer) == (3, 0)
        assert server.asked[0].headers["connection"] == "close"


async def test_take_gives_each_count_once_and_forgets_idle_hosts() -> None:
    async with Server() as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 3)
        first = pool.take()
        await fetch(pool, server, 2)
        second = pool.take()
        assert [each.requests for each in first + second] == [3, 2]
        assert [each.opened for each in first + second] == [1, 0]
        assert second[0].peak == 1
        assert pool.take() == []
        await server.hang_up()
        (third,) = pool.take()
        assert third == HostLedger(third.host, closed_by_peer=1, peak=1)
        assert pool.ledger() == []
        await fetch(pool, server, 1)
        assert one(pool).opened == 1


async def test_every_count_is_taken() -> None:
    assert set(COUNTS) | {"host", "peak"} == set(HostLedger.__struct_fields__)


async def test_hosts_have_their_own_records() -> None:
    async with Server() as one_server, Server() as other, SessionPool(Settings()) as pool:
        await fetch(pool, one_server, 2)
        await fetch(pool, other, 3)
        counts = {each.host: each.requests for each in pool.ledger()}
        assert counts == {host_of(one_server.url()): 2, host_of(other.url()): 3}
