"""Seeds from a site map: no link is followed, each book is a row that replaces itself when it is met again.

scraper crawl sitemap -a start=http://127.0.0.1:8000/      a shop with a site map: `scraper demo-site`
"""

from urllib.parse import urljoin

import msgspec

from scraper import Request, Spider


class Offer(msgspec.Struct):
    """One row of the view `offer`; a struct is checked when it is made."""

    key = "url"

    url: str
    title: str
    price: float
    in_stock: bool


class Sitemap(Spider):
    def __init__(self, start: str) -> None:
        self.site = start

    async def start(self):
        yield Request(urljoin(self.site, "/sitemap.xml"))

    def parse(self, response):
        books = [url for url in response.css("loc::text").getall() if "/category/" not in url]
        yield from response.follow_all(urls=books, callback=self.parse_book)

    def parse_book(self, response):
        page = response.css("div.product_main")
        if page:  # listings are in the site map too
            yield Offer(
                url=response.url,
                title=page.css("h1::text").get(),
                price=float(page.css("p.price_color::text").re_first(r"[\d.]+")),
                in_stock="In stock" in page.css("p.availability").text,
            )
