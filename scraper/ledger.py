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

A connection through a proxy is counted for the host that is asked, in a row of its own for each proxy
(``example.org via proxy.test:3128``). There, ``opened`` is the number of sockets that the proxy accepted from us (of a
SOCKS proxy: of the tunnels that came to stand).
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any

from aiohttp import ClientTimeout
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from scraper.connector import RoutedConnector, via
from scraper.page import HostLedger
from scraper.ports import Gate
from scraper.url import host_of
from scraper.wire import Record, Wire

MOST_ADDRESSES = 10_000


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


class LedgerConnector(RoutedConnector):
    """The connector, counting. ``read_timeout`` is seconds of silence; ``gate`` is told of what is sent."""

    def __init__(self, *, read_timeout: float, gate: Gate | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._gate = gate
        self.fresh = False
        """The next connection must be a new one. Set right before a request is made: aiohttp looks for an
        idle connection before it awaits anything else."""
        self._records: dict[str, Record] = {}
        self._read_timeout = read_timeout
        self._sweeper: asyncio.TimerHandle | None = None
        self._factory = partial(self._made)
        self.addresses: dict[str, str] = {}
        """Of the names looked up of late, the lowest address of each."""
        self._patient = True
        """No server has told us yet how long it keeps a connection."""

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
        if not self._patient:
            self._drop_stale(key)
        found = await super()._get(key, traces)
        if found is not None:
            wire = found.protocol
            assert isinstance(wire, Wire)
            wire.ask()
            record = wire.record
            if self._gate is not None:
                self._sent(record.host)
            record.reused += 1
            record.saved += record.cost
        return found

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 (aiohttp's name)
    ) -> ResponseHandler:
        record = self.record(via(req.proxy, host_of(str(req.url))))
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
        if self._gate is not None:
            self._sent(record.host)
        return wire

    def _sent(self, name: str) -> None:
        """Tell the gate, once the request has left us for sure: what is written now is sent at the end of the loop's
        turn, or of the next when there is a body. A gap that is counted from too early would be too short."""
        gate = self._gate
        assert gate is not None
        host = name.partition(" via ")[0]
        if gate.waits(host):
            gate.sent(host, gone=False)
            self._loop.call_soon(lambda: self._loop.call_soon(gate.sent, host))

    def _made(self) -> ResponseHandler:
        """Called when a TCP connection stands, before any TLS handshake."""
        opening = _opening.get()
        record = opening.record
        wire = Wire(self._loop, record, self._force_close, self._learn)
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
            found = await super()._resolve_host(host, port, traces)
            self._remember(host, found)
            return found
        finally:
            _opening.get().dns += monotonic() - begun

    def _remember(self, host: str, found: list[ResolveResult]) -> None:
        self.addresses.pop(host, None)
        if found:
            self.addresses[host] = min(each["host"] for each in found)
            if len(self.addresses) > MOST_ADDRESSES:
                del self.addresses[next(iter(self.addresses))]

    def _learn(self) -> None:
        self._patient = False

    def _drop_stale(self, key: ConnectionKey) -> None:
        """Close the idle connections that their server is about to close."""
        if (idle := self._conns.get(key)) is None:
            return
        now = monotonic()
        for each in [each for each in idle if isinstance(each[0], Wire) and now - each[1] > each[0].keeps]:
            idle.remove(each)
            each[0].close()
        if not idle:
            del self._conns[key]

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
