"""A bookshop, two kinds of page: listings lead to books and to the next listing, each book becomes one row.

scraper crawl books                                   the practice shop on the web
scraper crawl books -a start=http://127.0.0.1:8000/   the same shop from `scraper demo-site`
"""

from dataclasses import dataclass

from scraper import Spider

STARS = ("One", "Two", "Three", "Four", "Five")


@dataclass
class Book:
    """One row of the view `book`. Met again under the same key, it replaces itself."""

    key = "upc"  # no annotation: it names the key, it is not a column

    upc: str
    title: str
    price: float
    currency: str
    stock: int
    rating: int  # 1 to 5
    category: str
    description: str | None
    image: str


class Books(Spider):
    name = "books"

    def __init__(self, start: str = "https://books.toscrape.com/") -> None:
        self.start_urls = [start]

    def parse(self, response):
        for link in response.css("article.product_pod h3 a"):
            yield response.follow(link, self.parse_book)
        yield from response.follow_all("li.next a")

    def parse_book(self, response):
        page = response.css("div.product_main")  # other books are on the page too, with prices of their own
        facts = {row.css("th::text").get(): row.css("td::text").get() for row in response.css("table tr")}
        price = page.css("p.price_color::text")
        yield Book(
            upc=facts["UPC"],
            title=page.css("h1::text").get(),
            price=float(price.re_first(r"[\d.]+")),
            currency=price.re_first(r"[^\d.\s]+"),
            stock=int(page.css("p.availability").re_first(r"(\d+) available")),
            rating=1 + STARS.index(page.css("p.star-rating").attrib["class"].split()[-1]),
            category=response.css("ul.breadcrumb li:nth-child(3) a::text").get(),
            description=response.css("#product_description + p::text").get(),
            image=response.urljoin(response.css("#product_gallery img").attrib["src"]),
        )
