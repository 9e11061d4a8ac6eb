"""HttpFetcher: one request, one answer or one error of our tree, whatever the server answers."""

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable

import brotli
import pytest
from fetching import fetching
from sockets import Reply, Server, always, page

from scraper import errors
from scraper.errors import FetchError
from scraper.fetchers.http import LARGE
from scraper.request import Request

TEXT = b"<p>" + bytes(range(32, 127)) * 200
UNIT = 1_000


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


async def test_a_connection_taken_by_another_meanwhile_was_not_reused() -> None:
    body = gzip.compress(random.Random(1).randbytes(LARGE * 8))
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


@pytest.mark.parametrize("options", [{"method": "GE T"}, {"cookies": {"a": "b\r\nX: y"}}])
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
