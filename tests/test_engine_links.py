"""The engine: redirects, what is followed, and in which order."""

from typing import Any

import pytest
from crawling import SITE, Bench, follow, page, spider

from scraper.request import Request
from scraper.response import Response


def to(location: str, status: int = 302) -> Response:
    return Response(SITE, status, {"Location": location})


# Redirects


async def test_redirect_is_followed_with_all_that_the_request_carries() -> None:
    def last(self: Any, response: Response, name: str) -> Any:
        yield {"url": response.url, "name": name, "meta": response.meta, "depth": response.request.depth}

    start = lambda self: [Request(SITE + "a", "last", meta={"m": 1}, cb_kwargs={"name": "x"})]  # noqa: E731
    bench = Bench(spider(start=start, last=last), {"a": to("/b", 301), "b": to("c?q=1"), "c?q=1": ""}, max_depth=1)
    await bench.run()
    assert bench.asked == ["a", "b", "c?q=1"]
    assert [item.data for item in await bench.items()] == [
        {"url": SITE + "c?q=1", "name": "x", "meta": {"m": 1}, "depth": 0}
    ]
    assert (bench.engine.stats.pages, bench.engine.stats.redirects) == (3, 2)
    assert [(each.state, each.reason) for each in (await bench.pages()).values()] == [
        ("done", "redirect"),
        ("done", "redirect"),
        ("done", None),
    ]


async def test_pages_that_redirect_to_the_same_target_fetch_it_once() -> None:
    bench = Bench(spider("a", "b", "c"), {"a": to("/x"), "b": to("/x#part"), "c": to("/a"), "x": ""})
    await bench.run()
    assert sorted(bench.asked) == ["a", "b", "c", "x"]


async def test_cookie_wall_is_passed() -> None:
    """The page sends a visitor away for a cookie and lets him in when he comes back with it."""
    cookie = []

    def wall(request: Request) -> Any:
        return "<h1>in</h1>" if cookie else to("/cookie")

    def give(request: Request) -> Any:
        cookie.append(1)
        return to("/")

    bench = Bench(spider(parse=follow), {"": wall, "cookie": give})
    await bench.run()
    assert bench.asked == ["", "cookie", ""]
    assert len(await bench.items()) == 1


@pytest.mark.parametrize("loop", [{"": to("/")}, {"": to("/b"), "b": to("/")}])
async def test_redirect_loop_ends_at_the_limit(loop: dict[str, Any]) -> None:
    bench = Bench(spider(), loop, max_redirects=6)
    assert await bench.run() == "finished"
    assert len(bench.asked) == 7
    (dead,) = [each async for each in bench.store.pages() if each.state == "dead"]
    assert dead.reason == "redirect"
    assert f"{SITE} redirects more than 6 times" in dead.error


async def test_chain_as_long_as_the_limit_is_followed() -> None:
    chain: dict[str, Any] = {str(n): to(f"/{n + 1}") for n in range(5)}
    bench = Bench(spider("0", parse=follow), {**chain, "5": ""}, max_redirects=5)
    await bench.run()
    assert len(await bench.items()) == 1


@pytest.mark.parametrize("location", ["mailto:me@h.test", "http://", "javascript:void(0)"])
async def test_redirect_to_nowhere_is_dead(location: str) -> None:
    bench = Bench(spider(), {"": to(location)})
    await bench.run()
    dead = (await bench.pages())[""]
    assert (dead.state, dead.reason, dead.status) == ("dead", "redirect", 302)


async def test_redirect_off_the_site_is_dropped() -> None:
    bench = Bench(spider(allowed_domains=["h.test"]), {"": to("http://elsewhere.test/")})
    await bench.run()
    assert bench.asked == [""]
    assert bench.engine.stats.drops == {"offsite": 1}


async def test_retried_redirect_target_keeps_its_chain() -> None:
    answers = [503, ""]
    bench = Bench(spider(parse=follow), {"": to("/b"), "b": lambda request: answers.pop(0)})
    await bench.run()
    assert bench.asked == ["", "b", "b"]
    assert len(await bench.items()) == 1


# What is followed


async def test_each_page_is_fetched_once_however_often_it_is_linked() -> None:
    pages = {str(n): page(*map(str, range(20)), "/0#top", "http://H.test:80/1") for n in range(20)}
    bench = Bench(spider("0", parse=follow), pages)
    await bench.run()
    assert sorted(bench.asked, key=int) == [str(n) for n in range(20)]
    assert bench.engine.stats.links == 20


async def test_dont_filter_fetches_again_and_the_same_page_once_for_each_request() -> None:
    def parse(self: Any, response: Response) -> Any:
        yield {"n": 1}
        if response.request.depth == 0:
            yield response.follow("", dont_filter=True)
            yield response.follow("", dont_filter=True)

    answers = [503, "", "", ""]
    bench = Bench(spider(parse=parse), {"": lambda request: answers.pop(0)})
    await bench.run()
    assert len(bench.asked) == 4, "the retry is the same visit"
    assert len(await bench.items()) == 3


async def test_seeds_are_fetched_once_unless_they_say_otherwise() -> None:
    twice = Bench(spider("a", "a"), {"a": ""})
    await twice.run()
    assert twice.asked == ["a"]

    def start(self: Any) -> Any:
        yield Request(SITE, dont_filter=True)
        yield Request(SITE, dont_filter=True)

    bench = Bench(spider(start=start), {"": ""})
    await bench.run()
    assert bench.asked == ["", ""]


async def test_links_deeper_than_max_depth_are_dropped() -> None:
    chain = {str(n): page(str(n + 1)) for n in range(9)}
    bench = Bench(spider("0", parse=follow), chain, max_depth=3)
    await bench.run()
    assert bench.asked == ["0", "1", "2", "3"]
    assert bench.engine.stats.drops == {"depth": 1}
    assert [each.depth for each in (await bench.pages()).values()] == [0, 1, 2, 3]


async def test_links_to_other_domains_are_dropped_and_subdomains_are_not() -> None:
    links = ("http://www.h.test/", "http://h.test.evil.test/", "http://noth.test/", "https://h.test:8443/")
    bench = Bench(spider(parse=follow, allowed_domains=["H.test"]), {"": page(*links)})
    await bench.run()
    assert set(bench.fetcher.log) == {SITE, "http://www.h.test/", "https://h.test:8443/"}
    assert bench.engine.stats.drops == {"offsite": 2}


async def test_breadth_first_within_priority() -> None:
    def parse(self: Any, response: Response) -> Any:
        for link in response.css("a"):
            yield response.follow(link, priority=9 if link.attrib["href"] == "urgent" else 0)

    pages = {"": page("a", "b", "urgent"), "a": page("aa"), "b": page("bb"), "urgent": page("next")}
    more = {name: "" for name in ("aa", "bb", "next")}
    bench = Bench(spider(parse=parse), {**pages, **more}, concurrency=1)
    await bench.run()
    assert bench.asked == ["", "urgent", "a", "b", "next", "aa", "bb"]


async def test_host_with_endless_pages_does_not_starve_the_others() -> None:
    def parse(self: Any, response: Response) -> Any:
        if "giant" in response.url:
            number = int(response.url.rpartition("/")[2])
            yield from response.follow_all(urls=[str(10 * number + n) for n in range(10)])

    class Any200:
        def __init__(self) -> None:
            self.log: list[str] = []

        async def fetch(self, request: Request) -> Response:
            self.log.append(request.url)
            return Response(request.url, 200, {"Content-Type": "text/html"}, b"", request)

        async def close(self) -> None: ...

    small = [f"http://s{number}.test/{n}" for n in range(3) for number in range(30)]
    bench = Bench(
        spider(parse=parse, start_urls=["http://giant.test/1", *small]), Any200(), limit_pages=1000, concurrency=8
    )
    await bench.run()
    assert len(bench.fetcher.log) == 1000
    assert set(small) <= set(bench.fetcher.log[:700])


async def test_a_redirect_named_in_handle_statuses_is_an_answer() -> None:
    seen: list[int] = []

    def parse(self: Any, response: Response) -> None:
        seen.append(response.status)

    moved = Response(SITE + "1", 302, {"Location": "/2"})
    bench = Bench(spider("1", parse=parse), {"1": moved, "2": ""}, handle_statuses=(302,))
    assert await bench.run() == "finished"
    assert seen == [302]
    assert set(await bench.states()) == {"1"}
