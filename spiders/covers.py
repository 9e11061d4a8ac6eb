"""Files that belong to items: each book's cover, with thumbnails; the next run fetches only what has changed.

scraper crawl covers -a start=http://127.0.0.1:8000/
scraper files covers
"""

from dataclasses import dataclass

from scraper import Spider


@dataclass
class Book:
    key = "url"

    url: str
    title: str


class Covers(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [start]

    def parse(self, response):
        for pod in response.css("article.product_pod"):
            link = pod.css("h3 a")[0]
            book = Book(url=response.urljoin(link.attrib["href"]), title=link.attrib["title"])
            yield book
            yield response.download(
                pod.css("img")[0],
                into="covers",
                item=book,
                field="cover",
                types=["image/*"],
                thumbs={"small": (50, 50), "big": (110, 110)},
            )
        yield from response.follow_all("li.next a")
