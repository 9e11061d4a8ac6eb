"""Contestant (a): the fastest plain loop we know how to write, keeping no promise.

No robots.txt, no retry, no redirect, no record of what is pending: a kill loses everything since the last batch, and
one failed request ends the program. What it does do, it does with every trick we measured: uvloop; raw bytes into
lexbor; no cookies, no time-outs, no decompression, no limit inside aiohttp (the number of workers is the limit);
ready-made `yarl.URL`s; can_ada once for each different link of a page; msgspec; SQLite in batches of 100 on a thread;
and a worker stays with its host while that host has links, so that its connection stays warm.

usage: raw.py DATABASE WORKERS URL[,URL...]
"""

import asyncio
import ctypes
import gc
import json
import sqlite3
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import can_ada
import msgspec
import uvloop
from selectolax.lexbor import LexborHTMLParser
from yarl import URL

encode = msgspec.json.Encoder().encode


class Crawl:
    def __init__(self, database: str, workers: int, seeds: list[str]) -> None:
        self.hosts = {can_ada.parse(url).origin + "/": deque([url]) for url in seeds}
        self.fresh = deque(self.hosts)  # hosts that no worker has taken yet
        self.seen, self.links = set(seeds), [(url,) for url in seeds]
        self.items: list[tuple[bytes]] = []
        self.workers, self.tasks, self.pages, self.stored = workers, set[asyncio.Task[None]](), 0, 0
        self.db = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self.db.executescript(
            "pragma journal_mode = wal; pragma synchronous = off;"
            "create table links(url text); create table items(data text);"
        )

    async def run(self) -> None:
        with ThreadPoolExecutor(1) as self.thread:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, happy_eyeballs_delay=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
            ) as self.session:
                self.hire()
                while self.tasks:
                    for task in (await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED))[0]:
                        self.tasks.discard(task)
                        task.result()
            self.flush()
        self.db.close()

    def hire(self) -> None:
        """Start workers while there are free places and links no worker has in hand."""
        while len(self.tasks) < self.workers:
            host = self.fresh.popleft() if self.fresh else max(self.hosts, key=lambda host: len(self.hosts[host]))
            if not self.hosts[host]:
                return
            self.tasks.add(asyncio.create_task(self.work(host, self.hosts[host].popleft())))

    async def work(self, host: str, url: str) -> None:
        """Fetch ``url`` and then what else its host has to give; then go on with a host that nobody has taken."""
        while True:
            response = await self.session.get(URL(url, encoded=True), allow_redirects=False)
            body = await response.read()
            if response.status != 200:
                raise RuntimeError(f"{url} answered {response.status}")
            self.parse(host, url, body)
            if len(self.tasks) < self.workers:
                self.hire()
            if not self.hosts[host]:
                if not self.fresh:
                    return
                host = self.fresh.popleft()
            url = self.hosts[host].popleft()

    def parse(self, host: str, url: str, body: bytes) -> None:
        tree = LexborHTMLParser(body)
        find = tree.css_first
        rating = find(".star-rating")
        item = {
            "title": (node := find("h1")) and node.text(),
            "price": (node := find(".price_color")) and node.text(),
            "stock": (node := find(".availability")) and node.text(strip=True),
            "rating": rating and rating.attrs.get("class"),
            "upc": (node := find(".table td")) and node.text(),
            "description": (node := find("#product_description + p")) and node.text(),
        }
        self.items.append((encode(item),))
        base, seen, queue = can_ada.parse(url), self.seen, self.hosts[host]
        for href in {a.attrs.get("href") for a in tree.tags("a")}:
            if href is None:
                continue
            link = (base + href).href.partition("#")[0]
            if link not in seen and link.startswith(host):
                seen.add(link)
                queue.append(link)
                self.links.append((link,))
        self.pages += 1
        if len(self.items) >= 100:
            self.flush()

    def flush(self) -> None:
        self.thread.submit(self.write, self.items, self.links).add_done_callback(lambda done: done.result())
        self.items, self.links = [], []

    def write(self, items: list[tuple[bytes]], links: list[tuple[str]]) -> None:
        self.db.execute("begin")
        self.db.executemany("insert into items values (?)", items)
        self.db.executemany("insert into links values (?)", links)
        self.db.execute("commit")
        self.stored += len(items)


if __name__ == "__main__":
    ctypes.CDLL(None).mallopt(-1, 64 << 20)  # keep the top of the heap, as scraper does
    gc.freeze()
    crawl = Crawl(sys.argv[1], int(sys.argv[2]), sys.argv[3].split(","))
    uvloop.run(crawl.run())
    print(json.dumps({"pages": crawl.pages, "items": crawl.stored}))
