"""Facts handed on from page to page: each category's name travels with the requests, and its books are counted.

scraper crawl categories -a start=http://127.0.0.1:8000/
scraper crawl categories -a start=http://127.0.0.1:8000/ -a only=Mending
"""

from scraper import Spider


class Categories(Spider):
    """One row for each listing of each category; `select name, sum(books) from item group by name` adds them up."""

    def __init__(self, start: str = "https://books.toscrape.com/", only: str = "") -> None:
        self.start_urls = [start]
        self.only = only.lower()

    def parse(self, response):
        for link in response.css("ul.nav-list ul a"):
            name = link.text.strip()
            if self.only in name.lower():
                yield response.follow(link, self.parse_category, cb_kwargs={"name": name, "listing": 1})

    def parse_category(self, response, name, listing):
        yield {"name": name, "listing": listing, "books": len(response.css("article.product_pod"))}
        following = {"name": name, "listing": listing + 1}
        yield from response.follow_all("li.next a", self.parse_category, cb_kwargs=following)
