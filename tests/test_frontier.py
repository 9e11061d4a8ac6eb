"""The frontier: politeness, choice, and no lost or needless wake-up."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from typing import Any

import pytest

import scraper.frontier
from scraper.errors import FetchError
from scraper.frontier import COLD, MORE, NOWHERE, TIMED, WARM, Frontier
from scraper.page import HostLimits, Lease, Seen
from scraper.request import Request
from scraper.testing import FakeClock

KEEPALIVE = 30.0
pages = count(1)


class Limits:
    """A throttle whose limits a test sets."""

    def __init__(self, cap: int = 8, delay: float = 0.0, jitter: float = 0.0) -> None:
        self.hosts: dict[str, HostLimits] = defaultdict(lambda: HostLimits(cap, delay, jitter))

    def limits(self, host: str) -> HostLimits:
        return self.hosts[host]

    def observe(self, host: str, seen: Seen, error: FetchError | None) -> float:
        return 0.0


class Hungry:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


def frontier(limits: Limits | None = None, clock: FakeClock | None = None, **options: Any) -> Frontier:
    chosen = {"keepalive": KEEPALIVE, "look_ahead": 128, "per_host": 64, "hungry": Hungry(), **options}
    return Frontier(limits or Limits(), clock or FakeClock(), **chosen)


def leases(host: str, number: int = 1, priority: int = 0) -> list[Lease]:
    made = []
    for _ in range(number):
        page = next(pages)
        request = Request(f"http://{host}/{page}", priority=priority)
        made.append(Lease(page, page, request, host, 1, 1e12))
    return made


def take_all(front: Frontier) -> list[Lease]:
    return list(iter(front.take, None))


def hosts(taken: list[Lease]) -> list[str]:
    return [lease.host for lease in taken]


# Politeness


@pytest.mark.parametrize("cap", [1, 4, 16])
def test_no_host_is_asked_more_than_its_cap_at_once(cap: int) -> None:
    front = frontier(Limits(cap))
    front.push(leases("a", 60))
    front.push(leases("b", 60))
    taken = take_all(front)
    for _ in range(30):
        assert Counter(hosts(taken)) == {"a": cap, "b": cap}
        front.done(taken.pop(0))
        taken += take_all(front)


@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_gap_between_starts_is_never_shorter_than_the_delay(jitter: float) -> None:
    clock = FakeClock()
    front = frontier(Limits(8, delay=2.0, jitter=jitter), clock)
    front.push(leases("a", 40))
    starts = []
    while front.queued:
        for lease in take_all(front):
            starts.append(clock.monotonic())
            front.done(lease)
        when = clock.next_timer()
        if when is not None:
            clock.advance(when - clock.monotonic())
    gaps = [after - before for before, after in pairwise(starts)]
    assert len(gaps) == 39
    assert min(gaps) >= 2.0
    assert max(gaps) <= 2.0 * (1 + jitter) + 1e-9
    assert (max(gaps) - min(gaps) > 0.5) == bool(jitter)


async def test_resting_host_holds_no_worker() -> None:
    clock = FakeClock()
    front = frontier(clock=clock)
    front.push([*leases("a", 5), *leases("b", 5)])
    first = take_all(front)[0]
    assert first.host == "a"
    front = frontier(clock=clock)
    front.push(leases("a", 5))
    lease = front.take()
    assert lease is not None
    front.done(lease, rest=10.0)
    workers = [asyncio.ensure_future(front.next()) for _ in range(2)]
    await spin()
    assert not any(worker.done() for worker in workers)
    front.push(leases("b", 3))
    await spin()
    assert [worker.result().host for worker in workers] == ["b", "b"]  # type: ignore[union-attr]
    clock.advance(9.9)
    assert "a" not in hosts(take_all(front))
    clock.advance(0.1)
    assert "a" in hosts(take_all(front))


def test_rest_outlasts_the_delay_and_later_shorter_rests() -> None:
    clock = FakeClock()
    front = frontier(Limits(2, delay=1.0), clock)
    front.push(leases("a", 3))
    one = front.take()
    clock.advance(1.0)
    two = front.take()
    assert one is not None
    assert two is not None
    front.done(one, rest=60.0)
    front.done(two, rest=5.0)
    clock.advance(59.0)
    assert front.take() is None
    clock.advance(1.0)
    assert front.take() is not None


def test_changed_limits_hold_from_the_next_answer_on() -> None:
    limits = Limits(4)
    front = frontier(limits)
    front.push(leases("a", 40))
    taken = take_all(front)
    assert len(taken) == 4
    limits.hosts["a"] = HostLimits(2)
    front.done(taken.pop())
    assert front.take() is None
    front.done(taken.pop())
    assert front.take() is None
    front.done(taken.pop())
    assert len(take_all(front)) == 1
    limits.hosts["a"] = HostLimits(6)
    front.done(taken.pop())
    assert len(take_all(front)) == 5


# Choice


def test_higher_priority_then_older_page_of_a_host() -> None:
    front = frontier(Limits(99))
    low, high = leases("a", 3), leases("a", 2, priority=5)
    front.push([*reversed(low), *high])
    order = []
    while (lease := front.take()) is not None:
        order.append(lease)
        front.done(lease)
    assert order == [*high, *low]


def test_warm_goes_before_cold_before_more() -> None:
    front = frontier()
    front.push([*leases("a", 5), *leases("b", 5)])
    first, second = front.take(), front.take()
    assert (first and first.host, second and second.host) == ("a", "b"), "two hosts before a second connection"
    front.push(leases("c", 5))
    assert first is not None
    front.done(first)
    assert hosts([front.take() for _ in range(2)]) == ["a", "c"]  # type: ignore[list-item]
    more = front.take()
    assert more is not None
    assert more.host in "abc"
    assert next(slot for slot in front.slots if slot.host == more.host).open == 2


def test_idle_connection_is_warm_for_as_long_as_it_is_kept_alive() -> None:
    for idle, place in ((KEEPALIVE - 0.1, WARM), (KEEPALIVE, COLD)):
        clock = FakeClock()
        front = frontier(clock=clock)
        front.push(leases("a"))
        lease = front.take()
        assert lease is not None
        front.done(lease)
        clock.advance(idle)
        front.push(leases("a"))
        assert front.slots[0].place == place


def test_closed_connection_is_not_warm() -> None:
    front = frontier()
    front.push(leases("a"))
    lease = front.take()
    assert lease is not None
    front.done(lease, keepalive=False)
    front.push(leases("a"))
    assert front.slots[0].place == COLD


def test_host_with_little_work_gets_no_second_connection() -> None:
    front = frontier()
    front.push(leases("a", 2))
    lease = front.take()
    assert lease is not None
    assert front.take() is None, "the other page fits on the busy connection"
    front.done(lease)
    assert front.take() is not None


def test_many_small_hosts_are_crawled_over_about_one_connection_each() -> None:
    """200 hosts of six pages, 32 workers, answers that take a random time."""
    rng = random.Random(1)
    clock = FakeClock()
    front = frontier(clock=clock)
    for number in range(200):
        front.push(leases(f"h{number}"))
    roots = {f"h{number}" for number in range(200)}
    busy: list[tuple[float, Lease]] = []
    visits: Counter[str] = Counter()
    while front.queued or busy:
        while len(busy) < 32 and (lease := front.take()) is not None:
            busy.append((clock.monotonic() + rng.uniform(0.01, 0.05), lease))
        busy.sort(key=lambda entry: entry[0])
        when, lease = busy.pop(0)
        clock.advance(when - clock.monotonic())
        visits[lease.host] += 1
        front.done(lease)
        if lease.host in roots:
            roots.remove(lease.host)
            front.push(leases(lease.host, 5))
    assert set(visits.values()) == {6}
    assert sum(slot.open for slot in front.slots) <= 1.1 * 200


def test_warm_hosts_take_turns() -> None:
    front = frontier(Limits(1))
    front.push([lease for host in "abc" for lease in leases(host, 5)])
    taken = take_all(front)
    assert hosts(taken) == ["a", "b", "c"]
    for lease in taken:
        front.done(lease)
    order = []
    for _ in range(12):
        lease = front.take()
        assert lease is not None
        order.append(lease.host)
        front.done(lease)
    assert Counter(order) == {"a": 4, "b": 4, "c": 4}
    assert all(len(set(order[n : n + 3])) == 3 for n in range(10))


def test_host_with_endless_work_does_not_starve_those_not_begun() -> None:
    front = frontier()
    front.push(leases("giant", 500))
    lease = front.take()
    front.push([lease for number in range(10) for lease in leases(f"h{number}")])
    begun = []
    for _ in range(100):
        assert lease is not None
        front.done(lease)
        lease = front.take()
        begun.append(lease.host if lease else None)
    assert len(set(begun)) == 11


# Limits, closing


def test_no_more_visits_begin_than_allowed() -> None:
    front = frontier(allowance=3)
    front.push(leases("a", 10))
    assert len(take_all(front)) == 3
    assert front.room == 0
    front.allow()
    assert front.room > 0
    assert len(take_all(front)) == 1


async def test_worker_waits_for_one_more_to_be_allowed() -> None:
    front = frontier(allowance=1)
    front.push(leases("a", 3))
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
    front = frontier(hungry=hungry, look_ahead=10)
    front.refill()
    assert hungry.calls == 1
    assert front.room == 10
    front.push(leases("a", 8))
    assert (front.room, hungry.calls) == (2, 1)
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
    front = frontier(Limits(99), per_host=8)
    front.push(leases("a", 8))
    assert front.full == {"a"}
    front.dry = True
    for _ in range(3):
        front.take()
        assert front.full == {"a"}
        assert front.dry
    front.take()
    assert front.full == frozenset()
    assert not front.dry, "the store may have more of this host"


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
    assert any(slot.host == "busy" and slot.in_flight for slot in front.slots)


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


async def spin() -> None:
    """Let everything run that can run without time or input."""
    for _ in range(200):
        await asyncio.sleep(0)


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
    for place in (WARM, COLD, MORE):
        assert {slot.host for slot in slots if slot.place == place} == set(front._tiers[place])
    for slot in slots:
        assert 0 <= slot.in_flight <= slot.open or not slot.in_flight
        may_go = slot.queue and slot.in_flight < slot.limits.cap
        fits = slot.in_flight == 0 or slot.in_flight < slot.open or len(slot.queue) > slot.in_flight
        if not may_go:
            assert slot.place == NOWHERE, slot
        elif slot.ready_at > now:
            assert slot.place == TIMED, slot
            assert front._timer is not None, "nobody would wake it"
            assert front._timer[0] <= slot.ready_at
            assert clock.next_timer() == front._timer[0]
        elif fits:
            assert slot.place in (WARM, COLD, MORE), slot
        else:
            assert slot.place == NOWHERE, slot
        full = slot.host in front.full
        assert not (full and len(slot.queue) * 2 <= front.per_host), slot
        assert full or len(slot.queue) < front.per_host, slot


def steps(seed: int) -> Iterator[tuple[str, random.Random]]:
    rng = random.Random(seed)
    for _ in range(400):
        yield rng.choices(["push", "take", "done", "advance", "limits", "allow"], [2, 5, 5, 2, 1, 1])[0], rng


@pytest.mark.parametrize("seed", range(25))
def test_bookkeeping_is_right_whatever_happens(seed: int) -> None:
    clock = FakeClock()
    limits = Limits(random.Random(seed).choice([1, 2, 5]), delay=random.Random(seed).choice([0.0, 1.0]))
    front = frontier(limits, clock, keepalive=3.0, per_host=6, look_ahead=10, allowance=None if seed % 5 else 150)
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
