"""What the pool does on the wire besides counting: names, TLS, headers, cookies, closing."""

import ssl

import aiohttp
import pytest
from aiohttp.resolver import AsyncResolver
from counting import agree, fetch, one
from sockets import Names, Server, always, page

from scraper.fetchers.http import HttpFetcher
from scraper.request import Request
from scraper.session import ACCEPT_ENCODING, SessionPool
from scraper.settings import Settings
from scraper.wire import Wire

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def test_names_are_looked_up_once_and_timed() -> None:
    async with Names({"shop.example": "127.0.0.1"}) as names, Server(host="shop.example") as server:
        resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=names.port)
        async with SessionPool(Settings(), resolver) as pool:
            await fetch(pool, server, 1)
            await server.hang_up()
            await fetch(pool, server, 1)
            ours = agree(pool, server)
            assert names.asked.count("shop.example") <= 2  # its A and AAAA records
            assert ours.dns > 0
            assert ours.connect > 0
        await resolver.close()


async def test_tls_time_is_told_from_tcp_time(certificate: ssl.SSLContext) -> None:
    async with Server(tls=certificate) as server, SessionPool(Settings(verify_tls=False)) as pool:
        await fetch(pool, server, 3)
        ours = agree(pool, server)
        assert (ours.opened, ours.reused) == (1, 2)
        assert ours.tls > 0
        assert ours.connect > 0
    async with Server() as server, SessionPool(Settings()) as pool:
        await fetch(pool, server, 1)
        assert one(pool).tls == 0


async def test_what_is_sent() -> None:
    settings = Settings(user_agent="shopper/2", headers={"accept-language": "eo", "X-Crawl": "1"})
    async with Server() as server, SessionPool(settings) as pool:
        fetcher = HttpFetcher(pool, settings)
        await fetcher.fetch(
            Request(server.url("/a?b=%2F&c=1+2"), headers={"x-crawl": "2"}, cookies={"a": "1", "b": "x=y"})
        )
        await fetcher.fetch(Request(server.url(), headers={"Cookie": "c=3"}, cookies={"d": "4"}))
        first, second = server.asked
        assert first.path == "/a?b=%2F&c=1+2"
        assert first.headers["user-agent"] == "shopper/2"
        assert first.headers["accept-encoding"] == ACCEPT_ENCODING
        assert first.headers["accept-language"] == "eo"
        assert first.headers["x-crawl"] == "2"
        assert first.headers["cookie"] == "a=1; b=x=y"
        assert second.headers["cookie"] == "c=3; d=4"


async def test_cookies_are_not_kept() -> None:
    reply = always(page(Set_Cookie="a=1"))
    async with Names({"shop.example": "127.0.0.1"}) as names, Server(reply, host="shop.example") as server:
        resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=names.port)
        async with SessionPool(Settings(), resolver) as pool:
            await fetch(pool, server, 2)
            assert "cookie" not in server.asked[1].headers
        await resolver.close()


async def test_closing_twice_and_unused() -> None:
    pool = SessionPool(Settings())
    await pool.close()
    async with Server() as server:
        await fetch(pool, server, 1)
        await pool.close()
        await pool.close()
        await server.until(lambda: not server.open)
        assert one(pool).requests == 1


async def test_aiohttp_still_has_the_seams_we_use() -> None:
    async with SessionPool(Settings()) as pool:
        session, connector = pool._open()
        assert hasattr(session, "_retry_connection")
        for name in ("_get", "_create_connection", "_resolve_host", "_factory", "_acquired", "_close"):
            assert hasattr(aiohttp.TCPConnector, name) or hasattr(connector, name)
    for name in ("_reschedule_timeout", "_drop_timeout", "_on_read_timeout", "feed_data", "eof_received"):
        assert callable(getattr(Wire.__mro__[1], name))
