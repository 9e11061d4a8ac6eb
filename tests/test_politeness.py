"""The gap between two requests to a host is never shorter than its delay, by arithmetic and on the wire."""

import signal
from pathlib import Path

import pytest
from conftest import StartCli
from hypothesis import given, settings
from hypothesis import strategies as st
from slots import Limits, frontier, leases, take_all
from stamps import Stamped

from scraper.page import HostLimits, Lease
from scraper.testing import FakeClock

DELAY = 2.0


class Paced:
    """A frontier that is told what is sent, and the moment of each start."""

    def __init__(self, delay: float = DELAY, cap: int = 4, jitter: float = 0.0, **options: object) -> None:
        self.clock = FakeClock()
        self.limits = Limits(cap, delay, jitter)
        self.front = frontier(self.limits, self.clock, **options)  # type: ignore[arg-type]
        self.front.reported = True

    def next_ready(self) -> float:
        """Seconds from now until the next lease is given out."""
        for eighths in range(1000):
            if (lease := self.front.take()) is not None:
                self.front.done(lease)
                return eighths / 8
            self.clock.advance(0.125)
        raise AssertionError("never")


def test_the_gap_counts_from_the_wire_and_not_from_the_queue() -> None:
    """DNS, connection and TLS of the first take a while: the second must not catch up with it."""
    paced = Paced()
    paced.front.push(leases("a", 3))
    lease = paced.front.take()
    assert lease is not None
    paced.clock.advance(60.0)
    assert paced.front.take() is None, "the first is not on its way yet"
    paced.front.sent("a")
    assert paced.front.take() is None
    paced.front.done(lease)
    assert paced.next_ready() == pytest.approx(DELAY)


def test_while_a_request_is_in_a_buffer_nothing_is_given_out_and_its_end_is_a_start() -> None:
    paced = Paced()
    paced.front.push(leases("a", 3))
    lease = paced.front.take()
    assert lease is not None
    paced.front.sent("a", gone=False)
    paced.clock.advance(60.0)
    assert paced.front.take() is None
    paced.front.done(lease)  # its answer is faster than the news that it is gone
    assert paced.next_ready() == pytest.approx(DELAY)


def test_a_visit_that_sent_nothing_is_no_start() -> None:
    """A page that robots.txt forbids costs no delay."""
    paced = Paced()
    paced.front.push(leases("a", 5))
    for _ in range(5):
        (lease,) = take_all(paced.front)
        paced.front.done(lease)


def test_robots_txt_is_a_start_and_what_it_asks_for_holds_from_there() -> None:
    paced = Paced(delay=0.0, begun=False)
    paced.front.push(leases("a", 3))
    (lease,) = take_all(paced.front)
    paced.front.sent("a")
    paced.clock.advance(1.0)
    paced.limits.hosts["a"] = HostLimits(4, 5.0)
    paced.front.refresh("a")
    paced.front.done(lease, answered=False)
    paced.front.postpone(lease)
    assert paced.front.queued == 3
    assert paced.next_ready() == pytest.approx(5.0)


def test_a_delay_that_is_learnt_lets_what_is_in_flight_end_first() -> None:
    """What was given out without a delay may still be on its way to the wire."""
    paced = Paced(delay=0.0)
    paced.front.push(leases("a", 8))
    taken = take_all(paced.front)
    assert len(taken) > 1 or paced.clock.advance(1.0) is None
    paced.limits.hosts["a"] = HostLimits(4, 5.0)
    paced.front.refresh("a")
    paced.clock.advance(100.0)
    assert paced.front.take() is None
    for lease in taken:
        paced.front.done(lease)
    assert paced.next_ready() == pytest.approx(0.0), "the delay has long passed since it was learnt"


def test_the_longer_gap_counts_from_the_last_start() -> None:
    paced = Paced()
    paced.front.push(leases("a", 3))
    lease = paced.front.take()
    assert lease is not None
    paced.front.sent("a")
    paced.clock.advance(1.0)
    paced.limits.hosts["a"] = HostLimits(4, 9.0)
    paced.front.done(lease)
    assert paced.next_ready() == pytest.approx(8.0)


def test_a_fetcher_that_does_not_tell_is_counted_from_the_end_of_its_visit() -> None:
    paced = Paced()
    paced.front.reported = False
    paced.front.push(leases("a", 3))
    lease = paced.front.take()
    assert lease is not None
    paced.clock.advance(60.0)
    assert paced.front.take() is None
    paced.front.done(lease)
    assert paced.next_ready() == pytest.approx(DELAY)


def test_what_an_earlier_process_may_have_asked_counts_too() -> None:
    paced = Paced(asked_until=-0.5)
    paced.front.push(leases("a", 3))
    assert paced.next_ready() == pytest.approx(1.5)
    late = Paced(asked_until=-60.0)
    late.front.push(leases("a", 3))
    assert late.next_ready() == 0.0


def test_a_rest_of_an_earlier_process_holds_the_slot_back() -> None:
    paced = Paced(delay=0.0)
    paced.limits.rest = lambda host, now: 7.0  # type: ignore[method-assign]
    paced.front.push(leases("a"))
    assert paced.next_ready() == pytest.approx(7.0)


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.0, 3.0)),
    st.tuples(st.just("take"), st.just(0.0)),
    st.tuples(st.just("send"), st.floats(0.0, 1.0)),
    st.tuples(st.just("done"), st.floats(0.0, 1.0)),
    st.tuples(st.just("postpone"), st.floats(0.0, 1.0)),
    st.tuples(st.just("delay"), st.sampled_from([0.0, 0.5, 2.0, 5.0])),
    st.tuples(st.just("restart"), st.just(0.0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60), st.integers(1, 4), st.sampled_from([0.0, 0.5]))
def test_no_gap_is_too_short_whatever_happens(steps: list[tuple[str, float]], cap: int, jitter: float) -> None:
    """Requests that reach the wire when they like, delays that come and go, processes that are killed."""
    clock, limits = FakeClock(), Limits(cap, DELAY, jitter)
    front = frontier(limits, clock)
    front.reported = True
    front.push(leases("a", 60))
    owed: dict[int, float] = {}  # the delay that held when a lease was given out
    waiting: list[Lease] = []  # given out, not sent
    sent: list[Lease] = []
    last = -100.0
    for step, value in steps:
        if step == "wait":
            clock.advance(value)
        elif step == "take" and (lease := front.take()) is not None:
            owed[lease.page] = limits.hosts["a"].delay
            waiting.append(lease)
        elif step == "send" and waiting:
            lease = waiting.pop(int(value * (len(waiting) - 1)))
            now = clock.monotonic()
            assert now - last >= owed[lease.page] - 1e-9
            last = now
            front.sent("a", gone=False)
            front.sent("a")
            sent.append(lease)
        elif step in ("done", "postpone") and (from_ := sent if sent and value > 0.2 else waiting):
            lease = from_.pop(int(value * (len(from_) - 1)))
            front.done(lease)
            if step == "postpone":
                front.postpone(lease)
        elif step == "delay":
            limits.hosts["a"] = HostLimits(cap, value, jitter)
            front.refresh("a")
        elif step == "restart":
            front = frontier(limits, clock, asked_until=clock.monotonic())
            front.reported = True
            front.push(leases("a", 60))
            waiting, sent = [], []


SPIDER = """
import time

from scraper import Spider

class Paced(Spider):
    name = "paced"
    start_urls = {urls!r}
    settings = {{
        "delay": {delay}, "jitter": 0.1, "concurrency_per_host": 8, "log_level": "warning",
        "hosts": {{"127.0.0.3:*": {{"delay": {short}}}}},
    }}

    def parse(self, response):
        time.sleep(0.04)  # what is written while the loop is busy leaves late
        yield {{"url": response.url}}
"""


def test_no_gap_is_too_short_on_the_wire_though_the_crawl_is_killed(tmp_path: Path, start_cli: StartCli) -> None:
    """Three hosts: the delay of the settings, the longer one of robots.txt, and one of its own; killed twice."""
    hosts = {"127.0.0.1": 0.15, "127.0.0.2": 0.3, "127.0.0.3": 0.05}
    with Stamped(list(hosts), {"127.0.0.2": "User-agent: *\nCrawl-delay: 0.3\n"}, slow=0.2) as server:
        urls = [server.url(host, f"/{number}") for number in range(10) for host in hosts]
        spider = tmp_path / "paced.py"
        spider.write_text(SPIDER.format(urls=urls, delay=0.15, short=0.05))
        for seen in (9, 18):
            crawl = start_cli("crawl", spider)
            server.wait(seen)
            crawl.send_signal(signal.SIGKILL)
            crawl.wait()
        crawl = start_cli("crawl", spider)
        out, err = crawl.communicate()
        assert crawl.returncode == 0, out + err
        for host, delay in hosts.items():
            assert {path for _, path in server.arrivals[host]} == {"/robots.txt", *(f"/{n}" for n in range(10))}
            assert min(server.gaps(host)) >= delay - 0.001, server.arrivals[host]
