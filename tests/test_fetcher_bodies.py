"""Bodies that are large, endless, cut short or not to be read to their end: what they cost and how they end."""

import asyncio
import gzip
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import brotli
import pytest
from conftest import environment
from fetching import fetching
from sockets import Asked, Reply, Server, always, page
from test_fetcher import CODINGS, chunked

from scraper import errors
from scraper.decompress import Decompressor
from scraper.fetchers import faults, http
from scraper.fetchers.http import LARGE, UNFOLDED
from scraper.request import Request
from scraper.response import Response

CODINGS = CODINGS | {"br": lambda data: brotli.compress(data, quality=1)}
NOISE = random.Random(1).randbytes(3 * LARGE)


async def asked_for(server: Server, **options: object) -> Response:
    """With options that people cannot give."""
    async with fetching() as ours:
        request = Request(server.url())
        request.options = options
        return await ours.fetcher.fetch(request)


# -- large ones


@pytest.mark.parametrize("coding", [None, *CODINGS])
@pytest.mark.parametrize("form", [page, chunked])
async def test_large_bodies_arrive_whole(coding: str | None, form: type) -> None:
    text = NOISE + bytes(2 * UNFOLDED) + NOISE
    headers = {"Content_Encoding": coding} if coding else {}
    body = CODINGS[coding](text) if coding else text
    reply = form(body, **headers) if form is page else form(body, size=9_000, **headers)  # type: ignore[call-arg]
    async with Server(always(reply)) as server, fetching() as ours:
        for _ in range(2):
            response = await ours.get(server.url())
            assert response.body == text
            assert response.seen.size == len(text)
        assert server.sockets == [2]
        assert ours.fetcher._room.left == http.TOGETHER


@pytest.mark.parametrize(("size", "on_loop"), [(UNFOLDED // 2, True), (8 * UNFOLDED, False)])
@pytest.mark.parametrize("filler", [b"\0", None], ids=["unfolds", "comes large"])
async def test_a_large_body_is_decoded_off_the_loop(
    size: int, on_loop: bool, filler: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    feed = Decompressor.feed

    def watched(self: Decompressor, chunk: bytes) -> Iterator[bytes]:
        for piece in feed(self, chunk):
            threads.append(threading.current_thread() is threading.main_thread())
            yield piece

    monkeypatch.setattr(Decompressor, "feed", watched)
    text = filler * size if filler else (NOISE * 99)[: size if size > UNFOLDED else LARGE // 2]
    async with Server(always(page(gzip.compress(text), Content_Encoding="gzip"))) as server, fetching() as ours:
        assert (await ours.get(server.url())).body == text
    assert (False in threads) is not on_loop
    pieces_on_the_loop = threads.count(True)
    assert pieces_on_the_loop <= UNFOLDED // (512 * 1024) + 2


@pytest.mark.parametrize("form", [page, chunked])
async def test_a_request_has_a_cap_of_its_own(form: type) -> None:
    bodies = {"/": bytes(5_000), "/gzip": gzip.compress(bytes(5_000))}

    def behave(asked: Asked) -> Reply:
        coding = {"Content_Encoding": "gzip"} if asked.path == "/gzip" else {}
        return form(bodies[asked.path], **coding)  # type: ignore[no-any-return]

    async with Server(behave) as server, fetching(max_body_size=4_000) as ours:
        for path in bodies:
            assert len((await ours.get(server.url(path), max_body_size=5_000)).body) == 5_000
            error = await ours.fails(server.url(path), errors.BodyTooLarge)
            assert "4,000" in str(error)
            error = await ours.fails(server.url(path), errors.BodyTooLarge, max_body_size=4_999)
            assert "4,999" in str(error)


async def test_what_unfolds_to_nothing_counts_as_it_came() -> None:
    """A gzip member, and padding without end after it: nothing of it is content."""
    padded = chunked(gzip.compress(b"x") + bytes(4 * LARGE), size=20_000, end=b"", Content_Encoding="gzip")
    async with Server(always(padded)) as server, fetching(max_body_size=2 * LARGE) as ours:
        await ours.fails(server.url(), errors.BodyTooLarge)
        await server.until(lambda: not server.open)


# -- no more than the beginning


@pytest.mark.parametrize("coding", [None, "gzip", "br"])
@pytest.mark.parametrize("size", [10, LARGE + 1, 3 * UNFOLDED])
async def test_a_body_is_cut_without_an_error_and_its_connection_closed(coding: str | None, size: int) -> None:
    text = (NOISE * 9)[: 4 * UNFOLDED]
    headers = {"Content_Encoding": coding} if coding else {}
    endless = chunked(CODINGS[coding](text) if coding else text, size=9_000, end=b"", **headers)
    async with Server(always(endless)) as server:
        response = await asked_for(server, cut_at=size, max_body_size=8 * UNFOLDED)
        assert response.body == text[:size]
        await server.until(lambda: not server.open)


async def test_what_has_come_is_enough_for_the_cut_though_nothing_more_comes() -> None:
    little = chunked(gzip.compress(bytes(UNFOLDED)), end=b"", Content_Encoding="gzip")
    async with Server(always(little)) as server, fetching(read_timeout=2) as ours:
        request = Request(server.url())
        request.options = {"cut_at": 500}
        assert (await ours.fetcher.fetch(request)).body == bytes(500)


async def test_a_body_shorter_than_the_cut_is_whole_and_its_connection_kept() -> None:
    async with Server(always(page(b"User-agent: *"))) as server, fetching() as ours:
        for _ in range(2):
            request = Request(server.url())
            request.options = {"cut_at": 500}
            assert (await ours.fetcher.fetch(request)).body == b"User-agent: *"
        assert server.sockets == [2]


async def test_a_bomb_and_an_announced_giant_are_cut_too() -> None:
    bomb = page(gzip.compress(bytes(64 << 20)), Content_Encoding="gzip")
    giant = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n" + bytes(LARGE))
    for reply in (bomb, giant):
        async with Server(always(reply)) as server:
            assert (await asked_for(server, cut_at=1000, max_body_size=100_000)).body == bytes(1000)


# -- what they cost


@pytest.mark.parametrize(("coding", "weight"), [(None, 1), ("gzip", 2)])
async def test_what_is_decoded_weighs_twice(coding: str | None, weight: int) -> None:
    """For what the decoder remembers."""
    reply = page(CODINGS[coding](NOISE), Content_Encoding=coding) if coding else page(NOISE)
    async with Server(always(reply)) as server, fetching() as ours:
        room, held = ours.fetcher._room, []
        leave = room.leave
        room.leave = lambda place: (held.append(place.held), leave(place))[1]  # type: ignore[func-returns-value,method-assign]
        await ours.get(server.url())
        assert held == [weight * len(NOISE)]


async def test_slow_large_bodies_of_one_host_do_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TOGETHER", 16 * UNFOLDED)
    endless = Reply(chunked(NOISE * 6, size=100_000, end=b"").data)
    text = NOISE * 3
    async with (
        Server(always(endless)) as slow,
        Server(always(chunked(text, size=100_000)), host="127.0.0.2", bind="127.0.0.2") as good,
        fetching(total_timeout=30.0) as ours,
    ):
        room = ours.fetcher._room
        held = [asyncio.ensure_future(ours.get(slow.url())) for _ in range(8)]
        while len(room._waiting) < 7:  # the oldest has all that was sent
            assert not any(each.done() for each in held)
            await asyncio.sleep(0)
        assert (await ours.get(good.url())).body == text
        assert not any(each.done() for each in held)
        for each in held:
            each.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        assert room.left == http.TOGETHER


async def test_large_bodies_share_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten at once with room for two: all come to their end, and together they never held more than that."""
    monkeypatch.setattr(http, "TOGETHER", 2 * len(NOISE))
    monkeypatch.setattr(http, "FIRST", 0)
    async with Server(always(chunked(NOISE, size=20_000))) as server, fetching() as ours:
        room = ours.fetcher._room
        lowest = [room.left]
        leave = room.leave
        room.leave = lambda place: (lowest.append(room.left), leave(place))[1]  # type: ignore[func-returns-value,method-assign]
        answers = await asyncio.gather(*(ours.get(server.url()) for _ in range(10)))
        assert all(answer.body == NOISE for answer in answers)
        assert len(NOISE) >= min(lowest) >= -2 * len(NOISE)
        assert room.left == 2 * len(NOISE)


BOMBS = """
import asyncio, re, sys
sys.path.insert(0, {tests!r})
from fetching import fetching
from scraper.errors import BodyTooLarge

def peak():  # not ru_maxrss, which counts the parent's memory at the fork
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

async def main(url, number):
    async with fetching(concurrency_per_host=32) as ours:
        base = peak()
        await asyncio.gather(*(ours.fails(url, BodyTooLarge) for _ in range(number)))
    print((peak() - base) // 1024)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize(
    ("coding", "number"),
    [
        ("gzip", 1),
        ("gzip", 32),
        ("br", 32),
        ("zstd", 32),
        (None, 12),
        ("large gzip", 12),
    ],
)
async def test_many_bombs_at_once_stay_small(coding: str | None, number: int) -> None:
    """Each may hold 16 MB: up to half a gigabyte, were each of them held to its cap alone."""
    if coding is None:
        reply = chunked(bytes(17 << 20), size=1 << 20)
    elif coding == "large gzip":
        reply = page(gzip.compress(NOISE + bytes(24 << 20), 1), Content_Encoding="gzip")
    else:
        body = bytes(24 << 20)
        for each in coding.split(", "):
            body = CODINGS[each](body)
        reply = page(body, Content_Encoding=coding)
    async with Server(always(reply)) as server:
        script = BOMBS.format(tests=str(Path(__file__).parent))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, server.url(), str(number), stdout=subprocess.PIPE, env=environment()
        )
        out, _ = await child.communicate()
    assert child.returncode == 0
    assert server.requests == number
    assert int(out) < (200 if number > 1 else 60)


# -- messages that are not what they say


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", errors.Disconnected),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", errors.Disconnected),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", errors.Disconnected),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello", errors.ProtocolError),
    ],
    ids=lambda each: each.decode()[17:60] if isinstance(each, bytes) else "",
)
async def test_a_length_that_lies(data: bytes, kind: type[errors.FetchError]) -> None:
    async with Server(always(Reply(data, close=True))) as server, fetching() as ours:
        await ours.fails(server.url(), kind)
        await server.until(lambda: not server.open)


SURPLUS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
    b"HTTP/1.1 204 No Content\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (SURPLUS[0], b"hello"),
        (SURPLUS[1], b""),
        (SURPLUS[2], b""),
        (SURPLUS[3], b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    ],
    ids=["trailing data", "204", "204 with a length", "304", "103", "many 100"],
)
async def test_what_comes_besides_the_body_spoils_neither_it_nor_the_next(data: bytes, body: bytes) -> None:
    def behave(asked: Asked) -> Reply:
        return Reply(data) if asked.path == "/odd" else page(b"next")

    async with Server(behave) as server, fetching() as ours:
        for _ in range(3):
            with suppress(errors.ProtocolError):  # where the surplus comes in the same segment
                assert (await ours.get(server.url("/odd"))).body == body
            assert (await ours.get(server.url("/next"))).body == b"next"


@pytest.mark.parametrize("data", SURPLUS)
async def test_a_surplus_that_comes_later_ends_the_connection(data: bytes) -> None:
    head, body = data.split(b"hello", 1)[0], b"hello" + data.split(b"hello", 1)[1]
    whole = head if b"200" not in head else head + b"hello"
    async with Server(lambda asked: Reply(whole) if asked.total == 1 else page(b"next")) as server, fetching() as ours:
        await ours.get(server.url())
        for each in server.open:
            each.transport.write(body)
        await server.until(lambda: not server.open)
        assert (await ours.get(server.url())).body == b"next"


async def test_the_body_of_a_head_is_not_read_as_the_next_answer() -> None:
    def behave(asked: Asked) -> Reply:
        return page(b"next") if asked.path == "/next" else page(b"a body that must not be here")

    async with Server(behave) as server, fetching() as ours:
        with suppress(errors.ProtocolError):
            assert (await ours.get(server.url(), method="HEAD")).body == b""
        assert (await ours.get(server.url("/next"))).body == b"next"


# -- whose fault it is


@pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError])
async def test_a_bug_of_ours_is_not_taken_for_a_bad_request(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise kind("a bug")

    async with Server(always(page(gzip.compress(b"x"), Content_Encoding="gzip"))) as server, fetching() as ours:
        monkeypatch.setattr(http, "Decompressor", broken)
        with pytest.raises(kind, match="a bug"):
            await ours.get(server.url())


def test_only_what_refuses_requests_is_foreign() -> None:
    assert TypeError not in faults.TABLE


async def test_a_bad_request_says_so() -> None:
    async with Server() as server, fetching() as ours:
        error = await ours.fails(server.url(), errors.FetchError, method="G\x00T")
        assert "cannot be sent" in str(error)
        assert server.requests == 0
