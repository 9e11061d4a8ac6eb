"""The store contract: pages, leases and commits."""

from __future__ import annotations

from scraper.errors import RequestError
from scraper.page import Dead, Done, Found, Reject, Seen
from scraper.request import Request, link
from scraper.scope import Scope
from scraper.spider import Spider
from scraper.testing.contract_words import (
    LATER,
    NOW,
    Check,
    Make,
    dead,
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


async def add_is_idempotent_and_says_how_many_were_new(make: Make) -> None:
    async with owner(make) as store:
        assert await store.add(requests("a", "b"), NOW) == 2
        assert await store.add(requests("b", "c", "c", "d#part", "d"), NOW) == 2
        assert await store.add(requests("a", "b", "c", "d"), NOW) == 0
        assert await store.add([Request(url("a"), method="POST", body=b"1")], NOW) == 1, "another request"
        assert len(await take(store)) == 5
        assert (await store.counts()).links == 5


async def first_of_several_requests_for_a_page_is_the_one_that_is_kept(make: Make) -> None:
    scope = Scope(Spider())
    async with owner(make) as store:
        for name in ("seed", "link"):
            twins = [
                Request(url(name), meta={"first": True}, priority=1),
                Request(url(name)),
                link(url(name), "closed"),
            ]
            for twin in twins:
                scope.prepare(twin)
            if name == "seed":
                assert await store.add(twins, NOW) == 1
            else:
                (lease,) = await take(store)
                (receipt,) = await store.commit([Done(lease, Seen(200), Found(links=twins))], NOW)
                assert receipt.new_links == 1
        (lease,) = await take(store)
        assert (lease.request.meta, lease.request.callback, lease.request.priority) == ({"first": True}, None, 1)
        assert (await store.counts()).links == 2


async def request_comes_back_as_it_was_given(make: Make) -> None:
    given = Request(
        "http://user:pw@h0.test:8080/päth?q=1",
        callback="parse_one",
        method="PUT",
        headers={"X-One": "1"},
        body=b"\x00\xff",
        cookies={"c": "ü"},
        meta={"list": [1, None, {"deep": True}]},
        cb_kwargs={"page": 2},
        priority=-3,
        dont_filter=True,
        errback="oops",
    )
    given.depth, given.trail, given.salt = 4, ("http://h0.test/from",), "twin"
    async with owner(make) as store:
        await store.add([given], NOW)
    async with owner(make) as store:
        (lease,) = await take(store)
        assert lease.host == "h0.test:8080"
        for name in Request.__slots__:
            assert getattr(lease.request, name) == getattr(given, name), name
        assert lease.request.fingerprint == given.fingerprint


async def leased_page_is_not_leased_again_before_the_lease_ends_and_is_after(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        first = await store.lease(1, 9, NOW, NOW + 10)
        assert paths(first) == ["a"]
        assert paths(await store.lease(9, 9, NOW + 9.9, NOW + 20)) == ["b"]
        again = await store.lease(9, 9, NOW + 10, NOW + 20)
        assert paths(again) == ["a"]
        assert again[0].token != first[0].token
        assert again[0].attempt == 1, "a lease that ran out is not an attempt"


async def lease_gives_no_more_than_limit_and_per_host_and_nothing_of_full_hosts(make: Make) -> None:
    async with owner(make) as store:
        for number in range(3):
            await store.add(requests(*(f"{number}{n}" for n in range(9)), host=f"h{number}.test"), NOW)
        assert len(await store.lease(4, 9, NOW, LATER)) == 4
        leases = await store.lease(99, 2, NOW, LATER, full=("h1.test",))
        assert [lease.host for lease in leases] == ["h0.test", "h0.test", "h2.test", "h2.test"]
        assert len(await store.lease(99, 99, NOW, LATER)) == 27 - 4 - 4, "those passed over are not forgotten"


async def host_with_endless_work_does_not_hide_the_others(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests(*map(str, range(3000)), host="giant.test"), NOW)
        await store.add([Request(f"http://h{number}.test/") for number in range(20)], NOW)
        leases = await store.lease(40, 4, NOW, LATER)
        assert len({lease.host for lease in leases}) == 21
        assert len(leases) == 24


async def higher_priority_goes_first_then_older(make: Make) -> None:
    async with owner(make) as store:
        await store.add([Request(url(f"{p} {n}"), priority=p) for p in (0, -1, 5) for n in (1, 2)], NOW)
        assert paths(await store.lease(3, 9, NOW, LATER)) == ["5%201", "5%202", "0%201"]
        await store.add([Request(url("late"), priority=7), *requests("plain")], NOW)
        assert paths(await take(store)) == ["late", "0%202", "plain", "-1%201", "-1%202"]


async def released_lease_is_free_and_its_attempt_does_not_count(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        a, b = await take(store)
        await store.release([a])
        (again,) = await take(store)
        assert (again.page, again.attempt) == (a.page, 1)
        await store.release([a])
        assert not await take(store), "a stale lease gives back nothing"
        assert [r.applied for r in await store.commit([done(a), done(again), done(b)], NOW)] == [False, True, True]


# -- commits


async def done_page_its_links_and_its_items_are_one_write(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        (receipt,) = await store.commit([done(lease, "b", "c", "a", items=[item("book", '{"n":1}')])], NOW)
        assert (receipt.page, receipt.applied, receipt.new_links) == (lease.page, True, 2)
        assert [(page.url, page.state) for page in await read_pages(store)] == [
            (url("a"), "done"),
            (url("b"), "due"),
            (url("c"), "due"),
        ]
        assert [(item.kind, item.data, item.url) for item in await read_items(store)] == [("book", {"n": 1}, url("a"))]
    async with owner(make) as store:
        assert paths(await take(store)) == ["b", "c"]
        assert len(await read_items(store)) == 1


async def commit_that_fails_writes_nothing_and_can_be_mended(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        a, b = await take(store)
        bad = done(b, items=[item()])
        bad.found.links = [Request(url("new")), Request(url("bad"), meta={"not": {"json"}})]
        good = done(a, "new", items=[item()])
        try:
            await store.commit([good, bad], NOW)
        except RequestError:
            pass
        else:
            raise AssertionError("a link that cannot be stored was taken")
        assert not await read_items(store)
        assert [page.state for page in await read_pages(store)] == ["due", "due"]
        counts = await store.counts()
        assert (counts.pages, counts.items, counts.links) == (0, 0, 2)
        del bad.found.links[1]
        receipts = await store.commit([good, bad], NOW)
        assert [(receipt.applied, receipt.new_links) for receipt in receipts] == [(True, 1), (True, 0)]
        assert paths(await take(store)) == ["new"]


async def stale_lease_changes_nothing_and_says_so(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (stale,) = await store.lease(9, 9, NOW, NOW + 10)
        (valid,) = await store.lease(9, 9, NOW + 10, LATER)
        for outcome in (done(stale, "x", items=[item()]), retry(stale), dead(stale)):
            (receipt,) = await store.commit([outcome], NOW + 11)
            assert (receipt.applied, receipt.new_links) == (False, 0)
        assert not await read_items(store)
        assert [page.state for page in await read_pages(store)] == ["due"]
        assert [r.applied for r in await store.commit([done(valid, "y")], NOW + 12)] == [True]
        assert (await store.counts()).pages == 1


async def committing_twice_writes_once(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        outcome = done(lease, "b", items=[item(), item()])
        assert [r.applied for r in await store.commit([outcome, outcome], NOW)] == [True, False]
        assert [r.applied for r in await store.commit([outcome], NOW)] == [False]
        counts = await store.counts()
        assert (counts.pages, counts.items, counts.links) == (1, 2, 2)
        assert len(await read_items(store)) == 2


async def retry_raises_attempt_and_moves_the_date(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (first,) = await take(store)
        assert (first.attempt, first.first_tried) == (1, None)
        await store.commit([retry(first, delay=60)], NOW)
        assert not await store.lease(9, 9, NOW + 59, LATER)
        (page,) = await read_pages(store)
        assert (page.state, page.attempts, page.reason, page.error) == ("retry", 1, "read", "broke")
    async with owner(make) as store:  # the date outlives the process
        assert not await store.lease(9, 9, NOW + 59, LATER)
        (second,) = await store.lease(9, 9, NOW + 60, LATER)
        assert (second.attempt, second.first_tried) == (2, NOW)
        await store.commit([retry(second, delay=5)], NOW + 70)
        (third,) = await store.lease(9, 9, NOW + 75, LATER)
        assert (third.attempt, third.first_tried) == (3, NOW)
        assert (await store.counts()).retries == 2


async def next_due_is_the_earliest_date_that_lies_ahead(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b", "c"), NOW)
        a, b, _ = await take(store)
        assert await store.next_due(NOW) is None, "pages that are due wait for nothing"
        await store.commit([retry(a, delay=60), retry(b, delay=30)], NOW)
        assert await store.next_due(NOW) == NOW + 30
        assert await store.next_due(NOW + 30) == NOW + 60
        assert await store.next_due(NOW + 60) is None


async def done_and_dead_pages_are_never_due_by_themselves(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        a, b = await take(store)
        await store.commit([done(a), dead(b)], NOW)
        assert not await store.lease(9, 9, NOW + 1e6, NOW + 2e6)
        assert await store.next_due(NOW) is None
    async with owner(make) as store:
        assert await store.add(requests("a", "b"), NOW) == 0
        assert not await store.lease(9, 9, NOW + 1e6, NOW + 2e6)


async def dead_page_keeps_why_and_what_its_errback_gave(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        found = Found(links=requests("b"), items=[item()])
        dead = Dead(lease, Seen(503), "status 503", "answered 503", traceback="Traceback: \ud800", found=found)
        (receipt,) = await store.commit([dead], NOW)
        assert receipt.new_links == 1
        page = (await read_pages(store))[0]
        assert (page.state, page.status, page.reason, page.attempts) == ("dead", 503, "status 503", 1)
        assert page.error is not None
        assert page.error.startswith("Traceback: ")
        assert len(await read_items(store)) == 1
        counts = await store.counts()
        assert (counts.pages, counts.dead, counts.items, counts.links) == (0, 1, 1, 2)


async def items_are_keyed_so_a_repeat_overwrites_itself(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        a, b = await take(store)
        await store.commit([done(a, items=[item("book", '{"n":1}', key="k"), item(), item()])], NOW)
        await store.commit([done(b, items=[item("book", '{"n":2}', key="k"), item()])], NOW)
        books = await read_items(store, kind="book")
        assert [(book.key, book.data, book.url) for book in books] == [("k", {"n": 2}, url("b"))]
        assert len(await read_items(store, kind="thing")) == 3, "without a key, page and ordinal name the item"


async def reject_keeps_the_page_committing(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        outcome = done(lease, "b", items=[item()])
        outcome.found.rejects = [Reject("thing", "TypeError: no JSON", "<object>"), Reject("thing", "again", "2")]
        assert (await store.commit([outcome], NOW))[0].applied
        counts = await store.counts()
        assert (counts.pages, counts.items, counts.rejects) == (1, 1, 2)
        assert len(await read_items(store)) == 1


CHECKS: tuple[Check, ...] = (
    add_is_idempotent_and_says_how_many_were_new,
    first_of_several_requests_for_a_page_is_the_one_that_is_kept,
    request_comes_back_as_it_was_given,
    leased_page_is_not_leased_again_before_the_lease_ends_and_is_after,
    lease_gives_no_more_than_limit_and_per_host_and_nothing_of_full_hosts,
    host_with_endless_work_does_not_hide_the_others,
    higher_priority_goes_first_then_older,
    released_lease_is_free_and_its_attempt_does_not_count,
    done_page_its_links_and_its_items_are_one_write,
    commit_that_fails_writes_nothing_and_can_be_mended,
    stale_lease_changes_nothing_and_says_so,
    committing_twice_writes_once,
    retry_raises_attempt_and_moves_the_date,
    next_due_is_the_earliest_date_that_lies_ahead,
    done_and_dead_pages_are_never_due_by_themselves,
    dead_page_keeps_why_and_what_its_errback_gave,
    items_are_keyed_so_a_repeat_overwrites_itself,
    reject_keeps_the_page_committing,
)
