"""A pool with its fetcher, as the tests of HttpFetcher drive them."""

import ssl

import pytest
from aiohttp.abc import AbstractResolver

from scraper.errors import FetchError
from scraper.fetchers.http import HttpFetcher
from scraper.guard import Guard
from scraper.request import Request
from scraper.response import Response
from scraper.session import SessionPool
from scraper.settings import Settings


class Fetching:
    """A pool and its fetcher for one test."""

    def __init__(
        self,
        settings: Settings,
        resolver: AbstractResolver | None = None,
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.pool = SessionPool(settings, resolver, guard, tls)
        self.fetcher = HttpFetcher(self.pool, settings)

    async def __aenter__(self) -> "Fetching":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.fetcher.close()
        await self.pool.close()

    async def get(self, url: str, **options: object) -> Response:
        return await self.fetcher.fetch(Request(url, **options))  # type: ignore[arg-type]

    async def fails(self, url: str, kind: type[FetchError], **options: object) -> FetchError:
        """The error, which must be exactly of this kind, know its request and name its URL."""
        with pytest.raises(FetchError) as caught:
            await self.get(url, **options)
        assert type(caught.value) is kind, repr(caught.value)
        assert caught.value.request is not None
        assert caught.value.request.url in str(caught.value)
        return caught.value


def fetching(
    resolver: AbstractResolver | None = None, tls: ssl.SSLContext | None = None, **settings: object
) -> Fetching:
    return Fetching(Settings(**settings), resolver, tls=tls)  # type: ignore[arg-type]


def guarded(*named: str, resolver: AbstractResolver | None = None, **settings: object) -> Fetching:
    """The same with a guard that was told these URLs."""
    chosen = Settings(**settings)  # type: ignore[arg-type]
    guard = Guard(chosen)
    for url in named:
        guard.name(url)
    return Fetching(chosen, resolver, guard)
