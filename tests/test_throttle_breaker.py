"""The circuit breaker: a host that fails again and again is paused, probed, and at last given up."""

import pytest

from scraper.breaker import fails
from scraper.errors import (
    AddressDenied,
    BodyCut,
    BodyTooLarge,
    CertificateExpired,
    ConnectError,
    ConnectTimeout,
    Disconnected,
    DnsError,
    FetchError,
    HostDown,
    ProtocolError,
    ProxyError,
    ReadTimeout,
    RobotsDenied,
    StatusError,
    TotalTimeout,
)
from scraper.page import Seen
from scraper.settings import Settings
from scraper.throttle import FixedThrottle

HOST = "h.test"
REFUSED = ConnectError("refused")


def caused(cause: FetchError) -> RobotsDenied:
    error = RobotsDenied("robots.txt could not be had")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (REFUSED, True),
        (DnsError("no such name"), True),
        (ConnectTimeout("slow"), True),
        (Disconnected("reset"), True),
        (ReadTimeout("silent"), True),
        (TotalTimeout("endless"), True),
        (BodyCut("cut"), True),
        (StatusError(502, "u"), True),
        (StatusError(503, "u"), True),
        (StatusError(504, "u"), True),
        (caused(REFUSED), True),
        (caused(StatusError(503, "u")), True),
        (RobotsDenied("forbidden"), False),
        (StatusError(500, "u"), False),
        (StatusError(429, "u"), False),
        (StatusError(404, "u"), False),
        (CertificateExpired("over"), False),
        (ProxyError("no"), False),
        (AddressDenied("private"), False),
        (HostDown("given up"), False),
        (ProtocolError("junk"), False),
        (BodyTooLarge("large"), False),
    ],
    ids=lambda value: getattr(value, "reason", str(value)),
)
def test_what_counts_as_a_failure_of_the_host(error: FetchError, failure: bool) -> None:
    assert fails(error, error.status) == failure


class Down:
    """A throttle and a clock; the host fails or answers at once unless said otherwise."""

    def __init__(self, **settings: object) -> None:
        given = {"breaker_failures": 3, "breaker_patience": 100.0, "breaker_max_pause": 40.0, **settings}
        self.throttle = FixedThrottle(Settings(**given))  # type: ignore[arg-type]
        self.now = 0.0

    def fails(self, elapsed: float = 0.0, error: FetchError = REFUSED) -> float:
        return self.throttle.observe(HOST, Seen(error.status, elapsed), error, self.now)

    def answers(self) -> None:
        assert self.throttle.observe(HOST, Seen(200), None, self.now) == 0.0

    @property
    def limits(self) -> tuple[int, str]:
        limits = self.throttle.limits(HOST)
        return limits.cap, limits.state


def test_failures_in_a_row_pause_it_and_each_failed_probe_doubles_the_pause() -> None:
    host = Down()
    assert [host.fails(), host.fails()] == [0.0, 0.0]
    assert host.limits == (8, "")
    pauses = []
    for _ in range(4):
        pauses.append(host.fails())
        assert host.limits == (1, "paused"), "one request at a time: a probe"
        host.now += pauses[-1]
    assert pauses == [10.0, 20.0, 40.0, 30.0], "10, 20, 40, and the last when its patience ends"
    assert host.fails() == 0.0
    assert host.throttle.given_up(HOST) is not None


def test_one_answer_closes_it() -> None:
    host = Down()
    for _ in range(3):
        host.fails()
    host.now += 10.0
    host.answers()
    assert host.limits == (8, "")
    assert [host.fails(), host.fails()] == [0.0, 0.0], "and counting starts again"
    assert host.fails() == 10.0


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_error_status_is_an_answer(status: int) -> None:
    host = Down()
    for _ in range(2):
        host.fails()
    host.fails(error=StatusError(status, "u"))
    host.fails()
    assert host.limits == (8, "")


def test_late_failures_are_no_probes() -> None:
    """Eight were in flight when it was paused: the pause stays the first."""
    host = Down()
    host.now = 5.0
    assert [host.fails(4.0) for _ in range(8)] == [0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    host.now = 15.0
    assert host.fails() == 20.0


def test_failures_are_the_hosts_own_while_it_is_open() -> None:
    host = Down()
    for excused in (False, False, True, True):
        host.fails()
        assert host.throttle.excuses(HOST, REFUSED) == excused
    assert not host.throttle.excuses(HOST, CertificateExpired("that is not why it is paused"))
    assert not host.throttle.excuses("other.test", REFUSED)
    host.answers()
    host.fails()
    assert not host.throttle.excuses(HOST, REFUSED)


def test_a_page_is_not_given_up_on_a_host_that_has_not_answered_since_its_first_attempt() -> None:
    host = Down(breaker_failures=10)
    host.fails()
    assert host.throttle.trip(HOST, REFUSED, 1, host.now) == 0.0, "with one attempt, one is what it gets"
    for _ in range(2):
        host.fails()
    assert host.throttle.trip(HOST, REFUSED, 4, host.now) == 0.0, "the host answered something meanwhile"
    assert host.throttle.trip(HOST, StatusError(404, "u"), 3, host.now) == 0.0
    assert host.throttle.trip(HOST, REFUSED, 3, host.now) == 10.0
    assert host.limits == (1, "paused")


def test_given_up_it_is_told_since_when_and_why() -> None:
    host = Down()
    host.now = 50.0
    while host.throttle.given_up(HOST) is None:
        host.now += host.fails()
    down = host.throttle.given_up(HOST)
    assert down is not None
    assert (down.since, down.words) == (50.0, "refused")
    assert host.now == 150.0
    assert host.limits == (8, "down")
    assert host.throttle.given_up("other.test") is None
    host.answers()  # one that was on its way
    assert host.throttle.given_up(HOST) is None


def test_without_patience_it_is_never_given_up() -> None:
    host = Down(breaker_patience=0.0)
    for _ in range(500):
        host.now += host.fails()
    assert host.throttle.given_up(HOST) is None
    assert host.limits == (1, "paused")


def test_no_breaker_without_failures_to_count() -> None:
    host = Down(breaker_failures=0)
    assert {host.fails() for _ in range(500)} == {0.0}
    assert host.throttle.trip(HOST, REFUSED, 4, 0.0) == 0.0
    assert host.limits == (8, "")


def test_a_visit_that_saw_nothing_says_nothing() -> None:
    """It was cancelled, or its fetcher broke its word."""
    host = Down()
    for _ in range(3):
        host.fails()
    assert host.throttle.observe(HOST, Seen(), None, 1.0) == 0.0
    assert host.limits == (1, "paused")


def test_what_is_forgiven_is_as_if_it_had_not_been() -> None:
    host = Down()
    for _ in range(2):
        host.fails()
    host.throttle.forgive(HOST)
    for _ in range(2):
        host.fails()
    assert host.limits == (8, "")
    host.fails()
    assert host.limits == (1, "paused")
    host.throttle.forgive(HOST)
    assert host.limits == (8, "")
    assert host.throttle.rest(HOST, host.now) == 0.0
    host.throttle.forgive("other.test")
