"""Only what is new: newest first, down to what the last run knew; how far that was is kept with the pages.

scraper crawl incremental -a start=http://127.0.0.1:8000/     again: one page. To see something new in between,
let the shop begin without its last ten books: scraper demo-site --withheld 10
"""

from dataclasses import dataclass
from urllib.parse import urljoin

from scraper import Spider


@dataclass
class Arrival:
    key = "number"

    number: int
    title: str
    added: str


class Incremental(Spider):
    def __init__(self, start: str) -> None:
        self.start_urls = [urljoin(start, "/new")]

    def parse(self, response):
        newest = int(response.css("li.arrival").attrib["data-id"])
        yield from self.parse_arrivals(response, self.state.get("newest", 0), newest)

    def parse_arrivals(self, response, known, newest):
        """`known` and `newest` go with the requests, for while this walk is under way the mark stays where it was:
        moved at once, a walk that is given up half-way would leave a gap that nobody looks into again."""
        numbers = []
        for row in response.css("li.arrival"):
            numbers.append(int(row.attrib["data-id"]))
            if numbers[-1] > known:
                yield Arrival(numbers[-1], row.css("a::text").get(), row.css("time").attrib["datetime"])
        older = response.css("a.older")
        if older and min(numbers) > known:
            kwargs = {"known": known, "newest": newest}
            yield response.follow(older[0], self.parse_arrivals, cb_kwargs=kwargs)
        else:
            self.state["newest"] = newest  # part of this page's transaction, as its rows are
