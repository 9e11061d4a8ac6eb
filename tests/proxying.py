"""An HTTP proxy and a SOCKS proxy on loopback that count and remember; ``names`` is all the DNS they have."""

from __future__ import annotations

import asyncio
import socket
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

MOST = 65_536  # bytes of a head
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Listening:
    """What both have: ``async with``, ``url()``, and the number of connections ``accepted``."""

    scheme: str = "http"
    names: dict[str, str] = field(default_factory=dict)
    credentials: str | None = None
    accepted: int = 0

    async def __aenter__(self) -> Self:
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MOST)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, userinfo: str = "") -> str:
        return f"{self.scheme}://{userinfo}{self.name}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self.serve(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is gone
        finally:
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def there(self, host: str, port: int) -> Streams:
        """A connection to where a client wants to go."""
        reader, writer = await asyncio.open_connection(self.names.get(host, host), port)
        self._writers.add(writer)
        return reader, writer

    async def pipe(self, one: Streams, other: Streams) -> None:
        """Until both have ended."""

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(MOST):
                writer.write(data)
            writer.close()

        await asyncio.gather(pump(one[0], other[1]), pump(other[0], one[1]), return_exceptions=True)
        self._writers.discard(other[1])


@dataclass
class HttpProxy(Listening):
    """Forwards absolute-form requests and tunnels CONNECT; ``fails`` gives a status to answer with instead.

    ``asked`` has method, target and headers of each request.
    """

    fails: Callable[[str], int | None] = lambda target: None
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: Streams | None = None
        while True:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self.asked.append((method, target, headers))
            status = self.fails(target)
            if self.credentials is not None:
                token = b64encode(self.credentials.encode()).decode()
                if headers.get("proxy-authorization") != f"Basic {token}":
                    status = 407
            if status is not None:
                writer.write(f"HTTP/1.1 {status} Sorry\r\nContent-Length: 0\r\n\r\n".encode())
                continue
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                onward = await self.there(host.strip("[]"), int(port))
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                return await self.pipe((reader, writer), onward)
            parts = urlsplit(target)
            if onward is None:  # our tests ask one host per connection, as a pool does
                onward = await self.there(parts.hostname or "", parts.port or 80)
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            onward[1].write("\r\n".join([f"{method} {parts.path} HTTP/1.1", *kept, "", ""]).encode("latin-1"))
            head = await onward[0].readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            writer.write(head + await onward[0].readexactly(size))


@dataclass
class SocksProxy(Listening):
    """SOCKS 5 with and without a password, and SOCKS 4 and 4a; ``refuses`` is a reply code instead of a tunnel.

    ``asked`` has the hosts as they were named: addresses, or names to be resolved here.
    """

    scheme: str = "socks5"
    refuses: int | None = None
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = (await reader.readexactly(1))[0]
        if version == 4:
            port, address = struct.unpack("!xHI", await reader.readexactly(7))
            await reader.readuntil(b"\0")
            host = socket.inet_ntoa(struct.pack("!I", address))
            if host.startswith("0.0.0."):
                host = (await reader.readuntil(b"\0"))[:-1].decode()
            yes, no = b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6)
        else:
            await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\5\2" if self.credentials else b"\5\0")
            if self.credentials:
                await reader.readexactly(1)
                user, password = [await self._text(reader), await self._text(reader)]
                right = f"{user}:{password}" == self.credentials
                writer.write(b"\1\0" if right else b"\1\1")
                if not right:
                    return
            kind = (await reader.readexactly(4))[3]
            if kind == 1:
                host = socket.inet_ntoa(await reader.readexactly(4))
            elif kind == 4:
                host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
            else:
                host = await self._text(reader)
            port = struct.unpack("!H", await reader.readexactly(2))[0]
            yes, no = b"\5\0\0\1" + bytes(6), b"\5" + bytes([self.refuses or 1]) + b"\0\1" + bytes(6)
        self.asked.append(host)
        if self.refuses is not None:
            writer.write(no)
            return
        onward = await self.there(host, port)
        writer.write(yes)
        await self.pipe((reader, writer), onward)

    async def _text(self, reader: asyncio.StreamReader) -> str:
        return (await reader.readexactly((await reader.readexactly(1))[0])).decode()
