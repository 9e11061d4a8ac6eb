"""A feed, RSS or Atom alike: each entry leads to its page, and what the feed says goes along.

scraper crawl feed -a start=http://127.0.0.1:8000/
scraper crawl feed -a start=http://127.0.0.1:8000/ -a path=/feed.atom
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from scraper import FeedSpider


@dataclass
class News:
    key = "id"

    id: str
    title: str
    published: str
    author: str
    copies: int  # the feed has the rest, this is why the page is asked for


class Feed(FeedSpider):
    def __init__(self, start: str, path: str = "/feed.rss") -> None:
        self.start_urls = [urljoin(start, path)]

    def parse_entry(self, response, entry):
        facts = {
            "id": entry.id.removeprefix("urn:upc:"),
            "title": entry.title,
            "published": entry.published.isoformat(),
            "author": entry.author,
        }
        yield response.follow(entry.link, self.parse_book, cb_kwargs={"facts": facts})

    def parse_book(self, response, facts):
        yield News(**facts, copies=int(response.css("p.availability").re_first(r"(\d+) available")))
