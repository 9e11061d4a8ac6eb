"""Room: what many bodies hold together."""

import asyncio

import pytest

from scraper.room import Room


async def test_the_oldest_place_may_always_grow_and_the_others_wait_for_room() -> None:
    room = Room(100)
    with room.place() as old:
        await old.grow(80)
        with room.place() as young:
            waiting = asyncio.ensure_future(young.grow(30))
            await asyncio.sleep(0)
            await old.grow(1_000)
            assert not waiting.done()
            old.__exit__(None, None, None)
            await waiting
            assert room.left == 70
            room.enter(old)
            old.held = 0
    assert room.left == 100


async def test_one_who_is_cancelled_while_he_waits_takes_no_room() -> None:
    room = Room(100)
    with room.place() as old:
        await old.grow(100)

        async def young() -> None:
            with room.place() as place:
                await place.grow(1)

        task = asyncio.ensure_future(young())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert room.left == 100


async def test_the_first_bytes_of_a_place_need_no_room_and_one_owner_gets_no_more_than_his_share() -> None:
    room = Room(100, first=10, share=30)
    with room.place("a") as oldest, room.place("a") as second, room.place("b") as other, room.place("c") as last:
        await oldest.grow(35)  # beyond the share: it is the oldest
        await second.grow(10)
        assert room.left == 55
        waiting = asyncio.ensure_future(second.grow(1))
        await other.grow(30)  # all that one owner may have
        more = asyncio.ensure_future(other.grow(1))
        await asyncio.sleep(0)
        assert not waiting.done() and not more.done()
        await last.grow(25)
        await last.grow(0)
        assert room.left == 0
        with room.place("d") as late:
            await late.grow(10)  # though nothing is left
            assert room.left == -10
        oldest.__exit__(None, None, None)
        await waiting
        assert (oldest.held, second.held) == (0, 11)
        more.cancel()
        room.enter(oldest)
    assert (room.left, room._held) == (100, {})
