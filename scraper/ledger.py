"""The connection ledger: one record per host, counted where connections live and not by trace hooks.

aiohttp's TraceConfig would see the same events for 34-39 µs a request; the few hooks into its connector and
protocol here cost about one. What is counted is what the server can check. For every host, at any time:

- ``opened`` is the number of sockets that the server accepted from us (also those whose TLS handshake failed).
- ``requests - unanswered`` (less those in flight) is the number of answers whose head the server delivered.
  What a server read lies between that number and ``requests``: an unanswered request may have died on the way.
- ``requests == reused +`` the opened connections that carried at least one request.
- ``dropped`` are reused connections on which the server closed the door on a request; ``resent`` are the requests
  that were therefore put at once on a fresh connection: invisible to the crawl, visible here.
- ``closed_by_peer`` are the connections that ended because the peer wanted it: it announced it
  (``Connection: close``, HTTP/1.0), hung up, reset, or spoke without being asked.

A connection through a proxy is counted for the host that is asked, not for the proxy.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import ClientTimeout
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace

from scraper.page import HostLedger
from scraper.url import host_of

COUNTS = tuple(name for name in HostLedger.__struct_fields__ if name not in ("host", "peak"))
_NEW, _ASKED, _ANSWERED = range(3)


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
    """One TCP connection: knows its record, how many requests it carried and whether one is unanswered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, record: Record, single: bool) -> None:
        super().__init__(loop)
        self.record = record
        self.served = 0
        self.heard = 0.0
        """When the peer was last heard of while somebody listens; 0.0 while nobody does."""
        self._state = _NEW
        self._single = single
        self._by_peer = self._lost = False

    def ask(self) -> None:
        """A request is put on this connection."""
        self._state = _ASKED
        self.served += 1
        self.record.requests += 1

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if self._state == _ASKED:
            if data[0].code >= 200:
                self._state = _ANSWERED
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

    def _ended_by_peer(self) -> None:
        if not self._by_peer:
            self._by_peer = True
            self.record.closed_by_peer += 1


class _Opening:
    """One connection on its way: where its time went so far."""

    __slots__ = ("connected", "dns", "record", "wire")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.dns = 0.0
        self.connected: float | None = None
        self.wire: Wire | None = None


# aiohttp's calls between "open a connection" and "resolve this name" carry nothing of ours.
_opening: ContextVar[_Opening] = ContextVar("opening")


class LedgerConnector(aiohttp.TCPConnector):
    """aiohttp's connector, counting. ``read_timeout`` is seconds of silence; other arguments are aiohttp's."""

    def __init__(self, *, read_timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self.fresh = False
        """The next connection must be a new one. Set right before a request is made: aiohttp looks for an
        idle connection before it awaits anything else."""
        self._records: dict[str, Record] = {}
        self._read_timeout = read_timeout
        self._sweeper: asyncio.TimerHandle | None = None
        self._factory = partial(self._made)

    def record(self, host: str) -> Record:
        """The record of a slot key, made when first asked for."""
        found = self._records.get(host)
        if found is None:
            found = self._records[host] = Record(host)
        return found

    def ledger(self) -> list[HostLedger]:
        """Copies of all counts that were not taken yet."""
        return [record.copy() for record in self._records.values()]

    def take(self) -> list[HostLedger]:
        """The counts since the last take (``peak`` is absolute); hosts without connections are forgotten."""
        taken = []
        for host, record in list(self._records.items()):
            counts = record.copy()
            if counts != HostLedger(host, peak=record.peak):
                taken.append(counts)
                record.clear()
            if not record.live:
                del self._records[host]
        return taken

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._read_timeout, self._sweep)
        if self.fresh:
            self.fresh = False
            return None
        found = await super()._get(key, traces)
        if found is not None:
            wire = found.protocol
            assert isinstance(wire, Wire)
            wire.ask()
            record = wire.record
            record.reused += 1
            record.saved += record.cost
        return found

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 (aiohttp's name)
    ) -> ResponseHandler:
        record = self.record(host_of(str(req.url)))
        opening = _Opening(record)
        _opening.set(opening)
        record.live += 1
        begun = monotonic()
        made = False
        try:
            wire = await super()._create_connection(req, traces, timeout)
            assert isinstance(wire, Wire)
            made = True
        finally:
            now = monotonic()
            connected = opening.connected if req.is_ssl() and opening.connected is not None else now
            record.dns += opening.dns
            record.connect += connected - begun - opening.dns
            record.tls += now - connected
            record.live -= 1
            if not made and opening.wire is not None:
                opening.wire.lost()
        record.made += 1
        record.cost += (now - begun - record.cost) / record.made
        wire.ask()
        return wire

    def _made(self) -> ResponseHandler:
        """Called when a TCP connection stands, before any TLS handshake."""
        opening = _opening.get()
        record = opening.record
        wire = Wire(self._loop, record, self._force_close)
        before, opening.wire = opening.wire, wire
        if before is not None and before.transport is not None:
            return wire  # TLS in a proxy's tunnel: the same connection; the one before will not hear its end
        if before is not None:  # the address tried before failed its handshake
            before.lost()
        opening.connected = monotonic()
        record.opened += 1
        record.live += 1
        record.open += 1
        record.peak = max(record.peak, record.open)
        return wire

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[ResolveResult]:
        begun = monotonic()
        try:
            return await super()._resolve_host(host, port, traces)
        finally:
            _opening.get().dns += monotonic() - begun

    def _sweep(self) -> None:
        """Time out the silent; come back when the most silent of the others would be due."""
        now = oldest = monotonic()
        for wire in tuple(self._acquired):
            if isinstance(wire, Wire) and wire.heard:
                if now - wire.heard >= self._read_timeout:
                    wire.time_out()
                else:
                    oldest = min(oldest, wire.heard)
        self._sweeper = None
        if self._acquired:
            rest = max(oldest + self._read_timeout - now, 0.001)
            self._sweeper = self._loop.call_later(rest, self._sweep)

    def _close(self, *, abort_ssl: bool = False) -> list[Any]:
        if self._sweeper is not None:
            self._sweeper.cancel()
        return super()._close(abort_ssl=abort_ssl)
