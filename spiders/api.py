"""A JSON API from its first page to its last: `path` leads to the rows, `paging` says how the answers go on.

scraper crawl api -a start=http://127.0.0.1:8000/
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from scraper import JSONSpider


@dataclass
class Title:
    key = "upc"

    upc: str
    title: str
    author: str


class Api(JSONSpider):
    path = "books"
    paging = {"page": "page", "pages": "pages"}  # ?page=2 after ?page=1, until the answer's "pages"

    def __init__(self, start: str) -> None:
        self.start_urls = [urljoin(start, "/api/books?limit=100&page=1")]

    def parse_object(self, response, obj):
        yield Title(obj["upc"], obj["title"], obj["author"])
