"""Through proxies: HTTP and SOCKS, of the settings and of a request, their health, their ledger."""

import asyncio
import ssl
import sys
from base64 import b64encode
from collections import Counter

import pytest
from fetching import Fetching, fetching, guarded
from proxying import HttpProxy, SocksProxy
from sockets import Reply, Server, Told, always

import scraper
from scraper import errors
from scraper.errors import AddressDenied, ProxyError, RequestError, SettingsError
from scraper.request import Request
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.stores.memory import MemoryStore
from scraper.url import host_of

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
SHOP = {"shop.example": "127.0.0.1"}


def rows(ours: Fetching) -> dict[str, tuple[int, int, int]]:
    """The ledger: requests, reused and opened of each row."""
    return {each.host: (each.requests, each.reused, each.opened) for each in ours.pool.ledger()}


# -- HTTP proxies


async def test_a_plain_request_is_forwarded_and_its_connection_kept() -> None:
    async with HttpProxy(names=SHOP) as proxy, Server(host="shop.example") as server:
        async with fetching(proxy=proxy.url()) as ours:
            for path in ("/a", "/b"):
                assert (await ours.get(server.url(path))).status == 200
            assert rows(ours) == {f"{host_of(server.url())} via {proxy.name}": (2, 1, 1)}
        assert [asked[:2] for asked in proxy.asked] == [("GET", server.url("/a")), ("GET", server.url("/b"))]
        assert (proxy.accepted, server.sockets) == (1, [2])


async def test_a_tunnel_is_kept_and_says_nothing_to_the_proxy(certificate: ssl.SSLContext) -> None:
    async with HttpProxy(names=SHOP) as proxy, Server(tls=certificate, host="shop.example") as server:
        secret = {"Authorization": "Bearer secret", "Cookie": "secret=1"}
        async with fetching(proxy=proxy.url(), verify_tls=False, headers=secret) as ours:
            for _ in range(3):
                assert (await ours.get(server.url(), cookies={"also": "secret"})).status == 200
            assert rows(ours) == {f"{host_of(server.url())} via {proxy.name}": (3, 2, 1)}
        ((method, target, headers),) = proxy.asked
        assert (method, target) == ("CONNECT", host_of(server.url()))
        assert "secret" not in repr(headers)
        assert headers["user-agent"] == Settings().user_agent
        assert server.asked[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("tls", [False, True])
async def test_user_and_password_are_the_proxys_alone(tls: bool, certificate: ssl.SSLContext) -> None:
    """Not sent to the host, not shown in an error, not in the ledger."""
    token = b64encode(b"us er:p@:w").decode()
    async with HttpProxy(names=SHOP, credentials="us er:p@:w") as proxy:
        async with Server(tls=certificate if tls else None, host="shop.example") as server:
            async with fetching(proxy=proxy.url("us%20er:p%40%3Aw@"), verify_tls=False) as ours:
                for _ in range(2):
                    assert (await ours.get(server.url())).status == 200
                assert [*rows(ours)] == [f"{host_of(server.url())} via {proxy.name}"]
            assert proxy.asked[0][2]["proxy-authorization"] == f"Basic {token}"
            heads = b"".join(server.heads).lower()
            assert b"proxy-authorization" not in heads and b"\r\nauthorization" not in heads
            async with fetching(proxy=proxy.url("nobody:Wr0ng@")) as ours:
                error = await ours.fails(server.url(), ProxyError)
                shown = "".join(map(str, (error, error.__cause__, repr(error.__cause__), ours.pool.ledger())))
                assert proxy.name in str(error) and "407" in str(error)
                assert "Wr0ng" not in shown and "nobody" not in shown
        assert server.requests == 2


async def test_a_request_may_have_its_own_proxy_or_none() -> None:
    async with HttpProxy() as one, HttpProxy() as other, Server() as server:
        async with fetching(proxy=one.url()) as ours:
            await ours.get(server.url())
            await ours.get(server.url(), proxy=other.url())
            await ours.get(server.url(), proxy="")
            host = host_of(server.url())
            assert rows(ours) == {
                key: (1, 0, 1) for key in (host, f"{host} via {one.name}", f"{host} via {other.name}")
            }
        assert (len(one.asked), len(other.asked), server.accepted) == (1, 1, 3)


async def test_connections_through_different_proxies_are_not_shared() -> None:
    """The ledger's rows equal what each proxy and the server counted."""
    async with HttpProxy() as one, HttpProxy() as two, Server() as server:
        async with fetching(proxies=(one.url(), two.url())) as ours:
            for _ in range(6):
                await ours.get(server.url())
            host = host_of(server.url())
            assert rows(ours) == {f"{host} via {each.name}": (3, 2, each.accepted) for each in (one, two)}
        assert [len(each.asked) for each in (one, two)] == [3, 3]
        assert [each.accepted for each in (one, two)] == [1, 1]
        assert server.sockets == [3, 3]


async def test_a_host_that_drops_a_kept_connection_through_a_proxy() -> None:
    """One request more, on a fresh connection through the same proxy."""
    async with HttpProxy() as proxy, Server() as server, fetching(proxy=proxy.url()) as ours:
        await ours.get(server.url())
        for each in list(server.open):
            each.transport.abort()
        await server.until(lambda: not server.open)  # the proxy finds out when it forwards, and hangs up
        assert (await ours.get(server.url())).status == 200
        (record,) = ours.pool.ledger()
        assert (record.dropped, record.resent, record.opened, proxy.accepted) == (1, 1, 2, 2)


# -- health


async def test_a_proxy_that_fails_rests_while_the_others_work() -> None:
    gone = HttpProxy()
    async with gone:
        pass
    async with HttpProxy() as good, Server() as server:
        async with fetching(proxies=(gone.url(), good.url())) as ours:
            error = await ours.fails(server.url(), ProxyError)
            assert error.transient and gone.name in str(error)
            for _ in range(5):
                await ours.get(server.url())
        assert len(good.asked) == 5


@pytest.mark.parametrize("status", [407, 502, 504])
@pytest.mark.parametrize("tls", [False, True], ids=["forward", "tunnel"])
async def test_what_a_proxy_says_of_itself(status: int, tls: bool, certificate: ssl.SSLContext) -> None:
    server = Server(tls=certificate if tls else None)
    async with HttpProxy(fails=lambda target: status) as bad, HttpProxy() as good, server:
        async with fetching(proxies=(bad.url(), good.url()), verify_tls=False) as ours:
            if tls or status == 407:
                error = await ours.fails(server.url(), ProxyError)
                assert str(status) in str(error) and error.transient
            else:  # the host may have said it: an answer like any other, but the next one goes elsewhere
                assert (await ours.get(server.url())).status == status
            for _ in range(4):
                assert (await ours.get(server.url())).status == 200
        assert (len(bad.asked), server.requests) == (1, 4)


async def test_a_proxy_that_says_nothing() -> None:
    async with Server(always(Reply())) as deaf, fetching(proxy=deaf.url(), connect_timeout=0.05) as ours:
        await ours.fails("https://shop.example/", ProxyError)
        assert deaf.asked[0].method == "CONNECT"


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
async def test_no_connection_in_time_is_the_proxys_fault_only_before_the_tunnel(
    kind: type[HttpProxy | SocksProxy],
) -> None:
    """A host that never answers the handshake behind a good proxy is a slow host."""
    async with kind() as proxy, Server(always(Reply())) as silent:
        async with fetching(proxy=proxy.url(), connect_timeout=0.2) as ours:
            await ours.fails(silent.url().replace("http:", "https:"), errors.ConnectTimeout)
        assert (proxy.accepted, silent.accepted) == (1, 1)


async def test_a_certificate_behind_socks_is_the_hosts_fault(certificate: ssl.SSLContext) -> None:
    async with SocksProxy() as proxy, Server(tls=certificate) as server, fetching(proxy=proxy.url()) as ours:
        await ours.fails(server.url(), errors.CertificateUntrusted)


async def test_a_crawl_goes_on_over_the_next_proxy() -> None:
    async with HttpProxy(fails=lambda target: 407) as bad, HttpProxy() as good, Server() as server:
        urls = [server.url(f"/{number}") for number in range(12)]
        Many = type("Many", (Spider,), {"name": "many", "start_urls": urls, "parse": lambda self, response: None})
        store = MemoryStore()
        report = await scraper.crawl(
            Many, store=store, proxies=[bad.url(), good.url()], retry_max_wait=0.01, concurrency=1, obey_robots=False
        )
        assert (report.counts.pages, report.counts.dead, report.counts.retries) == (12, 0, 1)
        assert (len(bad.asked), len(good.asked)) == (1, 12)
        hosts = {each.host: each.requests for each in report.hosts}
        assert hosts == {f"{host_of(server.url())} via {each.name}": len(each.asked) for each in (bad, good)}


# -- the guard, when the proxy resolves


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "metadata.google.internal", "db"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_not_asked_for_what_looks_private(host: str, scheme: str) -> None:
    async with HttpProxy() as proxy, SocksProxy(scheme="socks5h") as socks:
        for each in (proxy, socks):
            async with guarded(proxy=each.url()) as ours:
                await ours.fails(f"{scheme}://{host}:8/", AddressDenied)
        assert (proxy.accepted, socks.accepted) == (0, 0)


async def test_a_proxy_is_asked_for_what_was_named_and_is_named_itself() -> None:
    async with HttpProxy() as proxy, Server() as server, guarded(server.url(), proxy=proxy.url()) as ours:
        assert (await ours.get(server.url())).status == 200


# -- SOCKS


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("scheme", "named"), [("socks5", False), ("socks5h", True), ("socks4", False), ("socks4a", True)]
)
async def test_socks(scheme: str, named: bool, tls: bool, certificate: ssl.SSLContext) -> None:
    """Names are resolved there only for socks5h and socks4a; the server sees plain requests; connections are kept."""
    resolver = Told(shop_example="127.0.0.1")
    server = Server(tls=certificate if tls else None, host="shop.example")
    async with SocksProxy(scheme=scheme, names=SHOP) as proxy, server:
        async with fetching(resolver, proxy=proxy.url(), verify_tls=False) as ours:
            for _ in range(3):
                assert (await ours.get(server.url("/x"))).status == 200
            assert rows(ours) == {f"{host_of(server.url())} via {proxy.name}": (3, 2, 1)}
        assert proxy.asked == ["shop.example" if named else "127.0.0.1"]
        assert resolver.asked == ([] if named else ["shop.example"])
        assert proxy.accepted == server.accepted == 1
        assert [asked.path for asked in server.asked] == ["/x"] * 3
        assert b"proxy-" not in b"".join(server.heads).lower()


async def test_socks_with_a_password() -> None:
    async with SocksProxy(credentials="user:p@w") as proxy, Server() as server:
        async with fetching(proxy=proxy.url("user:p%40w@")) as ours:
            assert (await ours.get(server.url())).status == 200
        async with fetching(proxy=proxy.url("user:Wr0ng@")) as ours:
            error = await ours.fails(server.url(), ProxyError)
            assert "Wr0ng" not in str(error) + repr(error.__cause__)


@pytest.mark.parametrize(
    ("code", "kind"), [(1, ProxyError), (2, ProxyError), (4, errors.ConnectError), (5, errors.ConnectError)]
)
async def test_socks_that_refuses(code: int, kind: type[errors.FetchError]) -> None:
    """The host's fault is told from the proxy's."""
    async with SocksProxy(refuses=code) as proxy, Server() as server, fetching(proxy=proxy.url()) as ours:
        error = await ours.fails(server.url(), kind)
        assert error.transient
        assert server.accepted == 0


async def test_socks_that_is_not_there() -> None:
    async with SocksProxy() as gone:
        pass
    async with fetching(proxy=gone.url()) as ours:
        await ours.fails("http://127.0.0.1:9/", ProxyError)


async def test_the_guard_sees_what_socks_is_told_to_connect_to() -> None:
    resolver = Told(inside_example="127.0.0.1")
    async with SocksProxy() as proxy, guarded(resolver=resolver, proxy=proxy.url()) as ours:
        await ours.fails("http://inside.example/", AddressDenied)
        assert proxy.accepted == 0


async def test_socks_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(SettingsError, match=r"scraper\[socks\]"):
        SessionPool(Settings(proxy="socks5://without.example:1"))
    with pytest.raises(RequestError, match=r"scraper\[socks\]"):
        Request("http://a.example/", proxy="socks5://without.example:2")


# -- many at once


async def test_many_at_once_over_several_proxies(certificate: ssl.SSLContext) -> None:
    async with HttpProxy() as one, SocksProxy() as two, Server(tls=certificate) as server:
        settings = {"proxies": (one.url(), two.url()), "verify_tls": False, "concurrency_per_host": 4}
        async with fetching(**settings) as ours:
            work = iter(range(80))

            async def worker() -> None:
                for number in work:
                    assert (await ours.get(server.url(f"/{number}"))).status == 200

            await asyncio.gather(*(worker() for _ in range(8)))
            ledger = {each.host: each for each in ours.pool.ledger()}
            host = host_of(server.url())
            assert {key: each.opened for key, each in ledger.items()} == {
                f"{host} via {each.name}": each.accepted for each in (one, two)
            }
            assert sum(each.requests for each in ledger.values()) == server.requests == 80
            assert sum(each.reused for each in ledger.values()) == 80 - server.accepted
            assert all(each.peak <= 4 for each in ledger.values())
        assert Counter(server.sockets).total() == one.accepted + two.accepted
