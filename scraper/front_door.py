"""The front door: ``crawl``, ``stream`` and ``run``, each of which makes a Crawl and sees it through."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from scraper.crawl import Crawl
from scraper.discover import LOADED
from scraper.errors import SpiderError, UsageError
from scraper.process import run_alone
from scraper.report import CrawlReport
from scraper.settings import NAMES, Settings
from scraper.spider import Spider
from scraper.tap import Tap

_OPTIONS = frozenset(inspect.signature(Crawl).parameters) - {"spider", "settings"}


def _crawl(spider: type[Spider] | Spider, options: dict[str, Any]) -> Crawl:
    """Options that are Crawl's go there; all others are settings (an unknown one is a clear error)."""
    if (file := LOADED.get()) is not None:
        raise SpiderError(
            f"{file} starts a crawl while it is loaded; put what starts it at its end, below "
            "'if __name__ == \"__main__\":', so that only python runs it and scraper finds the spider"
        )
    own = {name: value for name, value in options.items() if name in _OPTIONS}
    given = options.get("settings")
    rest = {name: value for name, value in options.items() if name not in _OPTIONS and name != "settings"}
    if isinstance(given, Settings):
        if not rest:
            return Crawl(spider, settings=given, **own)
        given = {name: getattr(given, name) for name in NAMES}
    return Crawl(spider, settings={**(given or {}), **rest}, **own)


async def crawl(spider: type[Spider] | Spider, **options: Any) -> CrawlReport:
    """Run a spider in the running event loop.

    Options are the arguments of ``Crawl`` and any setting by name:
    ``await scraper.crawl(Books, db="books.db", concurrency_per_host=8)``.
    Raises UsageError, StoreError, CallbackError.
    """
    return await _crawl(spider, options).run()


async def stream(spider: type[Spider] | Spider, **options: Any) -> AsyncIterator[Any]:
    """Run a spider and yield its items, each once its page is committed. Options as in ``crawl``.

    A slow consumer slows the crawl. Leaving the loop early drains the crawl, and a later one resumes
    (close the generator with ``contextlib.aclosing`` to wait for that).
    """
    tap = Tap()
    one = _crawl(spider, {**options, "observers": [*options.get("observers", ()), tap]})
    task = asyncio.ensure_future(one.run())
    task.add_done_callback(lambda _: tap.end())
    try:
        async for item in tap:
            yield item
        await task
    finally:
        tap.closed = True
        if not task.done():
            one.stop()
            tap.drop()
            await task


def run(spider: type[Spider] | Spider, **options: Any) -> CrawlReport:
    """Run a spider from a script and wait for it. Options as in ``crawl``.

    SIGINT and SIGTERM drain the crawl; a second one stops it at once. Nothing is lost either way.
    Raises UsageError inside a running event loop (a notebook): use ``await scraper.crawl(...)`` there.
    """
    with suppress(RuntimeError):  # there is none, as it should be
        asyncio.get_running_loop()
        raise UsageError(
            "an event loop is running already (a notebook?): write 'await scraper.crawl(...)' instead of run()"
        )
    return run_crawl(_crawl(spider, options))


def run_crawl(one: Crawl, beside: Callable[[Crawl], Any] | None = None) -> CrawlReport:
    """Run a Crawl in a new event loop (uvloop where it can be had) with signals wired to drain.

    ``beside`` makes a coroutine that runs next to it, such as a progress display.
    """

    async def work() -> CrawlReport:
        companion = asyncio.ensure_future(beside(one)) if beside is not None else None
        try:
            return await one.run()
        finally:
            if companion is not None:
                companion.cancel()
                with suppress(asyncio.CancelledError):
                    await companion

    return run_alone(one, work)
