"""A whole crawl in one process with fakes at the ports: what the tests of the engine drive."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scraper.engine import Engine
from scraper.ports import Fetcher, Observer, RetryPolicy, Store, StoredItem, StoredPage, Throttle
from scraper.response import Response
from scraper.retry import default_policy
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing import FakeClock, FakeFetcher
from scraper.throttle import FixedThrottle

SITE = "http://h.test/"


def spider(*start: str, **attributes: Any) -> Spider:
    """A spider that begins at these paths of SITE, with these methods."""
    attributes.setdefault("start_urls", [SITE + path for path in start or ("",)])
    attributes.setdefault("parse", lambda self, response: None)
    return type("Test", (Spider,), attributes)()


def page(*links: str) -> str:
    return "<h1>page</h1>" + "".join(f'<a href="{link}">link</a>' for link in links)


def follow(self: Spider, response: Response) -> Any:
    """A callback: every link, and one item that says where it was found."""
    yield {"url": response.url}
    yield from response.follow_all("a")


class Bench:
    """One engine over its parts. ``await bench.run()`` crawls to the end while the clock is moved on."""

    def __init__(
        self,
        spider: Spider,
        answers: Mapping[str, Any] | Fetcher,
        *,
        store: Store | None = None,
        memory: Memory | None = None,
        clock: FakeClock | None = None,
        throttle: Throttle | None = None,
        retry: RetryPolicy | None = None,
        observers: Sequence[Observer] = (),
        **settings: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        self.store: Any = store or MemoryStore(memory)
        self.fetcher: Any = (
            FakeFetcher({SITE + path: answer for path, answer in answers.items()})
            if isinstance(answers, Mapping)
            else answers
        )
        chosen = Settings(**settings)
        self.engine = Engine(
            spider=spider,
            settings=chosen,
            store=self.store,
            fetcher=self.fetcher,
            throttle=throttle or FixedThrottle(chosen),
            retry=retry or default_policy(chosen),
            clock=self.clock,
            observers=observers,
        )

    async def run(self, meanwhile: Callable[[], object] | None = None) -> str:
        """The reason why it ended. ``meanwhile`` is called each time all stands still, before time passes."""
        await self.store.open()
        try:
            run = await self.store.begin("test", self.clock.time())
            reason = await drive(self.engine.run(), self.clock, meanwhile)
            over = reason in ("finished", "limit_pages", "limit_items")
            await self.store.finish(reason, self.clock.time(), finished=over)
            self.run_id = run.id
            return reason
        finally:
            await self.store.close()

    @property
    def asked(self) -> list[str]:
        """Paths in the order of the requests."""
        return [url.removeprefix(SITE) for url in self.fetcher.log]

    async def pages(self) -> dict[str, StoredPage]:
        """By path; of twins (dont_filter), the last."""
        return {each.url.removeprefix(SITE): each async for each in self.store.pages()}

    async def states(self) -> dict[str, str]:
        return {path: each.state for path, each in (await self.pages()).items()}

    async def items(self) -> list[StoredItem]:
        return [each async for each in self.store.items()]


async def quiet() -> bool:
    """Let everything run that needs neither time nor input from outside; False when it finds no end."""
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    for _ in range(1000):  # a spider may have seeds without end
        if not loop._ready:
            return True
        await asyncio.sleep(0)
    return False


async def drive(work: Any, clock: FakeClock, meanwhile: Callable[[], object] | None = None) -> Any:
    """Run ``work`` to its end, moving the clock on to the next timer whenever all stands still."""
    task = asyncio.ensure_future(work)
    outside = Outside()
    idle = 0
    while True:
        still = await quiet()
        if meanwhile is not None and not task.done():
            meanwhile()
            still = await quiet()
        if task.done():
            return task.result()
        when = clock.next_timer()
        if when is not None:
            clock.advance(when - clock.monotonic())
        elif not still:
            continue
        elif meanwhile is not None and idle < 20:
            idle += 1  # it may be what the crawl waits for
        elif not await outside.came():
            task.cancel()
            await asyncio.wait([task])
            raise AssertionError("the crawl stands still: nothing to run, no timer, and it has not ended")


class Outside:
    """Knows when a thread (a parser, a database) has handed something to the loop."""

    def __init__(self) -> None:
        loop: Any = asyncio.get_running_loop()
        self._something = asyncio.Event()
        hand_over = loop.call_soon_threadsafe

        def noticed(*arguments: Any, **options: Any) -> Any:
            handle = hand_over(*arguments, **options)
            hand_over(self._something.set)
            return handle

        loop.call_soon_threadsafe = noticed

    async def came(self) -> bool:
        """False when nothing came for seconds, which only happens when a test is about to fail."""
        try:
            async with asyncio.timeout(5):
                await self._something.wait()
        except TimeoutError:
            return False
        self._something.clear()
        return True


class Watch:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    async def committed(self, outcomes: Sequence[Any], receipts: Sequence[Any]) -> None:
        assert len(outcomes) == len(receipts)
        self.outcomes += outcomes
