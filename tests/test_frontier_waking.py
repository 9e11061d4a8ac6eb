"""The frontier: limits, closing, no lost or needless wake-up, and its bookkeeping whatever happens."""

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest
from slots import Hungry, Limits, frontier, leases, spin, take_all

import scraper.frontier
import scraper.lineup
from scraper.frontier import Frontier
from scraper.page import HostLimits, Lease
from scraper.slot import COLD, MORE, NOWHERE, PATIENCE, TIMED, WARM, Slot
from scraper.testing import FakeClock


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where connections are not what is tested, a host gets another one as soon as it has work for it."""
    monkeypatch.setattr(scraper.lineup, "PATIENCE", 0.0)


# Limits, closing


def test_no_more_visits_begin_than_allowed() -> None:
    front = frontier(allowance=3)
    front.push(leases("a", 40))
    assert len(take_all(front)) == 3
    assert front.room == 0
    front.allow()
    assert front.room > 0
    assert len(take_all(front)) == 1


async def test_worker_waits_for_one_more_to_be_allowed() -> None:
    front = frontier(allowance=1)
    front.push(leases("a", 30))
    assert front.take() is not None
    worker = asyncio.ensure_future(front.next())
    await spin()
    assert not worker.done()
    front.allow()
    await spin()
    assert worker.done()


async def test_closing_sends_workers_home_and_gives_back_what_waits() -> None:
    clock = FakeClock()
    front = frontier(Limits(1, delay=1.0), clock)
    given = [*leases("a", 3), *leases("b", 2)]
    front.push(given)
    taken = take_all(front)
    workers = [asyncio.ensure_future(front.next()) for _ in range(5)]
    await spin()
    left = front.close()
    await spin()
    assert [worker.result() for worker in workers] == [None] * 5
    assert {lease.page for lease in left} == {lease.page for lease in given} - {lease.page for lease in taken}
    assert await front.next() is None
    assert (front.queued, front.ready, front.room) == (0, 0, 0)
    for lease in taken:  # what had begun still ends
        front.done(lease)
    assert front.in_flight == 0
    assert clock.next_timer() is None
    assert front.close() == []


# Asking for more


def test_it_asks_until_it_has_enough_and_not_while_the_store_is_dry() -> None:
    hungry = Hungry()
    front = frontier(hungry=hungry, look_ahead=100)
    front.refill()
    assert hungry.calls == 1
    assert front.room == 100
    front.push(leases("a", 53))
    assert (front.room, hungry.calls) == (47, 1)
    taken = [front.take() for _ in range(2)]
    assert hungry.calls == 1
    taken.append(front.take())
    assert hungry.calls == 2
    front.dry = True
    taken.append(front.take())
    assert None not in taken
    assert hungry.calls == 2
    front.refill()
    assert hungry.calls == 3


def test_it_asks_again_when_all_that_came_has_to_rest() -> None:
    """The store may have hosts that need not: without asking, workers would idle until the rest is over."""
    hungry = Hungry()
    front = frontier(Limits(1, delay=60.0), hungry=hungry)
    front.push(leases("a"))
    lease = front.take()
    assert lease is not None
    front.done(lease)
    before = hungry.calls
    front.push(leases("a", 10))
    assert hungry.calls == before + 1


def test_full_host_is_named_until_half_of_it_is_gone() -> None:
    front = frontier(per_host=8)
    front.push(leases("a", 8))
    assert front.full == {"a"}
    front.dry = True
    for left in (7, 6, 5, 4):
        assert (front.full, front.dry) == ({"a"}, True)
        lease = front.take()
        assert lease is not None
        front.done(lease)
        assert front.queued == left
    assert front.full == frozenset()
    assert not front.dry, "the store may have more of this host"


def test_leases_that_rest_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.frontier, "MOST_LEASES", 300)
    limits = Limits(1)
    front = frontier(limits)
    number = 0
    while front.room:
        limits.hosts[f"h{number}"] = HostLimits(1, 0.0, 0.0)
        front.push(leases(f"h{number}", min(front.room, 64)))
        front.pause(f"h{number}", 1000.0)
        number += 1
        assert number < 100
    assert front.queued == 300


def test_slots_in_use_are_not_looked_through_for_each_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.frontier, "MOST_SLOTS", 100)
    looks = 0

    class Looked(Frontier):
        @property
        def slots(self) -> list[Slot]:
            nonlocal looks
            looks += 1
            return super().slots

    front = Looked(Limits(), FakeClock(), keepalive=1.0, look_ahead=10_000, per_host=64, hungry=Hungry())
    for number in range(1000):
        front.push(leases(f"h{number}"))
    assert len(front._slots) == 1000
    assert 0 < looks < 40


def test_slots_of_hosts_long_done_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.frontier, "MOST_SLOTS", 50)
    front = frontier()
    front.push(leases("busy", 5))
    assert front.take() is not None
    for number in range(1000):
        front.push(leases(f"h{number}"))
        lease = front.take()
        if lease is not None:
            front.done(lease)
    for lease in take_all(front):
        front.done(lease)
    assert len(front.slots) <= 55
    assert any(slot.key == "busy" and slot.in_flight for slot in front.slots)


# Waking


class Sleepers:
    """Workers that take one lease each and count how often they looked."""

    def __init__(self, front: Frontier, number: int) -> None:
        self.looks = 0
        take = front.take

        def counted() -> Lease | None:
            self.looks += 1
            return take()

        front.take = counted  # type: ignore[method-assign]
        self.tasks = [asyncio.ensure_future(front.next()) for _ in range(number)]

    @property
    def awake(self) -> int:
        return sum(task.done() for task in self.tasks)


async def test_one_event_wakes_no_more_workers_than_there_is_work() -> None:
    clock = FakeClock()
    front = frontier(Limits(1, delay=1.0), clock)
    sleepers = Sleepers(front, 100)
    await spin()
    assert sleepers.looks == 100
    front.push(leases("a", 3))
    await spin()
    assert (sleepers.awake, sleepers.looks) == (1, 101)
    front.push([lease for number in range(10) for lease in leases(f"h{number}")])
    await spin()
    assert (sleepers.awake, sleepers.looks) == (11, 111)
    front.done(sleepers.tasks[0].result())  # type: ignore[arg-type]
    await spin()
    assert sleepers.looks == 111, "the host is in its delay: nobody has anything to look for"
    clock.advance(1.0)
    await spin()
    assert (sleepers.awake, sleepers.looks) == (12, 112)
    front.close()
    await spin()
    assert sleepers.awake == 100
    assert sleepers.looks == 112


def test_what_is_timed_does_not_grow_with_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """One host, always with a little left to do: each visit makes it wait, and lets it go again."""
    monkeypatch.setattr(scraper.lineup, "PATIENCE", PATIENCE)
    monkeypatch.setattr(scraper.lineup, "WORTH", 1e9)
    clock = FakeClock()
    front = frontier(clock=clock)
    front.push(leases("a", 2))
    for _ in range(150):
        lease = front.take()
        assert lease is not None
        assert front.slots[0].place == TIMED
        clock.advance(PATIENCE / 200)
        front.push(leases("a"))
        front.done(lease)
    assert len(front._timed) <= 2
    assert len(clock._timers) <= 2


async def test_cancelled_worker_does_not_swallow_a_wake_up() -> None:
    front = frontier()
    one, two = (asyncio.ensure_future(front.next()) for _ in range(2))
    await spin()
    one.cancel()
    front.push(leases("a"))
    await spin()
    assert two.done()


def test_one_timer_serves_all_hosts() -> None:
    clock = FakeClock()
    front = frontier(Limits(1, delay=5.0), clock)
    for number in range(300):
        front.push(leases(f"h{number}", 4))
        clock.advance(0.001)
        for lease in take_all(front):
            front.done(lease)
    live = [timer for _, _, timer in clock._timers if timer.callback is not None]
    assert len(live) == 1


# Bookkeeping, by chance


def check(front: Frontier, clock: FakeClock, keepalive: float) -> None:
    """Every counter and every place, against what they say they are."""
    now = clock.monotonic()
    slots = front.slots
    assert front.queued == sum(len(slot.queue) for slot in slots)
    assert front.in_flight == sum(slot.in_flight for slot in slots)
    assert front.ready == sum(len(slot.queue) for slot in slots if slot.place < TIMED)
    assert len(front._timed) <= 2 * len(slots)
    for place in (WARM, COLD, MORE):
        assert {slot.key for slot in slots if slot.place == place} == set(front._tiers[place])
    for slot in slots:
        assert 0 <= slot.in_flight <= slot.open or not slot.in_flight
        assert slot.in_flight or not (slot.unsent or slot.emptying), "nobody would end it"
        waits = slot.unsent or slot.emptying or (slot.in_flight and not slot.answered)
        if not slot.queue or slot.in_flight >= slot.limits.cap or waits:
            assert slot.place == NOWHERE, slot
            continue
        when = slot.ready_at
        if when <= now and slot.in_flight and slot.in_flight == slot.open:  # another connection: now or soon
            when = now if slot.place == MORE else now + scraper.lineup.PATIENCE
        if when <= now:
            assert slot.place in (WARM, COLD, MORE), slot
        else:
            assert slot.place == TIMED, slot
            assert front._timer is not None, "nobody would wake it"
            assert clock.next_timer() == front._timer[0] <= when
    for slot in slots:
        full = slot.key in front.full
        assert not (full and len(slot.queue) * 2 <= front.per_host), slot
        assert full or len(slot.queue) < front.per_host, slot


def steps(seed: int) -> Iterator[tuple[str, random.Random]]:
    rng = random.Random(seed)
    for _ in range(400):
        yield rng.choices(["push", "take", "done", "advance", "limits", "allow", "sent"], [2, 5, 5, 2, 1, 1, 3])[0], rng


@pytest.mark.parametrize("patience", [0.0, PATIENCE])
@pytest.mark.parametrize("seed", range(20))
def test_bookkeeping_is_right_whatever_happens(seed: int, patience: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.lineup, "PATIENCE", patience)
    clock = FakeClock()
    limits = Limits(random.Random(seed).choice([1, 2, 5]), delay=random.Random(seed).choice([0.0, 1.0]))
    front = frontier(
        limits, clock, begun=seed % 3 > 0, keepalive=3.0, per_host=6, look_ahead=10, allowance=None if seed % 5 else 150
    )
    names = [f"h{number}" for number in range(6)]
    taken: list[Lease] = []
    for step, rng in steps(seed):
        host = rng.choice(names)
        if step == "push":
            front.push(leases(host, rng.randrange(1, 9), rng.randrange(3)))
        elif step == "take":
            lease = front.take()
            if lease is not None:
                taken.append(lease)
            elif front.allowance != 0:
                assert front.ready == 0, "work that may go was held back"
        elif step == "done" and taken:
            lease = taken.pop(rng.randrange(len(taken)))
            front.done(lease, keepalive=rng.random() < 0.8, rest=rng.choice([0.0, 0.0, 0.0, 2.5]))
        elif step == "advance":
            clock.advance(rng.choice([0.1, 0.5, 1.0, 4.0]))
        elif step == "limits":
            limits.hosts[host] = HostLimits(rng.choice([1, 2, 5]), rng.choice([0.0, 1.0]), 0.5)
        elif step == "allow":
            front.allow()
        elif step == "sent" and taken:
            front.sent(rng.choice(taken).host, gone=rng.random() < 0.7)
        check(front, clock, 3.0)
    empty(front, clock, taken)


def empty(front: Frontier, clock: FakeClock, taken: list[Lease]) -> None:
    """Whatever happened, what is left can be worked off."""
    if front.allowance is not None:
        front.allowance = 10_000
    todo: Callable[[], int] = lambda: front.queued + len(taken)  # noqa: E731
    while todo():
        before = todo()
        for lease in taken:
            front.done(lease)
        taken[:] = take_all(front)
        if todo() == before and not taken:
            when = clock.next_timer()
            assert when is not None, "work is left and nothing will wake it"
            clock.advance(when - clock.monotonic())
        check(front, clock, 3.0)
    assert (front.queued, front.ready, front.in_flight) == (0, 0, 0)
