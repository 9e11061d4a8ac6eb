"""The store contract: notes, hosts that the spider named, and until when hosts were asked."""

from __future__ import annotations

import math

from scraper.page import Note
from scraper.testing.contract_words import LATER, NOW, Check, Make, dead, done, owner, requests, take


async def notes_outlive_their_owner(make: Make) -> None:
    first, other = Note("cookies", "a", "1", LATER), Note("robots", "a", "2", LATER)
    async with owner(make) as store:
        await store.save_notes([first, other])
    async with owner(make) as store:
        assert await store.notes("cookies", NOW) == {"a": first}
        assert await store.notes("robots", NOW) == {"a": other}
        assert await store.notes("robots", NOW, ["b"]) == {}
        assert await store.notes("robots", NOW, ["b", "a"]) == {"a": other}


async def a_note_takes_the_place_of_an_earlier_one(make: Make) -> None:
    async with owner(make) as store:
        await store.save_notes([Note("cookies", "a", "1", LATER), Note("cookies", "b", "1", LATER)])
        newer = Note("cookies", "a", "2", LATER)
        await store.save_notes([newer, Note("cookies", "b", None, LATER)])
        assert await store.notes("cookies", NOW) == {"a": newer}


async def a_note_is_not_read_after_its_date(make: Make) -> None:
    async with owner(make) as store:
        await store.save_notes([Note("robots", "a", "1", NOW + 1)])
        assert list(await store.notes("robots", NOW)) == ["a"]
        assert await store.notes("robots", NOW + 1) == {}


async def a_note_may_have_no_end(make: Make) -> None:
    """The state of a spider is one."""
    note = Note("state", "", '{"pages":1}', math.inf)
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        await store.commit([done(lease)], NOW, [note])
        await store.finish("finished", NOW, True)
    async with owner(make) as store:
        assert await store.notes("state", NOW * 1000) == {"": note}


async def notes_are_committed_with_pages(make: Make) -> None:
    note = Note("cookies", "a", "1", LATER)
    async with owner(make) as store:
        await store.add(requests("a"), NOW)
        (lease,) = await take(store)
        await store.commit([done(lease)], NOW, [note])
        assert await store.notes("cookies", NOW) == {"a": note}


async def seed_hosts_are_those_that_no_page_revealed(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("a", host="named.test"), NOW)
        (lease,) = await take(store)
        await store.commit([done(lease, "found")], NOW)
        for each in await take(store):
            await store.commit([dead(each)], NOW)
        assert await store.seed_hosts() == ["named.test"]
    async with owner(make) as store:
        assert await store.seed_hosts() == ["named.test"]


async def a_run_knows_until_when_hosts_were_asked(make: Make) -> None:
    store = make()
    await store.open()
    assert (await store.begin("contract", NOW)).asked_until is None
    await store.finish("SIGTERM", NOW + 5, False)
    await store.close()
    store = make()
    await store.open()
    assert (await store.begin("contract", NOW + 9)).asked_until == NOW + 5
    await store.close()  # as if killed: nobody wrote an end
    store = make()
    await store.open()
    assert (await store.begin("contract", NOW + 20)).asked_until == NOW + 20
    await store.finish("finished", NOW + 30, True)
    assert (await store.begin("contract", NOW + 40)).asked_until == NOW + 30
    await store.close()


CHECKS: tuple[Check, ...] = (
    notes_outlive_their_owner,
    a_note_takes_the_place_of_an_earlier_one,
    a_note_is_not_read_after_its_date,
    a_note_may_have_no_end,
    notes_are_committed_with_pages,
    seed_hosts_are_those_that_no_page_revealed,
    a_run_knows_until_when_hosts_were_asked,
)
