"""The pool and the network: what is sent, from where, and to which addresses."""

import asyncio
import socket
from base64 import b64encode
from pathlib import Path

import pytest
from aiohttp.resolver import AsyncResolver
from conftest import Cli, events
from counting import agree
from fetching import fetching, guarded
from sockets import Asked, Names, Reply, Server, Told, page

import scraper
from scraper import errors
from scraper.errors import SettingsError
from scraper.guard import Guard
from scraper.parts import check_parts
from scraper.session import agent, is_anonymous
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.stores.memory import MemoryStore
from scraper.url import host_of

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

ONE = """
from scraper import Spider

class One(Spider):
    name = "one"
    start_urls = ["http://a.example/", "http://b.example/"]

    def parse(self, response):
        pass
"""

# -- what is sent


async def test_a_request_to_the_byte() -> None:
    async with Server() as server, fetching() as ours:
        await ours.get(server.url("/a?b=c"))
        assert server.heads[0].decode().split("\r\n") == [
            "GET /a?b=c HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "User-Agent: scraper/0.1.0",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Encoding: gzip, deflate, br, zstd",
        ]


async def test_settings_and_request_add_theirs_after_ours_and_change_them_in_place() -> None:
    headers = {"Accept-Language": "eo", "ACCEPT": "*/*"}
    async with Server() as server, fetching(headers=headers, contact="https://me.example/bot") as ours:
        await ours.get(server.url(), headers={"X-One": "1", "User-Agent": "other"}, method="POST", body="a=b")
        assert server.heads[0].decode().split("\r\n")[2:] == [
            "User-Agent: other",
            "ACCEPT: */*",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Accept-Language: eo",
            "X-One: 1",
            "Content-Length: 3",
            "Content-Type: application/octet-stream",
        ]


async def test_who_we_are() -> None:
    assert agent(Settings()) == "scraper/0.1.0"
    assert agent(Settings(contact="me@me.example")) == "scraper/0.1.0 (+me@me.example)"
    assert agent(Settings(contact="me@me.example", user_agent="mine/2")) == "mine/2"
    for bad in ({"contact": "me\r\nX: 1"}, {"user_agent": "a\nb"}):
        with pytest.raises(SettingsError, match="one line"):
            check_parts(Settings(**bad))


async def test_a_public_host_is_told_of_once_when_nobody_can_be_written_to() -> None:
    told: list[int] = []
    guard = Guard(Settings(), lambda: told.append(1))
    for address in ("127.0.0.1", "8.8.8.8", "8.8.4.4"):
        guard.name(f"http://{address}/")
        guard.permitted(address, [{"host": address}])  # type: ignore[typeddict-item]
        assert len(told) == (address != "127.0.0.1")
    guard.check_name("shop.example")
    assert told == [1]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_hint_to_give_a_contact(cli: Cli, tmp_path: Path) -> None:
    """Told in a crawl of public hosts; a proxy stands in for the internet."""
    assert is_anonymous(Settings())
    assert not is_anonymous(Settings(contact="a@b.example")) and not is_anonymous(Settings(user_agent="x"))
    async with Server() as proxy:
        (tmp_path / "one.py").write_text(ONE)
        done = await asyncio.to_thread(cli, "crawl", "one.py", "-s", f"proxy={proxy.url()}")
        assert done.returncode == 0, done.stderr
        assert [each["event"] for each in events(done.stderr)].count("no_contact") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proxies", ["http://a:b:c@d:e"]),
        ("proxy", "ftp://a"),
        ("bind_address", "here"),
        ("allow_private", ["a/b"]),
        ("contact", "a\nb"),
    ],
)
async def test_what_cannot_be_is_told_before_the_crawl(name: str, value: object, tmp_path: Path) -> None:
    one = type("One", (Spider,), {"name": "one", "start_urls": ["http://a.example/"]})
    with pytest.raises(SettingsError, match=name):
        scraper.Crawl(one, db=tmp_path / "x.db", settings={name: value})
    assert not (tmp_path / "x.db").exists()


# -- a user and a password in a URL


async def test_userinfo_is_basic_and_no_part_of_the_address() -> None:
    token = b64encode(b"us er:p\xc3\xa4:w").decode()
    async with Server() as server, fetching(headers={"Authorization": "Bearer all"}) as ours:
        url = server.url("/@x").replace("//", "//us%20er:p%C3%A4%3Aw@", 1)
        await ours.get(url)
        await ours.get(url, headers={"authorization": "Bearer mine"})
        await ours.get(server.url("/@x"))
        sent = [asked.headers["authorization"] for asked in server.asked]
        assert sent == [f"Basic {token}", "Bearer mine", "Bearer all"]
        assert {asked.path for asked in server.asked} == {"/@x"}
        assert {asked.headers["host"] for asked in server.asked} == {host_of(server.url())}
        assert server.accepted == 1
        assert [each.host for each in ours.pool.ledger()] == [host_of(server.url())]


async def test_userinfo_does_not_cross_a_redirect() -> None:
    async with Server() as other:

        def behave(asked: Asked) -> Reply:
            target = {"/": "/same", "/same": other.url("/away")}.get(asked.path)
            return page(b"", "302 Found", Location=target) if target else page()

        async with Server(behave) as server:
            url = server.url().replace("//", "//user:secret@")
            one = type("One", (Spider,), {"name": "one", "start_urls": [url], "parse": lambda self, response: None})
            await scraper.crawl(one, store=MemoryStore(), allow_private="all", obey_robots=False)
            assert ["authorization" in asked.headers for asked in server.asked] == [True, True]
        assert [asked.path for asked in other.asked] == ["/away"]
        assert b"secret" not in other.heads[0] and b"authorization" not in other.heads[0].lower()


# -- from where and to where


async def test_bind_address() -> None:
    async with Server() as server, fetching(bind_address="127.0.0.3") as ours:
        await ours.get(server.url())
        assert server.peers == ["127.0.0.3"]
    async with Server(host="::1", bind="::1") as server, fetching(bind_address="::1") as ours:
        await ours.get(server.url())
        assert server.peers == ["::1"]


async def test_bind_address_of_the_other_family() -> None:
    """A host with both has its one used; one without is a clear error."""
    resolver = Told(both_example=["::1", "127.0.0.1"])
    async with Server(host="both.example") as server, fetching(resolver, bind_address="127.0.0.1") as ours:
        assert (await ours.get(server.url())).status == 200
        error = await ours.fails("http://[::1]:9/", errors.ConnectError)
        assert "IPv4" in str(error) and "bind_address" in str(error)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:80", "10.0.0.0/8", "nonsense"])
async def test_bind_address_that_is_none(address: str) -> None:
    with pytest.raises(SettingsError, match="bind_address"):
        check_parts(Settings(bind_address=address))


async def test_bind_address_that_is_not_here() -> None:
    for address in ("203.0.113.7", "2001:db8::7"):
        with pytest.raises(SettingsError, match=address):
            check_parts(Settings(bind_address=address))


async def test_authorities_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE.*ca\.pem"):
        check_parts(Settings())
    check_parts(Settings(verify_tls=False))


async def test_ipv6_from_end_to_end() -> None:
    async with Server(host="::1", bind="::1") as server, guarded(server.url()) as ours:
        for _ in range(3):
            assert (await ours.get(server.url("/x"))).status == 200
        assert agree(ours.pool, server).reused == 2
        assert server.asked[0].headers["host"] == f"[::1]:{server.port}" == host_of(server.url())


async def test_a_crawl_over_ipv6() -> None:
    async with Server(lambda asked: page(b'<a href="/next">n</a>'), host="::1", bind="::1") as server:
        body = {"parse": lambda self, response: response.follow_all("a"), "allowed_domains": ["[::1]"]}
        one = type("One", (Spider,), {"name": "one", "start_urls": [server.url()], **body})
        report = await scraper.crawl(one, store=MemoryStore())
        assert [asked.path for asked in server.asked] == ["/robots.txt", "/", "/next"]
        assert [(each.host, each.opened) for each in report.hosts] == [(f"[::1]:{server.port}", 1)]


async def test_the_next_address_is_tried_when_one_is_dead() -> None:
    resolver = Told(both_example=["::1", "127.0.0.9", "127.0.0.1"])
    async with Server(host="both.example") as server, fetching(resolver) as ours:
        await ours.get(server.url())
        assert agree(ours.pool, server).opened == 1


# -- names


async def test_a_name_that_is_not_there_is_told_from_one_that_cannot_be_asked_for() -> None:
    async with Names(broken=("broken.example",)) as names:
        resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=names.port, tries=1)
        async with fetching(resolver) as ours:
            gone = await ours.fails("http://gone.example/", errors.NoSuchHost)
            assert (gone.reason, gone.transient) == ("no such host", False)
            broken = await ours.fails("http://broken.example/", errors.DnsError)
            assert (broken.reason, broken.transient) == ("dns", True)
        await resolver.close()


@pytest.mark.parametrize(
    ("code", "kind"), [(socket.EAI_NONAME, errors.NoSuchHost), (socket.EAI_AGAIN, errors.DnsError)]
)
async def test_what_the_system_says_of_names(code: int, kind: type[errors.FetchError]) -> None:
    class Failing(Told):
        async def resolve(self, *_: object, **__: object) -> list:  # type: ignore[override, type-arg]
            raise socket.gaierror(code, "as the system has it")

    async with fetching(Failing()) as ours:
        assert "as the system has it" in str(await ours.fails("http://gone.example/", kind))


async def test_names_of_other_alphabets() -> None:
    async with Names({"xn--bcher-kva.example": "127.0.0.1"}) as names, Server(host="Bücher.example") as server:
        resolver = AsyncResolver(nameservers=["127.0.0.1"], udp_port=names.port)
        async with fetching(resolver) as ours:
            assert (await ours.get(server.url())).status == 200
            assert server.asked[0].headers["host"] == f"xn--bcher-kva.example:{server.port}"
        await resolver.close()
        assert set(names.asked) == {"xn--bcher-kva.example"}
