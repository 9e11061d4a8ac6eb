"""KeptFetcher: a Fetcher for downloads, which asks for no file that is there already and has not changed.

It stands around all others, so that a file that is kept costs neither robots.txt nor a connection, and takes no turn
of its host. All other requests pass it by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from multidict import CIMultiDict

from scraper.download import FileWriter, Kept
from scraper.errors import FileRefused
from scraper.page import FileFact, Seen
from scraper.ports import Clock, Fetcher, Store
from scraper.request import Request, with_headers
from scraper.response import Response
from scraper.settings import Settings

if TYPE_CHECKING:
    from scraper.media import Into

CONDITIONS = frozenset(("if-none-match", "if-modified-since", "range", "if-range", "if-match", "if-unmodified-since"))


class KeptFetcher:
    """Wraps the fetcher that asks robots.txt first.

    Args:
        store: knows what was kept before.
        spider: the name whose folder the files are in.
    """

    def __init__(self, inner: Fetcher, settings: Settings, store: Store, clock: Clock, spider: str) -> None:
        self._inner = inner
        self._root = Path(settings.files)
        self._cap = settings.max_file_size
        self._store = store
        self._clock = clock
        self._spider = spider

    def fetch(self, request: Request) -> Coroutine[Any, Any, Response]:
        """As the inner fetcher does; for a download, ``seen.file`` of the response says what it came to.

        Raises FileRefused for an answer that is not the file that was asked for.
        """
        options = request.options
        if options is None or "download" not in options:
            return self._inner.fetch(request)
        return self._file(request, options)

    async def close(self) -> None:
        """Close the inner fetcher."""
        await self._inner.close()

    async def _file(self, request: Request, options: dict[str, Any]) -> Response:
        from scraper.media import Into, place_of  # few crawls have downloads

        spec = options["download"]
        again = spec.get("again", "changed")
        now = self._clock.time()
        known = await self._store.file(request.fingerprint) if again != "always" else None
        if known is not None and not await asyncio.to_thread(_is_whole, self._root, known):
            known = None
        if known is not None and (again == "never" or _is_fresh(known, again, now)):
            return self._known(request, known, "kept", Seen(etag=known.etag, last_modified=known.last_modified))
        conditions = _conditions(request, known) if known is not None else {}
        sent = with_headers(request, conditions)
        into = Into(self._root, place_of(self._spider, spec["into"]), request, _measure)
        sent.options = {"max_body_size": self._cap} | options | {"stream_to": into}
        begun = monotonic()
        try:
            response = await self._inner.fetch(sent)
            response.request = request
            if known is not None and conditions and response.status == 304:
                known.asked_at = now
                known.etag = response.seen.etag or known.etag
                known.last_modified = response.seen.last_modified or known.last_modified
                return self._known(request, known, "not modified", response.seen)
            if not 200 <= response.status < 300:
                return _passed(response)
            if into.name is None:  # a fetcher of the caller's own gives bodies, and no files
                kept = await asyncio.to_thread(self._write, response, into)
                response.file, response.sha256, response.body = kept.path, kept.sha256, b""
        except FileRefused as error:
            error.request = request
            if error.reason != "too small":
                raise
            return self._too_small(request, error, monotonic() - begun, now)
        response.seen.file = FileFact(
            folder=spec["into"],
            path=into.name,
            sha256=response.sha256,
            size=response.seen.size,
            content_type=into.kind or None,
            etag=response.seen.etag,
            last_modified=response.seen.last_modified,
            fetched_at=now,
            asked_at=now,
        )
        return response

    def _known(self, request: Request, known: FileFact, status: str, seen: Seen) -> Response:
        """The file as it is, in the place of an answer; without a status in ``seen`` nothing was asked."""
        headers = CIMultiDict({"Content-Type": known.content_type} if known.content_type else {})
        response = Response(request.url, seen.status or 200, headers, b"", request, seen)
        assert known.path is not None
        response.file, response.sha256 = self._root / known.path, known.sha256
        seen.file = msgspec.structs.replace(known, status=status)
        return response

    def _too_small(self, request: Request, error: FileRefused, elapsed: float, now: float) -> Response:
        """No failure: the spider said which images it does not want."""
        seen = Seen(200, elapsed)
        folder = request.options["download"]["into"] if request.options else ""
        seen.file = FileFact("refused", folder, flaw=str(error), asked_at=now)
        return Response(request.url, 200, None, b"", request, seen)

    def _write(self, response: Response, into: Into) -> Kept:
        writer = FileWriter(self._root)
        try:
            writer.write(response.body if response.file is None else response.file.read_bytes())
            if writer.size:
                into.begins(response.headers, writer.head)
            kept = writer.keep(into.name_of(writer.so_far(), writer.size, writer.sha256))
        except BaseException:
            writer.drop()
            raise
        response.seen.size = kept.size
        return kept


def _measure(path: Path, url: str) -> tuple[int, int]:
    from scraper.thumbs import measure  # needs Pillow

    return measure(path, url)


def _passed(response: Response) -> Response:
    """A redirect or an error status, which others deal with; any other answer is no file."""
    status = response.status
    if status >= 400 or (300 <= status < 400 and status != 304 and response.headers.get("Location")):
        return response
    raise FileRefused(f"{response.url} answered {status}, which is no file", reason=f"status {status}")


def _is_whole(root: Path, known: FileFact) -> bool:
    try:
        return known.path is not None and (root / known.path).stat().st_size == known.size
    except OSError:
        return False


def _is_fresh(known: FileFact, again: str | float, now: float) -> bool:
    return not isinstance(again, str) and known.asked_at is not None and 0 <= now - known.asked_at < again


def _conditions(request: Request, known: FileFact) -> dict[str, str]:
    """The headers that ask for it only if it has changed (RFC 9110, 13.1); none beside conditions of its own."""
    if request.method != "GET" or any(name.lower() in CONDITIONS for name in request.headers or ()):
        return {}
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in headers.items() if value is not None}
