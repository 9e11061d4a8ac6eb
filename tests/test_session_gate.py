"""What the pool tells the gate: a request is gone when it has left for sure, and not before."""

import asyncio
import select
import socket

import pytest

from scraper.errors import Postponed
from scraper.request import Request
from scraper.session import SessionPool
from scraper.settings import Settings

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Gate:
    """Looks, each time that it is told something, whether the kernel has the request: nothing else runs meanwhile."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.connection: socket.socket | None = None
        self.told: list[tuple[str, bool, bool]] = []
        self.spaced = True

    def waits(self, host: str) -> bool:
        return self.spaced

    def sent(self, host: str, gone: bool = True) -> None:
        if self.connection is None:
            self.connection, _ = self.listener.accept()
        there = bool(select.select([self.connection], [], [], 0)[0])
        self.told.append((host, gone, there))
        if gone:
            self.connection.recv(65_536)
            self.connection.sendall(ANSWER)


@pytest.mark.parametrize("body", [None, b"name=value"])
async def test_the_gate_is_told_before_and_after_a_request_leaves(body: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = Gate(listener)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        async with SessionPool(Settings()) as pool:
            pool.gate = gate
            for _ in range(2):  # on a new connection, then on a kept one
                async with asyncio.timeout(20):
                    answer = await pool.send(Request(f"http://{host}/", method="POST" if body else "GET", body=body))
                answer.release()
        assert gate.connection is not None
        gate.connection.close()
    assert gate.told == [(host, False, False), (host, True, True)] * 2


async def test_a_request_that_waits_for_its_turn_is_not_sent_again_at_once() -> None:
    """Its kept connection turns out to be closed: the next attempt is a start like any other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = Gate(listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with SessionPool(Settings()) as pool:
            pool.gate = gate
            async with asyncio.timeout(20):
                (await pool.send(Request(url))).release()
                assert gate.connection is not None
                gate.connection.close()
                gate.sent = lambda host, gone=True: None  # type: ignore[method-assign]
                with pytest.raises(Postponed):
                    await pool.send(Request(url))
            (counts,) = pool.ledger()
    assert (counts.dropped, counts.resent) == (1, 0)
