"""Contestant (b): scraper with everything on: robots.txt, ledger, retries, exactly once. Any user would write it so."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from scraper import Response, Spider


@dataclass
class Record:
    title: str | None
    price: str | None
    stock: str | None
    rating: str | None
    upc: str | None
    description: str | None


class SixFields(Spider):
    name = "six"

    def __init__(self, start: str) -> None:
        super().__init__()
        self.start_urls = start.split(",")
        self.allowed_domains = sorted({urlsplit(url).hostname or "" for url in self.start_urls})

    def parse(self, response: Response) -> Iterator[object]:
        yield Record(
            title=response.css("h1::text").get(),
            price=response.css(".price_color::text").get(),
            stock=response.css(".availability").text.strip() or None,
            rating=response.css(".star-rating::attr(class)").get(),
            upc=response.css(".table td::text").get(),
            description=response.css("#product_description + p::text").get(),
        )
        yield from response.follow_all(urls=response.links())
