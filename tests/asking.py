"""A RobotsFetcher over a real pool, and a server whose robots.txt is given: what the tests of robots.txt drive."""

from collections.abc import Callable
from typing import Any

from sockets import Asked, Reply, Server, always, page

from scraper.errors import Postponed, RobotsDenied
from scraper.fetchers.http import HttpFetcher
from scraper.ports import Store
from scraper.request import Request
from scraper.response import Response
from scraper.robots import RobotsFetcher
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.testing import FakeClock
from scraper.url import origin_of

AGENT = "Shopper/1.2 (+https://shopper.example)"
NO = b"User-agent: *\nDisallow: /no\n"


class Robots:
    """``delays`` are those that the hosts have, ``learnt`` what was told of them."""

    def __init__(
        self,
        robots: bytes | Reply | Callable[[Asked], Reply],
        agent: str = AGENT,
        store: Store | None = None,
        clock: FakeClock | None = None,
        delay: float = 0.0,
        **settings: Any,
    ) -> None:
        reply = page(robots, Content_Type="text/plain") if isinstance(robots, bytes) else robots
        self.answer = reply if callable(reply) else always(reply)
        self.server = Server(self.behave)
        self.clock = clock or FakeClock()
        self.settings = Settings(user_agent=agent, **settings)
        self.store = store
        self.delay = delay
        self.learnt: list[tuple[str, float]] = []

    def behave(self, asked: Asked) -> Reply:
        return self.answer(asked) if asked.path.endswith("robots.txt") else page()

    async def __aenter__(self) -> "Robots":
        await self.server.__aenter__()
        self.pool = SessionPool(self.settings)
        self.http = HttpFetcher(self.pool, self.settings)
        self.restart()
        return self

    def restart(self) -> None:
        """A fetcher that knows nothing yet, with the same store and clock."""
        self.fetcher = RobotsFetcher(self.http, self.settings, self.clock, self.store, self.learn, self.gap)

    async def __aexit__(self, *_: object) -> None:
        await self.fetcher.close()
        await self.pool.close()
        await self.server.__aexit__()

    def learn(self, host: str, seconds: float, origin: str) -> None:
        self.learnt.append((host, seconds))
        self.delay = max(self.delay, seconds)

    def gap(self, host: str) -> float:
        return self.delay

    @property
    def origin(self) -> str:
        return origin_of(self.server.url())

    @property
    def asked(self) -> list[str]:
        return [each.path for each in self.server.asked]

    @property
    def robots_asked(self) -> int:
        return sum(path.endswith("robots.txt") for path in self.asked)

    async def get(self, path: str, **options: Any) -> Response:
        return await self.fetcher.fetch(Request(self.server.url(path), **options))

    async def postpones(self, path: str) -> bool:
        try:
            await self.get(path)
        except Postponed:
            return True
        return False

    async def allows(self, path: str, **options: Any) -> bool:
        try:
            await self.get(path, **options)
        except RobotsDenied as denied:
            assert denied.reason == "robots"
            assert denied.request is not None
            assert denied.request.url in str(denied)
            assert not denied.transient
            return False
        return True
