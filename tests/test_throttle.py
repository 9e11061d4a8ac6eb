"""FixedThrottle: the limits of the settings, and the rest a server asks for."""

import pytest

from scraper.errors import ConnectError, RobotsDenied, StatusError
from scraper.page import HostLimits, Seen
from scraper.settings import Settings
from scraper.throttle import FixedThrottle


def test_every_host_has_the_limits_of_the_settings():
    throttle = FixedThrottle(Settings(concurrency_per_host=3, delay=2.0, jitter=0.25))
    assert throttle.limits("example.org") == throttle.limits("[::1]:8080") == HostLimits(3, 2.0, 0.25)


@pytest.mark.parametrize(
    ("status", "asked", "rest"),
    [
        (429, 7.0, 7.0),
        (503, 7.0, 7.0),
        (503, 1e9, 600.0),
        (429, -1.0, 0.0),
        (429, None, 0.0),
        (500, 7.0, 0.0),
        (404, 7.0, 0.0),
    ],
)
def test_a_host_rests_for_what_it_asks_within_the_bound(status, asked, rest):
    error = StatusError(status, "http://example.org/", retry_after=asked)
    assert FixedThrottle(Settings()).observe("example.org", Seen(status), error, 0.0) == rest


def test_a_host_that_answers_or_cannot_be_reached_does_not_rest():
    throttle = FixedThrottle(Settings())
    assert throttle.observe("example.org", Seen(200), None, 0.0) == 0.0
    assert throttle.observe("example.org", Seen(), ConnectError("refused"), 0.0) == 0.0


def test_a_host_rests_though_the_spider_handles_the_status_and_while_robots_cannot_be_had():
    throttle = FixedThrottle(Settings())
    assert throttle.observe("example.org", Seen(429, retry_after=7.0), None, 0.0) == 7.0
    denied = RobotsDenied("robots.txt answered 503")
    denied.retry_after = 30.0
    assert throttle.observe("example.org", Seen(), denied, 0.0) == 30.0
    assert throttle.observe("example.org", Seen(), RobotsDenied("forbidden"), 0.0) == 0.0
