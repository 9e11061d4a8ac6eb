"""The site that the crash bench crawls: small, and with every kind of page that a kill could do harm to.

It runs in the process that judges, so what it counts is what was truly asked for, whatever the crawl says.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")

BIG = "<!--" + "x" * 70_000 + "-->"
"""With it a page is parsed on a thread."""

LIFE = "crash/"
"""A process asks as ``crash/<its number>``, so that a request that arrives after its death counts as its own."""


class CrashSite:
    """``async with CrashSite(300) as site:`` pages ``/0`` to ``/299`` in a tree, spread over several hosts.

    Page n links to 2n+1 and 2n+2, and back to n//2; some of the links lead through a redirect, some to a page that is
    gone, and one of each page to a foreign host. Every eleventh is busy (503) until the crawl has *committed*
    that it was: so whatever was killed, each page takes exactly as many attempts as when nobody kills.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.gate = asyncio.Event()
        self.stuck: Callable[[str], bool] = lambda path: False
        """Paths that are not answered while the gate is closed."""
        self.seen: Callable[[int], object] = lambda asked: None
        """Told at each request how many pages the process has asked for (0: it asks for robots.txt)."""
        self.attempts: Callable[[str], int] = lambda url: 1
        """Committed attempts of a URL."""
        self.asked: defaultdict[int, Counter[str]] = defaultdict(Counter)
        """Requests for pages, by the number of the process and URL."""
        self.robots: Counter[int] = Counter()
        self.origins: list[str] = []
        self._runner: web.AppRunner | None = None

    def reset(self) -> None:
        """As if it had just been opened."""
        self.gate.set()
        self.stuck = lambda path: True
        self.seen = lambda asked: None
        self.attempts = lambda url: 1
        self.asked.clear()
        self.robots.clear()

    def reach(self, asked: int) -> "asyncio.Future[None]":
        """Close the gate when a process asks for so many pages; done when it has."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def look(number: int) -> None:
            if number == asked and not reached.done():
                self.gate.clear()
                reached.set_result(None)

        self.seen = look
        return reached

    def url(self, number: int) -> str:
        return f"{self.origins[number % len(self.origins)]}/{number}"

    def links(self, number: int) -> list[str]:
        """The links of a page that are to be followed."""
        links = [self.url(number // 2)]
        for child in (2 * number + 1, 2 * number + 2):
            if child < self.size:
                links.append(self.url(child) if child % 7 != 3 else f"{self.origins[child % 2]}/to/{child}")
        if number % 13 == 5:
            links.append(f"{self.origins[0]}/gone/{number}")
        return links

    def plain(self, text: str) -> str:
        """The text with names of hosts that are the same on every such site."""
        for number, origin in enumerate(self.origins):
            text = text.replace(origin, f"http://host{number}")
        return text

    async def __aenter__(self) -> "CrashSite":
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        for host in HOSTS:
            try:
                await web.TCPSite(self._runner, host, 0).start()
            except OSError:  # a system that has 127.0.0.1 alone: another port is another host, too
                await web.TCPSite(self._runner, HOSTS[0], 0).start()
        self.origins = [f"http://{host}:{port}" for host, port, *_ in self._runner.addresses]
        self.reset()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        life = int(request.headers.get("User-Agent", "").removeprefix(LIFE) or 0)
        path = request.path
        url = f"http://{request.host}{path}"
        if path == "/robots.txt":
            self.robots[life] += 1
        else:
            self.asked[life][url] += 1
        self.seen(self.asked[life].total())
        if not self.gate.is_set() and self.stuck(path):
            await self.gate.wait()
        if path == "/robots.txt":
            return web.Response(status=404)
        kind, _, number = path[1:].rpartition("/")
        if kind == "to":
            return web.Response(status=302, headers={"Location": self.url(int(number))})
        if kind == "gone":
            return web.Response(status=404)
        return self._page(int(number), url)

    def _page(self, number: int, url: str) -> web.Response:
        if number % 11 == 0 and not self.attempts(url):
            return web.Response(status=503)
        links = [*self.links(number), "http://foreign.invalid/"]
        body = f"<h1>{number}</h1>" + "".join(f'<a href="{each}">on</a>' for each in links)
        return web.Response(text=body + BIG * (number % 50 == 7), content_type="text/html")


def expected(size: int) -> dict[str, Any]:
    """What an unkilled crawl of the site must come to, from the site alone: what the golden run itself is held to."""
    detours = sum(child % 7 == 3 for child in range(1, size))
    gone = sum(number % 13 == 5 for number in range(size))
    return {
        "pages": size + detours,
        "dead": gone,
        "redirects": detours,
        "retries": len(range(0, size, 11)),
        "items": 4 * size - sum(number % 17 == 4 for number in range(size)),
        "rejects": sum(number % 17 == 4 for number in range(size)),
        "row": sorted((number, 2 * number) for number in range(size)),
        "shelf": sorted((f"shelf {number}",) for number in range(min(size, 10))),
    }
