"""Faults of HTTP itself: status lines, headers, lengths, chunks, answers that nobody asked for."""

from __future__ import annotations

from dataclasses import replace

from chaos.connections import BOTH, BROKEN_IN_BODY, LATE, NOT_HTTP, TOO_LARGE, two
from chaos.fault import ANY, PAGE, Fault, Peer, Play, chunked, dead, done, fault, flood, head, links, page, says
from scraper import errors

CHUNKED = "Transfer-Encoding: chunked"
LENGTH = len(PAGE)
PROTOCOL_IN_BODY = dead(errors.ProtocolError, "protocol", ANY)


def bad(name: str, does: str, answer: bytes) -> Fault:
    """What is not HTTP, and shows it before the body."""
    return fault(name, does, says(answer), NOT_HTTP)


def bad_body(name: str, does: str, body: bytes, *headers: str) -> Fault:
    return fault(name, does, says(head(*(headers or (CHUNKED,))) + body), PROTOCOL_IN_BODY)


def coded(name: str, does: str, answer: bytes) -> Fault:
    """A body in a way of which we know from the head that nobody can read it."""
    return fault(name, does, says(answer), dead(errors.ProtocolError, "protocol", 200))


def fine(name: str, does: str, answer: bytes, title: str | None = "whole", status: int = 200) -> Fault:
    """What is odd, and still a page."""
    return fault(name, does, says(answer), done(title, status))


async def more_than_asked(peer: Peer, path: str) -> None:
    """Every answer is followed by one more, for a page that is not its own."""
    await peer.send(two(path) + page(links([], "smuggled")))


def empty(status: str) -> Play:
    """A status that has no body, and a body after it; the page after it must not be taken for it."""

    async def play(peer: Peer, path: str) -> None:
        answer = {"/": links(["/none", "/next"]), "/next": links([], "next")}.get(path)
        if answer is not None:
            await peer.send(page(answer))
        else:
            await peer.send(page(links([], "smuggled"), status=status))

    return play


STATUS_LINES = [
    bad("garbage", "sends bytes that are no HTTP", bytes(range(256)) * 4),
    bad("ssh", "greets like an SSH server", b"SSH-2.0-OpenSSH_9.6\r\n"),
    bad("ftp", "greets like an FTP server", b"220 (vsFTPd 3.0.5)\r\n"),
    bad("smtp", "greets like an SMTP server", b"220 mail.example.org ESMTP Postfix\r\n"),
    bad("http 0.9", "sends a page without a head, as HTTP/0.9 did", PAGE),
    bad("http 2", "answers in HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18),
    bad("version 3", "says HTTP/3.7", page().replace(b"HTTP/1.1", b"HTTP/3.7")),
    bad("no version", "says HTTP without a version", page().replace(b"HTTP/1.1", b"HTTP")),
    bad("lower case", "says http/1.1", page().replace(b"HTTP/1.1", b"http/1.1")),
    bad("status abc", "sends a status that is no number", page(status="abc OK")),
    bad("status 0", "sends status 0", page(status="000 Nothing")),
    bad("status 99", "sends status 99", page(status="99 Little")),
    bad("status 1000", "sends status 1000", page(status="1000 Much")),
    bad("status -200", "sends a negative status", page(status="-200 OK")),
    fault(
        "status 999",
        "sends status 999",
        says(page(status="999 Request denied")),
        dead(errors.StatusError, "status 999", 999),
        "handle_statuses",
    ),
    fine("no words", "sends a status without words", page().replace(b" OK", b"")),
    fine("http 1.0", "answers in HTTP/1.0", page().replace(b"HTTP/1.1", b"HTTP/1.0")),
    fine("no length", "sends neither length nor chunks, and hangs up", page(length=False)),
]

HEADERS = [
    fault("endless header", "sends one header without end", flood(b"x" * 65536, head()[:-2] + b"X: "), NOT_HTTP, ""),
    fault("endless headers", "sends headers without end", flood(b"X-A: b\r\n" * 50, head()[:-2]), NOT_HTTP),
    bad("huge header", "sends a header of 100 kB", page(PAGE, "X-Huge: " + "x" * 100_000)),
    fine("large header", "sends a header of 60 kB", page(PAGE, "X-Large: " + "x" * 60_000)),
    bad("thousands of headers", "sends 5,000 headers", page(PAGE, *(f"X-{n}: {n}" for n in range(5000)))),
    fine(
        "cookie bomb", "sets 100 cookies of 4 kB", page(PAGE, *(f"Set-Cookie: c{n}={'x' * 4000}" for n in range(100)))
    ),
    fine(
        "bad cookies", "sets cookies that are none", page(PAGE, *["Set-Cookie: =;;==\x01; domain=com; expires=x"] * 9)
    ),
    fine("folded header", "breaks a header over two lines", page(PAGE, "X-Folded: one\r\n two")),
    bad("nul in header", "sends a NUL inside a header", page(PAGE, "X-Nul: a\0b")),
    bad("cr in header", "sends a bare CR inside a header", page(PAGE, "X-Cr: a\rContent-Length: 3")),
    fine("bare lf", "ends its lines with LF alone", page().replace(b"\r\n", b"\n")),
    bad("space before colon", "puts a space before the colon", page(PAGE, "X-Space : 1")),
    bad("no colon", "sends a header without a colon", page(PAGE, "X-No-Colon")),
    bad("nameless header", "sends a header without a name", page(PAGE, ": nameless")),
    fine("header bytes", "sends header bytes that are no UTF-8", page(PAGE, "X-Bytes: caf\xe9 \xff")),
]

LENGTHS = [
    bad("two lengths", "sends the same length twice", page(PAGE, f"Content-Length: {LENGTH}")),
    bad("lengths differ", "sends two lengths that differ", page(PAGE, "Content-Length: 3")),
    bad("length list", "sends two lengths in one header", page(PAGE, f"Content-Length: {LENGTH}, 3", length=False)),
    bad("length -1", "sends a negative length", page(PAGE, "Content-Length: -1", length=False)),
    bad("length +5", "sends a length with a sign", page(PAGE, "Content-Length: +5", length=False)),
    bad("length word", "sends a length that is no number", page(PAGE, "Content-Length: many", length=False)),
    bad("length 1e30", "sends a length of 30 digits", page(PAGE, f"Content-Length: {10**30}", length=False)),
    fault(
        "length 1e15",
        "announces a petabyte",
        says(head(f"Content-Length: {10**15}")),
        TOO_LARGE,
        "max_body_size",
    ),
    bad("length and chunks", "sends a length and chunks", head(CHUNKED, "Content-Length: 3") + chunked(PAGE, b"")),
    fault("cut", "hangs up before the length it announced", says(page()[:-9]), BROKEN_IN_BODY, "retry_attempts"),
    bad("more than length", "sends more than the length it announced", page() + b"x" * 100),
]

CHUNKS = [
    fault(
        "cut chunk",
        "hangs up inside a chunk",
        says(head(CHUNKED) + chunked(PAGE)[:-9]),
        BROKEN_IN_BODY,
        "retry_attempts",
    ),
    fault(
        "no last chunk",
        "hangs up before the last chunk",
        says(head(CHUNKED) + chunked(PAGE)),
        BROKEN_IN_BODY,
        "retry_attempts",
    ),
    bad_body("chunk size xyz", "sends a chunk size that is no number", b"xyz\r\n" + PAGE),
    bad_body("chunk size -5", "sends a negative chunk size", b"-5\r\n" + PAGE),
    bad_body("chunk size 2^68", "sends a chunk size past 64 bits", b"FFFFFFFFFFFFFFFFF\r\n" + PAGE),
    bad_body("chunk without end", "does not end a chunk where it said", b"5\r\n" + PAGE + b"\r\n0\r\n\r\n"),
    fine(
        "chunk extension", "sends chunk extensions", head(CHUNKED) + chunked(PAGE, b"").replace(b"\r\n", b";a=b\r\n", 1)
    ),
    fault(
        "chunk extension bomb",
        "sends a chunk extension without end",
        flood(b"x" * 8192, head(CHUNKED) + b"5;a=", every=0.05),
        replace(LATE, status=ANY),
        "total_timeout",
    ),
    fine("trailers", "sends trailers", head(CHUNKED) + chunked(PAGE) + b"0\r\nX-Check: 1\r\n\r\n"),
    bad(
        "length in trailers",
        "sends a length in its trailers",
        head(CHUNKED) + chunked(PAGE) + b"0\r\nContent-Length: 3\r\n\r\n",
    ),
    fault(
        "endless trailers",
        "sends trailers without end",
        flood(b"X-A: b\r\n" * 50, head(CHUNKED) + chunked(PAGE) + b"0\r\n"),
        PROTOCOL_IN_BODY,
    ),
    coded("te gzip", "names a transfer coding but no chunks", page(PAGE, "Transfer-Encoding: gzip", length=False)),
    coded("chunked twice", "names chunks twice", head("Transfer-Encoding: chunked, chunked") + chunked(PAGE, b"")),
]

ANSWERS = [
    fine(
        "interim answers",
        "sends 100 and 103 before the answer",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + page(),
    ),
    fault(
        "interim flood",
        "sends 100 Continue without end",
        flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        NOT_HTTP,
    ),
    bad(
        "101",
        "switches protocols unasked",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
    Fault(name="more than asked", does="sends a second answer that nobody asked for", play=more_than_asked, ends=BOTH),
    Fault(
        name="204 with body",
        does="sends a body with status 204",
        play=empty("204 No Content"),
        ends={"/": done(), "/none": NOT_HTTP, "/next": done("next")},
    ),
    Fault(
        name="304 with body",
        does="sends a body with status 304",
        play=empty("304 Not Modified"),
        ends={"/": done(), "/none": NOT_HTTP, "/next": done("next")},
    ),
]

FRAMING: list[Fault] = [*STATUS_LINES, *HEADERS, *LENGTHS, *CHUNKS, *ANSWERS]
