"""HttpFetcher: one request over the pooled session, one answer, its body decoded under a cap."""

from __future__ import annotations

import asyncio
from time import monotonic

from aiohttp import hdrs

from scraper.decompress import OverLimit, decompress
from scraper.fetchers.faults import FOREIGN, fault
from scraper.page import Seen
from scraper.request import Request
from scraper.response import Response
from scraper.session import Answer, SessionPool
from scraper.settings import Settings

OFF_LOOP = 256 * 1024
"""Compressed bodies from this size (bytes) are decoded on a thread: about a millisecond of the loop's time."""


class HttpFetcher:
    """The Fetcher over a SessionPool, which stays its maker's to close."""

    def __init__(self, pool: SessionPool, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._cap = settings.max_body_size

    async def fetch(self, request: Request) -> Response:
        """One request, one answer, whatever its status; redirects are not followed.

        A connection whose answer was not read to its end is closed, never used again.

        Raises:
            ConnectError, ReadError, ProtocolError, BodyError: see ``scraper.errors``; ``request`` is set, and
                ``status`` when there was one.
        """
        begun = monotonic()
        answer: Answer | None = None
        try:
            with self._pool.deadline():
                answer = await self._pool.send(request)
                try:
                    body = await self._raw(answer)
                except BaseException:
                    answer.close()
                    raise
                elapsed = monotonic() - begun
                headers = answer.headers
                coding = headers.get(hdrs.CONTENT_ENCODING)
                if coding is not None:
                    if len(body) < OFF_LOOP:
                        body = decompress(body, coding, self._cap)
                    else:
                        body = await asyncio.to_thread(decompress, body, coding, self._cap)
        except FOREIGN as error:
            failure = fault(error, request, self._settings, answer.status if answer is not None else None)
            failure.reused = answer.reused if answer is not None else None
            raise failure from error
        status = answer.status
        seen = Seen(
            status,
            elapsed,
            len(body),
            answer.reused,
            answer.wire.transport is not None,
            headers.get(hdrs.ETAG),
            headers.get(hdrs.LAST_MODIFIED),
        )
        return Response(request.url, status, headers, body, request, seen)

    async def close(self) -> None:
        """Nothing to free."""

    async def _raw(self, answer: Answer) -> bytes:
        """The body as it came. Raises OverLimit as soon as it is known to be too large."""
        content = answer.content
        cap = self._cap
        if not content.is_eof():
            length = answer.headers.get(hdrs.CONTENT_LENGTH)
            if length is None:
                return await self._stream(answer)
            if int(length) > cap:
                raise OverLimit(f"{length} bytes announced")
            if content.exception() is None:
                # The size is known and allowed: be woken once, not for every segment.
                content.set_read_chunk_size(int(length))
                await content.wait_eof()
        body = content.read_nowait()
        if len(body) > cap:
            raise OverLimit(f"{len(body)} bytes")
        return body

    async def _stream(self, answer: Answer) -> bytes:
        chunks = []
        size = 0
        while chunk := await answer.content.readany():
            size += len(chunk)
            if size > self._cap:
                raise OverLimit(f"more than {self._cap} bytes")
            chunks.append(chunk)
        return b"".join(chunks)
