"""Certificates: checked by default, each flaw its own error, also behind a proxy; and an opt-out per host."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from conftest import StartCli
from fetching import fetching
from proxying import HttpProxy, SocksProxy
from sockets import Server, Told

from scraper import errors
from scraper.errors import FetchError, TlsError
from scraper.settings import Host

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

CA = trustme.CA()
NOW = datetime.now(UTC)
NAME = "shop.example"
OURS = Told(shop_example="127.0.0.1")
OURS_AT = {NAME: "127.0.0.1"}


def serving(*names: str, ca: trustme.CA = CA, **dates: datetime) -> ssl.SSLContext:
    """A server's side: a certificate for these names (``not_after``, ``not_before``)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, **dates).configure_cert(context)  # type: ignore[arg-type]
    return context


def trusting() -> ssl.SSLContext:
    """A client's side that knows our authority."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


FLAWS = [
    pytest.param(serving(NAME, not_after=NOW - timedelta(days=1)), errors.CertificateExpired, id="expired"),
    pytest.param(serving(NAME, not_before=NOW + timedelta(days=1)), errors.CertificateExpired, id="not-yet"),
    pytest.param(serving("other.example"), errors.CertificateWrongHost, id="wrong-host"),
    pytest.param(serving("127.0.0.2"), errors.CertificateWrongHost, id="an-address"),
    pytest.param(serving(NAME, ca=trustme.CA()), errors.CertificateUntrusted, id="unknown-authority"),
]


def check(error: FetchError, kind: type[FetchError]) -> None:
    assert type(error) is kind
    assert isinstance(error, TlsError) and not error.transient
    assert 'hosts = {"shop.example": {"verify_tls": false}}' in str(error)
    assert "ssl:" not in str(error) and "_ssl.c" not in str(error)


@pytest.mark.parametrize(("server_tls", "kind"), FLAWS)
@pytest.mark.parametrize("way", ["direct", "tunnel", "socks"])
async def test_each_flaw_is_told_apart(server_tls: ssl.SSLContext, kind: type[FetchError], way: str) -> None:
    async with Server(tls=server_tls, host=NAME) as server, HttpProxy(names=OURS_AT) as http, SocksProxy() as socks:
        proxy = {"direct": None, "tunnel": http.url(), "socks": socks.url()}[way]
        async with fetching(OURS, tls=trusting(), proxy=proxy) as ours:
            check(await ours.fails(server.url(), kind), kind)
            assert (http.accepted, socks.accepted) == (way == "tunnel", way == "socks")
            (record,) = ours.pool.ledger()
            assert (record.opened, record.requests) == (1, 0)
        async with fetching(OURS, tls=trusting(), proxy=proxy, verify_tls=False) as ours:
            assert (await ours.get(server.url())).status == 200


async def test_reasons_are_short_words() -> None:
    kinds = (errors.CertificateExpired, errors.CertificateUntrusted, errors.CertificateWrongHost)
    assert [kind.reason for kind in kinds] == ["tls expired", "tls untrusted", "tls wrong host"]


async def test_self_signed() -> None:
    """A leaf that vouches for itself."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with ca.private_key_pem.tempfile() as key, ca.cert_pem.tempfile() as chain:
        context.load_cert_chain(chain, key)
    async with Server(tls=context, host=NAME) as server, fetching(OURS, tls=trusting()) as ours:
        check(await ours.fails(server.url(), errors.CertificateUntrusted), errors.CertificateUntrusted)


async def test_a_good_certificate_is_taken() -> None:
    async with Server(tls=serving(NAME), host=NAME) as server, fetching(OURS, tls=trusting()) as ours:
        assert (await ours.get(server.url())).status == 200
    async with Server(tls=serving("127.0.0.1")) as server, fetching(tls=trusting()) as ours:
        assert (await ours.get(server.url())).status == 200


@pytest.mark.parametrize(
    ("hosts", "verify", "works"),
    [
        ({NAME: Host(verify_tls=False)}, True, True),
        ({"*.example": Host(verify_tls=False)}, True, True),
        ({"*.org": Host(verify_tls=False)}, True, False),
        ({NAME: Host(cap=1), "*": Host(verify_tls=False)}, True, False),  # the first that matches
        ({NAME: Host(verify_tls=True)}, False, False),
        ({"other.example": Host(verify_tls=True)}, False, True),
    ],
)
async def test_hosts_may_differ(hosts: dict[str, Host], verify: bool, works: bool) -> None:
    server = Server(tls=serving("other.example", ca=trustme.CA()), host=NAME)
    async with server, fetching(OURS, hosts=hosts, verify_tls=verify) as ours:
        if works:
            assert (await ours.get(server.url())).status == 200
        else:
            await ours.fails(server.url(), errors.CertificateUntrusted)


async def test_the_opt_out_is_for_the_host_not_for_its_neighbour() -> None:
    context = serving(NAME, "other.example", ca=trustme.CA())
    resolver = Told(shop_example="127.0.0.1", other_example="127.0.0.1")
    rules = {NAME: Host(verify_tls=False)}
    async with Server(tls=context, host=NAME) as server, fetching(resolver, hosts=rules) as ours:
        assert (await ours.get(server.url())).status == 200
        await ours.fails(server.url().replace(NAME, "other.example"), errors.CertificateUntrusted)


async def test_a_proxy_of_https_is_checked_too(certificate: ssl.SSLContext) -> None:
    """Its bad certificate is the proxy's failure, not the host's."""
    async with Server(tls=certificate) as proxy, fetching(proxy=proxy.url()) as ours:
        error = await ours.fails("http://shop.example/", errors.ProxyError)
        assert "certificate" in str(error)
        assert proxy.requests == 0


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_authorities_of_the_environment(start_cli: StartCli, tmp_path: Path) -> None:
    """SSL_CERT_FILE adds an authority; without it the command fails. It is read when aiohttp is imported."""
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with Server(tls=serving("127.0.0.1")) as server:
        ask = ("keepalive", server.url(), "-n", 2, "--json")
        process = start_cli(*ask, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        _, err = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, err
        process = start_cli(*ask)
        _, err = await asyncio.to_thread(process.communicate)
        assert process.returncode != 0
        assert "certificate" in err
