"""Links followed by rules: what is listed in `rules` says where the crawl goes, and what reads which page.

scraper crawl catalogue -a start=http://127.0.0.1:8000/
"""

from dataclasses import dataclass

from scraper import CrawlSpider, LinkExtractor, Rule


@dataclass
class Book:
    key = "upc"

    upc: str
    title: str
    category: str


class Catalogue(CrawlSpider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse_book(self, response):
        yield Book(
            upc=response.css("table td::text").get(),
            title=response.css("h1::text").get(),
            category=response.css("ul.breadcrumb li:nth-child(3) a::text").get(),
        )

    rules = [  # a link goes by the first rule that takes it
        Rule(LinkExtractor(restrict_css="article.product_pod"), callback=parse_book),
        Rule(LinkExtractor(restrict_css="li.next")),  # without a callback: only looked through for more links
        Rule(LinkExtractor(allow=r"/category/books/")),
    ]
