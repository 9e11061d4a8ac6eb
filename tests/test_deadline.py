"""Deadlines: what is overdue is interrupted, and a cancel stays a cancel."""

import asyncio

import pytest

from scraper.deadline import Deadlines, Overdue

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def test_a_deadline_interrupts() -> None:
    deadlines = Deadlines(0.01)
    with pytest.raises(Overdue), deadlines.one():
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    with deadlines.one():
        pass  # what is done in time is left alone
    deadlines.stop()


async def test_a_cancel_from_outside_a_deadline_stays_a_cancel() -> None:
    deadlines = Deadlines(60)
    begun = asyncio.Event()

    async def work() -> None:
        with deadlines.one():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.stop()


async def test_a_cancel_at_the_same_time_as_a_deadline_stays_a_cancel() -> None:
    deadlines = Deadlines(0.01)

    async def work() -> None:
        with deadlines.one() as _:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    deadlines.stop()


async def test_deadlines_come_in_the_order_they_began() -> None:
    deadlines = Deadlines(0.01)
    order: list[int] = []

    async def work(number: int) -> None:
        try:
            with deadlines.one():
                await asyncio.Event().wait()
        except Overdue:
            order.append(number)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
