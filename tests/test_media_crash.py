"""kill -9 in the midst of downloads: whoever starts again has every file whole, every row once, every item linked."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from conftest import environment
from filed import Gallery, place

from scraper.testing import LocalSite

FILES = {f"/file/{number}": random.Random(number).randbytes(300_000 + number) for number in range(24)}
PAGES = 8

CHILD = """
import sys
import scraper

class Gallery(scraper.Spider):
    start_urls = [sys.argv[1]]

    def parse(self, response):
        yield from response.follow_all("a", self.item)

    def item(self, response):
        item = {"of": response.url}
        yield item
        for link in response.css("img"):
            yield response.download(link, "images", item=item)

folder = sys.argv[2]
scraper.run(Gallery, db=folder + "/gallery.db", files=folder + "/files", obey_robots=False, retry_max_wait=0.1)
"""


async def test_a_killed_crawl_has_every_file_once_and_whole_when_it_was_started_again(tmp_path: Path) -> None:
    child: Any = None
    dies_at = 9  # the request for a file in whose midst it is killed
    asked = 0

    async def send(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        body = FILES[request.path]
        answer = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": "image/x"})
        await answer.prepare(request)
        await answer.write(body[:150_000])
        if asked == dies_at:
            child.kill()
            await child.wait()
            return answer
        await answer.write(body[150_000:])
        return answer

    def listing(number: int) -> str:
        names = list(FILES)[number * 3 : number * 3 + 3]
        return "".join(f'<img src="{name}">' for name in (*names, "/file/0"))  # and one that all items share

    pages: dict[str, Any] = {f"/page/{number}": listing(number) for number in range(PAGES)}
    pages["/"] = "".join(f'<a href="/page/{number}">x</a>' for number in range(PAGES))
    async with LocalSite(pages | dict.fromkeys(FILES, send)) as site:
        ends = []
        for _ in range(2):
            command = (sys.executable, "-c", CHILD, site.url("/"), str(tmp_path))
            child = await asyncio.create_subprocess_exec(*command, env=environment())
            ends.append(await child.wait())
        assert ends == [-signal.SIGKILL, 0]
        gallery = Gallery(tmp_path, site)
        assert gallery.files() == {place(body, ""): body for body in FILES.values()}
        assert gallery.rows("select count(*), count(distinct sha256) from files where status = 'fetched'") == [(24, 24)]
        assert gallery.rows("select state, count(*) from pages group by 1") == [("done", 1 + PAGES + len(FILES))]
        wanted = [
            (site.url(f"/page/{number}"), site.url(name))
            for number in range(PAGES)
            for name in {*list(FILES)[number * 3 : number * 3 + 3], "/file/0"}
        ]
        query = (
            "select json_extract(data, '$.of'), url from items join files_of_items using (kind, key) "
            "where path is not null"
        )
        assert sorted(gallery.rows(query)) == sorted(wanted)
