"""The adaptive throttle: slower in trouble, faster again as the host recovers, never faster than allowed."""

import random

import pytest

from scraper.errors import (
    BodyCut,
    ConnectError,
    ConnectTimeout,
    Disconnected,
    DnsError,
    FetchError,
    ReadTimeout,
    RobotsDenied,
    StatusError,
    TlsError,
    TotalTimeout,
)
from scraper.pace import MOST_DELAY
from scraper.page import HostLimits, Seen
from scraper.settings import Host, Settings
from scraper.throttle import AdaptiveThrottle, FixedThrottle

HOST = "h.test"


class Host8:
    """A host with cap 8 under an adaptive throttle, asked once a second."""

    def __init__(self, **settings: object) -> None:
        self.throttle = AdaptiveThrottle(Settings(breaker_failures=0, **settings))  # type: ignore[arg-type]
        self.now = 0.0

    def answers(self, elapsed: float = 0.05, times: int = 1) -> None:
        for _ in range(times):
            self.now += 1.0 + elapsed
            assert self.throttle.observe(HOST, Seen(200, elapsed), None, self.now) == 0.0

    def fails(self, error: FetchError | None = None, elapsed: float = 0.05, later: float = 1.0) -> None:
        self.now += later
        error = error or StatusError(429, "http://h.test/")
        self.throttle.observe(HOST, Seen(error.status, elapsed), error, self.now)

    @property
    def cap(self) -> int:
        return self.throttle.limits(HOST).cap

    @property
    def delay(self) -> float:
        return self.throttle.limits(HOST).delay


TROUBLE = [
    StatusError(429, "u"),
    StatusError(503, "u"),
    ConnectTimeout("slow"),
    ReadTimeout("silent"),
    TotalTimeout("endless"),
    Disconnected("reset"),
    BodyCut("cut"),
]


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: error.reason)
def test_trouble_halves_the_cap_down_to_one(error: FetchError) -> None:
    host = Host8()
    caps = [host.cap]
    for _ in range(4):
        host.fails(error)
        caps.append(host.cap)
    assert caps == [8, 4, 2, 1, 1]


@pytest.mark.parametrize("status", [429, 503])
def test_trouble_that_the_spider_handles_itself_is_trouble_too(status: int) -> None:
    host = Host8()
    host.throttle.observe(HOST, Seen(status, 0.05), None, 1.0)
    assert host.cap == 4


@pytest.mark.parametrize(
    "error",
    [
        StatusError(404, "u"),
        StatusError(500, "u"),
        ConnectError("refused"),
        DnsError("no"),
        TlsError("bad"),
        RobotsDenied("no"),
    ],
    ids=lambda error: error.reason,
)
def test_what_is_no_sign_of_load_changes_nothing(error: FetchError) -> None:
    host = Host8()
    host.fails(error)
    assert (host.cap, host.delay) == (8, 0.0)


def test_below_one_at_a_time_the_delay_doubles_to_its_bound() -> None:
    host = Host8()
    for _ in range(3):
        host.fails()
    delays = []
    for _ in range(10):
        host.fails()
        delays.append(host.delay)
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]  # nothing has answered, so its latency is not known
    assert delays[-1] == MOST_DELAY == 60.0
    assert host.cap == 1


@pytest.mark.parametrize(("usual", "first"), [(0.001, 0.05), (0.2, 0.4), (30.0, 2.0)])
def test_the_first_delay_is_that_of_half_the_rate(usual: float, first: float) -> None:
    host = Host8()
    host.answers(usual)
    for _ in range(3):
        host.fails()
    assert (host.cap, host.delay) == (1, 0.0)
    host.fails()
    assert host.delay == pytest.approx(first)
    answers = 0
    while host.delay:
        host.answers(usual)
        answers += 1
    assert 8 <= answers <= 12


def test_a_round_of_requests_is_one_decrease() -> None:
    """All eight were asked before the host could be spared; they say the same thing eight times."""
    host = Host8()
    for _ in range(8):
        host.fails(elapsed=5.0, later=0.01)
    assert host.cap == 4
    host.fails(elapsed=0.5, later=1.0)  # asked after the decrease
    assert host.cap == 2


def test_answers_from_before_a_decrease_do_not_undo_it() -> None:
    host = Host8()
    host.fails()
    for _ in range(50):
        host.now += 0.01
        host.throttle.observe(HOST, Seen(200, 5.0), None, host.now)
    assert host.cap == 4


def test_it_recovers_by_one_a_round_first_the_delay_then_the_cap() -> None:
    host = Host8()
    for _ in range(8):
        host.fails()
    assert (host.cap, host.delay) == (1, 8.0)
    before = host.delay
    while host.delay:
        assert host.cap == 1
        host.answers()
        assert host.delay < before
        before = host.delay
    steps = 0
    while host.cap < 8:
        cap = host.cap
        host.answers(times=cap)
        assert host.cap <= cap + 1
        steps += 1
        assert steps < 30
    host.answers(times=100)
    assert (host.cap, host.delay) == (8, 0.0)
    assert host.throttle.limits(HOST).state == ""


def test_rising_latency_is_trouble_and_what_is_slow_by_nature_is_not() -> None:
    host = Host8()
    host.answers(0.1, times=50)
    host.answers(3.0, times=5)
    assert host.cap < 8
    slow = Host8()
    slow.answers(3.0, times=200)
    assert slow.cap == 8


def test_latency_of_a_few_tenths_is_noise() -> None:
    """Our own processor was busy."""
    host = Host8()
    host.answers(0.002, times=50)
    host.answers(0.4, times=50)
    assert host.cap == 8


def test_latency_alone_never_spaces_the_requests_and_becomes_usual() -> None:
    host = Host8()
    host.answers(0.1, times=50)
    host.answers(20.0, times=20)
    assert host.cap <= 4
    assert host.delay == 0.0
    host.answers(20.0, times=200)
    assert host.cap == 8, "slower for good is no trouble"


def test_never_faster_than_settings_and_robots_allow() -> None:
    rng = random.Random(4)
    host = Host8(hosts={HOST: Host(cap=3, delay=0.25, jitter=0.0)})
    host.throttle.learnt(HOST, 2.0)
    for _ in range(3000):
        if rng.random() < 0.1:
            host.fails(rng.choice(TROUBLE))
        else:
            host.answers(rng.random())
        limits = host.throttle.limits(HOST)
        assert 1 <= limits.cap <= 3
        assert limits.delay >= 2.0
    host.throttle.learnt(HOST, 0.0)
    host.answers(times=300)
    assert host.throttle.limits(HOST) == HostLimits(3, 0.25, 0.0)


def test_robots_txt_cannot_shorten_the_delay_of_the_settings() -> None:
    throttle = FixedThrottle(Settings(delay=3.0))
    throttle.learnt(HOST, 1.0)
    assert throttle.limits(HOST).delay == 3.0
    throttle.learnt(HOST, 9.0)
    assert throttle.limits(HOST).delay == 9.0


def test_a_delay_that_is_learnt_is_told_at_once() -> None:
    throttle = FixedThrottle(Settings())
    told: list[str] = []
    throttle.changed = told.append
    for seconds in (0.0, 2.0, 2.0, 0.0):
        throttle.learnt(HOST, seconds)
    assert told == [HOST, HOST]


def test_hosts_that_share_a_slot_share_the_strictest_limits() -> None:
    throttle = AdaptiveThrottle(
        Settings(slot_by="ip", hosts={"a.test": Host(cap=3, delay=0.5), "b.test": Host(cap=6, delay=2.0)})
    )
    throttle.learnt("c.test", 4.0)  # before its address was known
    throttle.join("192.0.2.7", "a.test")
    throttle.join("192.0.2.7", "b.test")
    assert throttle.limits("192.0.2.7") == HostLimits(3, 2.0, 0.5)
    throttle.join("192.0.2.7", "c.test")
    assert throttle.limits("192.0.2.7") == HostLimits(3, 4.0, 0.5)
    throttle.learnt("192.0.2.7", 1.0, "http://d.test")
    assert throttle.limits("192.0.2.7").delay == 4.0


def test_hosts_are_judged_each_for_itself() -> None:
    host = Host8()
    host.fails()
    assert host.throttle.limits("other.test").cap == 8


def test_fixed_limits_stay() -> None:
    throttle = FixedThrottle(Settings(adaptive=False, breaker_failures=0))
    for error in TROUBLE:
        throttle.observe(HOST, Seen(error.status, 9.0), error, 1.0)
    assert throttle.limits(HOST) == HostLimits(8, 0.0, 0.5)
