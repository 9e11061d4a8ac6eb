"""The store contract: owners, runs, and what is read back."""

from __future__ import annotations

from scraper.errors import StoreLocked, UsageError
from scraper.page import Done, Found, HostLedger, Run, Seen
from scraper.testing.contract_words import (
    LATER,
    NOW,
    Check,
    Make,
    done,
    item,
    owner,
    paths,
    read_items,
    read_pages,
    requests,
    retry,
    take,
    url,
)


async def second_owner_is_refused_while_the_first_is_alive(make: Make) -> None:
    async with owner(make) as first:
        second = make()
        try:
            await second.open()
        except StoreLocked:
            await second.close()
        else:
            raise AssertionError("two owners at once")
        assert await first.add(requests("a"), NOW) == 1, "the first is not disturbed"
    async with owner(make) as third:
        assert len(await take(third)) == 1


async def leases_end_with_their_owner(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        old = await take(store)
    async with owner(make) as store:
        leases = await take(store)
        assert [(lease.page, lease.attempt) for lease in leases] == [(lease.page, 1) for lease in old]
        assert [r.applied for r in await store.commit([done(lease) for lease in leases], NOW)] == [True, True]


async def unfinished_run_is_resumed(make: Make) -> None:
    async with owner(make) as store:
        run = await store.begin("contract", NOW)
        await store.add(requests("a"), NOW)
        await store.finish("stopped", NOW + 1, finished=False)
    store = make()
    await store.open()
    try:
        again = await store.begin("contract", NOW + 9)
        assert again == Run(run.id, "contract", NOW, resumed=True, asked_until=NOW + 1)
        assert await store.add(requests("a"), NOW) == 0
        assert len(await take(store)) == 1
    finally:
        await store.close()


async def new_run_makes_each_page_due_again_when_it_is_met(make: Make) -> None:
    store = make()
    for number in (1, 2, 3):  # one object for all three: nothing of an earlier run may be remembered
        await store.open()
        try:
            run = await store.begin("contract", NOW + number)
            assert (run.started, run.resumed) == (NOW + number, False)
            assert await store.add(requests("a"), NOW) == 1
            assert await store.add(requests("a"), NOW) == 0
            (lease,) = await take(store)
            assert (lease.attempt, lease.first_tried) == (1, None)
            link = "b" if number != 2 else "c"
            (receipt,) = await store.commit([done(lease, link, items=[item()])], NOW)
            assert receipt.new_links == 1
            assert paths(await take(store)) == [link]
            assert len(await read_items(store)) == 1, "the same item of the same page"
            counts = await store.counts()
            assert (counts.pages, counts.items, counts.links) == (1, 1, 2), "a run has counters of its own"
            pages = {page.url: page.run for page in await read_pages(store, run.id)}
            assert pages == {url("a"): run.id, url(link): run.id}
            await store.finish("finished", NOW, finished=True)
        finally:
            await store.close()


async def old_page_is_due_in_a_new_run_although_it_is_met_late(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b", "c"), NOW)
        await store.commit([done(lease) for lease in await take(store)], NOW)
        await store.finish("finished", NOW, finished=True)
    async with owner(make) as store:
        await store.add(requests("c"), NOW)
        (c,) = await take(store)
        await store.commit([done(c, "b")], NOW)
        (b,) = await take(store)
        await store.commit([done(b, "a", "c")], NOW)
        assert paths(await take(store)) == ["a"]


async def pages_left_by_a_limited_run_are_dropped_unless_they_are_met_again(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b", "c"), NOW)
        a, b, _ = await take(store)
        await store.commit([retry(b, delay=5)], NOW)
        await store.commit([done(a)], NOW)
        await store.finish("limit_pages", NOW, finished=True)
    async with owner(make) as store:
        assert not await store.lease(9, 9, NOW + 100, LATER)
        assert await store.next_due(NOW) is None
        assert await store.add(requests("c", "b"), NOW) == 2
        assert {(lease.request.url, lease.attempt) for lease in await take(store)} == {(url("b"), 1), (url("c"), 1)}


async def items_know_the_first_and_the_last_run_that_met_them(make: Make) -> None:
    for number, keys in enumerate((("x", "y"), ("y", "z")), start=1):
        async with owner(make) as store:
            await store.add(requests("a"), NOW)
            (lease,) = await take(store)
            await store.commit([done(lease, items=[item("book", f'{{"n":{number}}}', key=key) for key in keys])], NOW)
            await store.finish("finished", NOW, finished=True)
            runs = [(item.key, item.data["n"], item.first_run, item.last_run) for item in await read_items(store)]
            if number == 2:
                assert runs == [("x", 1, 1, 1), ("y", 2, 1, 2), ("z", 2, 2, 2)]
                assert [item.key for item in await read_items(store, run=1)] == ["x"]
                assert [item.key for item in await read_items(store, run=2)] == ["y", "z"]


async def counts_are_of_the_run_over_all_its_owners(make: Make) -> None:
    for path in ("a", "b"):
        async with owner(make) as store:
            await store.add(requests(path), NOW)
            (lease,) = await take(store)
            redirect = Done(lease, Seen(301, size=10), Found(), reason="redirect")
            await store.commit([redirect], NOW)
    async with owner(make) as store:
        counts = await store.counts()
        assert (counts.pages, counts.redirects, counts.bytes, counts.links) == (2, 2, 20, 2)


async def store_of_another_spider_is_refused(make: Make) -> None:
    async with owner(make):
        pass
    store = make()
    await store.open()
    try:
        await store.begin("another", NOW)
    except UsageError:
        pass
    else:
        raise AssertionError("two spiders in one store")
    finally:
        await store.close()


# -- what is read back


async def ledger_is_summed_and_its_peak_is_the_highest(make: Make) -> None:
    one = HostLedger("a.test", requests=3, reused=2, opened=1, connect=0.5, saved=1.0, peak=4)
    two = HostLedger("a.test", requests=5, reused=5, dropped=1, dns=0.25, connect=0.25, peak=2)
    async with owner(make) as store:
        await store.save_ledger([one, HostLedger("b.test", requests=9, peak=1)])
    async with owner(make) as store:
        await store.save_ledger([two])
        sums = HostLedger("a.test", 8, 7, opened=1, dropped=1, dns=0.25, connect=0.75, saved=1.0, peak=4)
        assert await store.ledger() == [HostLedger("b.test", requests=9, peak=1), sums]
        assert await store.ledger(1) == [HostLedger("b.test", requests=9, peak=1)]
        await store.finish("finished", NOW, finished=True)
    async with owner(make) as store:
        assert await store.ledger() == [], "a run has a ledger of its own"


async def everything_is_read_back_in_order_however_much_there_is(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        links = [f"{number:04}" for number in range(1201)]
        await store.commit([done(lease, *links, items=[item("n", f'{{"n":{n}}}') for n in range(1201)])], NOW)
        assert [item.data["n"] for item in await read_items(store)] == list(range(1201))
        assert [page.url for page in await read_pages(store)] == [url(path) for path in ("a", *links)]
        assert [page.url for page in await read_pages(store, run=7)] == []


CHECKS: tuple[Check, ...] = (
    second_owner_is_refused_while_the_first_is_alive,
    leases_end_with_their_owner,
    unfinished_run_is_resumed,
    new_run_makes_each_page_due_again_when_it_is_met,
    old_page_is_due_in_a_new_run_although_it_is_met_late,
    pages_left_by_a_limited_run_are_dropped_unless_they_are_met_again,
    items_know_the_first_and_the_last_run_that_met_them,
    counts_are_of_the_run_over_all_its_owners,
    store_of_another_spider_is_refused,
    ledger_is_summed_and_its_peak_is_the_highest,
    everything_is_read_back_in_order_however_much_there_is,
)
