"""A server that resets connections while they are made must not have us close what is not its own."""

import gc
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from fetching import fetching

from scraper.errors import FetchError

LINGER = struct.pack("ii", 1, 0)


@pytest.fixture
def resets() -> Iterator[int]:
    """The port of a server on a thread that takes each connection and resets it at once."""

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            taken.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_descriptor_is_closed_twice(scheme: str, resets: int) -> None:
    ours: dict[int, int] = {}
    async with fetching(allow_private="all", connect_timeout=20.0) as fetch:
        for n in range(150):
            with pytest.raises(FetchError):
                await fetch.get(f"{scheme}://127.0.0.1:{resets}/{n}")
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
