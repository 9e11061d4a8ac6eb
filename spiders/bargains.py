"""Cleaned fields and steps: text becomes a number on its way into a field, and steps drop, change and enrich items.

scraper crawl bargains -a start=http://127.0.0.1:8000/
scraper crawl bargains -a start=http://127.0.0.1:8000/ -a most=12.50
"""

from dataclasses import dataclass
from decimal import Decimal

from scraper import DropItem, Field, Spider, fields

RATES = {"EUR": Decimal("1.17"), "USD": Decimal("1.27")}


@dataclass
class Bargain:
    url: str = Field(key=True, clean=fields.absolute_url)
    title: str = Field(clean=fields.strip)
    price: Decimal = Field(clean=fields.price)
    abroad: dict[str, Decimal] | None = None


class Abroad:
    """A step with something to prepare: opened once, closed once, however the run ends. It may be async as well."""

    def open(self, run):
        self.rates = dict(RATES)  # a real one would read them from a file or a service

    def __call__(self, bargain):
        bargain.abroad = {name: round(bargain.price * rate, 2) for name, rate in self.rates.items()}
        return bargain

    def close(self, run):
        self.rates.clear()


class Bargains(Spider):
    def __init__(self, start: str, most: Decimal = Decimal(15)) -> None:
        self.start_urls = [start]
        self.most = most

    def cheap(self, bargain):
        """What is dropped is counted, under the words that it was dropped with."""
        if bargain.price > self.most:
            raise DropItem("too dear")
        return bargain

    steps = [cheap, Abroad]

    def parse(self, response):
        for pod in response.css("article.product_pod"):
            link = pod.css("h3 a")
            yield Bargain(link.attrib["href"], link.attrib["title"], pod.css(".price_color::text").get())
        yield from response.follow_all("li.next a")
