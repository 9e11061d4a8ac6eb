"""A raw HTTP server that counts what the ledger claims to know, and two sources of names; all on loopback.

What it does with a request is told by a function, so that each test shows its server in a line or two.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, cast

from aiohttp.abc import AbstractResolver, ResolveResult


@dataclass
class Asked:
    """One request as the server read it. ``nth`` counts from 1 on its socket, ``total`` over all."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    nth: int
    total: int


@dataclass
class Reply:
    """Bytes to send, and whether to hang up (``close``) or reset (``reset``) after them.

    ``held`` keeps them until ``release()``. No bytes at all is no answer.
    """

    data: bytes = b""
    close: bool = False
    reset: bool = False
    held: bool = False


def page(
    body: bytes = b"<p>hello</p>", status: str = "200 OK", *, close: bool = False, held: bool = False, **headers: str
) -> Reply:
    """A whole answer; ``close`` says so and does so."""
    lines = {"Content-Length": str(len(body)), "Content-Type": "text/html"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    if close:
        lines["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return Reply(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body, close=close, held=held)


def always(reply: Reply) -> Callable[[Asked], Reply]:
    return lambda asked: reply


@dataclass
class Server:
    """``async with Server(behave) as server``; ``server.url("/x")``.

    ``host`` is how it is called, ``bind`` where it listens. ``sockets`` has the number of requests read on each
    accepted socket, ``peers`` their other ends, ``heads`` the requests as they came; ``answered`` the answers sent,
    ``hung_up`` the sockets the server ended, ``peak`` the most open at once.
    """

    behave: Callable[[Asked], Reply] = field(default_factory=lambda: always(page()))
    tls: ssl.SSLContext | None = None
    idle: float | None = None
    host: str = "127.0.0.1"
    bind: str = "127.0.0.1"
    port: int = 0
    sockets: list[int] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    answered: int = 0
    hung_up: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self.open: set[_Socket] = set()
        self._changed = asyncio.Condition()
        self._news: set[asyncio.Task[None]] = set()

    @property
    def accepted(self) -> int:
        return len(self.sockets)

    @property
    def requests(self) -> int:
        return sum(self.sockets)

    def url(self, path: str = "/") -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{path}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Socket(self), self.bind, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for each in list(self.open):
            each.transport.abort()
        await self.until(lambda: not self.open)
        await self._server.wait_closed()
        await asyncio.gather(*self._news)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something to become true of this server."""
        async with self._changed:
            await self._changed.wait_for(true)

    def release(self) -> None:
        """Send what was held."""
        for each in list(self.open):
            while each.held:
                each.send(each.held.pop(0))

    async def hang_up(self) -> None:
        """End every connection, and wait until the client has noticed."""
        for each in list(self.open):
            each.hang_up()
        await self.until(lambda: not self.open)

    def changed(self) -> None:
        task = asyncio.get_running_loop().create_task(self._tell())
        self._news.add(task)
        task.add_done_callback(self._news.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _Socket(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server = server
        self.read = b""
        self.held: list[Reply] = []
        self.timer: asyncio.TimerHandle | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are of no class that asyncio knows
        self.server.peers.append(transport.get_extra_info("peername")[0])
        self.number = len(self.server.sockets)
        self.server.sockets.append(0)
        self.server.open.add(self)
        self.server.peak = max(self.server.peak, len(self.server.open))
        self.server.changed()

    def data_received(self, data: bytes) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.read += data
        while not self.ended:
            head, end, rest = self.read.partition(b"\r\n\r\n")
            if not end:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            self.server.heads.append(head)
            self.read = rest[length:]
            self.answer(first, headers, rest[:length])

    def answer(self, first: str, headers: dict[str, str], body: bytes) -> None:
        server = self.server
        server.sockets[self.number] += 1
        method, path, _ = first.split(" ", 2)
        asked = Asked(method, path, headers, body, server.sockets[self.number], server.requests)
        server.asked.append(asked)
        reply = server.behave(asked)
        if reply.held:
            self.held.append(reply)
        else:
            self.send(reply)
        server.changed()

    def send(self, reply: Reply) -> None:
        if reply.data:
            self.server.answered += 1
            self.transport.write(reply.data)
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.ended = True
            self.server.hung_up += 1
            self.transport.abort()
        elif reply.close:
            self.hang_up()
        elif self.server.idle is not None:
            self.timer = asyncio.get_running_loop().call_later(self.server.idle, self.hang_up)

    def hang_up(self) -> None:
        if self.ended:
            return
        self.ended = True
        self.server.hung_up += 1
        if self.transport.can_write_eof():
            self.transport.write_eof()  # the client's own end then tells us that it has noticed
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.server.open.discard(self)
        self.server.changed()


class Told(AbstractResolver):
    """Names and their addresses as a test says; ``asked`` has each look-up. What is not known does not exist."""

    def __init__(self, **known: str | list[str]) -> None:
        self.known = {
            name.replace("_", "."): [given] if isinstance(given, str) else given for name, given in known.items()
        }
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in self.known[host]
        ]

    async def close(self) -> None:
        """Nothing to free."""


@dataclass
class Names:
    """A DNS server on UDP: the IPv4 address of each name in ``known``, none for others, silence for ``mute``,
    SERVFAIL for ``broken``."""

    known: dict[str, str] = field(default_factory=dict)
    mute: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _NameServer(self), local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self.names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        labels, at = [], 12
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode().lower())
            at += 1 + size
        name, kind = ".".join(labels), struct.unpack("!H", data[at + 1 : at + 3])[0]
        self.names.asked.append(name)
        if name in self.names.mute:
            return
        known = self.names.known.get(name)
        records = b""
        if known is not None and kind == 1:
            records = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(known)
        flags = 0x8180 if known is not None else 0x8182 if name in self.names.broken else 0x8183
        head = data[:2] + struct.pack("!HHHHH", flags, 1, 1 if records else 0, 0, 0)
        self.transport.sendto(head + data[12 : at + 5] + records, address)
