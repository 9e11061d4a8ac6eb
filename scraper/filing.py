"""Filing: what is done with a download once its file is in place and its host's slot is free.

Loaded with the first download of a crawl.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scraper.log import Logger
from scraper.media import place_of, spec_of
from scraper.page import FileFact, Seen

if TYPE_CHECKING:
    from scraper.request import Request

log = Logger("scraper.engine")


def led_on(seen: Seen, request: Request, target: Request) -> None:
    """A download that is redirected: its file is its target's."""
    folder = spec_of(request)["into"]
    seen.file = FileFact("redirect", folder, leads_to=target.fingerprint)


async def filed(seen: Seen, request: Request, spider: str, root: str, threads: Executor) -> str | None:
    """Make the thumbnails. Returns what the page's reason is; None for a file that was fetched.

    Raises FileError when they cannot be written.
    """
    fact = seen.file
    if fact is None:
        return None
    if fact.status == "refused":
        return "too small"
    spec = spec_of(request)
    if (wanted := spec.get("thumbs")) and fact.path is not None:
        place = place_of(spider, spec["into"])
        loop = asyncio.get_running_loop()
        work = (Path(root), fact, place, wanted)
        fact.thumbs, fact.flaw = await loop.run_in_executor(threads, _thumbs, *work)
        if fact.flaw is not None:
            log.warning("no_thumbs", url=request.url, file=fact.path, error=fact.flaw)
    return None if fact.status == "fetched" else fact.status


def _thumbs(root: Path, fact: FileFact, place: str, wanted: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The thumbnails, and why there are none."""
    from scraper.thumbs import ImageError, are_made, make_thumbs

    if fact.status != "fetched" and are_made(root, fact.thumbs, wanted):
        return fact.thumbs, None
    assert fact.path is not None
    try:
        return make_thumbs(root, fact.path, place, wanted), None
    except ImageError as error:
        return {}, f"no thumbnails: {error}"
