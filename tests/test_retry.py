"""RetryPolicy: tenacity's strategies of every sort, asked as values."""

import math
import re
from datetime import timedelta

import pytest
import tenacity as t

from scraper.errors import (
    BodyCut,
    ConnectError,
    ConnectTimeout,
    DnsError,
    ReadTimeout,
    RobotsDenied,
    StatusError,
    TlsError,
)
from scraper.page import Lease
from scraper.request import Request
from scraper.retry import RetryPolicy, default_policy, is_transient
from scraper.settings import Settings

NOW = 1_700_000_000.0


def ask(policy, error=None, *, attempt=1, ago=0.0):
    """The delay after attempt ``attempt`` failed, ``ago`` seconds after the first one."""
    request = Request("http://example.org/")
    first = None if attempt == 1 else NOW - ago
    lease = Lease(1, 1, request, "example.org", attempt, NOW + 60, first)
    return policy.delay(lease, error or ConnectError("refused"), NOW)


def policy(**strategies):
    return RetryPolicy(**{"wait": t.wait_none(), "stop": t.stop_never, **strategies})


@pytest.mark.parametrize(
    ("stop", "goes_on", "ends"),
    [
        (t.stop_after_attempt(3), {"attempt": 2}, {"attempt": 3}),
        (t.stop_after_delay(60), {"attempt": 9, "ago": 59}, {"attempt": 2, "ago": 60}),
        (t.stop_after_delay(timedelta(minutes=1)), {"attempt": 1}, {"attempt": 2, "ago": 61}),
        (t.stop_before_delay(70), {"attempt": 2, "ago": 59}, {"attempt": 2, "ago": 61}),  # with a wait of 10
        (t.stop_after_attempt(5) | t.stop_after_delay(60), {"attempt": 4, "ago": 59}, {"attempt": 2, "ago": 60}),
        (t.stop_after_attempt(5) & t.stop_after_delay(60), {"attempt": 9, "ago": 59}, {"attempt": 5, "ago": 60}),
        (lambda state: state.attempt_number > 2, {"attempt": 2}, {"attempt": 3}),
        (t.stop_never, {"attempt": 10**6, "ago": 1e9}, None),
    ],
)
def test_stop_strategies(stop, goes_on, ends):
    one = policy(stop=stop, wait=t.wait_fixed(10))
    assert ask(one, **goes_on) == 10
    if ends is not None:
        assert ask(one, **ends) is None


@pytest.mark.parametrize(
    ("wait", "delays"),
    [
        (t.wait_none(), [0, 0, 0]),
        (t.wait_fixed(2.5), [2.5, 2.5, 2.5]),
        (t.wait_fixed(timedelta(seconds=3)), [3, 3, 3]),
        (t.wait_incrementing(start=1, increment=2), [1, 3, 5]),
        (t.wait_exponential(multiplier=1, max=3), [1, 2, 3]),
        (t.wait_chain(t.wait_fixed(1), t.wait_fixed(5)), [1, 5, 5]),
        (t.wait_fixed(1) + t.wait_incrementing(start=1, increment=1), [2, 3, 4]),
        (t.wait_exception(lambda error: 7 if isinstance(error, ConnectError) else 0), [7, 7, 7]),
        (lambda state: state.attempt_number * 2, [2, 4, 6]),
        (t.wait_incrementing(start=-5, increment=1), [0, 0, 0]),
    ],
)
def test_wait_strategies(wait, delays):
    one = policy(wait=wait)
    assert [ask(one, attempt=attempt, ago=1) for attempt in (1, 2, 3)] == delays


@pytest.mark.parametrize(
    "wait",
    [
        t.wait_random(1, 3),
        t.wait_random_exponential(max=3, min=1),
        t.wait_exponential_jitter(initial=1, max=3, jitter=0.5),
    ],
)
def test_random_waits_stay_within_their_bounds(wait):
    delays = [ask(policy(wait=wait), attempt=attempt, ago=1) for attempt in (1, 2) * 25]
    assert all(1 <= delay <= 3.5 for delay in delays)
    assert len(set(delays)) > 5


@pytest.mark.parametrize(
    ("retry", "error", "again"),
    [
        (t.retry_if_exception_type(ConnectError), DnsError("x"), True),
        (t.retry_if_exception_type(ConnectError), ReadTimeout("x"), False),
        (t.retry_if_exception_type((ConnectTimeout, ReadTimeout)), ReadTimeout("x"), True),
        (t.retry_if_not_exception_type(TlsError), TlsError("x"), False),
        (t.retry_unless_exception_type(TlsError), ConnectError("x"), True),
        (t.retry_if_exception(is_transient) | t.retry_if_exception_type(TlsError), TlsError("x"), True),
        (t.retry_if_exception(is_transient) & t.retry_if_exception_type(ConnectError), ReadTimeout("x"), False),
        (t.retry_if_exception_message(match="refus.*"), ConnectError("refused"), True),
        (t.retry_if_exception_message(message="other"), ConnectError("refused"), False),
        (t.retry_if_result(lambda value: True), ConnectError("x"), False),  # there never is a result
        (t.retry_always, RobotsDenied("x"), True),
        (t.retry_never, ConnectError("x"), False),
        (lambda state: state.outcome.exception().reason == "dns", DnsError("x"), True),
        (lambda state: state.args[0].url == "http://example.org/", RobotsDenied("x"), True),
    ],
)
def test_retry_strategies(retry, error, again):
    assert (ask(policy(retry=retry), error) == 0) is again
    assert ask(policy(retry=retry), error) == (0 if again else None)


def status(code, *, transient=True, retry_after=None):
    return StatusError(code, "http://example.org/", transient=transient, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectError("x"), True),
        (DnsError("x"), True),
        (ConnectTimeout("x"), True),
        (ReadTimeout("x"), True),
        (BodyCut("x"), True),
        (status(503), True),
        (status(404, transient=False), False),
        (TlsError("x"), False),
        (RobotsDenied("x"), False),
    ],
)
def test_by_default_what_may_heal_is_tried_again(error, again):
    assert (ask(RetryPolicy(), error) is not None) is again
    assert is_transient(ValueError()) is False


@pytest.mark.parametrize(("asked", "delay"), [(7.0, 7.0), (0.0, 0.0), (-3.0, 0.0), (1e9, 600.0), (math.inf, 600.0)])
def test_retry_after_wins_over_the_wait_and_is_capped(asked, delay):
    assert ask(policy(wait=t.wait_fixed(99)), status(429, retry_after=asked)) == delay


def test_retry_after_does_not_win_over_stop():
    assert ask(policy(stop=t.stop_after_attempt(1)), status(429, retry_after=1.0)) is None
    assert ask(policy(stop=t.stop_before_delay(5)), status(429, retry_after=9.0)) is None
    assert ask(policy(), status(404, transient=False, retry_after=1.0)) is None


def test_the_settings_make_the_default_policy():
    made = default_policy(Settings(retry_attempts=2, retry_max_wait=0.5, retry_after_max=9.0))
    assert ask(made, attempt=2, ago=1) is None
    assert all(0 <= ask(made) <= 0.5 for _ in range(50))
    assert ask(made, status(503, retry_after=60.0)) == 9.0
    assert ask(default_policy(Settings(retry_attempts=1))) is None


def test_the_error_of_the_last_attempt_is_what_strategies_see():
    seen = []
    error = ConnectError("refused")
    ask(policy(retry=lambda state: seen.append(state) or False), error, attempt=3, ago=12.0)
    state = seen[0]
    assert (state.attempt_number, state.seconds_since_start, state.outcome.failed) == (3, 12.0, True)
    assert state.outcome.exception() is error
    assert re.search("refused", repr(state))
