"""What the checks of the store contract say it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from scraper.page import Dead, Done, Found, Item, Lease, Retry, Seen
from scraper.ports import Store, StoredItem, StoredPage
from scraper.request import Request

Make = Callable[[], Store]
Check = Callable[[Make], Awaitable[None]]

NOW = 1_700_000_000.0
LATER = NOW + 3600.0


@asynccontextmanager
async def owner(make: Make) -> AsyncIterator[Store]:
    store = make()
    await store.open()
    try:
        await store.begin("contract", NOW)
        yield store
    finally:
        await store.close()


def url(path: str, host: str = "h0.test") -> str:
    return Request(f"http://{host}/{path}").url


def requests(*paths: str, host: str = "h0.test") -> list[Request]:
    return [Request(f"http://{host}/{path}") for path in paths]


async def take(store: Store) -> list[Lease]:
    return await store.lease(100, 100, NOW, LATER)


def paths(leases: Sequence[Lease]) -> list[str]:
    return [lease.request.url.rpartition("/")[2] for lease in leases]


def item(kind: str = "thing", data: str = "{}", key: str | None = None) -> Item:
    return Item(kind, key, data, ("n",) if data != "{}" else ())


def done(lease: Lease, *links: str, items: Sequence[Item] = ()) -> Done:
    return Done(lease, Seen(200), Found(links=requests(*links), items=list(items)))


def retry(lease: Lease, delay: float = 1.0) -> Retry:
    return Retry(lease, Seen(), delay, "read", "broke")


def dead(lease: Lease) -> Dead:
    return Dead(lease, Seen(500), "status 500", "answered 500")


async def read_items(store: Store, run: int | None = None, kind: str | None = None) -> list[StoredItem]:
    return [item async for item in store.items(run, kind)]


async def read_pages(store: Store, run: int | None = None) -> list[StoredPage]:
    return [page async for page in store.pages(run)]
