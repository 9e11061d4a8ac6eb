"""The same pages by five clients, one request after the other: connections opened and time per request.

The demo site runs in a process of its own and counts the connections it accepts.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter
from typing import Annotated

import aiohttp
import requests
import typer
from aiohttp import web
from rich.console import Console
from rich.table import Table

from scraper.fetchers.http import HttpFetcher
from scraper.request import Request
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.testing.bookshop import application, page_paths

Client = Callable[[list[str]], None]


def requests_get(urls: list[str]) -> None:
    for url in urls:
        requests.get(url, timeout=60).raise_for_status()


def requests_session(urls: list[str]) -> None:
    with requests.Session() as session:
        for url in urls:
            session.get(url, timeout=60).raise_for_status()


def in_a_loop(fetch_all: Callable[[list[str]], Awaitable[None]]) -> Client:
    async def main(urls: list[str]) -> None:
        await fetch_all(urls)

    return lambda urls: asyncio.run(main(urls))


async def aiohttp_session_each(urls: list[str]) -> None:
    for url in urls:
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as response:
            await response.read()


async def aiohttp_shared_session(urls: list[str]) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for url in urls:
            async with session.get(url) as response:
                await response.read()


async def our_pool(urls: list[str]) -> None:
    settings = Settings()
    async with SessionPool(settings) as pool:
        fetcher = HttpFetcher(pool, settings)
        for url in urls:
            response = await fetcher.fetch(Request(url))
            if not response.ok:
                raise RuntimeError(f"{response!r}")


CLIENTS: dict[str, Client] = {
    "requests.get each time": requests_get,
    "requests.Session": requests_session,
    "aiohttp, a session each time": in_a_loop(aiohttp_session_each),
    "aiohttp, one shared session": in_a_loop(aiohttp_shared_session),
    "scraper's SessionPool": in_a_loop(our_pool),
}


def shop(pipe: Connection, latency: float) -> None:
    """The child process: tells its port, then its count of accepted connections whenever it is asked."""

    async def main() -> None:
        accepted = 0
        runner = web.AppRunner(application(latency), access_log=None)
        await runner.setup()

        def accept() -> asyncio.Protocol:
            nonlocal accepted
            accepted += 1
            assert runner.server is not None
            return runner.server()

        loop = asyncio.get_running_loop()
        server = await loop.create_server(accept, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while await loop.run_in_executor(None, pipe.recv) == "accepted?":
            pipe.send(accepted)
        server.close()
        await runner.cleanup()

    asyncio.run(main())


@contextmanager
def demo_site(latency: float) -> Iterator[tuple[str, Callable[[], int]]]:
    """The site's address, and a function that tells how many connections it has accepted."""
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=shop, args=(its, latency))
    process.start()

    def accepted() -> int:
        ours.send("accepted?")
        return int(ours.recv())

    try:
        yield f"http://127.0.0.1:{ours.recv()}", accepted
    finally:
        ours.send("that is all")
        process.join()


def compare(
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="Requests by each client.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the time shown is their median.")] = 3,
    latency: Annotated[float, typer.Option(min=0, help="Seconds the site waits before each answer.")] = 0.0,
) -> None:
    """Fetch the same N pages of the demo site with five clients, one request after the other.

    Prints how many connections the site accepted from each, and the time per request.
    """
    table = Table(title=f"{count} requests, one after the other, median of {rounds} rounds")
    table.add_column("client")
    for name in ("connections", "ms per request", "times the fastest"):
        table.add_column(name, justify="right")
    with demo_site(latency) as (origin, accepted):
        urls = [origin + path for path in page_paths() if "/catalogue/" in path][:count]
        requests_session(urls)  # the site renders each page once; that is nobody's time
        connections: dict[str, int] = {}
        seconds: dict[str, list[float]] = {name: [] for name in CLIENTS}
        for _ in range(rounds):
            for name, client in CLIENTS.items():
                before, begun = accepted(), perf_counter()
                client(urls)
                seconds[name].append((perf_counter() - begun) / len(urls))
                connections[name] = accepted() - before
    fastest = min(median(each) for each in seconds.values())
    for name, each in seconds.items():
        took = median(each)
        table.add_row(name, str(connections[name]), f"{took * 1e3:.2f}", f"{took / fastest:.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(compare)
