"""The store contract: which run an owner gets, and what a run came to."""

from __future__ import annotations

import msgspec

from scraper.errors import UsageError
from scraper.page import Dead, Done, Figures, Found, Item, Reject, Seen
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


async def fresh_run_abandons_the_unfinished_one(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        (a, _) = await take(store)
        await store.commit([done(a)], NOW)
        run = await store.begin("contract", NOW + 1, "fresh")
        assert (run.id, run.started, run.resumed) == (2, NOW + 1, False)
        assert not await take(store), "nothing is due before it is met again"
        assert await store.add(requests("b"), NOW) == 1
        assert paths(await take(store)) == ["b"]
        assert (await store.figures())[1] == [], "an abandoned run is no measure of others"


async def resumption_is_refused_when_there_is_nothing_to_resume(make: Make) -> None:
    store = make()
    await store.open()
    try:
        for _ in range(2):
            try:
                await store.begin("contract", NOW, "resume")
            except UsageError:
                pass
            else:
                raise AssertionError("there was no unfinished run")
            await store.begin("contract", NOW)
            assert (await store.begin("contract", NOW, "resume")).resumed
            await store.finish("finished", NOW, True)
    finally:
        await store.close()


async def dead_pages_are_due_again_in_their_run(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b", "c", "d"), NOW)
        a, b, c, d = await take(store)
        away = Dead(c, Seen(), "connect", "refused")
        gone = Dead(d, Seen(404), "status 404", "answered 404")
        await store.commit([done(a), dead(b), away, gone], NOW)
        await store.finish("finished", NOW, True)
    async with owner(make) as store:  # a run in which b is not met: what is dead there is no business of ours
        await store.add(requests("a", "c", "d", "left"), NOW)
        a, c, d, _ = await take(store)
        gave = Found(items=[item("error", '{"n":1}'), item("kept", key="k")], rejects=[Reject("error", "bad", "x")])
        failed = Dead(d, Seen(500), "status 500", "answered 500", found=gave)
        await store.commit([done(a), Dead(c, Seen(), "connect", "refused"), failed], NOW)
        assert (await store.counts()).items == 2
        await store.finish("limit_pages", NOW, True)
    store = make()
    await store.open()
    try:
        run, number = await store.revive("contract", ["dns", "status 4*"], NOW)
        assert (run.id, number) == (2, 0)
        run, number = await store.revive("contract", ["status 5*"], NOW)
        assert (run.id, run.resumed, run.reopened, number) == (2, True, "limit_pages", 1)
        counts = await store.counts()
        assert (counts.dead, counts.items, counts.rejects) == (1, 1, 0), "what the errback gave is taken back"
        assert [(item.kind, item.key) for item in await read_items(store)] == [("kept", "k")]
        assert (await store.figures())[0].fills.get("error", {}).get("n", 0) == 0
        (lease,) = await take(store)
        assert (paths([lease]), lease.attempt) == (["d"], 1), "just those: what the limit had left stays"
        (receipt,) = await store.commit([done(lease, "a", "new")], NOW)
        assert receipt.new_links == 1, "what the run had met stays as it is"
    finally:
        await store.close()
    store = make()
    await store.open()
    try:
        run, number = await store.revive("contract", [], NOW)
        assert (run.id, run.reopened, number) == (2, "limit_pages", 1), "it was stopped, and goes on"
        (new,) = await take(store)
        assert paths([new]) == ["new"]
        await store.commit([done(new)], NOW)
        assert (await store.revive("contract", [], NOW))[1], "its end is still to be written"
        assert (await store.begin("contract", NOW)).reopened == "limit_pages"
        await store.finish("limit_pages", NOW, True)
        run, number = await store.revive("contract", [], NOW)
        assert number == 1
        assert paths(await take(store)) == ["c"]
    finally:
        await store.close()


async def unfinished_run_has_to_end_before_its_dead_pages_are_revived(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        (a, _) = await take(store)
        await store.commit([dead(a)], NOW)
        try:
            await store.revive("contract", [], NOW)
        except UsageError:
            pass
        else:
            raise AssertionError("it was not finished")
    async with owner(make) as store:
        assert paths(await take(store)) == ["b"], "nothing has changed"


async def dead_pages_of_no_run_cannot_be_had(make: Make) -> None:
    store = make()
    await store.open()
    try:
        await store.revive("contract", [], NOW)
    except UsageError:
        pass
    else:
        raise AssertionError("there was no run")
    finally:
        await store.close()


async def clock_that_is_set_back_does_not_stretch_a_wait(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", "b"), NOW)
        a, b = await take(store)
        await store.commit([retry(a, delay=5)], NOW)
        await store.commit([retry(b, delay=7)], NOW - 4000)
    store = make()
    await store.open()
    try:
        earlier = NOW - 3600
        assert (await store.begin("contract", earlier)).resumed
        assert paths(await store.lease(9, 9, earlier, LATER)) == ["b"]
        assert await store.next_due(earlier) == earlier + 5
        assert paths(await store.lease(9, 9, earlier + 5, LATER)) == ["a"]
    finally:
        await store.close()


async def figures_are_of_this_run_and_of_the_finished_ones_before_it(make: Make) -> None:
    for number in (1, 2, 3):
        async with owner(make) as store:
            await store.add(requests("a", "b", "c"), NOW)
            a, b, c = await take(store)
            whole = Item("book", None, '{"title":"x","price":1}', ("title", "price"))
            half = Item("book", None, '{"title":"x","price":null}', ("title", "price"), empty=("price",))
            found = Found(items=[whole, *[half] * number], rejects=[Reject("book", "bad", "x")])
            await store.commit([Done(a, Seen(200), found), dead(b), retry(c)], NOW)
            now, before = await store.figures(2)
            kinds, fills = {"book": number + 1}, {"book": {"title": number + 1, "price": 1}}
            expected = Figures(number, 1, number + 1, 1, 1, 1, kinds, fills, NOW)
            assert now == expected
            assert [each.run for each in before] == list(range(number - 1, 0, -1))
            if before:
                assert before[0].kinds == {"book": number}
                assert (await store.figures(1))[1] == before[:1]
            await store.finish("finished", NOW, True)
    async with owner(make) as store:
        await store.finish("limit_pages", NOW, True)
    async with owner(make) as store:
        assert [each.run for each in (await store.figures())[1]] == [3, 2, 1], "one that a limit ended is no measure"


async def signs_of_life_change_nothing(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        store.reading(0, lease.page)
        await store.beat(msgspec.json.encode({"pages": 0}).decode(), NOW)
        await store.beat(msgspec.json.encode({"pages": 1}).decode(), NOW + 1)
        store.reading(0, 0)
        assert [receipt.applied for receipt in await store.commit([done(lease)], NOW)] == [True]
        assert [(page.url, page.state) for page in await read_pages(store)] == [(url("a"), "done")]


CHECKS: tuple[Check, ...] = (
    fresh_run_abandons_the_unfinished_one,
    resumption_is_refused_when_there_is_nothing_to_resume,
    dead_pages_are_due_again_in_their_run,
    unfinished_run_has_to_end_before_its_dead_pages_are_revived,
    dead_pages_of_no_run_cannot_be_had,
    clock_that_is_set_back_does_not_stretch_a_wait,
    figures_are_of_this_run_and_of_the_finished_ones_before_it,
    signs_of_life_change_nothing,
)
