"""HttpFetcher: one request, one answer or one error of our tree, whatever the server does."""

import asyncio
import gzip
import random
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing

import brotli
import pytest
import trustme
from aiohttp.resolver import AsyncResolver
from sockets import Asked, Names, Reply, Server, always, page

from scraper import errors
from scraper.decompress import decompress
from scraper.errors import FetchError
from scraper.fetchers import http
from scraper.fetchers.http import OFF_LOOP, HttpFetcher
from scraper.request import Request
from scraper.response import Response
from scraper.session import SessionPool
from scraper.settings import Settings

TEXT = b"<p>" + bytes(range(32, 127)) * 200
UNIT = 1_000


class Fetching:
    """A pool and its fetcher for one test."""

    def __init__(self, settings: Settings, resolver: AsyncResolver | None = None) -> None:
        self.pool = SessionPool(settings, resolver)
        self.fetcher = HttpFetcher(self.pool, settings)

    async def __aenter__(self) -> "Fetching":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()

    async def get(self, url: str, **options: object) -> Response:
        return await self.fetcher.fetch(Request(url, **options))  # type: ignore[arg-type]

    async def fails(self, url: str, kind: type[FetchError], **options: object) -> FetchError:
        """The error, which must be exactly of this kind, know its request and name its URL."""
        with pytest.raises(FetchError) as caught:
            await self.get(url, **options)
        assert type(caught.value) is kind, repr(caught.value)
        assert caught.value.request is not None
        assert caught.value.request.url in str(caught.value)
        return caught.value


def fetching(resolver: AsyncResolver | None = None, **settings: object) -> Fetching:
    return Fetching(Settings(**settings), resolver)  # type: ignore[arg-type]


async def test_an_answer() -> None:
    reply = page(TEXT, ETag='"abc"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT", X_Thing="1")
    async with Server(always(reply)) as server, fetching() as ours:
        request = Request(server.url("/a?b=c"), meta={"k": 1})
        response = await ours.fetcher.fetch(request)
        assert (response.url, response.status, response.body) == (server.url("/a?b=c"), 200, TEXT)
        assert response.headers["x-thing"] == "1"
        assert response.request is request
        seen = response.seen
        assert (seen.status, seen.size, seen.reused, seen.keepalive) == (200, len(TEXT), False, True)
        assert (seen.etag, seen.last_modified) == ('"abc"', "Mon, 01 Jan 2024 00:00:00 GMT")
        assert seen.elapsed > 0
        assert (await ours.get(server.url())).seen.reused


async def test_keepalive_is_false_when_the_server_says_close() -> None:
    async with Server(always(page(close=True))) as server, fetching() as ours:
        assert not (await ours.get(server.url())).seen.keepalive


@pytest.mark.parametrize("status", ["301 Moved", "404 Not Found", "429 Slow Down", "503 Busy"])
async def test_statuses_are_answers_and_redirects_are_not_followed(status: str) -> None:
    async with Server(always(page(b"so", status, Location="/x", Retry_After="7"))) as server, fetching() as ours:
        response = await ours.get(server.url())
        assert (response.status, response.body, server.requests) == (int(status[:3]), b"so", 1)


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("HEAD", Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n")),
        ("GET", Reply(b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n")),
        ("GET", Reply(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99999999\r\nContent-Encoding: br\r\n\r\n")),
        ("GET", page(b"", Content_Encoding="gzip")),
    ],
    ids=["HEAD", "204", "304", "labelled but empty"],
)
async def test_answers_without_a_body(method: str, reply: Reply) -> None:
    async with Server(always(reply)) as server, fetching(max_body_size=UNIT) as ours:
        for _ in range(2):
            assert (await ours.get(server.url(), method=method)).body == b""
        assert server.sockets == [2]


async def test_post_sends_its_body() -> None:
    async with Server() as server, fetching() as ours:
        await ours.get(server.url(), method="POST", body=b"a=1", headers={"Content-Type": "x/y"})
        (asked,) = server.asked
        assert (asked.method, asked.body, asked.headers["content-type"]) == ("POST", b"a=1", "x/y")


def zstd(data: bytes) -> bytes:
    from backports import zstd as implementation

    return implementation.compress(data)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd,
}


def chunked(body: bytes, size: int = 700, end: bytes = b"0\r\n\r\n", **headers: str) -> Reply:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    parts = (body[at : at + size] for at in range(0, len(body), size))
    data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return Reply(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode() + data + end)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("form", [page, chunked])
async def test_codings(coding: str, form: Callable[..., Reply]) -> None:
    async with Server(always(form(CODINGS[coding](TEXT), Content_Encoding=coding))) as server, fetching() as ours:
        response = await ours.get(server.url())
        assert response.body == TEXT
        assert response.seen.size == len(TEXT)


async def test_large_bodies_are_decoded_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[tuple[int, bool]] = []

    def watched(body: bytes, coding: str, limit: int) -> bytes:
        where.append((len(body), threading.current_thread() is threading.main_thread()))
        return decompress(body, coding, limit)

    monkeypatch.setattr(http, "decompress", watched)
    large = random.Random(1).randbytes(OFF_LOOP)
    bodies = {"/large": large, "/small": large[:1000]}

    def behave(asked: Asked) -> Reply:
        return page(gzip.compress(bodies[asked.path]), Content_Encoding="gzip")

    async with Server(behave) as server, fetching() as ours:
        for path, body in bodies.items():
            assert (await ours.get(server.url(path))).body == body
    assert [on_loop for _, on_loop in where] == [False, True]


async def test_a_connection_taken_by_another_meanwhile_was_not_reused() -> None:
    body = gzip.compress(random.Random(1).randbytes(OFF_LOOP * 8))
    reply = page(body, Content_Encoding="gzip")
    async with Server(always(reply)) as server, fetching(concurrency_per_host=1) as ours:
        both = await asyncio.gather(ours.get(server.url()), ours.get(server.url()))
        assert [response.seen.reused for response in both] == [False, True]


@pytest.mark.parametrize(
    ("body", "coding", "kind"),
    [
        (gzip.compress(TEXT)[:-9], "gzip", errors.BodyCut),
        (gzip.compress(TEXT)[:-8] + b"12345678", "gzip", errors.BodyCorrupt),
        (b"not gzip at all", "gzip", errors.BodyCorrupt),
        (TEXT, "rot13", errors.BodyCorrupt),
        (gzip.compress(bytes(50_000_000)), "gzip", errors.BodyTooLarge),
        (brotli.compress(bytes(50_000_000)), "br", errors.BodyTooLarge),
    ],
    ids=["cut", "bad CRC", "not gzip", "unknown coding", "gzip bomb", "brotli bomb"],
)
async def test_bodies_that_cannot_be_decoded(body: bytes, coding: str, kind: type[FetchError]) -> None:
    async with Server(always(page(body, Content_Encoding=coding))) as server, fetching() as ours:
        error = await ours.fails(server.url(), kind)
        assert error.status == 200


@pytest.mark.parametrize("form", [page, chunked])
async def test_too_large(form: Callable[..., Reply]) -> None:
    sizes = {"/just": UNIT, "/more": UNIT + 1}
    async with Server(lambda asked: form(bytes(sizes[asked.path]))) as server, fetching(max_body_size=UNIT) as ours:
        assert len((await ours.get(server.url("/just"))).body) == UNIT
        await ours.fails(server.url("/more"), errors.BodyTooLarge)


async def test_a_body_announced_too_large_is_refused_unread_and_its_connection_closed() -> None:
    huge = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nbegins")
    async with Server(lambda asked: huge if asked.total == 1 else page()) as server, fetching() as ours:
        error = await ours.fails(server.url(), errors.BodyTooLarge)
        assert "max_body_size" in str(error)
        assert not error.transient
        await server.until(lambda: not server.open)
        await ours.get(server.url())
        assert server.sockets == [1, 1]


async def test_an_endless_body_stops_at_the_cap() -> None:
    endless = chunked(bytes(UNIT * 3), end=b"")
    async with Server(always(endless)) as server, fetching(max_body_size=UNIT) as ours:
        await ours.fails(server.url(), errors.BodyTooLarge)
        await server.until(lambda: not server.open)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", close=True),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", reset=True),
        Reply(chunked(TEXT, end=b"").data, close=True),
    ],
    ids=["length", "length, reset", "chunked"],
)
async def test_a_cut_answer_is_a_disconnect(reply: Reply) -> None:
    async with Server(always(reply)) as server, fetching() as ours:
        error = await ours.fails(server.url(), errors.Disconnected)
        assert error.transient


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    ],
    ids=["SSH", "status", "two lengths", "chunk size", "header"],
)
async def test_what_is_not_http(data: bytes) -> None:
    async with Server(always(Reply(data))) as server, fetching() as ours:
        error = await ours.fails(server.url(), errors.ProtocolError)
        assert not error.transient
        await server.until(lambda: not server.open)


async def test_long_headers_are_fine() -> None:
    async with Server(always(page(Content_Security_Policy="x" * 30_000))) as server, fetching() as ours:
        assert (await ours.get(server.url())).status == 200


@pytest.mark.parametrize(
    "options", [{"headers": {"X": "a\r\nY: b"}}, {"method": "GE T"}, {"cookies": {"a": "b\r\nX: y"}}]
)
async def test_a_request_that_cannot_be_sent(options: dict[str, object]) -> None:
    async with Server() as server, fetching() as ours:
        await ours.fails(server.url(), FetchError, **options)
        assert server.requests == 0


async def test_credentials_in_the_url() -> None:
    async with Server() as server, fetching() as ours:
        url = server.url("/x").replace("://", "://ann:secret@")
        await ours.get(url)
        assert server.asked[0].headers["authorization"] == "Basic YW5uOnNlY3JldA=="
        assert server.asked[0].path == "/x"
        assert [each.host for each in ours.pool.ledger()] == [f"127.0.0.1:{server.port}"]


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
            error = await ours.fails("http://nowhere.example/", errors.DnsError)
            assert error.transient
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


@pytest.fixture
def certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_certificate_nobody_vouches_for(certificate: ssl.SSLContext) -> None:
    async with Server(tls=certificate) as server:
        async with fetching() as ours:
            error = await ours.fails(server.url(), errors.TlsError)
            assert "verify_tls" in str(error)
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
        assert (record.host, record.requests, record.opened) == ("shop.example", 2, proxy.accepted)


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
