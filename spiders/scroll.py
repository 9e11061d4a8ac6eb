"""Endless scrolling: the page is an empty shell, so ask the JSON API that its script asks, cursor by cursor.

scraper crawl scroll -a start=http://127.0.0.1:8000/
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from scraper import Spider, next_page


@dataclass
class Book:
    key = "upc"

    upc: str
    title: str
    price: float
    stock: int


class Scroll(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [urljoin(start, "/scroll")]

    def parse(self, response):
        """Where the API is stands in the page; what it is asked can be seen in the browser's network tab."""
        yield response.follow(response.css("#shelf").attrib["data-api"], self.parse_books)

    def parse_books(self, response):
        for row in response.json()["books"]:
            yield Book(row["upc"], row["title"], row["price"], row["stock"])
        more = next_page(response, cursor="next", param="cursor")  # the answer's "next" is sent as ?cursor=
        if more:
            yield more
