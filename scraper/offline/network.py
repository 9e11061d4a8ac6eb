"""The network forbidden: while a page is replayed, whoever tries to connect or to resolve a name meets an error.

An audit hook (PEP 578) sees every use of Python's sockets, whatever library makes it and however it came by them. It
cannot be taken back, so it is set at the first replay and looks at one flag ever after. pycares asks name servers from
C, where no hook is: its methods are replaced for the time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from scraper.errors import ScraperError

MOST_TRIES = 20
"""Attempts that are told of one page."""

_CONNECTING = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))
_RESOLVING = frozenset(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"))
_ASKING = ("query", "search", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo")
"""Methods of ``pycares.Channel`` that send something."""


class NetworkForbidden(ScraperError):
    """A callback or a step asked the network for something while its page was replayed."""


class Tries:
    """What was tried while the network was forbidden, in words: each address once, with the line that asked."""

    def __init__(self, file: str) -> None:
        self.words: list[str] = []
        self._file = file

    def refuse(self, address: str) -> NetworkForbidden:
        """Note an attempt; the error to raise."""
        words = f"{address}{self._asked_at()}"
        if words not in self.words and len(self.words) < MOST_TRIES:
            self.words.append(words)
        return NetworkForbidden(
            f"the network was asked for {words}, which is forbidden while a page is replayed: yield a Request instead, "
            "or keep what asks it out of callbacks and steps"
        )

    def _asked_at(self) -> str:
        """The line of the spider's file; empty when another thread asks."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        if frame is None:
            return ""
        return f" at {Path(self._file).name}:{frame.f_lineno}"


_lock = threading.Lock()
_tries: Tries | None = None
_hooked = False


@contextmanager
def forbidden(file: str = "") -> Iterator[Tries]:
    """No connection and no look-up until the end of the block, in any thread of this process.

    Sockets of the machine itself (``AF_UNIX``) are no network. ``file`` is the spider's, for the lines that are told.
    """
    global _tries, _hooked
    with _lock, ExitStack() as stack:
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        _tries = tries = Tries(file)
        channel: Any = getattr(sys.modules.get("pycares"), "Channel", None)
        for name in _ASKING:
            if channel is not None and name in vars(channel):
                stack.callback(setattr, channel, name, vars(channel)[name])
                setattr(channel, name, _refused)
        try:
            yield tries
        finally:
            _tries = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _tries is None or not event.startswith("socket."):
        return
    if event in _CONNECTING:
        address = arguments[1]
        if isinstance(address, tuple) and len(address) >= 2:  # else a path, or of a socket that is connected
            raise _tries.refuse(f"{address[0]}:{address[1]}")
    elif event in _RESOLVING and arguments[0] is not None:
        host = arguments[0]
        raise _tries.refuse(host.decode("ascii", "replace") if isinstance(host, bytes) else str(host))


def _refused(channel: object, host: object, *arguments: object, **options: object) -> None:
    if _tries is not None:
        raise _tries.refuse(str(host))
    raise NetworkForbidden("a channel of pycares was used while a page was replayed")  # by another thread, just then
