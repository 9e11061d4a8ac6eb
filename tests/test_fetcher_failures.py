"""HttpFetcher without an answer: no connection, a proxy in between, time that runs out."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest
from aiohttp.resolver import AsyncResolver
from fetching import fetching
from sockets import Asked, Names, Reply, Server, always, page

from scraper import errors

# -- no connection


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_refused() -> None:
    async with fetching() as ours:
        error = await ours.fails(f"http://127.0.0.1:{free_port()}/", errors.ConnectError)
        assert error.transient
        (record,) = ours.pool.ledger()
        assert (record.opened, record.requests) == (0, 0)


async def test_no_such_name() -> None:
    async with Names() as names:
        resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=names.port)
        async with fetching(resolver) as ours:
            error = await ours.fails("http://nowhere.example/", errors.NoSuchHost)
            assert not error.transient
        await resolver.close()


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port that takes no more connections: the kernel leaves them unanswered."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        yield int(listening.getsockname()[1])
        for each in fillers:
            each.close()


async def test_connect_timeout_bounds_tcp(full_backlog: int) -> None:
    async with fetching(connect_timeout=0.05) as ours:
        error = await ours.fails(f"http://127.0.0.1:{full_backlog}/", errors.ConnectTimeout)
        assert "connect_timeout" in str(error)


async def test_connect_timeout_bounds_dns() -> None:
    async with Names(mute=("mute.example",)) as names:
        resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=names.port)
        async with fetching(resolver, connect_timeout=0.05) as ours:
            await ours.fails("http://mute.example/", errors.ConnectTimeout)
        await resolver.close()


async def test_connect_timeout_bounds_tls() -> None:
    async with Server(always(Reply())) as silent, fetching(connect_timeout=0.05) as ours:
        await ours.fails(silent.url().replace("http:", "https:"), errors.ConnectTimeout)
        await silent.until(lambda: not silent.open)
        (record,) = ours.pool.ledger()
        assert (record.opened, record.requests) == (silent.accepted, 0)


async def test_plain_http_where_tls_is_due() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, fetching() as ours:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
        error = await ours.fails(f"https://{place}", errors.TlsError)
        assert f"it does not speak TLS there; write http://{place}" in str(error)


async def test_a_certificate_nobody_vouches_for(certificate: ssl.SSLContext) -> None:
    async with Server(tls=certificate) as server:
        async with fetching() as ours:
            error = await ours.fails(server.url(), errors.CertificateUntrusted)
            assert 'hosts = {"127.0.0.1": {"verify_tls": false}}' in str(error)
            assert not error.transient
            assert ours.pool.take()[0].opened == 1
            assert ours.pool.ledger() == []  # nothing of it is left open
        async with fetching(verify_tls=False) as ours:
            assert (await ours.get(server.url())).status == 200


async def test_tls_to_a_server_without() -> None:
    async with Server() as server, fetching() as ours:
        failing = asyncio.ensure_future(ours.fails(server.url().replace("http:", "https:"), errors.TlsError))
        await server.until(lambda: bool(server.open))
        for each in server.open:
            each.transport.write(b"HTTP/1.1 400 This is no TLS\r\n\r\n")
        await failing


# -- proxies


async def test_through_a_proxy() -> None:
    async with Server() as proxy, fetching(proxy=proxy.url().rstrip("/")) as ours:
        for _ in range(2):
            assert (await ours.get("http://shop.example/x")).status == 200
        assert [asked.path for asked in proxy.asked] == ["http://shop.example/x"] * 2
        (record,) = ours.pool.ledger()
        assert (record.requests, record.opened) == (2, proxy.accepted)
        assert record.host == f"shop.example via 127.0.0.1:{proxy.port}"


async def test_a_tunnel_is_one_connection(certificate: ssl.SSLContext) -> None:
    tunnels: list[asyncio.Task[None]] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readuntil(b"\r\n\r\n")).split()
        host, _, port = first[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        tunnels.append(asyncio.current_task())  # type: ignore[arg-type]
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    async with Server(tls=certificate) as server:
        async with fetching(proxy=f"http://127.0.0.1:{port}", verify_tls=False) as ours:
            for _ in range(3):
                assert (await ours.get(server.url())).status == 200
            (record,) = ours.pool.ledger()
            assert (record.requests, record.reused, record.opened, record.peak) == (3, 2, 1, 1)
            assert (record.unanswered, record.closed_by_peer) == (0, 0)
            assert len(tunnels) == server.accepted == 1
            assert ours.pool.take()
            assert ours.pool._connector is not None and ours.pool._connector.record(record.host).open == 1
        assert ours.pool._connector.record(record.host).open == 0
        await asyncio.gather(*tunnels)
    proxy.close()
    await proxy.wait_closed()


async def test_a_proxy_that_is_not_there() -> None:
    async with fetching(proxy=f"http://127.0.0.1:{free_port()}") as ours:
        await ours.fails("http://shop.example/", errors.ProxyError)


async def test_a_proxy_that_refuses() -> None:
    async with Server(always(page(b"", "403 No"))) as proxy, fetching(proxy=proxy.url().rstrip("/")) as ours:
        await ours.fails("https://shop.example/", errors.ProxyError)
        assert proxy.asked[0].method == "CONNECT"
        (record,) = ours.pool.ledger()
        assert (record.requests, record.opened) == (0, 1)


# -- time


@pytest.mark.parametrize("reply", [Reply(), Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nstall")])
async def test_read_timeout(reply: Reply) -> None:
    async with Server(always(reply)) as server, fetching(read_timeout=0.05) as ours:
        error = await ours.fails(server.url(), errors.ReadTimeout)
        assert error.transient
        await server.until(lambda: not server.open)
        (record,) = ours.pool.ledger()
        assert (record.requests, record.unanswered, record.closed_by_peer) == (1, 0 if reply.data else 1, 0)


async def test_read_timeout_finds_the_silent_among_the_busy() -> None:
    def behave(asked: Asked) -> Reply:
        return Reply() if asked.path == "/silent" else page()

    async with Server(behave) as server, fetching(read_timeout=0.05) as ours:
        silent = asyncio.ensure_future(ours.fails(server.url("/silent"), errors.ReadTimeout))
        while not silent.done():
            assert (await ours.get(server.url("/busy"))).status == 200
        await silent


async def test_total_timeout() -> None:
    async with Server(always(Reply())) as server, fetching(total_timeout=0.05) as ours:
        error = await ours.fails(server.url(), errors.TotalTimeout)
        assert error.transient
        await server.until(lambda: not server.open)
        server.behave = always(page())
        assert (await ours.get(server.url())).status == 200


async def test_total_timeout_though_bytes_keep_coming() -> None:
    head = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    async with Server(always(head)) as server, fetching(total_timeout=0.1, read_timeout=60) as ours:
        failing = asyncio.ensure_future(ours.fails(server.url(), errors.TotalTimeout))
        await server.until(lambda: server.answered == 1)
        while not failing.done():
            for each in server.open:
                each.transport.write(b".")
            await asyncio.sleep(0)
        assert (await failing).status == 200


async def test_cancellation_passes_and_its_connection_is_closed() -> None:
    async with Server(always(Reply())) as server, fetching() as ours:
        task = asyncio.ensure_future(ours.get(server.url()))
        await server.until(lambda: server.requests == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: not server.open)
        (record,) = ours.pool.ledger()
        assert (record.requests, record.unanswered, record.closed_by_peer) == (1, 1, 0)
