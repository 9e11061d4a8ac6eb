"""Three ways through a list of pages: the next link, page numbers known in advance, and an offset.

scraper crawl pagination -a start=http://127.0.0.1:8000/ -a way=next
scraper crawl pagination -a start=http://127.0.0.1:8000/ -a way=numbers
scraper crawl pagination -a start=http://127.0.0.1:8000/ -a way=offset
"""

from typing import Literal
from urllib.parse import urljoin

from scraper import Request, Spider

LIMIT = 100


class Pagination(Spider):
    def __init__(self, start: str, way: Literal["next", "numbers", "offset"] = "numbers") -> None:
        self.site, self.way = start, way

    async def start(self):
        if self.way == "offset":
            yield Request(self.listing(0), self.parse_offset, cb_kwargs={"offset": 0})
        else:
            yield Request(self.site, self.parse_next if self.way == "next" else self.parse_first)

    def parse_next(self, response):
        """One after the other: each page is known only when the one before it has come."""
        yield from self.titles(response)
        yield from response.follow_all("li.next a", self.parse_next)

    def parse_first(self, response):
        """The first page tells how many there are, so all others are asked for at once, over kept connections."""
        yield from self.titles(response)
        last = int(response.css("li.current").re_first(r"of (\d+)"))
        for number in range(2, last + 1):
            yield response.follow(f"catalogue/page-{number}.html", self.titles)

    def titles(self, response):
        for link in response.css("article.product_pod h3 a"):
            yield {"title": link.attrib["title"]}

    def listing(self, offset: int) -> str:
        return urljoin(self.site, f"/api/books?offset={offset}&limit={LIMIT}")

    def parse_offset(self, response, offset):
        """An API that counts rows: the first answer has the total. (Without one: on until a page is not full.)"""
        answer = response.json()
        yield from ({"title": book["title"]} for book in answer["books"])
        if offset == 0:
            for more in range(LIMIT, answer["total"], LIMIT):
                yield Request(self.listing(more), self.parse_offset, cb_kwargs={"offset": more})
