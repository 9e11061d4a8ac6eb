"""Nobody leads the crawler to a private address; what the user named is asked all the same."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from fetching import guarded
from sockets import Asked, Reply, Server, Told, page

import scraper
from scraper import errors
from scraper.crawl import Crawl
from scraper.errors import AddressDenied, SettingsError
from scraper.guard import MOST_NAMES, MOST_PRIVATE, Guard, Refused, is_public, looks_private
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.stores.memory import Memory, MemoryStore
from scraper.testing.site import LocalSite
from scraper.url import host_of, name_of

LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

PRIVATE = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.255
168.63.129.16 169.254.0.0 169.254.169.254 169.254.170.2 172.16.0.0 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:10.0.0.1 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:db8::1
2002:7f00:1:: 2002:a00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1
not-an-address 127.1
""".split()
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
169.253.255.255 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111 2620:4f:8000::1 64:ff9b::808:808
""".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_is_public(address: str) -> None:
    assert is_public(address)


def test_names_that_look_private() -> None:
    for name in "localhost a.localhost printer nas.local db.internal x.home.arpa box.lan 10.0.0.1 ::1 ff02::1".split():
        assert looks_private(name), name
    for name in "example.org local.example internal.example.com 8.8.8.8 2606:4700::1111".split():
        assert not looks_private(name), name


# -- in the connector


@LOOPS
@pytest.mark.parametrize(
    "host",
    "127.0.0.1 2130706433 0x7f.1 0177.0.0.1 127.1 0.0.0.0 0 [::ffff:127.0.0.1] [::] localhost LOCALHOST.".split(),
)
async def test_a_private_address_is_not_connected_to(host: str) -> None:
    resolver = Told(localhost="127.0.0.1", **{"localhost.": "127.0.0.1"})
    async with Server() as server, guarded(resolver=resolver) as ours:
        error = await ours.fails(f"http://{host}:{server.port}/", AddressDenied)
        assert error.reason == "private address"
        assert not error.transient
        assert error.request is not None
        assert f'allow_private = ["{name_of(host_of(error.request.url))}"]' in str(error)
        assert server.accepted == 0
        (record,) = ours.pool.ledger()
        assert (record.opened, record.requests) == (0, 0)


@LOOPS
async def test_a_public_address_does_not_let_a_private_one_in() -> None:
    given: Any = [{"host": each} for each in ("10.0.0.1", "8.8.8.8", "::1", "2600::1", "169.254.169.254")]
    found = Guard(Settings()).permitted("mixed.example", given)
    assert [each["host"] for each in found] == ["8.8.8.8", "2600::1"]
    guard = Guard(Settings(allow_private=("10.0.0.0/8",)))
    assert [each["host"] for each in guard.permitted("mixed.example", given)] == ["10.0.0.1", "8.8.8.8", "2600::1"]
    guard.name("http://mixed.example/")
    assert guard.permitted("mixed.example", given) == given


async def test_only_the_permitted_addresses_of_a_host_are_used() -> None:
    async with Server() as other, Server(host="two.example", bind="127.0.0.2", port=other.port) as server:
        resolver = Told(two_example=["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        async with guarded(resolver=resolver, allow_private=("127.0.0.2/32",)) as ours:
            assert (await ours.get(server.url())).status == 200
        assert (other.accepted, server.accepted) == (0, 1)


@LOOPS
@pytest.mark.parametrize("ttl", [0.0, 300.0], ids=["asked-again", "remembered"])
async def test_what_is_checked_is_what_is_connected_to(ttl: float) -> None:
    """The name means a permitted address at first and a private one later: each connection is looked at."""
    async with Server() as inside, Server(host="turn.example", bind="127.0.0.2", port=inside.port) as server:
        resolver = Told(turn_example="127.0.0.2")
        async with guarded(resolver=resolver, allow_private=("127.0.0.2/32",), dns_cache_ttl=ttl) as ours:
            await ours.get(server.url())
            resolver.known["turn.example"] = ["127.0.0.1"]
            await ours.get(server.url())  # kept: still the connection that was looked at
            assert resolver.asked == ["turn.example"]
            await server.hang_up()
            if ttl:
                await ours.get(server.url())
            else:
                for _ in range(2):
                    await ours.fails(server.url(), AddressDenied)
                assert len(resolver.asked) == 3  # one look-up for each: nothing is asked twice
        assert inside.accepted == 0
        assert server.accepted == (2 if ttl else 1)


@LOOPS
async def test_what_is_remembered_is_looked_at_too() -> None:
    async with Server(host="inside.example") as server, guarded(resolver=Told(inside_example="127.0.0.1")) as ours:
        for _ in range(3):
            await ours.fails(server.url(), AddressDenied)
        assert server.accepted == 0
        assert ours.pool._guard is not None
        ours.pool._guard.name(server.url())
        assert (await ours.get(server.url())).status == 200


@LOOPS
async def test_a_host_that_was_named_is_asked_by_that_name_only() -> None:
    resolver = Told(**dict.fromkeys(("shop.example", "shop.example.", "www.shop.example"), "127.0.0.1"))
    async with Server(host="shop.example") as server, guarded(server.url("/x"), resolver=resolver) as ours:
        assert (await ours.get(server.url())).status == 200
        assert (await ours.get(server.url().replace("example:", "example.:"))).status == 200  # the same name
        await ours.fails(server.url().replace("shop", "www.shop"), AddressDenied)
        await ours.fails(f"http://127.0.0.1:{server.port}/", AddressDenied)


@LOOPS
@pytest.mark.parametrize(
    "allow",
    [
        "all",
        ("inside.example",),
        ("Inside.Example",),
        ("*.example",),
        ("127.0.0.0/8",),
        ("127.0.0.1",),
        ("::1", "127.0.0.1"),
    ],
)
async def test_allow_private(allow: Any) -> None:
    resolver = Told(inside_example="127.0.0.1")
    async with Server(host="inside.example") as server, guarded(resolver=resolver, allow_private=allow) as ours:
        assert (await ours.get(server.url())).status == 200


@LOOPS
@pytest.mark.parametrize("allow", [("example",), ("side.example",), ("*.org",), ("127.0.0.2/32",), ("::/0",)])
async def test_allow_private_of_others(allow: Any) -> None:
    resolver = Told(inside_example="127.0.0.1")
    async with Server(host="inside.example") as server, guarded(resolver=resolver, allow_private=allow) as ours:
        await ours.fails(server.url(), AddressDenied)


@pytest.mark.parametrize("text", ["10.0.0.0/99", "a/b", "", "http://a.example/", "a b"])
def test_allow_private_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="allow_private"):
        Guard(Settings(allow_private=(text,)))
    with pytest.raises(SettingsError, match="allow_private"):
        scraper.run(Lost, allow_private=[text], db=tmp_path / "x.db")
    assert not (tmp_path / "x.db").exists()


def test_memory_of_names_is_bounded() -> None:
    guard = Guard(Settings())
    for number in range(MOST_NAMES + 50):
        guard.name(f"http://h{number}.example/")
    assert len(guard._names) == MOST_NAMES
    guard.name("http://nas.local:81/")
    guard.name("http://[::1]:81/")
    for address in ("127.0.0.1", "::1"):
        guard.permitted("nas.local", [{"host": address}])  # type: ignore[typeddict-item]
        guard.permitted("::1", [{"host": address}])  # type: ignore[typeddict-item]
        with pytest.raises(Refused):
            guard.permitted("later.example", [{"host": address}])  # type: ignore[typeddict-item]
    for number in range(MOST_PRIVATE):
        guard.name(f"http://h{number}/")
    assert len(guard._names) == MOST_PRIVATE


# -- in a crawl


class Lost(Spider):
    name = "lost"
    start_urls: Any = ()

    def parse(self, response: scraper.Response) -> Any:
        yield {"url": response.url}
        yield from response.follow_all("a")


async def reasons(memory: Memory, spider: type[Spider], **options: Any) -> dict[str, str | None]:
    """Path or URL to the reason of each page of a crawl."""
    store = MemoryStore(memory)
    await Crawl(spider, store=store, settings={"retry_max_wait": 0, "retry_attempts": 1, **options}).run()
    return {each.url: each.reason for each in [each async for each in store.pages()]}


async def test_links_and_redirects_of_a_crawl() -> None:
    async with AsyncExitStack() as stack:
        secret = await stack.enter_async_context(Server(bind="127.0.0.2", host="127.0.0.2"))

        def behave(asked: Asked) -> Reply:
            if asked.path == "/away":
                return page(b"", "302 Found", Location=secret.url("/redirected"))
            links = f'<a href="{secret.url("/linked")}">1</a><a href="/away">2</a><a href="/fine">3</a>'
            return page(links.encode() if asked.path == "/" else b"<p>fine</p>")

        site = await stack.enter_async_context(Server(behave))
        spider = type("Led", (Lost,), {"start_urls": [site.url()]})
        ended = await reasons(Memory(), spider)
        assert ended == {
            site.url(): None,
            site.url("/away"): "redirect",
            site.url("/fine"): None,
            secret.url("/linked"): "private address",
            secret.url("/redirected"): "private address",
        }
        assert secret.accepted == 0
        ended = await reasons(Memory(), spider, allow_private=["127.0.0.2"])
        assert ended[secret.url("/linked")] is None
        domains = type("Both", (spider,), {"allowed_domains": ["127.0.0.1", "127.0.0.2"]})
        ended = await reasons(Memory(), domains)
        assert ended[secret.url("/redirected")] is None


async def test_robots_txt_does_not_lead_inside() -> None:
    async with Server(bind="127.0.0.2", host="127.0.0.2") as secret:
        away = page(b"", "302 Found", Location=secret.url("/robots.txt"))

        async with Server(lambda asked: away if asked.path == "/robots.txt" else page()) as site:
            ended = await reasons(Memory(), type("Led", (Lost,), {"start_urls": [site.url()]}))
            assert ended == {site.url(): "robots"}
        assert secret.accepted == 0


async def test_seeds_are_named_wherever_they_come_from() -> None:
    async with LocalSite({"/": "<p>hello</p>", "/robots.txt": ""}) as site:

        class Asking(Lost):
            async def start(self) -> Any:
                yield scraper.Request(site.url("/"))

        assert await reasons(Memory(), Asking) == {site.url("/"): None}


async def test_seeds_of_a_run_that_is_reopened_stay_named() -> None:
    """start() is not asked again, and the spider names the host nowhere else."""
    memory = Memory()
    async with LocalSite({"/": (404, "not yet"), "/robots.txt": ""}) as site:

        class Asking(Lost):
            async def start(self) -> Any:
                yield scraper.Request(site.url("/"))

        assert await reasons(memory, Asking) == {site.url("/"): "status 404"}
        site.pages["/"] = "<p>hello</p>"
        await Crawl(Asking, store=(store := MemoryStore(memory)), revive=()).run()
        assert [each.reason async for each in store.pages()] == [None]


async def test_a_command_that_names_a_url_may_ask_it(cli: Cli) -> None:
    async with Server() as server:
        done = await asyncio.to_thread(cli, "keepalive", server.url(), "-n", 2, "--json")
        assert done.returncode == 0, done.stderr
        assert server.requests == 4


def test_the_error_is_a_connection_error_that_is_not_tried_again() -> None:
    assert issubclass(AddressDenied, errors.ConnectError)
    assert not AddressDenied.transient
