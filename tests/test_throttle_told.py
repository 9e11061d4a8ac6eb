"""What the throttle says and is told: log lines, gaps of several origins, what a status means, what others rely on."""

import asyncio
import json
from typing import Any

import pytest
from crawling import SITE, Bench, drive, spider
from slots import leases

import scraper
from scraper.errors import BodyCut, ConnectError, NoSuchHost, Postponed, RobotsDenied, StatusError
from scraper.frontier import Frontier
from scraper.page import Note, Run, Seen
from scraper.parts import build_parts
from scraper.request import Request
from scraper.response import Response
from scraper.settings import Settings
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing import FakeClock
from scraper.throttle import KIND, AdaptiveThrottle, FixedThrottle

HOST = "h.test"
REFUSED = ConnectError("refused")


def fails(throttle: FixedThrottle, now: float, error: Any = REFUSED, elapsed: float = 0.0) -> float:
    return throttle.observe(HOST, Seen(error.status, elapsed), error, now)


@pytest.fixture(autouse=True)
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Every event that is logged, in order."""
    scraper.log.configure("info", "json")

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield lines
    scraper.log.configure()


def test_each_change_of_a_host_is_said_once(said: Any) -> None:
    throttle = FixedThrottle(Settings(breaker_failures=3, breaker_patience=100.0))
    for now in (0.0, 0.0, 0.0, 10.0):
        fails(throttle, now)
    throttle.observe(HOST, Seen(200), None, 30.0)
    throttle.observe(HOST, Seen(200), None, 31.0)
    for now in (40.0, 40.0, 40.0, 50.0, 140.0):
        fails(throttle, now)
    lines = said()
    assert [line["event"] for line in lines] == ["host_paused", "host_back", "host_paused", "host_down"]
    assert {line["host"] for line in lines} == {HOST}
    assert [lines[0][name] for name in ("level", "seconds", "failures", "error")] == ["warning", 10.0, 3, "refused"]
    assert [lines[3][name] for name in ("level", "seconds", "error")] == ["warning", 100.0, "refused"]


def test_slowed_is_said_as_it_leaves_calm_and_not_for_each_step(said: Any) -> None:
    throttle = AdaptiveThrottle(Settings())
    busy = StatusError(429, "u")
    for now in range(1, 8):
        fails(throttle, float(now), busy)
    assert [(line["event"], line["cap"]) for line in said()] == [("host_slowed", 4)]
    for now in range(8, 400):
        throttle.observe(HOST, Seen(200, 0.01), None, float(now))
    assert throttle.limits(HOST).state == ""
    fails(throttle, 500.0, busy)
    assert [line["event"] for line in said()] == ["host_slowed"]
    for _ in range(20):  # always at its limit
        for part in range(100):
            throttle.observe(HOST, Seen(200, 0.0), None, 502.0 + part / 100)
        assert throttle.limits(HOST).state == ""
        fails(throttle, 502.0, busy)
    assert said() == []


async def test_a_retry_says_at_debug_why(said: Any) -> None:
    scraper.log.configure("debug", "json")
    bench = Bench(spider("a"), {"a": ConnectError("refused")}, retry_attempts=2)
    await bench.run()
    retry, dead = (line for line in said() if line["event"] == "page")
    assert (retry["outcome"], retry["reason"], retry["error"]) == ("retry", "connect", "refused")
    assert dead["outcome"] == "dead"


def test_the_longest_gap_of_the_origins_counts() -> None:
    throttle = FixedThrottle(Settings())
    throttle.learnt(HOST, 2.0, "http://h.test")
    throttle.learnt(HOST, 5.0, "https://h.test")
    assert throttle.limits(HOST).delay == 5.0
    throttle.learnt(HOST, 0.0, "http://h.test")
    assert throttle.limits(HOST).delay == 5.0, "that of the other is not gone"
    throttle.learnt(HOST, 3.0, "http://h.test")
    throttle.learnt(HOST, 0.0, "https://h.test")
    assert throttle.limits(HOST).delay == 3.0
    for number in range(10_000):
        throttle.learnt(HOST, 1.0 + number % 7, f"http://h.test:{number}")
    assert len(throttle._known[HOST].gaps) <= 100
    assert throttle.limits(HOST).delay == 7.0


def test_errors_of_the_server_are_no_good_answers() -> None:
    throttle = AdaptiveThrottle(Settings())
    fails(throttle, 1.0, StatusError(429, "u"))
    for now in range(2, 100):
        fails(throttle, float(now), StatusError(500, "u"))
        throttle.observe(HOST, Seen(500, 0.01), None, float(now))  # one that the spider wants
    assert throttle.limits(HOST).cap == 4
    for now in range(100, 200):
        fails(throttle, float(now), StatusError(404, "u"))
    assert throttle.limits(HOST).cap == 8


def test_a_body_that_is_cut_is_an_answer_all_the_same() -> None:
    throttle = AdaptiveThrottle(Settings(breaker_failures=3))
    cut = BodyCut("cut")
    cut.status = 200
    for now in range(30):
        fails(throttle, 100.0 * now, cut)
        assert throttle.limits(HOST).state != "paused"
    assert throttle.limits(HOST).delay <= 2.0


def test_a_name_that_does_not_exist_says_nothing_of_a_host() -> None:
    throttle = AdaptiveThrottle(Settings(breaker_failures=3))
    for _ in range(30):
        fails(throttle, 0.0, NoSuchHost("no such name"))
    assert throttle.limits(HOST).state == ""


def test_no_pace_grows_during_a_pause() -> None:
    throttle = AdaptiveThrottle(Settings(breaker_failures=3, breaker_patience=0.0))
    for now in range(0, 10_000, 500):
        fails(throttle, float(now), StatusError(503, "u"))
        assert throttle.limits(HOST).state != "paused" or throttle.limits(HOST).delay == 0.0
    throttle.observe(HOST, Seen(200, 0.01), None, 1e5)
    assert throttle.limits(HOST).cap == 2, "8, 4, and 2 when the third failure paused it: 503s before that"


def test_patience_is_not_exceeded() -> None:
    throttle = FixedThrottle(Settings())
    now = 0.0
    while throttle.given_up(HOST) is None:
        now += fails(throttle, now)
    assert now == pytest.approx(900.0)


def test_a_host_that_is_given_up_rests_no_more() -> None:
    throttle = AdaptiveThrottle(Settings(breaker_failures=1, breaker_patience=20.0))
    clock = FakeClock()
    front = Frontier(throttle, clock, keepalive=30.0, look_ahead=64, per_host=64, hungry=lambda: None)
    front.push(leases(HOST, 3))
    for seconds in (0.0, 10.0):
        clock.advance(seconds)
        lease = front.take()
        assert lease is not None
        front.done(lease, rest=fails(throttle, clock.monotonic()), answered=False)
    front.slots[0].ready_at = clock.monotonic() + 500.0  # robots.txt, a Retry-After
    busy = RobotsDenied("robots.txt answered 503")
    busy.retry_after, busy.__cause__ = 300.0, StatusError(503, "u")
    assert fails(throttle, 30.0, busy) == 0.0
    front.refresh(HOST)
    assert throttle.limits(HOST).state == "down"
    assert front.take() is not None


def test_a_pause_that_was_noted_may_be_longer_than_any_retry_after() -> None:
    settings = Settings(retry_after_max=60.0)
    throttle = FixedThrottle(settings)
    note = '{"rest": 1250.0, "pause": 300.0, "silent": 310.0, "words": "refused"}'
    throttle.load({HOST: Note(KIND, HOST, note, 1e9)}, 0.0, 1000.0)
    assert throttle.rest(HOST, 0.0) == 250.0
    throttle.load({HOST: Note(KIND, HOST, '{"rest": 1250.0}', 1e9)}, 0.0, 1000.0)
    assert throttle.rest(HOST, 0.0) == 60.0


async def test_what_is_learnt_between_two_visits_reaches_the_slot() -> None:
    """Its parts are connected: a gap counts at once, not after the next visit."""
    clock = FakeClock()
    parts = await build_parts(spider("a"), Settings(), MemoryStore(Memory()), clock, Run(1, "test", 0.0, False))
    front = Frontier(parts.throttle, clock, keepalive=30.0, look_ahead=64, per_host=64, hungry=lambda: None)
    parts.connect(front)
    front.push(leases(HOST, 3))
    assert isinstance(parts.throttle, FixedThrottle)
    parts.throttle.learnt(HOST, 5.0, "http://h.test")
    assert front.slots[0].limits.delay == 5.0
    await parts.close()


async def test_a_pause_is_noted_though_no_page_is_committed() -> None:
    """The pulse saves what is learnt: a kill in the midst of a pause lets nobody off."""
    memory, clock = Memory(), FakeClock()
    early: list[set[tuple[str, str]]] = []

    class Refusing:
        async def fetch(self, request: Request) -> Response:
            if clock.monotonic() < 10.0:
                raise ConnectError("refused")
            early.append(set(memory.notes))
            return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

        async def close(self) -> None: ...

    crawl = scraper.Crawl(
        spider("a", "b"), store=MemoryStore(memory), fetcher=Refusing(), clock=clock, settings={"breaker_failures": 1}
    )
    report = await drive(crawl.run(), clock)
    assert report.counts.pages == 2
    assert (KIND, HOST) in early[0]


async def test_a_page_that_is_spared_pauses_its_host_and_then_waits_behind_the_others() -> None:
    clock = FakeClock()
    asked: list[tuple[str, float]] = []

    class Healing:
        async def fetch(self, request: Request) -> Response:
            asked.append((request.url.removeprefix(SITE), clock.monotonic()))
            passed = asyncio.Event()
            clock.call_at(clock.monotonic() + 0.1, passed.set)
            await passed.wait()
            if clock.monotonic() < 8.0:
                raise ConnectError("refused")
            return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

        async def close(self) -> None: ...

    async def start(self: Any) -> Any:
        yield Request(SITE + "first", priority=10)
        for number in range(60):
            yield Request(SITE + str(number))

    settings = {"breaker_failures": 50, "retry_attempts": 2, "retry_max_wait": 0.0, "concurrency": 1}
    bench = Bench(spider(start=start), Healing(), clock=clock, **settings)
    assert await bench.run() == "finished"
    assert set((await bench.states()).values()) == {"done"}
    again = [number for number, (path, _) in enumerate(asked) if path == "first"]
    assert len(again) == 3
    assert asked[again[1] + 1][1] >= asked[again[1]][1] + 10.0, "nothing is asked during the pause"
    assert again[2] - again[1] > 20, "all that had not been tried come before it"


async def test_a_page_that_is_postponed_is_no_answer_of_its_host() -> None:
    at_once = most = 0
    first = True

    class Turning:
        async def fetch(self, request: Request) -> Response:
            nonlocal at_once, most, first
            if first:
                first = False
                raise Postponed("robots.txt took its turn")
            at_once += 1
            if not bench.engine.frontier.slots[0].answered:
                most = max(most, at_once)
            for _ in range(20):
                await asyncio.sleep(0)
            at_once -= 1
            return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

        async def close(self) -> None: ...

    bench = Bench(spider(*(str(number) for number in range(20))), Turning())
    assert await bench.run() == "finished"
    assert most == 1
    assert set((await bench.states()).values()) == {"done"}
