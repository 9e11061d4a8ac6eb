"""The frontier where hosts share slots (``slot_by``)."""

import pytest
from slots import Limits, frontier, leases, take_all

import scraper.frontier
import scraper.lineup


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where connections are not what is tested, a host gets another one as soon as it has work for it."""
    monkeypatch.setattr(scraper.lineup, "PATIENCE", 0.0)


def test_group_of_hosts_is_one_slot_and_takes_no_more_than_it_can_use() -> None:
    """What it has no room for goes back, and its host is named until half of the slot is gone."""
    limits = Limits(2)
    front = frontier(limits, per_host=8, group=lambda host: host.partition(".")[2])
    first = [lease for number in range(8) for lease in leases(f"h{number}.example")]
    assert front.push(first) == []
    assert {lease.slot for lease in first} == {"example"}
    late = [*leases("h1.example", 2), *leases("h9.example", 3)]
    assert front.push(late) == late
    assert front.push(leases("h1.other")) == []
    assert {"h1.example", "h9.example"} <= front.full
    assert front.full <= {f"h{number}.example" for number in range(10)}
    assert front.queued == 9
    taken = take_all(front)
    assert sorted(lease.slot for lease in taken) == ["example", "example", "other"], "one cap for all of them"
    front.dry = True
    while front.full:
        front.done(taken.pop(0))
        taken += take_all(front)
    assert sum(len(slot.queue) for slot in front.slots if slot.key == "example") == 4
    assert not front.dry, "the store may have more of these"
    assert not any(slot.hosts for slot in front.slots)


def test_slot_does_not_remember_hosts_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.frontier, "MOST_SENT_BACK", 20)
    front = frontier(per_host=4, group=lambda host: "all")
    front.push(leases("h", 4))
    for number in range(100):
        front.dry = False
        assert len(front.push(leases(f"h{number}"))) == 1
    assert len(front.full) == 20
    assert front.dry, "or the same leases would come and go without end"


def test_host_may_change_its_group_while_it_is_in_flight() -> None:
    """Its address becomes known by its first request."""
    keys = {"a": "a"}
    front = frontier(Limits(1, delay=1.0), group=lambda host: keys[host])
    front.reported = True
    front.push(leases("a", 3))
    first = front.take()
    assert first is not None
    keys["a"] = "192.0.2.7"
    front.push(leases("a"))
    second = front.take()
    assert second is not None
    assert (first.slot, second.slot) == ("a", "192.0.2.7")
    front.sent("a")
    front.done(first)
    front.done(second)
    assert front.take() is None, "both have been asked just now"
    assert front._asking == {}


def test_leases_whose_key_becomes_known_wait_with_those_that_share_it() -> None:
    """They came while each host had a slot of its own, and must not be asked for beside the others."""
    keys = {"a": "a", "b": "b", "c": "c"}
    front = frontier(Limits(1), group=lambda host: keys[host])
    front.push([*leases("a", 3), *leases("b", 3), *leases("c", 3)])
    keys["a"] = keys["b"] = "192.0.2.7"
    taken = take_all(front)
    assert sorted(lease.slot for lease in taken) == ["192.0.2.7", "c"]
    assert front.queued == 7
    count = 0
    while taken:
        front.done(taken.pop())
        taken += take_all(front)
        assert [lease.slot for lease in taken].count("192.0.2.7") <= 1
        count += 1
    assert (count, front.queued, front.in_flight) == (9, 0, 0)
