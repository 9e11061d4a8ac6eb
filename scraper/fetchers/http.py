"""HttpFetcher: one request over the pooled session, one answer, its body decoded under a cap.

Most bodies are small: they are read and decoded where they come in. One that is large in what comes or in what it
unfolds to leaves the loop for a few threads, is decoded while it arrives, and shares what room there is with all
other large ones (``scraper.room``).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from time import monotonic
from traceback import clear_frames
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

from aiohttp import hdrs
from aiohttp.http_exceptions import TransferEncodingError

from scraper.content import essence
from scraper.decompress import Decompressor, OverLimit
from scraper.download import FileWriter, Kept
from scraper.errors import DownloadError, FetchError, StoreError
from scraper.fetchers.faults import FOREIGN, fault, is_ours
from scraper.page import Seen
from scraper.request import Request
from scraper.response import Response
from scraper.room import Room
from scraper.session import Answer, SessionPool
from scraper.settings import Settings

if TYPE_CHECKING:
    from scraper.media import Into

LARGE = 256 * 1024
"""Bytes as they come from which a body is large."""
UNFOLDED = 1024 * 1024
"""Bytes that a small body may unfold to on the loop, in about two milliseconds; the rest of it does on a thread."""
THREADS = 4
"""For large bodies and files; each may hold what one step of decoding gives."""
TOGETHER = 64 * 1024 * 1024
"""Bytes that all large bodies may hold together while they come in; those of one host a quarter of it."""
FIRST = 1024 * 1024
"""Bytes that each of them may hold without asking: what a host spreads over slow connections delays no common page."""

GZIP_NAMES = (".gz", ".tgz", ".gzip")
GZIP_TYPES = frozenset(("application/gzip", "application/x-gzip", "application/x-tgz", "application/x-gtar-compressed"))

A = TypeVarTuple("A")
T = TypeVar("T")


class HttpFetcher:
    """The Fetcher over a SessionPool, which stays its maker's to close."""

    def __init__(self, pool: SessionPool, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._cap = settings.max_body_size
        self._room = Room(TOGETHER, FIRST, TOGETHER // 4)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="body")  # begun when first needed

    async def fetch(self, request: Request) -> Response:
        """One request, one answer, whatever its status; redirects are not followed.

        A connection whose answer was not read to its end is closed, never used again. Besides the options that
        people give, ``cut_at`` (bytes) is for those who want the beginning of a body and no error for the rest, and
        ``stream_to`` may be what makes a name of what has come.

        Raises:
            ConnectError, ReadError, ProtocolError, BodyError: see ``scraper.errors``; ``request`` is set, and
                ``status`` when there was one.
            DownloadError, FileError: ``stream_to`` cannot be written.
        """
        begun = monotonic()
        options = request.options
        answer: Answer | None = None
        kept: Kept | None = None
        body = b""
        try:
            with self._pool.deadline(options):
                answer = await self._pool.send(request)
                try:
                    if options is None:
                        body = await self._body(answer, self._cap)
                    else:
                        cap = options.get("max_body_size", self._cap)
                        name = options.get("stream_to")
                        if name is not None and 200 <= answer.status < 300 and answer.status not in (204, 205):
                            kept = await self._file(answer, cap, name)
                        else:
                            body = await self._body(answer, cap, options.get("cut_at"))
                except BaseException:
                    answer.close()
                    raise
                elapsed = monotonic() - begun
        except FOREIGN as error:
            if is_ours(error):
                raise
            raise self._failure(error, request, answer) from error
        except (DownloadError, StoreError) as error:
            error.request = request
            raise
        status = answer.status
        headers = answer.headers
        seen = Seen(
            status,
            elapsed,
            len(body) if kept is None else kept.size,
            answer.reused,
            answer.wire.transport is not None,
            headers.get(hdrs.ETAG),
            headers.get(hdrs.LAST_MODIFIED),
        )
        response = Response(request.url, status, headers, body, request, seen)
        if kept is not None:
            response.file, response.sha256 = kept.path, kept.sha256
        return response

    async def close(self) -> None:
        """Wait for the threads: what was given up is taken off the disk by then."""
        await asyncio.to_thread(self._threads.shutdown)

    def _failure(self, error: BaseException, request: Request, answer: Answer | None) -> FetchError:
        failure = fault(error, request, self._settings, answer.status if answer is not None else None)
        failure.reused = answer.reused if answer is not None else None
        _let_go(error)
        return failure

    async def _body(self, answer: Answer, cap: int, cut: int | None = None) -> bytes:
        """The content. Raises OverLimit as soon as it is known to be too large."""
        content = answer.content
        headers = answer.headers
        coding = headers.get(hdrs.CONTENT_ENCODING)
        if hdrs.TRANSFER_ENCODING in headers and headers[hdrs.TRANSFER_ENCODING].strip().lower() != "chunked":
            raise TransferEncodingError(f"Transfer-Encoding {headers[hdrs.TRANSFER_ENCODING]!r}: nobody asked for it")
        if cut is not None:
            return await self._large(answer, cap, coding, [], cut)
        if not content.is_eof():
            length = headers.get(hdrs.CONTENT_LENGTH)
            if length is None:
                chunks = []
                size = 0
                while chunk := await content.readany():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > cap:
                        raise OverLimit(f"more than {cap} bytes")
                    if size > LARGE:
                        return await self._large(answer, cap, coding, chunks)
                body = b"".join(chunks)
            else:
                size = int(length)
                if size > cap:
                    raise OverLimit(f"{length} bytes announced")
                if size > LARGE:
                    return await self._large(answer, cap, coding, [])
                if content.exception() is None:
                    # The size is known and allowed: be woken once, not for every segment.
                    content.set_read_chunk_size(size)
                    await content.wait_eof()
                body = content.read_nowait()
        else:
            body = content.read_nowait()
        if len(body) > cap:
            raise OverLimit(f"{len(body)} bytes")
        return body if coding is None else await self._decode(body, coding, cap)

    async def _decode(self, body: bytes, coding: str, cap: int) -> bytes:
        """The content of a small body, however large that is."""
        content = _little(body, coding, cap)
        # Begun anew on a thread: what waits for one must not hold what a decoder holds.
        return content if content is not None else await self._thread(_gather, body, coding, cap)

    async def _large(
        self, answer: Answer, cap: int, coding: str | None, chunks: list[bytes], cut: int | None = None
    ) -> bytes:
        """The content of a large body, ``chunks`` of which have come; no more than its first ``cut`` bytes."""
        decoder = Decompressor(coding or "", cap if cut is None else sys.maxsize)
        # Where it is cut, what has come may be enough: whoever sends it may say nothing more.
        enough, step = (cap, LARGE) if cut is None else (cut, 1)
        weight = 1 if coding is None else 2  # a decoder remembers what it gave: up to 16 MB
        raw = 0
        content = BytesIO()  # grows in place, and gives its bytes away without a copy
        with self._room.place(answer.wire.record.host) as place:
            while batch := await _batch(answer, chunks, min(step, cap - raw + 1)):
                raw += len(batch)
                if cut is None and raw > cap:
                    raise OverLimit(f"more than {cap} bytes")
                if coding is None:
                    _pour(decoder, batch, content, enough)
                else:
                    await self._thread(_pour, decoder, batch, content, enough)
                if cut is not None and (content.tell() >= cut or raw > cap):
                    answer.close()  # the rest is not wanted
                    content.truncate(min(cut, content.tell()))
                    return content.getvalue()
                await place.grow(weight * content.tell() - place.held)
            decoder.finish()
        return content.getvalue()

    async def _file(self, answer: Answer, cap: int, name: str | Into) -> Kept:
        """The content, written to a file below ``files`` while it comes."""
        length = answer.headers.get(hdrs.CONTENT_LENGTH)
        if length is not None and int(length) > cap:
            raise OverLimit(f"{length} bytes announced")
        coding = answer.headers.get(hdrs.CONTENT_ENCODING) or ""
        decoder: Decompressor | None = None
        chunks: list[bytes] = []
        raw = 0
        writer = FileWriter(self._settings.files)
        given = name if isinstance(name, str) else name.given
        try:
            while batch := await _batch(answer, chunks, min(LARGE, cap - raw + 1)):
                raw += len(batch)
                if raw > cap:
                    raise OverLimit(f"more than {cap} bytes")
                if decoder is None:
                    if _is_gzip_file(answer, coding, given, batch, cap):
                        coding = ""
                    decoder = Decompressor(coding, cap)
                looked = bool(writer.head)
                await self._thread(_write, decoder, batch, writer)
                if not looked and not isinstance(name, str):
                    name.begins(answer.headers, writer.head)
            if decoder is not None:
                decoder.finish()
            return await self._thread(_keep, writer, name)
        except BaseException:
            self._threads.submit(writer.drop)
            raise

    async def _thread(self, function: Callable[[Unpack[A]], T], *arguments: *A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _call, function, *arguments)


def _call(function: Callable[[Unpack[A]], T], *arguments: *A) -> T:
    try:
        return function(*arguments)
    except BaseException as error:
        _let_go(error)  # here, for the loop may be late to look at it
        raise


def _let_go(error: BaseException) -> None:
    """Free what the traceback of a failure keeps alive: megabytes of content and of its decoder's memory."""
    each: BaseException | None = error
    while each is not None:
        clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__


async def _batch(answer: Answer, chunks: list[bytes], enough: int) -> bytes:
    """What comes next of the raw body, ``enough`` bytes or more unless it ends; ``chunks`` have come already."""
    content = answer.content
    content.set_read_chunk_size(enough)
    size = sum(map(len, chunks))
    while size < enough and (chunk := await content.readany()):
        chunks.append(chunk)
        size += len(chunk)
    batch = b"".join(chunks)
    chunks.clear()
    return batch


def _little(body: bytes, coding: str, cap: int) -> bytes | None:
    """The content of a body, or None when there is more of it than the loop has time for."""
    decoder = Decompressor(coding, cap)
    pieces = []
    size = 0
    for piece in decoder.feed(body):
        pieces.append(piece)
        size += len(piece)
        if size > UNFOLDED:
            return None
    decoder.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _gather(body: bytes, coding: str, cap: int) -> bytes:
    decoder = Decompressor(coding, cap)
    content = BytesIO()
    _pour(decoder, body, content, cap)
    decoder.finish()
    return content.getvalue()


def _pour(decoder: Decompressor, data: bytes, content: BytesIO, most: int) -> None:
    """What ``data`` unfolds to, until there are ``most`` bytes."""
    for piece in decoder.feed(data):
        content.write(piece)
        if content.tell() > most:
            return


def _write(decoder: Decompressor, data: bytes, writer: FileWriter) -> None:
    for piece in decoder.feed(data):
        writer.write(piece)


def _keep(writer: FileWriter, name: str | Into) -> Kept:
    return writer.keep(name if isinstance(name, str) else name.name_of(writer.so_far(), writer.size, writer.sha256))


def _is_gzip_file(answer: Answer, coding: str, name: str, begin: bytes, cap: int) -> bool:
    """Whether the coding is the file's own, not the transport's: servers label the archive a.tar.gz as encoded.

    One that is compressed twice is undone once.
    """
    if coding.strip().lower() not in ("gzip", "x-gzip"):
        return False
    if not name.lower().endswith(GZIP_NAMES) and essence(answer.headers.get(hdrs.CONTENT_TYPE)) not in GZIP_TYPES:
        return False
    return not next(Decompressor(coding, cap).feed(begin), b"").startswith(b"\x1f\x8b")
