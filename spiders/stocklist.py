"""An XML file of any size, one element after the other: only the element at hand is in memory.

scraper crawl stocklist -a start=http://127.0.0.1:8000/
"""

from urllib.parse import urljoin

from scraper import XMLSpider


class Stocklist(XMLSpider):
    itertag = "book"

    def __init__(self, start: str) -> None:
        self.start_urls = [urljoin(start, "/books.xml")]

    def parse_node(self, response, node):
        yield {
            "number": int(node.get("@id")),
            "upc": node.get("upc"),
            "stock": int(node.get("stock")),
            "described": node.find("description") is not None,
        }
