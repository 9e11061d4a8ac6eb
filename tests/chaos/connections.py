"""Faults of connections: refused, reset, silent, slow, without end; TLS and names that go wrong."""

from __future__ import annotations

from dataclasses import replace

from chaos.fault import Fault, Peer, Play, dead, done, fault, flood, head, links, page, says
from chaos.server import reset
from scraper import errors

WHOLE = page()
BROKEN = dead(errors.Disconnected, "disconnected", again=True)
BROKEN_IN_BODY = replace(BROKEN, status=200)
SILENT = dead(errors.ReadTimeout, "read timeout", again=True)
LATE = dead(errors.TotalTimeout, "total timeout", again=True)
NOT_HTTP = dead(errors.ProtocolError, "protocol")
TOO_LARGE = dead(errors.BodyTooLarge, "too large", 200)
NO_TLS = dead(errors.TlsError, "tls")
BOTH = {"/": done("whole"), "/next": done("next")}
"""Two pages of one host, the second asked for over the connection of the first."""


def hangs(before: bytes = b"") -> Play:
    async def play(peer: Peer, path: str) -> None:
        if before:
            await peer.send(before)
        await peer.gone()

    return play


def resets(before: bytes = b"") -> Play:
    async def play(peer: Peer, path: str) -> bool:
        if before:
            await peer.send(before)
        reset(peer)
        return True

    return play


def two(path: str, *headers: str) -> bytes:
    """The first of two pages, or the second."""
    return page(links([], "next") if path == "/next" else links(["/next"]), *headers)


async def dies_on_reuse(peer: Peer, path: str) -> bool:
    if peer.nth > 1:
        reset(peer)
        return True
    await peer.send(two(path))
    return False


async def lies(peer: Peer, path: str) -> bool:
    await peer.send(two(path, "Connection: keep-alive", "Keep-Alive: timeout=60"))
    return True


async def early(peer: Peer, path: str) -> bool:
    """The answer comes before the question, which is read so that hanging up is no reset."""
    await peer.send(page())
    await peer.asked()
    return True


async def resets_unread(peer: Peer, path: str) -> bool:
    await peer.reader.read(1)
    reset(peer)
    return True


CONNECTIONS: list[Fault] = [
    fault(
        "refused",
        "refuses the connection",
        hangs(),
        dead(errors.ConnectError, "connect", again=True),
        "retry_attempts",
        listen="refuse",
    ),
    fault(
        "no room",
        "does not answer who wants to connect",
        hangs(),
        dead(errors.ConnectTimeout, "connect timeout", again=True),
        "connect_timeout",
        listen="full",
    ),
    fault(
        "reset at once",
        "resets the connection before it has read the request",
        resets_unread,
        BROKEN,
        "retry_attempts",
        before=True,
    ),
    fault("reset unanswered", "resets the connection when it is asked", resets(), BROKEN, "retry_attempts"),
    fault("reset in head", "resets the connection inside the headers", resets(head()[:30]), BROKEN, "retry_attempts"),
    fault(
        "reset in body", "resets the connection inside the body", resets(WHOLE[:-9]), BROKEN_IN_BODY, "retry_attempts"
    ),
    fault("hung up", "hangs up without an answer", says(b""), BROKEN, "retry_attempts"),
    fault("hung up in head", "hangs up inside the headers", says(head()[:30]), BROKEN, "retry_attempts"),
    fault("half open", "takes the request and never answers", hangs(), SILENT, "read_timeout"),
    fault("silent in head", "falls silent inside the headers", hangs(head()[:30]), SILENT, "read_timeout"),
    fault(
        "silent in body",
        "falls silent inside the body",
        hangs(WHOLE[:-9]),
        replace(SILENT, status=200),
        "read_timeout",
    ),
    fault(
        "slow head",
        "sends one header byte at a time, for ever",
        flood(b"x", head()[:30], every=0.1),
        LATE,
        "total_timeout",
    ),
    fault(
        "slow body",
        "sends one byte of the body at a time, for ever",
        flood(b"x", head("Content-Length: 1000"), every=0.1),
        replace(LATE, status=200),
        "total_timeout",
    ),
    fault("endless body", "sends a body without end", flood(b"x" * 65536, head()), TOO_LARGE, "max_body_size"),
    fault(
        "endless chunks",
        "sends chunks without end",
        flood(b"8000\r\n%b\r\n" % (b"x" * 32768), head("Transfer-Encoding: chunked")),
        TOO_LARGE,
        "max_body_size",
    ),
    Fault(
        name="keep-alive lie",
        does="says that it keeps the connection, and hangs up",
        play=lies,
        ends=BOTH,
        setting="keepalive_timeout",
    ),
    Fault(
        name="dies on reuse",
        does="resets a kept connection as it is used again",
        play=dies_on_reuse,
        ends=BOTH,
        setting="resend_unsafe",
    ),
    fault("early answer", "answers before it is asked", early, done(), before=True),
    # TLS
    fault("tls", "answers over TLS", says(page(), close=False), done(), tls="good"),
    fault(
        "tls expired",
        "has a certificate that is over",
        says(page()),
        dead(errors.CertificateExpired, "tls expired"),
        "verify_tls",
        tls="expired",
    ),
    fault(
        "tls untrusted",
        "has a certificate that nobody vouches for",
        says(page()),
        dead(errors.CertificateUntrusted, "tls untrusted"),
        "verify_tls",
        tls="untrusted",
    ),
    fault(
        "tls wrong host",
        "has a certificate of another host",
        says(page()),
        dead(errors.CertificateWrongHost, "tls wrong host"),
        "verify_tls",
        tls="wrong host",
    ),
    fault("plain on tls", "speaks plain HTTP where TLS is due", says(page()), NO_TLS, "", before=True, scheme="https"),
    fault(
        "tls hangs",
        "never goes on with the TLS handshake",
        hangs(),
        dead(errors.ConnectTimeout, "connect timeout", again=True),
        "connect_timeout",
        before=True,
        scheme="https",
    ),
    fault(
        "tls hung up",
        "hangs up inside the TLS handshake",
        resets(),
        dead(errors.ConnectError, "connect", again=True),
        "retry_attempts",
        before=True,
        scheme="https",
    ),
    fault("tls on plain", "speaks TLS where plain HTTP is due", says(b""), BROKEN, "", tls="good", scheme="http"),
    # names
    fault(
        "no name",
        "has a name that does not exist",
        says(page()),
        dead(errors.NoSuchHost, "no such host"),
        host="nowhere.test",
    ),
    fault(
        "no dns",
        "has a name that no name server will tell",
        says(page()),
        dead(errors.DnsError, "dns", again=True),
        "retry_attempts",
        host="broken.test",
    ),
    Fault(
        name="changing name",
        does="has a name whose address changes between check and connection",
        play=says(page(b"", "Location: http://changing.test:{changed}/", status="302 Found")),
        ends={"/": done(None, 302, "redirect"), "http://changing.test:{changed}/": done()},
        setting="allow_private",
    ),
    Fault(name="changed", does="", play=says(page()), ends={}, start="", host="127.0.0.2"),
]
