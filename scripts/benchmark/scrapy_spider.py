"""Contestant (c): Scrapy, tuned, and written as someone who knows Scrapy would write it.

Twisted's asyncio reactor on uvloop, 120 requests at once, cookies and telnet off, only errors logged; retries and the
duplicate filter as they come; robots.txt off, which spares Scrapy what contestant (b) does.

usage: scrapy_spider.py FILE.jsonl PER_DOMAIN URL[,URL...]
"""

import sys
from collections.abc import AsyncIterator, Iterator

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response


class SixFields(scrapy.Spider):
    name = "six"

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for url in sys.argv[3].split(","):
            yield scrapy.Request(url)  # filtered like any link, or a link back to it is fetched again

    def parse(self, response: Response) -> Iterator[object]:
        yield {
            "title": response.css("h1::text").get(),
            "price": response.css(".price_color::text").get(),
            "stock": response.css(".availability::text").re_first(r"\S.*\S"),
            "rating": response.css(".star-rating::attr(class)").get(),
            "upc": response.css(".table td::text").get(),
            "description": response.css("#product_description + p::text").get(),
        }
        for href in dict.fromkeys(response.xpath("//a/@href").getall()):
            yield response.follow(href)


if __name__ == "__main__":
    process = CrawlerProcess(
        {
            "ASYNCIO_EVENT_LOOP": "uvloop.Loop",
            "CONCURRENT_REQUESTS": 120,
            "CONCURRENT_REQUESTS_PER_DOMAIN": int(sys.argv[2]),
            "DOWNLOAD_DELAY": 0,
            "ROBOTSTXT_OBEY": False,
            "COOKIES_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "ERROR",
            "FEEDS": {sys.argv[1]: {"format": "jsonlines"}},
        }
    )
    process.crawl(SixFields)
    process.start()
