"""A web server that knows from the kernel when each request arrived, however late it gets round to reading it."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from itertools import count, pairwise
from typing import Self

SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
_TIME = struct.Struct("qq")


class Stamped:
    """``with Stamped(hosts, robots) as server``: one listener on each address of 127.0.0.0/8, all on threads.

    ``arrivals`` has (epoch seconds, path) of each request by address. ``robots`` is the text by address; none: 404.
    Every other answer takes ``slow`` seconds, so that requests overlap.
    """

    def __init__(self, hosts: list[str], robots: dict[str, str], slow: float) -> None:
        self.arrivals: dict[str, list[tuple[float, str]]] = {host: [] for host in hosts}
        self._robots = robots
        self._slow = slow
        self._number = count()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.port = 0
        for host in self.arrivals:
            listener = socket.create_server((host, self.port))
            self.port = listener.getsockname()[1]
            listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._sockets.append(listener)
            self._begin(self._accept, listener, host)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in list(self._sockets):
            with suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def wait(self, requests: int) -> None:
        """Until so many have arrived."""
        with self._changed:
            enough = self._changed.wait_for(lambda: sum(map(len, self.arrivals.values())) >= requests, 60)
        assert enough, self.arrivals

    def gaps(self, host: str) -> list[float]:
        times = sorted(when for when, _ in self.arrivals[host])
        return [after - before for before, after in pairwise(times)]

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, host: str) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:  # shut down
                return
            self._sockets.append(connection)
            self._begin(self._serve, connection, host)

    def _serve(self, connection: socket.socket, host: str) -> None:
        while not self._stop.is_set():
            try:
                data, extra, _, _ = connection.recvmsg(65_536, 1024)
            except OSError:  # the client was killed
                return
            if not data:
                return
            assert data.endswith(b"\r\n\r\n"), "a request comes whole, and one at a time"
            seconds, nanoseconds = next(_TIME.unpack(value) for _, kind, value in extra if kind == SO_TIMESTAMPNS)
            path = data.split(b" ")[1].decode()
            with self._changed:
                self.arrivals[host].append((seconds + nanoseconds / 1e9, path))
                self._changed.notify_all()
            status, body = "200 OK", "<p>page</p>"
            if path == "/robots.txt":
                body = self._robots.get(host, "")
                status = status if body else "404 Not Found"
            elif next(self._number) % 2:
                self._stop.wait(self._slow)
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
            try:
                connection.sendall((head + body).encode())
            except OSError:
                return
