"""The engine: every visit ends in one outcome, and the crawl ends when there is nothing left to do."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import tenacity
from crawling import SITE, Bench, Watch, follow, page, quiet, spider

from scraper import visit
from scraper.errors import CallbackError, ConnectError, FetchError, ReadError, RobotsDenied, StatusError, TlsError
from scraper.request import Request
from scraper.response import Response
from scraper.retry import RetryPolicy
from scraper.stores.memory import Memory

FIXED = RetryPolicy(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(10))


# Callbacks


def one_of_each(response: Response) -> list[Any]:
    return [{"n": 1}, Request(SITE + "next", "last"), None, {"n": 2}]


def generator(self: Any, response: Response) -> Any:
    yield from one_of_each(response)


async def async_generator(self: Any, response: Response) -> Any:
    for value in one_of_each(response):
        await asyncio.sleep(0)
        yield value


async def coroutine(self: Any, response: Response) -> Any:
    await asyncio.sleep(0)
    return one_of_each(response)


async def coroutine_of_generator(self: Any, response: Response) -> Any:
    return generator(self, response)


def plain(self: Any, response: Response) -> Any:
    return tuple(one_of_each(response))


@pytest.mark.parametrize("callback", [generator, async_generator, coroutine, coroutine_of_generator, plain])
async def test_every_form_of_callback_gives_items_and_links(callback: Any) -> None:
    bench = Bench(spider(parse=callback, last=lambda self, response: None), {"": "", "next": ""})
    assert await bench.run() == "finished"
    assert bench.asked == ["", "next"]
    assert [item.data for item in await bench.items()] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("callback", "asked", "items"),
    [
        (lambda self, response: None, [""], 0),
        (lambda self, response: {"n": 1}, [""], 1),
        (lambda self, response: response.follow("next", "last"), ["", "next"], 0),
        (lambda self, response: response.follow_all("a", "last"), ["", "next"], 0),
        (lambda self, response: (each for each in ({"n": 1}, {"n": 2})), [""], 2),
    ],
)
async def test_callback_may_return_one_thing_or_none(callback: Any, asked: list[str], items: int) -> None:
    bench = Bench(spider(parse=callback, last=lambda self, response: None), {"": page("next"), "next": ""})
    await bench.run()
    assert bench.asked == asked
    assert len(await bench.items()) == items
    assert set((await bench.states()).values()) == {"done"}


async def test_arguments_and_meta_travel_with_the_request() -> None:
    def parse(self: Any, response: Response) -> Any:
        yield response.follow("next", self.last, meta={"a": [1]}, cb_kwargs={"name": "x"})

    def last(self: Any, response: Response, name: str) -> Any:
        yield {"name": name, "meta": response.meta, "depth": response.request.depth}

    bench = Bench(spider(parse=parse, last=last), {"": "", "next": ""})
    await bench.run()
    assert [item.data for item in await bench.items()] == [{"name": "x", "meta": {"a": [1]}, "depth": 1}]


@pytest.mark.parametrize("kind", ["generator", "async generator"])
async def test_callback_may_catch_what_is_wrong_with_its_yield(kind: str) -> None:
    def parse(self: Any, response: Response) -> Any:
        yield {"n": 1}
        try:
            yield 42
        except CallbackError:
            return

    async def parse_async(self: Any, response: Response) -> Any:
        yield {"n": 1}
        try:
            yield 42
        except CallbackError:
            return

    bench = Bench(spider(parse=parse if kind == "generator" else parse_async), {"": ""})
    await bench.run()
    assert await bench.states() == {"": "done"}
    assert len(await bench.items()) == 1


def raises(self: Any, response: Response) -> Any:
    yield {"n": 1}
    yield response.follow("next")
    raise LookupError("no price here")


async def cancels(self: Any, response: Response) -> None:
    """As a library does that lets the cancellation of one of its own tasks slip."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (raises, "LookupError: no price here"),
        (lambda self, response: 42, "gave a int (42)"),
        (lambda self, response: "text", "gave a str"),
        (cancels, "CancelledError"),
        (lambda self, response: response.follow("x", callback=lambda r: None), "is not a method of spider"),
        (lambda self, response: response.follow("x", meta={"bad": object()}), "bad"),
        (lambda self, response: (_ for _ in ()).throw(asyncio.CancelledError), "CancelledError"),
    ],
)
async def test_callback_that_fails_makes_its_page_dead_and_not_the_crawl(callback: Any, message: str) -> None:
    def parse(self: Any, response: Response) -> Any:
        return (callback if response.url.endswith("bad") else follow)(self, response)

    bench = Bench(spider("bad", "good", parse=parse), {"bad": page("next"), "good": page("next")})
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {path: each.state for path, each in pages.items()} == {"bad": "dead", "good": "done", "next": "dead"}
    assert pages["bad"].reason == "callback"
    assert message in (pages["bad"].error or "")
    assert "Traceback" in (pages["bad"].error or "")
    assert len(await bench.items()) == 1, "nothing of the page that failed is kept"


async def test_callback_that_is_gone_since_the_last_run_makes_its_page_dead() -> None:
    memory = Memory()
    old = spider(start=lambda self: [Request(SITE, "parse_old")], parse_old=follow)
    first = Bench(old, {}, memory=memory)
    first.engine.stop("stopped")
    await first.run()
    bench = Bench(spider(), {"": ""}, memory=memory)
    await bench.run()
    assert "has no method 'parse_old' any more" in str((await bench.pages())[""].error)


# Failures


def statuses(*answers: Any) -> Callable[[Request], Any]:
    """One after the other, the last for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def timed(bench: Bench, answer: Callable[[Request], Any]) -> tuple[list[float], Callable[[Request], Any]]:
    times: list[float] = []

    def noted(request: Request) -> Any:
        times.append(bench.clock.monotonic())
        return answer(request)

    return times, noted


def busy(status: int = 503, **headers: str) -> Response:
    return Response(SITE, status, {name.replace("_", "-"): value for name, value in headers.items()})


async def test_failed_page_is_tried_again_at_its_date() -> None:
    watch = Watch()
    bench = Bench(spider(parse=follow), {}, retry=FIXED, observers=[watch])
    times, bench.fetcher.answers[SITE] = timed(bench, statuses(503, ReadError("cut"), ""))
    assert await bench.run() == "finished"
    assert times == pytest.approx([0, 10, 20], abs=0.5)
    assert times[1] - times[0] >= 10
    assert times[2] - times[1] >= 10
    page = (await bench.pages())[""]
    assert (page.state, page.attempts) == ("done", 3)
    assert [type(outcome).__name__ for outcome in watch.outcomes] == ["Retry", "Retry", "Done"]
    assert (bench.engine.stats.retries, bench.engine.stats.pages) == (2, 1)


@pytest.mark.parametrize(
    ("value", "wait"),
    [("120", 120), ("0", 0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60), ("99999999", 600), ("soon", 10), ("-5", 10)],
)
async def test_retry_after_wins(value: str, wait: float) -> None:
    bench = Bench(spider(), {}, retry=FIXED)  # the clock begins at 22:13:20 that day
    times, bench.fetcher.answers[SITE] = timed(bench, statuses(busy(Retry_After=value), ""))
    await bench.run()
    assert len(times) == 2
    assert wait <= times[1] <= wait + 0.5


async def test_host_that_asks_for_rest_gets_it_and_others_go_on() -> None:
    bench = Bench(
        spider("a", "b", "c", start_urls=[SITE + "a", SITE + "b", "http://other.test/"]),
        {},
        retry=FIXED,
        concurrency_per_host=1,
    )
    a, bench.fetcher.answers[SITE + "a"] = timed(bench, statuses(busy(429, Retry_After="50"), ""))
    b, bench.fetcher.answers[SITE + "b"] = timed(bench, lambda request: "")
    other, bench.fetcher.answers["http://other.test/"] = timed(bench, lambda request: "")
    await bench.run()
    assert a[0] == other[0] == 0
    assert b[0] >= 50
    assert a[1] >= 50


async def test_page_given_up_is_dead_with_its_reason_and_its_errback_has_its_say() -> None:
    told = []

    def oops(self: Any, request: Request, error: FetchError) -> Any:
        told.append((request.url, error))
        yield {"failed": request.url}
        yield Request(SITE + "mirror")

    bench = Bench(
        spider(oops=oops, start=lambda self: [Request(SITE + "down", errback="oops")]),
        {"down": 503, "mirror": ""},
        retry=FIXED,
    )
    await bench.run()
    pages = await bench.pages()
    assert (pages["down"].state, pages["down"].reason, pages["down"].attempts) == ("dead", "status 503", 3)
    assert (pages["down"].status, pages["mirror"].state) == (503, "done")
    assert [item.data for item in await bench.items()] == [{"failed": SITE + "down"}]
    ((url, error),) = told
    assert url == SITE + "down"
    assert isinstance(error, StatusError)
    assert (error.status, error.request.url if error.request else None) == (503, url)
    assert bench.engine.stats.reasons == {"status 503": 1}


@pytest.mark.parametrize("failure", [ValueError("oops"), asyncio.CancelledError()])
async def test_errback_that_fails_makes_its_page_dead_and_not_the_crawl(failure: BaseException) -> None:
    def oops(self: Any, request: Request, error: FetchError) -> None:
        raise failure

    start = lambda self: [Request(SITE + "down", errback=self.oops), Request(SITE + "up")]  # noqa: E731
    bench = Bench(spider(oops=oops, start=start), {"up": ""})
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert (pages["down"].state, pages["up"].state) == ("dead", "done")
    assert type(failure).__name__ in (pages["down"].error or "")


@pytest.mark.parametrize(
    ("answer", "reason", "attempts"),
    [
        (404, "status 404", 1),
        (500, "status 500", 3),
        (408, "status 408", 3),
        (501, "status 501", 1),
        (ConnectError("refused"), "connect", 3),
        (TlsError("bad certificate"), "tls", 1),
        (RobotsDenied("robots.txt says no"), "robots", 1),
        (RuntimeError("a fetcher broke its word"), "callback", 1),
        (asyncio.CancelledError(), "callback", 1),
    ],
)
async def test_dead_pages_say_why(answer: Any, reason: str, attempts: int) -> None:
    def give(request: Request) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    bench = Bench(spider("bad", "good"), {"bad": give, "good": ""}, retry=FIXED)
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert (pages["bad"].state, pages["bad"].reason, pages["bad"].attempts) == ("dead", reason, attempts)
    assert pages["good"].state == "done"
    assert bench.engine.frontier.in_flight == 0


@pytest.mark.parametrize(("named", "seen"), [((404,), [404]), ("all", [404, 503]), ((), [])])
async def test_error_statuses_reach_the_callback_when_they_are_named(named: Any, seen: list[int]) -> None:
    statuses = []
    bench = Bench(
        spider("a", "b", parse=lambda self, response: statuses.append(response.status)),
        {"a": 404, "b": 503},
        handle_statuses=named,
        retry_attempts=1,
    )
    await bench.run()
    assert statuses == seen


async def test_throttle_that_fails_does_not_stall_its_host() -> None:
    bench = Bench(spider(*"abcd"), {each: "" for each in "abcd"}, concurrency_per_host=1)

    def observe(*arguments: Any) -> float:
        raise ArithmeticError("a throttle of somebody else")

    bench.engine._throttle.observe = observe  # type: ignore[method-assign]
    assert await bench.run() == "finished"
    assert set((await bench.states()).values()) == {"dead"}


# Places and threads


async def test_slot_is_free_before_the_page_is_read() -> None:
    """With one place for the host, the callback of the first page waits for the second to be fetched."""
    fetched = asyncio.Event()

    async def parse(self: Any, response: Response) -> None:
        if response.url.endswith("first"):
            await fetched.wait()

    def second(request: Request) -> str:
        fetched.set()
        return ""

    bench = Bench(spider("first", "second", parse=parse), {"first": "", "second": second}, concurrency_per_host=1)
    assert await bench.run() == "finished"


async def test_large_pages_are_parsed_on_a_thread_and_small_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, int] = {}
    markup = Response._markup

    def noted(self: Response) -> Any:
        threads[self.url.removeprefix(SITE)] = threading.get_ident()
        return markup(self)

    monkeypatch.setattr(Response, "_markup", noted)
    monkeypatch.setattr(visit, "cores", lambda: 2)
    filler = "<p>text</p>" * 10_000
    plain_text = Response(SITE + "text", 200, {"Content-Type": "text/plain"}, filler.encode())
    bench = Bench(
        spider("large", "small", "text", parse=follow),
        {"large": filler + page("next"), "small": page("next"), "text": plain_text, "next": ""},
    )
    await bench.run()
    assert (await bench.states())["next"] == "done"
    assert threads["large"] != threading.get_ident()
    assert threads["small"] == threads["text"] == threading.get_ident()


async def test_with_one_core_nothing_is_parsed_on_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "cores", lambda: 1)
    monkeypatch.setattr(visit, "_parse_ahead", lambda response: pytest.fail("parsed on a thread"))
    bench = Bench(spider("large", parse=follow), {"large": "<p>text</p>" * 10_000})
    assert await bench.run() == "finished"
    assert (await bench.states())["large"] == "done"


async def test_page_too_deep_to_parse_is_the_callbacks_business() -> None:
    deep = "<div>" * 120_000

    def parse(self: Any, response: Response) -> Any:
        return {"n": len(response.text) if response.url.endswith("text") else response.css("h1").get()}

    bench = Bench(spider("text", "tree", parse=parse), {"text": deep, "tree": deep})
    await bench.run()
    pages = await bench.pages()
    assert (pages["text"].state, pages["tree"].state, pages["tree"].reason) == ("done", "dead", "nesting")
    assert len(await bench.items()) == 1


async def test_observers_are_told_of_every_page_once() -> None:
    watch = Watch()
    bench = Bench(spider(parse=follow), {"": page("a", "b"), "a": page(""), "b": 404}, observers=[watch])
    await bench.run()
    await quiet()
    told = sorted(outcome.lease.request.url.removeprefix(SITE) for outcome in watch.outcomes)
    assert told == ["", "a", "b"]
