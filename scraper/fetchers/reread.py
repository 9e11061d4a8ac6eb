"""RereadFetcher: a Fetcher for feeds, whose bodies go into files and are read from there part by part.

It stands around all others: a part that is read on from its file sends nothing, so it costs neither robots.txt nor a
connection nor a turn of its host.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path
from typing import Any

from scraper.download import FileWriter
from scraper.log import Logger
from scraper.media import place_of
from scraper.page import Dead, Done, Outcome, Receipt, Seen
from scraper.ports import Fetcher
from scraper.request import Request, with_headers
from scraper.response import Response

log = Logger("scraper.feeds")

FOLDER = "feeds"
"""Below the setting ``files``."""
STALE = 86_400.0
"""Seconds after which a file that nobody came back for is removed."""
MOST_KNOWN = 1000

Stamp = tuple[int, int, int]


class RereadFetcher:
    """Wraps the fetcher that sends; told of commits, it removes the file of a feed that was read to its end.

    A request with the option ``part`` is one of a feed: empty for the feed itself, else what of it is to be read on
    (``file`` below ``root``, its ``sha256``, the content ``type``). If that file is gone, or is not the one that the
    earlier parts were read from, the feed is asked for again.
    """

    def __init__(self, inner: Fetcher, root: str | Path, spider: str) -> None:
        self._inner = inner
        self._root = Path(root)
        self._folder = f"{FOLDER}/{place_of(spider, '')}"
        self._known: dict[Path, tuple[Stamp, str]] = {}

    def fetch(self, request: Request) -> Coroutine[Any, Any, Response]:
        """As the inner fetcher does; of a feed, the body is in ``response.file``."""
        options = request.options
        if options is None or "part" not in options:
            return self._inner.fetch(request)
        return self._feed(request, options["part"])

    async def close(self) -> None:
        """Close the inner fetcher; leave no empty folder behind."""
        await self._inner.close()
        for folder in (self._folder, FOLDER):
            with suppress(OSError):
                (self._root / folder).rmdir()

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        """An observer: what is read to its end, or given up, needs no file any more."""
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            request = outcome.lease.request
            if request.options is None or "part" not in request.options or not receipt.applied:
                continue
            name = self._name(request)
            if isinstance(outcome, Dead) or (isinstance(outcome, Done) and not _goes_on(outcome, name)):
                await asyncio.to_thread(self._remove, self._root / name)

    def sweep(self, now: float) -> None:
        """Remove what an earlier run left behind: it was killed before it could, or given up."""
        for path in (self._root / self._folder).glob("*"):
            with suppress(OSError):
                if now - path.stat().st_mtime > STALE:
                    path.unlink()

    async def _feed(self, request: Request, part: dict[str, Any]) -> Response:
        if part and part["file"]:
            path = self._root / part["file"]
            if await asyncio.to_thread(self._is, path, part["sha256"]):
                response = Response(request.url, 200, {"Content-Type": part["type"]}, b"", request, Seen())
                response.file, response.sha256 = path, part["sha256"]
                return response
            log.warning("feed_again", url=request.url, hint=f"its file {path} is gone or was changed")
        name = self._name(request)
        sent = with_headers(request, {})
        sent.options = {key: value for key, value in (request.options or {}).items() if key != "part"}
        sent.options["stream_to"] = name
        response = await self._inner.fetch(sent)
        response.request = request
        if response.file is None and response.body and 200 <= response.status < 300:  # a fetcher that keeps no files
            kept = await asyncio.to_thread(self._keep, response.body, name)
            response.file, response.sha256 = kept
            response.body = b""
        if response.file is not None and response.sha256 is not None:
            await asyncio.to_thread(self._learn, response.file, response.sha256)
        return response

    def _name(self, request: Request) -> str:
        part = (request.options or {}).get("part")
        return str(part["file"]) if part and part["file"] else f"{self._folder}/{request.fingerprint.hex()}"

    def _keep(self, body: bytes, name: str) -> tuple[Path, str]:
        writer = FileWriter(self._root)
        try:
            writer.write(body)
            kept = writer.keep(name)
        except BaseException:
            writer.drop()
            raise
        return kept.path, kept.sha256

    def _is(self, path: Path, sha256: str) -> bool:
        """Whether the file has this content. It is read once, and then only looked at."""
        try:
            stamp = _stamp(path)
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                with open(path, "rb") as file:
                    known = stamp, file_digest(file, "sha256").hexdigest()
                self._remember(path, known)
        except OSError:
            return False
        return known[1] == sha256

    def _learn(self, path: Path, sha256: str) -> None:
        with suppress(OSError):  # gone already: the next look finds that out
            self._remember(path, (_stamp(path), sha256))

    def _remember(self, path: Path, known: tuple[Stamp, str]) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[path] = known

    def _remove(self, path: Path) -> None:
        self._known.pop(path, None)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("feed_left", file=str(path), error=str(error))


def _goes_on(outcome: Done, name: str) -> bool:
    """Whether there is another part: it is the last link of the one before. Also where a feed was redirected."""
    links = outcome.found.links
    if outcome.redirects or not links:
        return outcome.redirects
    part = (links[-1].options or {}).get("part") or {}
    return bool(part.get("file") == name)


def _stamp(path: Path) -> Stamp:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, found.st_ino
