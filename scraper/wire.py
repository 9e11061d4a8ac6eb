"""One connection as the ledger sees it: whose it is, what it carried, and how it ends.

What the counts mean is told in ``scraper.ledger``.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from time import monotonic

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import StreamReader

from scraper.page import HostLedger

COUNTS = tuple(name for name in HostLedger.__struct_fields__ if name not in ("host", "peak"))
_NEW, _ASKED, _ANSWERED = range(3)
MOST_INTERIM = 20
"""Answers of 100 to 199 before the one that counts; a flood of them would keep the loop busy with nothing else."""
_KEPT = re.compile(r"\b(timeout|max)\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class Dropped(aiohttp.ServerConnectionError):
    """A reused connection broke before the answer: the keep-alive race (RFC 9112 section 9.3.1)."""

    def __init__(self, host: str, cause: BaseException | None) -> None:
        super().__init__(str(cause) if cause else "the server closed the connection as the request was sent")
        self.host = host


class Record(HostLedger):
    """A host's running counts, and what it takes to keep them."""

    live: int = 0
    """Connections open or being opened; a record without any is forgotten once it was taken."""
    open: int = 0
    made: int = 0
    cost: float = 0.0
    """Mean seconds of the connections made: what each reuse saves."""

    def copy(self) -> HostLedger:
        return HostLedger(self.host, peak=self.peak, **{name: getattr(self, name) for name in COUNTS})

    def clear(self) -> None:
        for name in COUNTS:
            setattr(self, name, type(getattr(self, name))())


class Wire(ResponseHandler):
    """One TCP connection: knows its record, how many requests it carried and whether one is unanswered.

    ``single``: it is not to be used again. ``learnt`` is called when the server says for how long it keeps it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, record: Record, single: bool, learnt: Callable[[], object]
    ) -> None:
        super().__init__(loop)
        self.record = record
        self.served = 0
        self.heard = 0.0
        """When the peer was last heard of while somebody listens; 0.0 while nobody does."""
        self.keeps = math.inf
        """Seconds for which it may idle and still be used: what the server announced, less a margin."""
        self._most = 0
        """Requests that the server lets it carry; 0 when it did not say."""
        self._learnt = learnt
        self._interim = 0
        self._refused: BadHttpMessage | None = None
        self._state = _NEW
        self._single = single
        self._by_peer = self._lost = False

    def ask(self) -> None:
        """A request is put on this connection."""
        self._state = _ASKED
        self._interim = 0
        self.served += 1
        self.record.requests += 1

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if self._state == _ASKED:
            if data[0].code >= 200:
                self._state = _ANSWERED
                if self.served == 1 and (said := data[0].headers.get(hdrs.KEEP_ALIVE)) is not None:
                    self._learn(said)
                if self.served == self._most:
                    self._single = True  # we end it, before the server does
                    self._should_close = True
            elif self._interim == MOST_INTERIM or data[0].code < 100 or data[0].code == 101:
                # 101: nobody asked for another protocol
                self._refused = BadHttpMessage(f"interim answer {data[0].code} where the last one is due")
                self.close()
                return
            else:
                self._interim += 1
        elif self._state == _ANSWERED:
            # Nobody asked: most often a 408 before the server hangs up on an idle connection. aiohttp would
            # give it to whoever is served next.
            self._ended_by_peer()
            self.close()
            return
        super().feed_data(data, size)

    def eof_received(self) -> None:
        if self.transport is not None:  # else we are closing, and this is the echo
            self._ended_by_peer()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None and self.transport is not None:
            self._ended_by_peer()
        if self._state == _ASKED and self._by_peer and self.served > 1:
            self.record.dropped += 1
            exc = Dropped(self.record.host, exc)
        self.lost()
        exc = self._refused or exc
        super().connection_lost(exc)

    def close(self) -> None:
        if self.transport is not None and self._should_close and self._exception is None and not self._single:
            self._ended_by_peer()  # it said so in its last answer
        self.lost()
        super().close()

    def abort(self) -> None:
        self.lost()
        super().abort()

    def lost(self) -> None:
        """The connection is gone, or on its way: nothing more will be counted.

        Also called for one that failed before it was handed out.
        """
        if not self._lost:
            self._lost = True
            if self._state == _ASKED:
                self._state = _ANSWERED
                self.record.unanswered += 1
            self.record.open -= 1
            self.record.live -= 1

    def time_out(self) -> None:
        self._on_read_timeout()

    # A timer for each request and each chunk would cost 4 % of a request: it is noted when the peer was last
    # heard of, and the connector's one timer comes by when the most silent connection is due.

    def _reschedule_timeout(self) -> None:
        self.heard = monotonic()

    def _drop_timeout(self) -> None:
        self.heard = 0.0

    def _learn(self, said: str) -> None:
        """``Keep-Alive: timeout=5, max=100``: heard once a connection, as servers send it with every answer.

        The server's clock starts before ours, and a request takes its time to get there: a tenth of the time is left
        out, a second at least, though never more than half.
        """
        found = {name.lower(): int(number) for name, number in _KEPT.findall(said)}
        if "timeout" in found:
            seconds = found["timeout"]
            self.keeps = max(seconds / 2, min(seconds - 1, seconds * 0.9))
            self._learnt()
        if "max" in found:
            self._most = max(1, found["max"])

    def _ended_by_peer(self) -> None:
        if not self._by_peer:
            self._by_peer = True
            self.record.closed_by_peer += 1
