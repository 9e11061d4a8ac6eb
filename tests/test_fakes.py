"""The fakes shipped to users keep the contracts of the ports that they stand for."""

import pytest

from scraper.errors import ConnectError
from scraper.ports import Clock, Fetcher
from scraper.request import Request
from scraper.response import Response
from scraper.testing.fakes import FakeClock, FakeFetcher

URL = "http://example.org/"


async def test_a_fetcher_answers_from_its_table():
    async def later(request):
        return Response(request.url, 201, body=b"later")

    fetcher: Fetcher = FakeFetcher(
        {
            "http://Example.org": "<h1>é</h1>",
            URL + "bytes": b"\xff",
            URL + "status": 503,
            URL + "response": Response(URL + "response", 202, {"X-A": "b"}, b"r"),
            URL + "function": lambda request: f"<p>{request.method}</p>",
            URL + "later": later,
        }
    )
    answers = {}
    for path in ("", "bytes", "status", "response", "function", "later", "nowhere"):
        response = await fetcher.fetch(Request(URL + path))
        answers[path] = (response.status, response.body)
        assert response.request.url == response.url == URL + path
        assert response.seen.status == response.status
    assert answers == {
        "": (200, "<h1>é</h1>".encode()),
        "bytes": (200, b"\xff"),
        "status": (503, b""),
        "response": (202, b"r"),
        "function": (200, b"<p>GET</p>"),
        "later": (201, b"later"),
        "nowhere": (404, b""),
    }
    assert (await fetcher.fetch(Request(URL))).css("h1::text").get() == "é"


@pytest.mark.parametrize("give", [lambda error: error, lambda error: lambda request: error])
async def test_a_fetcher_raises_the_errors_of_its_table(give):
    error = ConnectError("refused")
    with pytest.raises(ConnectError) as caught:
        await FakeFetcher({URL: give(error)}).fetch(Request(URL))
    assert caught.value is error


async def test_a_fetcher_keeps_a_log_and_is_closed():
    fetcher = FakeFetcher({URL: "x"})
    for path in ("", "a", ""):
        await fetcher.fetch(Request(URL + path))
    assert fetcher.log == [URL, URL + "a", URL]
    assert fetcher.asked == {URL: 2, URL + "a": 1}
    assert not fetcher.closed
    await fetcher.close()
    assert fetcher.closed


async def test_each_request_has_a_response_of_its_own():
    fetcher = FakeFetcher({URL: Response(URL, body=b"x")})
    one, two = Request(URL, meta={"n": 1}), Request(URL, meta={"n": 2})
    first, second = await fetcher.fetch(one), await fetcher.fetch(two)
    assert (first.meta, second.meta) == ({"n": 1}, {"n": 2})


def test_time_stands_still_until_it_is_advanced():
    clock: Clock = FakeClock(1000.0)
    assert (clock.time(), clock.monotonic(), clock.time()) == (1000.0, 0.0, 1000.0)
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (1002.5, 2.5)


def test_timers_go_off_in_order_each_at_its_moment():
    clock = FakeClock()
    heard = []
    for when in (3.0, 1.0, 2.0, 1.0):
        clock.call_at(when, lambda when=when: heard.append((when, clock.monotonic())))
    clock.advance(2.0)
    assert heard == [(1.0, 1.0), (1.0, 1.0), (2.0, 2.0)]
    assert clock.next_timer() == 3.0
    clock.advance(10)
    assert heard[-1] == (3.0, 3.0)
    assert (clock.next_timer(), clock.monotonic()) == (None, 12.0)


def test_a_cancelled_timer_is_silent():
    clock = FakeClock()
    heard = []
    first, second = clock.call_at(1.0, lambda: heard.append(1)), clock.call_at(2.0, lambda: heard.append(2))
    first.cancel()
    assert clock.next_timer() == 2.0
    clock.advance(5)
    second.cancel()  # too late, and no harm
    assert heard == [2]


def test_a_timer_may_set_or_cancel_another():
    clock = FakeClock()
    heard = []
    victim = clock.call_at(3.0, lambda: heard.append("victim"))

    def first():
        heard.append(clock.monotonic())
        victim.cancel()
        clock.call_at(clock.monotonic() + 1, lambda: heard.append(clock.monotonic()))

    clock.call_at(1.0, first)
    clock.advance(5)
    assert heard == [1.0, 2.0]


def test_a_timer_in_the_past_goes_off_with_the_next_step():
    clock = FakeClock()
    clock.advance(5)
    heard = []
    clock.call_at(1.0, lambda: heard.append(clock.monotonic()))
    clock.advance(0)
    assert heard == [5.0]
