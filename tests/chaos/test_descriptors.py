"""A server that resets connections while they are made must not have us close what is not its own."""

import gc
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from fetching import fetching

from scraper.errors import FetchError

LINGER = struct.pack("ii", 1, 0)


GRANTED = b"\5\0\0\1" + bytes(6)
"""What a SOCKS5 proxy says once it has reached the host (RFC 1928)."""


def at_once(taken: socket.socket) -> None:
    """Reset a connection as soon as it is there."""
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)


def through(taken: socket.socket) -> None:
    """Play a SOCKS5 proxy until the tunnel stands, and reset it then."""
    taken.recv(3)
    taken.sendall(b"\5\0")
    taken.recv(300)
    at_once(taken)
    taken.sendall(GRANTED)


@contextmanager
def resetting(way: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server on a thread that breaks every connection in this way."""

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with taken, suppress(OSError):
                way(taken)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("way", [at_once, through])
async def test_no_descriptor_is_closed_twice(scheme: str, way: Callable[[socket.socket], None]) -> None:
    ours: dict[int, int] = {}
    with resetting(way) as port:
        host = f"127.0.0.1:{port}" if way is at_once else "127.0.0.9"
        proxy = f"socks5h://127.0.0.1:{port}" if way is through else None
        async with fetching(allow_private="all", connect_timeout=20.0, proxy=proxy) as fetch:
            for n in range(300):
                with pytest.raises(FetchError):
                    await fetch.get(f"{scheme}://{host}/{n}")
                reading, writing = os.pipe()  # takes the numbers that have just become free
                ours |= {each: os.fstat(each).st_ino for each in (reading, writing)}
                gc.collect(0)
    gc.collect()
    lost = 0
    for each, inode in ours.items():
        try:
            lost += os.fstat(each).st_ino != inode
            os.close(each)
        except OSError:
            lost += 1
    assert lost == 0
