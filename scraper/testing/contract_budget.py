"""The store contract: no host has more pages in a run than the budget allows."""

from __future__ import annotations

from scraper.page import Done, Found, Lease, Seen
from scraper.ports import Store
from scraper.request import Request
from scraper.testing.contract_words import NOW, Check, Make, done, owner, paths, read_pages, requests, take, url


def with_links(lease: Lease, links: list[Request]) -> Done:
    return Done(lease, Seen(200), Found(links=links))


async def urls(store: Store) -> list[str]:
    return [page.url for page in await read_pages(store)]


async def a_host_has_no_more_pages_than_its_budget(make: Make) -> None:
    async with owner(make) as store:
        store.budget(3)
        assert await store.add(requests("a"), NOW) == 1
        (lease,) = await take(store)
        links = [*requests("b", "c", "d", "b", "e"), *requests("x", "y", host="h1.test")]
        (receipt,) = await store.commit([with_links(lease, links)], NOW)
        assert (receipt.new_links, receipt.over_budget) == (4, 2)
        assert await urls(store) == [url("a"), url("b"), url("c"), url("x", "h1.test"), url("y", "h1.test")]


async def a_page_that_is_known_needs_no_budget(make: Make) -> None:
    async with owner(make) as store:
        store.budget(2)
        await store.add(requests("a", "b"), NOW)
        first, second = await take(store)
        receipts = await store.commit([done(first, "a", "b", "c"), done(second, "c", "b")], NOW)
        assert [(each.new_links, each.over_budget) for each in receipts] == [(0, 1), (0, 1)]
        assert await urls(store) == [url("a"), url("b")]


async def a_budget_counts_seeds(make: Make) -> None:
    async with owner(make) as store:
        store.budget(2)
        assert await store.add(requests("a", "b", "c"), NOW) == 2
        assert await store.add(requests("d"), NOW) == 0
        assert await urls(store) == [url("a"), url("b")]


async def a_budget_is_of_the_run_and_not_of_its_owner(make: Make) -> None:
    async with owner(make) as store:
        store.budget(3)
        await store.add(requests("a", "b"), NOW)
    async with owner(make) as store:  # it counts nothing
        (first, _) = await take(store)
        await store.commit([done(first)], NOW)
    async with owner(make) as store:
        store.budget(3)
        (second,) = await take(store)
        (receipt,) = await store.commit([done(second, "c", "d")], NOW)
        assert (receipt.new_links, receipt.over_budget) == (1, 1)
        await store.finish("finished", NOW, True)
    async with owner(make) as store:  # a run of its own: what an earlier one met counts when it is met again
        store.budget(3)
        assert await store.add(requests("e", "f", "g", "a"), NOW) == 3


async def a_page_that_was_dropped_may_come_when_there_is_room(make: Make) -> None:
    async with owner(make) as store:
        store.budget(1)
        assert await store.add(requests("a", "b"), NOW) == 1
        store.budget(2)
        assert await store.add(requests("b", "c"), NOW) == 1
        assert paths(await take(store)) == ["a", "b"]


async def nothing_is_taken_from_a_budget_by_a_transaction_that_was_undone(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        store.budget(4)
        (lease,) = await take(store)
        broken = Request("http://h0.test/broken", meta={"a": object()})
        refused = False
        try:
            await store.commit([with_links(lease, [*requests("b", "c"), broken])], NOW)
        except Exception:
            refused = True
        assert refused
        (receipt,) = await store.commit([done(lease, "d", "e", "f", "g")], NOW)
        assert (receipt.new_links, receipt.over_budget) == (3, 1)
        assert await urls(store) == [url("a"), url("d"), url("e"), url("f")]


CHECKS: tuple[Check, ...] = (
    a_host_has_no_more_pages_than_its_budget,
    a_page_that_is_known_needs_no_budget,
    a_budget_counts_seeds,
    a_budget_is_of_the_run_and_not_of_its_owner,
    a_page_that_was_dropped_may_come_when_there_is_room,
    nothing_is_taken_from_a_budget_by_a_transaction_that_was_undone,
)
