"""The frontier: politeness, and the choice of what goes next."""

import asyncio
import random
from collections import Counter
from itertools import pairwise

import pytest
from slots import KEEPALIVE, Limits, frontier, hosts, leases, spin, take_all

import scraper.lineup
from scraper.page import HostLimits, Lease
from scraper.slot import COLD, PATIENCE, WARM
from scraper.testing import FakeClock


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where connections are not what is tested, a host gets another one as soon as it has work for it."""
    monkeypatch.setattr(scraper.lineup, "PATIENCE", 0.0)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch, at_once: None) -> None:
    """Where they are, it waits as it does for real."""
    monkeypatch.setattr(scraper.lineup, "PATIENCE", PATIENCE)


# Politeness


@pytest.mark.parametrize("cap", [1, 4, 16])
def test_no_host_is_asked_more_than_its_cap_at_once(cap: int) -> None:
    front = frontier(Limits(cap))
    front.push(leases("a", 120))
    front.push(leases("b", 120))
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
    front.push([*leases("b", 3), *leases("c", 3)])
    await spin()
    assert [worker.result().host for worker in workers] == ["b", "c"]  # type: ignore[union-attr]
    clock.advance(9.9)
    assert "a" not in hosts(take_all(front))
    clock.advance(0.1)
    assert "a" in hosts(take_all(front))


def test_rest_outlasts_the_delay_and_later_shorter_rests() -> None:
    clock = FakeClock()
    front = frontier(Limits(2, delay=1.0), clock)
    front.reported = True
    front.push(leases("a", 3))
    one = front.take()
    front.sent("a")
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


def test_page_that_is_leased_again_can_wait_beside_its_old_lease() -> None:
    """A lease may run out while it waits for a host that rests for long."""
    front = frontier()
    (old,) = leases("a")
    new = Lease(old.page, old.token + 1_000_000, old.request, "a", 1, 1e12)
    front.push([new, old])
    taken = []
    while (lease := front.take()) is not None:
        taken.append(lease)
        front.done(lease)
    assert taken == [old, new]


def test_warm_goes_before_cold_before_more() -> None:
    front = frontier()
    front.push([*leases("a", 20), *leases("b", 20)])
    first, second = front.take(), front.take()
    assert (first and first.host, second and second.host) == ("a", "b"), "two hosts before a second connection"
    front.push(leases("c", 20))
    assert first is not None
    front.done(first)
    assert hosts([front.take() for _ in range(2)]) == ["a", "c"]  # type: ignore[list-item]
    more = front.take()
    assert more is not None
    assert more.host in "abc"
    assert next(slot for slot in front.slots if slot.key == more.host).open == 2


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


@pytest.mark.usefixtures("patience")
def test_small_host_that_answers_keeps_to_one_connection() -> None:
    clock = FakeClock()
    front = frontier(clock=clock)
    front.push(leases("a", 7))
    while front.queued:
        (lease,) = take_all(front)
        clock.advance(PATIENCE / 8)
        assert front.take() is None, "what is left waits for the busy connection"
        front.done(lease)
    assert front.slots[0].open == 1


@pytest.mark.usefixtures("patience")
def test_host_with_much_work_gets_all_the_connections_it_may_have() -> None:
    clock = FakeClock()
    front = frontier(Limits(8), clock)
    front.push(leases("a", 500))
    for _ in range(400):
        lease = front.take()
        assert lease is not None
        clock.advance(0.01)
        front.done(lease)
    assert len(take_all(front)) == 8


@pytest.mark.usefixtures("patience")
def test_host_that_is_slow_gets_another_connection_after_a_while() -> None:
    clock = FakeClock()
    front = frontier(Limits(3), clock)
    front.push(leases("a", 5))
    for connections in (1, 2, 3):
        assert len(take_all(front)) == 1
        assert front.slots[0].open == connections
        assert clock.next_timer() == (clock.monotonic() + PATIENCE if connections < 3 else None)
        clock.advance(PATIENCE)
    assert front.take() is None


@pytest.mark.usefixtures("patience")
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


def test_hosts_with_several_idle_connections_take_turns() -> None:
    front = frontier(Limits(4))
    front.push([lease for host in "ab" for lease in leases(host, 40)])
    for lease in take_all(front):
        front.done(lease)
    assert hosts([lease for lease in (front.take() for _ in range(6)) if lease]) == ["a", "b"] * 3


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
