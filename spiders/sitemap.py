"""By a site map, read as it comes: no link is followed, and a later run asks only for what has changed since.

scraper crawl sitemap -a start=http://127.0.0.1:8000/      a shop with a site map: `scraper demo-site`
"""

from urllib.parse import urljoin

import msgspec

from scraper import SitemapSpider


class Offer(msgspec.Struct):
    """One row of the view `offer`; a struct is checked when it is made."""

    key = "url"

    url: str
    title: str
    price: float
    in_stock: bool


class Sitemap(SitemapSpider):
    sitemap_follow = [r"-books\.xml"]  # of an index of site maps, this one
    sitemap_rules = [(r"/catalogue/", "parse_book")]  # what matches no rule is passed over
    sitemap_changed_only = True

    def __init__(self, start: str) -> None:
        self.sitemap_urls = [urljoin(start, "/sitemap-index.xml")]  # or "/robots.txt", for all that it names

    def parse_book(self, response):
        page = response.css("div.product_main")
        yield Offer(
            url=response.url,
            title=page.css("h1::text").get(),
            price=float(page.css("p.price_color::text").re_first(r"[\d.]+")),
            in_stock="In stock" in page.css("p.availability").text,
        )
