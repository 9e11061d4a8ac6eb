"""The chaos server: a socket of its own on loopback for every fault, all on one event loop."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import trustme

from chaos.fault import Fault, Peer, done, links, page

LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing resets the connection."""


def reset(peer: Peer) -> None:
    """End the connection by RST; what was not read yet is lost to the client."""
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    peer.writer.transport.abort()


class ChaosServer:
    """``with ChaosServer(faults, folder) as server``: a thread with an event loop of its own.

    ``origins`` by name of fault; ``authority`` is a file with the certificate to trust.
    """

    def __init__(self, faults: Iterable[Fault], folder: Path) -> None:
        self.faults = list(faults)
        self.authority = folder / "authority.pem"
        self.origins: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.authority))
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, fault: Fault, path: str) -> str:
        """The URL of a path of a fault; a whole URL may name the port of another."""
        if path.startswith("/"):
            return self.origins[fault.name] + path
        for name, port in self.ports.items():
            path = path.replace(f"{{{name}}}", str(port))
        return path

    async def _open(self) -> None:
        for fault in self.faults:
            listener = socket.socket()
            # Only one may listen on a name that several addresses share, and this one is bound to loopback.
            listener.bind((fault.host if fault.host.startswith("127.") else "127.0.0.1", 0))
            listener.setblocking(False)
            scheme = fault.scheme or ("https" if fault.tls else "http")
            port = self.ports[fault.name] = listener.getsockname()[1]
            self.origins[fault.name] = f"{scheme}://{fault.host}:{port}"
            if fault.listen == "yes":
                self._servers.append(
                    await asyncio.start_server(
                        lambda reader, writer, fault=fault: self._begin(fault, reader, writer),  # type: ignore[misc]
                        sock=listener,
                        limit=1 << 22,
                        ssl=self._certificate(fault) if fault.tls else None,
                    )
                )
            else:
                self._sockets.append(listener)
            if fault.listen == "full":
                self._fill(listener)

    def _fill(self, listener: socket.socket) -> None:
        """Leave no room in its queue: who connects now gets no answer at all."""
        listener.listen(0)
        for _ in range(4):
            knocking = socket.socket()
            knocking.setblocking(False)
            knocking.connect_ex(listener.getsockname())
            self._sockets.append(knocking)

    def _certificate(self, fault: Fault) -> ssl.SSLContext:
        names = ["elsewhere.test"] if fault.tls == "wrong host" else [fault.host]
        authority = trustme.CA() if fault.tls == "untrusted" else self._ca
        over = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = authority.issue_cert(*names, **({"not_after": over} if fault.tls == "expired" else {}))
        issued.configure_cert(context)
        return context

    def _begin(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(fault, Peer(reader, writer, self.ports)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, fault: Fault, peer: Peer) -> None:
        """One connection: request after request, until the fault or the client ends it."""
        try:
            if fault.before and await fault.play(peer, ""):
                return
            while (path := await peer.asked()) is not None:
                play = fault.play
                if path == "/robots.txt":
                    play = fault.robots or _no_robots
                if await play(peer, path):
                    return
        except (ConnectionError, TimeoutError, ssl.SSLError):
            pass  # the client had enough
        finally:
            peer.writer.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._sockets:
            each.close()


async def _no_robots(peer: Peer, path: str) -> None:
    await peer.send(page(b"none", status="404 Not Found"))


def healthy(pages: int) -> Fault:
    """A site without fault: each of its pages links to the next two of a binary tree."""

    async def play(peer: Peer, path: str) -> None:
        number = int(path[1:] or 1)
        children = [f"/{n}" for n in (2 * number, 2 * number + 1) if n <= pages]
        await peer.send(page(links(children, f"page {number}")))

    ends = {f"/{n}": done(f"page {n}") for n in range(1, pages + 1)}
    return Fault(name="healthy", does="answers", play=play, ends=ends, start="/1", robots=_no_robots)
