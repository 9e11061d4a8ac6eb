"""A CSV file of any size, row by row; XMLSpider and JSONSpider read theirs in the same way.

scraper crawl pricelist -a start=http://127.0.0.1:8000/
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from scraper import CSVSpider


@dataclass
class Price:
    key = "upc"

    upc: str
    title: str
    price: float
    stock: int


class Pricelist(CSVSpider):
    def __init__(self, start: str) -> None:
        self.start_urls = [urljoin(start, "/books.csv")]

    def parse_row(self, response, row):
        yield Price(row["upc"], row["title"], float(row["price"]), int(row["stock"]))
