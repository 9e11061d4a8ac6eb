"""What a throttle knows of its hosts survives a restart, and does not grow with them."""

import pytest

import scraper.throttle
from scraper.errors import ConnectError, StatusError
from scraper.page import HostLimits, Note, Seen
from scraper.settings import Host, Settings
from scraper.testing import FakeClock
from scraper.throttle import AdaptiveThrottle, FixedThrottle, Remembering

HOST = "h.test"
DATE = 1_700_000_000.0


def adaptive(**settings: object) -> AdaptiveThrottle:
    return AdaptiveThrottle(Settings(breaker_failures=3, breaker_patience=100.0, **settings))  # type: ignore[arg-type]


def restarted(throttle: FixedThrottle, now: float, later: float = 0.0) -> FixedThrottle:
    """Another process, ``later`` seconds after, whose own clock begins at 0."""
    notes = {note.key: note for note in throttle.notes(now, DATE + now)}
    again = type(throttle)(throttle._settings)
    again.load({key: note for key, note in notes.items() if note.until > DATE + now + later}, 0.0, DATE + now + later)
    return again


def busy(throttle: FixedThrottle, now: float, retry_after: float | None = None) -> float:
    error = StatusError(429, "http://h.test/", retry_after=retry_after)
    return throttle.observe(HOST, Seen(429), error, now)


def refused(throttle: FixedThrottle, now: float) -> float:
    return throttle.observe(HOST, Seen(), ConnectError("refused"), now)


def test_reduced_cap_and_grown_delay_are_kept() -> None:
    throttle = adaptive()
    for now in range(1, 6):
        busy(throttle, float(now))
    limits = throttle.limits(HOST)
    assert (limits.cap, limits.delay) == (1, 1.0)
    again = restarted(throttle, 6.0, later=3600.0)
    assert again.limits(HOST) == limits
    assert restarted(throttle, 6.0).limits(HOST).cap == 8, "all was in the first notes: there is nothing new"


@pytest.mark.parametrize("kind", [FixedThrottle, AdaptiveThrottle])
def test_what_is_left_of_a_rest_is_kept(kind: type[FixedThrottle]) -> None:
    throttle = kind(Settings())
    assert busy(throttle, 10.0, retry_after=100.0) == 100.0
    assert throttle.rest(HOST, 30.0) == 80.0
    assert restarted(throttle, 30.0, later=20.0).rest(HOST, 0.0) == pytest.approx(60.0)
    assert throttle.rest(HOST, 200.0) == 0.0


def test_rest_that_is_over_is_not_kept() -> None:
    throttle = FixedThrottle(Settings())
    busy(throttle, 0.0, retry_after=5.0)
    (note,) = throttle.notes(1.0, DATE)
    assert note.until == pytest.approx(DATE + 4.0)


def test_date_in_the_future_of_a_clock_that_was_set_back_is_bounded() -> None:
    throttle = FixedThrottle(Settings(retry_after_max=600.0))
    busy(throttle, 0.0, retry_after=300.0)
    (note,) = throttle.notes(0.0, DATE)
    again = FixedThrottle(Settings(retry_after_max=600.0))
    again.load({HOST: note}, 0.0, DATE - 1e6)
    assert again.rest(HOST, 0.0) == 600.0


def test_paused_host_is_probed_by_one_and_its_pause_goes_on_growing() -> None:
    throttle = adaptive()
    for _ in range(3):
        refused(throttle, 0.0)
    assert refused(throttle, 10.0) == 20.0
    again = restarted(throttle, 12.0, later=8.0)
    assert again.rest(HOST, 0.0) == pytest.approx(10.0)
    assert (again.limits(HOST).cap, again.limits(HOST).state) == (1, "paused")
    assert refused(again, 10.0) == 40.0


def test_time_in_which_nobody_asked_is_no_silence() -> None:
    """It was silent for 10 of 100 seconds; a day later its patience has 90 left."""
    throttle = adaptive()
    for _ in range(3):
        refused(throttle, 0.0)
    again = restarted(throttle, 10.0, later=80_000.0)
    assert again.rest(HOST, 0.0) == 0.0
    refused(again, 0.0)
    assert again.given_up(HOST) is None
    refused(again, 91.0)
    assert again.given_up(HOST) is not None


def test_host_that_was_given_up_is_tried_again_by_one_probe() -> None:
    throttle = adaptive()
    for now in (0.0, 0.0, 0.0, 10.0, 30.0, 70.0, 100.0):
        refused(throttle, now)
    assert throttle.given_up(HOST) is not None
    again = restarted(throttle, 100.0, later=50.0)
    assert again.given_up(HOST) is None
    assert again.rest(HOST, 0.0) == 0.0
    assert again.limits(HOST).cap == 1
    assert refused(again, 5.0) == 10.0, "its patience begins anew, and so do its pauses"


def test_host_that_has_recovered_is_forgotten() -> None:
    throttle = adaptive()
    busy(throttle, 1.0)
    assert [note.value for note in throttle.notes(1.0, DATE)] == ['{"cap":4.0,"delay":0.0}']
    for now in range(2, 100):
        throttle.observe(HOST, Seen(200, 0.1), None, float(now))
    (note,) = throttle.notes(100.0, DATE)
    assert (note.kind, note.key, note.value) == ("throttle", HOST, None)
    assert throttle.notes(101.0, DATE) == []


def test_nothing_is_noted_of_a_host_that_does_well_or_just_stumbles() -> None:
    throttle = adaptive()
    for now in range(50):
        throttle.observe(HOST, Seen(200, 0.1), None, float(now))
    refused(throttle, 60.0)
    throttle.observe(HOST, Seen(404), StatusError(404, "u"), 61.0)
    assert throttle.notes(62.0, DATE) == []


def test_notes_of_another_version_are_passed_over() -> None:
    throttle = adaptive()
    notes = {"a": '{"cap": "much"}', "b": "no JSON", "c": '{"cap": 2.0, "new": 1}'}
    throttle.load({key: Note("throttle", key, value, DATE + 9) for key, value in notes.items()}, 0.0, DATE)
    assert [throttle.limits(key).cap for key in "abc"] == [8, 8, 2]


def test_its_learner_puts_dates_to_it() -> None:
    clock = FakeClock(DATE)
    clock.advance(40.0)
    throttle = FixedThrottle(Settings())
    busy(throttle, clock.monotonic(), retry_after=60.0)
    clock.advance(10.0)
    (note,) = Remembering(throttle, clock).notes()
    assert note.until == pytest.approx(DATE + 100.0)


def test_so_many_slots_are_remembered_and_those_in_trouble_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.throttle, "MOST_KNOWN", 100)
    throttle = adaptive()
    for _ in range(3):
        refused(throttle, 0.0)
    throttle.notes(0.0, DATE)
    for number in range(1000):
        throttle.observe(f"h{number}", Seen(200, 0.1), None, 1.0)
        assert len(throttle._known) <= 100
    assert throttle.limits(HOST).state == "paused"
    for number in range(1000):
        for _ in range(3):
            throttle.observe(f"h{number}", Seen(), ConnectError("refused"), 2.0)
        assert max(len(throttle._known), len(throttle._dirty), len(throttle._down)) <= 100


def test_limits_by_pattern_the_first_wins() -> None:
    throttle = FixedThrottle(
        Settings(
            concurrency_per_host=8,
            delay=1.0,
            jitter=0.5,
            hosts={
                "shop.example.com": Host(cap=1),
                "*.example.com": Host(cap=2, delay=3.0, jitter=0.0),
                "127.0.0.1:80*": Host(delay=0.0),
                "[::1]": Host(cap=5),
                "*": Host(cap=4),
            },
        )
    )
    assert throttle.limits("shop.example.com") == HostLimits(1, 1.0, 0.5)
    assert throttle.limits("www.example.com") == HostLimits(2, 3.0, 0.0)
    assert throttle.limits("www.example.com:8443") == HostLimits(2, 3.0, 0.0), "a name without a port is for all"
    assert throttle.limits("example.com") == HostLimits(2, 3.0, 0.0), "*. is also meant for the domain itself"
    assert throttle.limits("127.0.0.1:8080") == HostLimits(8, 0.0, 0.5)
    assert throttle.limits("127.0.0.1:9080") == HostLimits(4, 1.0, 0.5)
    assert throttle.limits("[::1]") == throttle.limits("[::1]:81") == HostLimits(5, 1.0, 0.5)
    assert throttle.limits("notexample.com") == HostLimits(4, 1.0, 0.5)
